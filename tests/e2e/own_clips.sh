# reel train on clips of one's own: an autoencoder and a transformer from nothing, low-rank paths of
# a whole model whose adapter `reel generate --lora` takes, and what is refused. Clips are ffmpeg's.
. tests/e2e/lib.sh
if ! command -v ffmpeg >/dev/null 2>&1; then
    echo "SKIP: ffmpeg is not installed"
    exit 77
fi
. tests/e2e/tiny_model.sh

# film NAME SOURCE SECONDS CAPTION
film() {
    ffmpeg -v error -f lavfi -i "$2=size=96x64:rate=8:duration=$3" -pix_fmt yuv420p "$work/clips/$1.mp4" || exit 1
    echo "$4" >"$work/clips/$1.txt"
}
mkdir -p "$work/clips/more"
film a testsrc 2 "a test card with a counter"
film b testsrc2 2 "another test card, striped"
film more/c smptebars 1 "bars of color"
film d rgbtestsrc 2 "stripes of pure color"
echo '{"captions": [{"language": "en", "text": "bars"}, {"language": "zh", "text": "\u5f69\u6761"}]}' \
    >"$work/clips/more/c.json"
echo "this is no film" >"$work/clips/text.mp4"
head -c 3000 "$work/clips/a.mp4" >"$work/clips/cut.mp4"

cat >"$work/recipe.json" <<'JSON'
{
  "run": {"steps": 6, "log_steps": 1, "checkpoint_minutes": 0.00001, "samples": 2, "sample_steps": 2},
  "optimiser": {"batch": 2, "warmup": 2, "rules": [
    {"match": "*.lora_*", "method": "adamw", "lr": 0.05},
    {"match": "*.weight", "method": "muon", "lr": 0.01},
    {"match": "*", "method": "adamw", "lr": 0.01}]},
  "data": {"pool": 4, "pool_start": 2, "fresh": 0.5, "validation": 2,
    "buckets": [{"width": 48, "height": 32, "frames": 9}, {"width": 48, "height": 32, "frames": 5}]},
  "vae": {"base_dim": 16, "decoder_base_dim": 16, "z_dim": 4, "patch_size": 2, "dim_mult": [1, 1],
    "temperal_downsample": [1], "crop": 16, "crop_frames": 3, "full_every": 2, "pca_steps": 3},
  "dit": {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 64, "num_layers": 1,
    "row_tokens": 512, "row_clips": 4},
  "text": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_heads": 2, "num_layers": 1, "tokens": 32}
}
JSON
recipe="--config $work/recipe.json"
last=checkpoint-0000000006.safetensors

# data FILE: what follows the header of a safetensors file: all tensors.
data() {
    set -- "$1" "$(od -An -t u8 -N 8 "$1" | tr -d ' ')"
    tail -c "+$(($2 + 9))" "$1"
}
same_tensors() {
    data "$1" >"$work/first" && data "$2" >"$work/second" && cmp "$work/first" "$work/second" ||
        complain "$1 and $2 hold other tensors"
}

# an autoencoder
expect 0 "$REEL" train vae $recipe --clips "$work/clips" --out "$work/vae"
err_has "text.mp4: neither a video nor a picture"
err_has "cut.mp4:"
err_has "2 files skipped"
grep -q '"name":"[^"]*/text.mp4"' "$work/vae/clips.json" || complain "clips.json names no skipped clip"
[ -s "$work/vae/vae/config.json" ] || complain "no autoencoder"
grep -q '"waiting":' "$work/vae/metrics.jsonl" || complain "the share of waiting is not told"
expect 0 "$REEL" train decoder $recipe --clips "$work/clips" --init "$work/vae" --out "$work/decoder" --steps 1

# a transformer, the same from a folder as from a tar file of the same clips, stopped or not
(cd "$work/clips" && tar cf "$work/clips.tar" .)
dit="dit $recipe --set dit.vae=$work/vae --set dit.tokenizer=$work/spiece.model"
expect 0 "$REEL" train $dit --clips "$work/clips" --out "$work/dit"
expect 0 "$REEL" train $dit --clips "$work/clips.tar" --out "$work/from-tar"
err_has "2 files skipped"
same_tensors "$work/dit/$last" "$work/from-tar/$last"
"$REEL" train $dit --clips "$work/clips" --out "$work/killed" >/dev/null 2>&1 </dev/null &
pid=$!
tries=0
until [ -e "$work/killed/checkpoint-0000000002.safetensors" ] || [ $tries -ge 600 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
expect 0 "$REEL" train $dit --clips "$work/clips" --out "$work/killed"
same_tensors "$work/dit/$last" "$work/killed/$last"
grep -q '"swap":{"caption":' "$work/dit/metrics.jsonl" || complain "captions were not swapped"
grep -q '"words_apart":{"caption":[0-9]' "$work/dit/metrics.jsonl" || complain "no word is told from another"
n=$(find "$work/dit/samples" -name 'step-0000000006-*.png' | wc -l)
[ "$n" -ge 1 ] || complain "no samples are shown"
grep -q "<figcaption>[^<]* test card\|<figcaption>stripes of\|<figcaption>bars" "$work/dit/report.html" ||
    complain "the report shows no prompt below a sample"
made=$(find "$work/dit/latents" -name 'clip-*' | sort | xargs cksum)
expect 0 "$REEL" train $dit --clips "$work/clips" --out "$work/again" --set "data.cache=$work/dit/latents"
[ "$made" = "$(find "$work/dit/latents" -name 'clip-*' | sort | xargs cksum)" ] ||
    complain "latents were made twice"

# a learned variance
expect 0 "$REEL" train $dit --clips "$work/clips" --out "$work/learned" --set dit.objective=learned
err_has "dit done at step 6"
grep -q '"variance_type":"learned_range"' "$work/learned/model/scheduler/scheduler_config.json" ||
    complain "the scheduler does not say that the variance is learned"

# low-rank paths of a whole model folder
tune="dit $recipe --clips $work/clips --init $work/model --lora 4 --set data.buckets=[{\"width\":64,\"height\":64,\"frames\":9},{\"width\":64,\"height\":64,\"frames\":5}]"
expect 0 "$REEL" train $tune --out "$work/tuned"
adapter=$work/tuned/pytorch_lora_weights.safetensors
[ -s "$adapter" ] || complain "no adapter was saved"
expect 0 "$REEL" info "$adapter"
out_has "transformer.blocks.0.attn1.to_q.lora_A.weight"
strings "$adapter" 2>/dev/null | head -c 4000 | grep -q 'lora_alpha' || grep -aq 'lora_alpha' "$adapter" ||
    complain "the adapter does not say its alpha"
expect 0 "$REEL" train dit $recipe --clips "$work/clips" --init "$work/model" --steps 1 --out "$work/whole" \
    --set "data.buckets=[{\"width\":64,\"height\":64,\"frames\":5}]"
expect 0 "$REEL" info "$work/whole/model"

# a text encoder that is balanced first, once: not again when the run goes on
balanced="dit $recipe --clips $work/clips --init $work/model --out $work/balanced --set dit.balance_text=1 --set data.buckets=[{\"width\":64,\"height\":64,\"frames\":5}]"
expect 0 "$REEL" train $balanced --steps 1
err_has "dit balance: texts were 0."
grep -q '"texts_apart":' "$work/balanced/metrics.jsonl" || complain "validation does not tell how far texts are apart"
expect 0 "$REEL" train $balanced --steps 2
! grep -q "dit balance" "$work/err" || complain "a run that goes on balances again"
size="--size 64x64 --frames 5 --steps 2"
expect 0 generate $size -o "$work/plain.mkv"
expect 0 generate $size --lora "$adapter" -o "$work/with.mkv"
expect 0 generate $size --lora "$adapter:0" -o "$work/zero.mkv"
expect 0 "$REEL" generate --model "$work/tuned/model" -p "a red ball" -s 7 -q $size -o "$work/merged.mkv"
frames() { ffmpeg -v error -i "$1" -f rawvideo -pix_fmt rgb24 - | cksum; }
[ "$(frames "$work/plain.mkv")" = "$(frames "$work/zero.mkv")" ] || complain "an adapter at scale 0 changes something"
[ "$(frames "$work/plain.mkv")" != "$(frames "$work/with.mkv")" ] || complain "an adapter changes nothing"
expect 0 "$REEL" info "$work/with.mkv"
out_has "pytorch_lora_weights.safetensors"

# what is refused
expect 1 "$REEL" train vae $recipe --clips "$work/missing" --out "$work/x"
err_has "missing: no such file or folder"
mkdir "$work/empty"
expect 1 "$REEL" train vae $recipe --clips "$work/clips" --set data.drills=0.5 --out "$work/x"
err_has "data.drills: got 0.5, but only the world's clips"
expect 1 "$REEL" train vae $recipe --set data.drills=0.5 --set data.drill_on=pan,zoo --out "$work/x"
err_has "data.drill_on: got 'pan,zoo', wanted some of pan, tilt"
expect 1 "$REEL" train vae $recipe --clips "$work/empty" --out "$work/x"
err_has "holds no clip"
expect 1 "$REEL" train vae $recipe --clips "$work/clips/text.mp4" --out "$work/x"
err_has "not one clip can be used of 1 files; the first:"
head -c 1500 "$work/clips.tar" >"$work/cut.tar"
expect 1 "$REEL" train vae $recipe --clips "$work/cut.tar" --out "$work/x"
err_has "cut.tar"
expect 1 "$REEL" train dit $recipe --clips "$work/clips" --lora 4 --out "$work/x" --set "dit.vae=$work/vae" \
    --set "dit.tokenizer=$work/spiece.model"
err_has "dit.lora needs dit.init"
expect 1 "$REEL" train $tune --out "$work/x" --set dit.balance_text=1
err_has "dit.balance_text needs dit.init"
expect 1 generate $size --lora "$work/model/vae/diffusion_pytorch_model.safetensors" -o "$work/x.mkv"
err_has "is no part of a low-rank pair"
expect 1 generate $size --lora "$adapter:1000" -o "$work/x.mkv"
err_has "the scale must be in -100..100"
expect 1 generate $size --lora "$work/missing.safetensors" -o "$work/x.mkv"

# what a model predicts: tuning goes on with it, and an adapter is for such models alone
expect 1 "$REEL" train $tune --out "$work/x" --set dit.objective=sample
err_has "is one of 'flow', and dit.lora tunes it as it is"
cp -r "$work/model" "$work/x0"
cat >"$work/x0/scheduler/scheduler_config.json" <<'JSON'
{"_class_name": "UniPCMultistepScheduler", "prediction_type": "sample", "use_flow_sigmas": true}
JSON
expect 1 "$REEL" generate --model "$work/x0" -p "a red ball" -q $size --lora "$adapter" -o "$work/x.mkv"
err_has "was trained with a model that predicts 'flow', $work/x0 predicts 'sample'"
expect 0 "$REEL" train $tune --init "$work/x0" --steps 1 --out "$work/tuned-x0"
grep -q '"prediction_type":"sample"' "$work/tuned-x0/model/scheduler/scheduler_config.json" ||
    complain "tuning turned a model of x0 into one of the velocity"
expect 0 "$REEL" generate --model "$work/x0" -p "a red ball" -q $size \
    --lora "$work/tuned-x0/pytorch_lora_weights.safetensors" -o "$work/x0.mkv"
finish
