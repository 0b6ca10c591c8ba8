# reel eval on a tiny model and a tiny judge: every part measured, written as JSON, repeated to the
# byte; an autoencoder alone; what is refused.
. tests/e2e/lib.sh

cat >"$work/recipe.json" <<'JSON'
{
  "run": {"steps": 2, "log_steps": 1},
  "optimiser": {"batch": 2, "rules": [{"match": "*", "method": "adamw", "lr": 0.01}]},
  "data": {"pool": 4, "pool_start": 2, "fresh": 0.5, "validation": 2,
    "buckets": [{"width": 32, "height": 32, "frames": 17}]},
  "vae": {"base_dim": 16, "decoder_base_dim": 16, "z_dim": 4, "patch_size": 2, "dim_mult": [1, 1],
    "temperal_downsample": [1], "crop": 16, "crop_frames": 3, "pca_steps": 3},
  "judge": {"channels": [8, 8, 8, 8], "features": 8},
  "depth": {"channels": 8, "blocks": 1, "mid": 4},
  "tokenizer": {"vocabulary": 1500, "captions": 400},
  "dit": {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 64, "num_layers": 1,
    "row_tokens": 512, "row_clips": 6},
  "text": {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_heads": 2, "num_layers": 1, "tokens": 32}
}
JSON
recipe="--config $work/recipe.json"
small="--size 32x32 --frames 17 --prompts 6 --steps 2"

expect 0 "$REEL" train judge $recipe --out "$work/judge"
grep -q '"everything"' "$work/judge/metrics.jsonl" || complain "the judge was not validated"
expect 0 "$REEL" train judge $recipe --init "$work/judge/judge" --steps 1 --out "$work/judge-on"
grep -q "\"init\":\"$work/judge/judge\"" "$work/judge-on/recipe.json" || complain "--init went elsewhere"
err_has "weights are those of $work/judge/judge"
expect 0 "$REEL" train vae $recipe --out "$work/vae"
expect 0 "$REEL" eval --model "$work/vae" $small --json "$work/vae.json"
out_has "first_frame_psnr"
grep -q '"ssim":{"value":' "$work/vae.json" || complain "no ssim in the JSON"
expect 1 "$REEL" eval --model "$work/vae" $small --only swap
err_has "an autoencoder alone"

if "$REEL" train tokenizer $recipe --out "$work/tokenizer" 2>"$work/err"; then
    expect 0 "$REEL" train dit $recipe --out "$work/dit" --set "dit.vae=$work/vae" \
        --set "dit.tokenizer=$work/tokenizer/spiece.model"
    model="--model $work/dit/model --judge $work/judge/judge $small"
    expect 1 "$REEL" eval $model --only stereo
    err_has "has no depth head"
    expect 0 "$REEL" train depth $recipe --out "$work/depth" --set "depth.vae=$work/dit/model"
    cp -r "$work/depth/depth" "$work/dit/model/depth"
    expect 0 "$REEL" info "$work/dit/model"
    out_has "depth: ReelDepth, "
    expect 0 "$REEL" info "$work/dit/model" --json
    out_has '"name":"depth","class":"ReelDepth"'
    expect 0 "$REEL" eval $model --json "$work/a.json"
    for word in psnr "one object" everything "to other renders" "true below swapped" \
        "speeds up evenly" "same color after" disparity_error_px second_view_psnr; do
        out_has "$word"
    done
    grep -q '"real":' "$work/a.json" || complain "no real renders beside the model's"
    expect 0 "$REEL" eval $model --json "$work/b.json" --threads 1
    cmp "$work/a.json" "$work/b.json" || complain "one thread measured something else"
    expect 1 "$REEL" eval --model "$work/dit/model" $small --only judge
    err_has "name the folder of one"

    # What was judged and followed is kept on request, and what was wrong with it.
    expect 0 "$REEL" eval $model --only judge,physics --clips "$work/judged"
    for name in 0000-judge 0005-judge 0000-falling 0007-behind; do
        [ -s "$work/judged/$name.mkv" ] || complain "$name was not kept"
    done
    [ "$(grep -o '"clip":' "$work/judged/judge.json" | wc -l)" = 6 ] ||
        complain "judge.json is not about 6 clips"
    grep -q '"asked":"' "$work/judged/judge.json" || complain "a model of two steps got nothing wrong"
    ! grep -qE '"asked":"([^"]*)","seen":"\1"' "$work/judged/judge.json" ||
        complain "what is right was called wrong"
    prompt=$(sed 's/.*"0001-judge.mkv","group":"[^"]*","prompt":"\([^"]\{30\}\).*/\1/' "$work/judged/judge.json")
    expect 0 "$REEL" info "$work/judged/0001-judge.mkv"
    out_has "$prompt"

    # The tasks of the canvas; without a judge, what needs none. Clips are kept on request.
    small="--size 32x32 --frames 17 --prompts 1 --steps 1 --fps 2"
    tasks="--model $work/dit/model $small --only tasks --drift-seconds 10 --drift-clips 1"
    expect 0 "$REEL" eval $tasks --judge "$work/judge/judge" --json "$work/a.json"
    for word in animate "first frame kept" motion "pulse of vae" "points below it" extend "seam <= 1.5" \
        "both kept" connect loop "asked changes" "others stay" "outside kept" "last 5 s" \
        "answers that change"; do
        out_has "$word"
    done
    mkdir "$work/tmp"
    TMPDIR="$work/tmp" expect 0 "$REEL" eval $tasks --judge "$work/judge/judge" \
        --json "$work/b.json" --threads 1
    cmp "$work/a.json" "$work/b.json" || complain "one thread made other clips of tasks"
    rmdir "$work/tmp" || complain "clips of tasks were left behind"
    expect 0 "$REEL" eval $tasks --clips "$work/clips" --drift-clips 0
    err_has "without a judge"
    out_has "psnr outside"
    for word in judged "both kept" "others stay" "last 5 s"; do
        ! grep -q "$word" "$work/out" || complain "no judge, but '$word' is measured"
    done
    for name in animate extend connect loop edit edit-masked extend-given; do
        [ -s "$work/clips/0000-$name.mkv" ] || complain "$name was not kept"
    done
    expect 1 "$REEL" eval $tasks --clips "$work/recipe.json/clips"
    err_has "recipe.json"
else
    err_has "without sentencepiece"
fi

expect 2 "$REEL" eval
err_has "--model DIR"
expect 1 "$REEL" eval --model "$work/vae" --only vae,sound
err_has "'sound', wanted some of vae,judge,frechet,swap,physics,stereo,tasks"
expect 1 "$REEL" eval --model "$work/nothing"
err_has "no such folder"
expect 1 "$REEL" eval --model "$work/vae" --frames 18 --size 32x32 --only vae
err_has "1 + k"
finish
