# reel train at sizes that take seconds: a tokenizer, an autoencoder, a transformer on both. A run
# that is killed goes on to the bytes of one that was not.
. tests/e2e/lib.sh

cat >"$work/recipe.json" <<'JSON'
{
  "run": {"steps": 6, "log_steps": 1, "checkpoint_minutes": 0.00001},
  "optimiser": {"batch": 2, "warmup": 2, "rules": [
    {"match": "*.weight", "method": "muon", "lr": 0.01},
    {"match": "*", "method": "adamw", "lr": 0.01}]},
  "data": {"pool": 4, "pool_start": 2, "fresh": 0.5, "validation": 2,
    "buckets": [{"width": 32, "height": 32, "frames": 5}]},
  "vae": {"base_dim": 16, "decoder_base_dim": 16, "z_dim": 4, "patch_size": 2, "dim_mult": [1, 1],
    "temperal_downsample": [1], "crop": 16, "crop_frames": 3, "full_every": 2, "pca_steps": 3},
  "tokenizer": {"vocabulary": 1500, "captions": 400},
  "dit": {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 64, "num_layers": 1,
    "row_tokens": 256, "row_clips": 6},
  "text": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_heads": 2, "num_layers": 1, "tokens": 32}
}
JSON

# data FILE: what follows the header of a safetensors file: all tensors.
data() {
    set -- "$1" "$(od -An -t u8 -N 8 "$1" | tr -d ' ')"
    tail -c "+$(($2 + 9))" "$1"
}

# killed_run OUT ARGUMENT...: begins a run, kills it once it has a checkpoint before its last, and
# goes on with it.
killed_run() {
    out=$1
    shift
    "$REEL" train "$@" --out "$out" >/dev/null 2>&1 </dev/null &
    pid=$!
    tries=0
    until [ -e "$out/checkpoint-0000000002.safetensors" ] || [ $tries -ge 600 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    expect 0 "$REEL" train "$@" --out "$out"
}

same_tensors() {
    data "$1" >"$work/a" && data "$2" >"$work/b" && cmp "$work/a" "$work/b" ||
        complain "$1 and $2 hold other tensors"
}

recipe="--config $work/recipe.json"
last=checkpoint-0000000006.safetensors

expect 0 "$REEL" train vae $recipe --out "$work/vae"
err_has "vae done at step 6"
killed_run "$work/vae-killed" vae $recipe
same_tensors "$work/vae/$last" "$work/vae-killed/$last"
same_tensors "$work/vae/vae/diffusion_pytorch_model.safetensors" \
    "$work/vae-killed/vae/diffusion_pytorch_model.safetensors"
expect 0 "$REEL" train vae $recipe --out "$work/vae-one" --threads 1
same_tensors "$work/vae/$last" "$work/vae-one/$last"
[ "$(grep -c '"event":"step"' "$work/vae/metrics.jsonl")" -eq 6 ] || complain "not a line for each step"
[ "$(find "$work/vae" -name 'checkpoint-*' | wc -l)" -eq 2 ] || complain "not two checkpoints are left"
expect 0 "$REEL" train decoder $recipe --out "$work/decoder" --set "vae.init=$work/vae"

# errors of steps onto latents are part of the loss by their weight; a single frame has none
loss_at_start() { sed -n '/"event":"step"/{s/.*"loss":\([0-9.e-]*\).*/\1/p;q;}' "$work/$1/metrics.jsonl"; }
for weight in 4 8; do
    expect 0 "$REEL" train decoder $recipe --out "$work/delta$weight" --set "vae.init=$work/vae" \
        --set "vae.delta=$weight" --steps 1
done
echo "$(loss_at_start decoder) $(loss_at_start delta4) $(loss_at_start delta8)" |
    awk '{ a = $2 - $1; b = $3 - $1; exit !(a > 0 && b > 1.999 * a && b < 2.001 * a) }' ||
    complain "losses $(loss_at_start decoder) $(loss_at_start delta4) $(loss_at_start delta8)"
expect 0 "$REEL" train decoder $recipe --out "$work/delta1" --set "vae.init=$work/vae" \
    --set vae.delta=4 --set vae.crop_frames=1 --set vae.full_every=0 --steps 1
sed -n 1p "$work/decoder/metrics.jsonl" | grep -q '"pulse":[0-9]' || complain "no pulse in a validation"

# a model without a linear path is given one, and is better from the first step on
psnr_at_start() { sed -n '1s/.*"psnr":\([0-9.]*\).*/\1/p' "$work/$1/metrics.jsonl"; }
expect 0 "$REEL" train decoder $recipe --out "$work/linear" --set "vae.init=$work/vae" \
    --set vae.linear_path=1
grep -q '"linear_path":true' "$work/linear/vae/config.json" || complain "the folder has no linear path"
echo "$(psnr_at_start linear) $(psnr_at_start decoder)" |
    awk '{ exit !($1 > $2 + 3) }' || complain "the linear path brings nothing: $(psnr_at_start linear) dB"
expect 0 "$REEL" train decoder $recipe --out "$work/linear2" --set "vae.init=$work/linear" --steps 1
echo "$(psnr_at_start linear2) $(psnr_at_start linear)" |
    awk '{ exit !($1 > $2 - 1) }' || complain "the linear path is lost: $(psnr_at_start linear2) dB"

if "$REEL" train tokenizer $recipe --out "$work/tokenizer" 2>"$work/err"; then
    dit="dit $recipe --set dit.vae=$work/vae --set dit.tokenizer=$work/tokenizer/spiece.model"
    expect 0 "$REEL" train $dit --out "$work/dit"
    killed_run "$work/dit-killed" $dit
    same_tensors "$work/dit/$last" "$work/dit-killed/$last"
    [ -s "$work/dit/model/model_index.json" ] || complain "no model folder"
    grep -q '"_reel":{"width":32,"height":32,"frames":5,"steps":20,"fps":8.0,' \
        "$work/dit/model/model_index.json" || complain "the folder does not say what it was made for"
    expect 0 "$REEL" info "$work/dit/model"
    grep -q '"swap"' "$work/dit/metrics.jsonl" || complain "captions were not swapped"
    grep -q '"words_apart":{"kind":[0-9.e-]*,.*"camera":' "$work/dit/metrics.jsonl" ||
        complain "validations do not say how far words are apart"
    expect 0 "$REEL" train $dit --out "$work/tuned" --set "dit.init=$work/dit/model" --steps 1
    # what a folder says of itself stays; how much text is seen is the recipe's to say
    says() { grep -qF -- "$2" "$work/$1/model/model_index.json" || complain "$1: its folder does not say $2"; }
    says dit '"cfg_scale":5.0,"text_length":32,"deblock":0.75,"world":true}'
    cp -r "$work/dit/model" "$work/own"
    sed -i 's/"_reel":{.*}}/"_reel":{"text_length":24,"steps":7,"cfg_scale":5.5,"cfg_to":0.5,"flow_shift":2.5,"deblock":0.5,"context_noise":0.25,"anchor":2}}/' \
        "$work/own/model_index.json"
    expect 0 "$REEL" train $dit --out "$work/said" --set "dit.init=$work/own" --steps 1
    says said '"steps":7,"fps":8.0,"cfg_scale":5.5,"cfg_to":0.5,"flow_shift":2.5,"text_length":32,"deblock":0.5,"context_noise":0.25,"anchor":2}'
    expect 0 "$REEL" train $dit --out "$work/unsaid" --set "dit.init=$work/own" --set text.tokens=0 --steps 1
    says unsaid '"text_length":24'
    # a text encoder alone learns what captions say (four skies: a quarter is chance), and a
    # transformer goes on from it
    text="text $recipe --set dit.tokenizer=$work/tokenizer/spiece.model"
    expect 0 "$REEL" train $text --out "$work/text"
    killed_run "$work/text-killed" $text
    same_tensors "$work/text/$last" "$work/text-killed/$last"
    expect 0 "$REEL" train $text --out "$work/read" --steps 400 --set run.checkpoint_minutes=5 \
        --set optimiser.batch=32 --set data.validation=64
    for language in english chinese; do
        sed -n "\$s/.*\"$language\":{[^}]*\"sky\":\([0-9.]*\).*/\1/p" "$work/read/metrics.jsonl" |
            awk '$1 > 0.7 { good++ } END { exit !(NR == 1 && good == 1) }' ||
            complain "$language: $(tail -n 1 "$work/read/metrics.jsonl")"
    done
    expect 0 "$REEL" train $dit --out "$work/from-text" --set "text.init=$work/read" --steps 1 \
        --set 'optimiser.rules=[{"match":"text_encoder.*","method":"frozen"}]'
    same_tensors "$work/read/text_encoder/model.safetensors" \
        "$work/from-text/model/text_encoder/model.safetensors"
    expect 0 "$REEL" train $dit --out "$work/wide" --set text.d_model=48 --steps 1
    expect 1 "$REEL" train $dit --out "$work/x" --set "dit.init=$work/wide/model" --set "text.init=$work/read"
    err_has "text.init: $work/read gives 32 numbers"
    expect 1 "$REEL" train $text --out "$work/x" --set "text.init=$work/vae"
    expect 1 "$REEL" train text $recipe --out "$work/x"
    err_has "needs dit.tokenizer"
    expect 1 "$REEL" train text $recipe --clips "$work" --set "dit.tokenizer=$work/tokenizer/spiece.model" --out "$work/x"
    err_has "captions of the world alone"
    # patches are the folder's, and no recipe makes them others
    expect 0 "$REEL" train $dit --out "$work/small" --set 'dit.patch_size=[1,1,1]' --steps 1
    expect 0 "$REEL" train $dit --out "$work/smaller" --set "dit.init=$work/small/model" --steps 1
    expect 1 "$REEL" train $dit --out "$work/x" --set "dit.init=$work/small/model" --set 'dit.patch_size=[1,2,2]'
    err_has "dit.patch_size: got [1,2,2], but the transformer in $work/small/model was made with [1,1,1]"
    expect 1 "$REEL" train $dit --out "$work/x" --set 'dit.patch_size=[1,1]'
    err_has "dit.patch_size: got 2 numbers, wanted 3"
    # one that knows texts only token by token is given all of a text at once
    expect 0 "$REEL" train $dit --out "$work/pooled" --set "dit.init=$work/dit/model" --steps 2 \
        --set dit.pooled_text=1 --set dit.object_weight=2 --set dit.layout=0.2
    grep -q '"pooled_text":true' "$work/pooled/model/transformer/config.json" ||
        complain "the transformer's config does not say that it takes pooled text"
    grep -aq pooled_embedder.linear_2.weight \
        "$work/pooled/model/transformer/diffusion_pytorch_model.safetensors" ||
        complain "the transformer has no layers for pooled text"
    ! grep -aq layout "$work/pooled/model/transformer/diffusion_pytorch_model.safetensors" ||
        complain "the layer that is asked for the layout was saved"
    expect 1 "$REEL" train $dit --out "$work/x" --set "dit.init=$work/dit/model" --set dit.lora=2 --set dit.layout=1
    err_has "dit.layout asks all blocks"
    expect 0 "$REEL" generate --model "$work/pooled/model" -p "a red ball" --steps 2 -o "$work/pooled.mkv"
    # what is saved may be a mean with another model's weights: at a share of 1 it is that model
    expect 0 "$REEL" train $dit --out "$work/blend" --set "dit.init=$work/dit/model" --steps 2 \
        --set "dit.blend=$work/dit/model" --set dit.blend_share=1
    weights=model/transformer/diffusion_pytorch_model.safetensors
    same_tensors "$work/dit/$weights" "$work/blend/$weights"
    expect 0 "$REEL" train $dit --out "$work/blend" --set "dit.init=$work/dit/model" --steps 3 \
        --set "dit.blend=$work/dit/model"
    cmp -s "$work/dit/$weights" "$work/blend/$weights" && complain "a mean is one of its ends"
    expect 1 "$REEL" train $dit --out "$work/x" --set "dit.blend=$work/nothing"
    err_has "nothing"
    expect 1 "$REEL" train $dit --out "$work/x" --set "dit.init=$work/dit/model" --set dit.lora=2 \
        --set "dit.blend=$work/dit/model"
    err_has "dit.blend is about all weights"
    expect 0 "$REEL" train $dit --out "$work/lora" --set "dit.init=$work/dit/model" --set dit.lora=2
    for part in transformer/diffusion_pytorch_model text_encoder/model; do
        cmp -s "$work/dit/model/$part.safetensors" "$work/lora/model/$part.safetensors"
        echo "$part $?"
    done >"$work/changed"
    [ "$(cat "$work/changed")" = "$(printf 'transformer/diffusion_pytorch_model 1\ntext_encoder/model 0')" ] ||
        complain "low-rank training changed something else: $(cat "$work/changed")"
else
    err_has "without sentencepiece"
fi

if [ -e "$work/dit/model/model_index.json" ]; then
    # a decoder that learns to forgive a transformer, by the same bytes on any number of threads
    forgive="decoder $recipe --set vae.init=$work/vae --set vae.mistakes=$work/dit/model --steps 3"
    expect 0 "$REEL" train $forgive --out "$work/forgiven"
    expect 0 "$REEL" train $forgive --out "$work/forgiven-one" --threads 1
    same_tensors "$work/forgiven/vae/diffusion_pytorch_model.safetensors" \
        "$work/forgiven-one/vae/diffusion_pytorch_model.safetensors"
    # another model makes others
    expect 0 "$REEL" train $forgive --out "$work/forgiven-other" --set "vae.mistakes=$work/lora/model"
    cmp -s "$work/forgiven/vae/diffusion_pytorch_model.safetensors" \
        "$work/forgiven-other/vae/diffusion_pytorch_model.safetensors" &&
        complain "whose mistakes they are makes no difference"
    expect 1 "$REEL" train vae $recipe --out "$work/x" --set "vae.mistakes=$work/dit/model"
    err_has "a decoder alone learns to forgive"
    expect 1 "$REEL" train decoder $recipe --out "$work/x" --set "vae.init=$work/vae" --set "vae.mistakes=$work/vae"
    err_has "$work/vae"
fi

# all of it by one command, twice: the second time there is nothing left to do
cat >"$work/pocket.json" <<'JSON'
{"tokenizer": "recipe.json", "vae": "recipe.json", "decoder": "recipe.json", "dit": "recipe.json"}
JSON
if [ -e "$work/tokenizer/spiece.model" ]; then
    expect 0 "$REEL" train pocket --config "$work/pocket.json" --out "$work/pocket" --steps 2
    expect 0 "$REEL" info "$work/pocket/dit/model"
    grep -q '"mistakes": *"[^"]*/pocket/dit/model"' "$work/pocket/decoder/recipe.json" ||
        complain "the decoder does not learn to forgive the transformer"
    cmp "$work/pocket/dit/model/vae/diffusion_pytorch_model.safetensors" \
        "$work/pocket/decoder/vae/diffusion_pytorch_model.safetensors" ||
        complain "the model has not the finished decoder"
    before=$(cksum "$work"/pocket/*/metrics.jsonl)
    expect 0 "$REEL" train pocket --config "$work/pocket.json" --out "$work/pocket" --steps 2
    [ "$before" = "$(cksum "$work"/pocket/*/metrics.jsonl)" ] || complain "what was done was done again"
    grep -q "<svg" "$work/pocket/vae/report.html" || complain "the report has no curves"
    [ ! -e "$work/pocket/words-1" ] || complain "a stage was run that the recipe does not name"
    # with stages of small clips before: the transformer goes on from what it has learned there
    sed 's/"dit"/"text": "recipe.json", "words": ["recipe.json", "recipe.json"], "dit"/' "$work/pocket.json" >"$work/words.json"
    expect 0 "$REEL" train pocket --config "$work/words.json" --out "$work/pocket-words" --steps 2
    grep -q '"init": *"[^"]*/pocket-words/text"' "$work/pocket-words/words-1/recipe.json" ||
        complain "the first transformer did not begin with the text encoder"
    for pair in words-2:words-1 dit:words-2; do
        grep -q "\"init\": *\"[^\"]*/pocket-words/${pair#*:}/model\"" "$work/pocket-words/${pair%:*}/recipe.json" ||
            complain "${pair%:*} did not go on from ${pair#*:}"
    done
    sed 's/"dit"/"words": "recipe.json", "dit"/' "$work/pocket.json" >"$work/words.json"
    expect 1 "$REEL" train pocket --config "$work/words.json" --out "$work/x" --steps 2
    err_has "words"
    grep -q '"world":true' "$work/pocket-words/dit/model/model_index.json" ||
        complain "the model does not say that it knows the world alone"
fi

# what is refused
expect 2 "$REEL" train
expect 1 "$REEL" train nothing $recipe --out "$work/x"
err_has "wanted vae, decoder, text, dit, judge, depth, tokenizer or pocket"
expect 1 "$REEL" train vae $recipe --out "$work/x" --set vae.depth=3
err_has 'unknown field "depth", wanted one of: base_dim'
expect 1 "$REEL" train vae $recipe --out "$work/vae" --set vae.z_dim=5
err_has "vae.z_dim is not what this run began with"
expect 1 "$REEL" train dit $recipe --out "$work/x"
err_has "dit.vae"
expect 2 "$REEL" train vae --set
finish
