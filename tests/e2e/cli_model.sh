# reel init and reel info on model folders: made, shown, refused; found in the cache.
. tests/e2e/lib.sh

expect 0 "$REEL" init --like wan-tiny --dtype f32 --seed 7 "$work/tiny"
out_has "parameters"
for file in model_index.json transformer/config.json vae/diffusion_pytorch_model.safetensors \
    text_encoder/model.safetensors scheduler/scheduler_config.json; do
    [ -f "$work/tiny/$file" ] || complain "no $file"
done
expect 0 "$REEL" info "$work/tiny"
out_has "WanPipeline, sampler unipc, flow shift 3, tokenizer none"
out_has "transformer: WanTransformer3DModel, f32"
out_has "vae: AutoencoderKLWan, f32"
out_has "text_encoder: UMT5EncoderModel, f32"
out_has '  "num_layers":2'
expect 0 "$REEL" info --json "$work/tiny"
out_has '"components":[{"name":"transformer","class":"WanTransformer3DModel","dtype":"f32"'

# Equal seeds give equal bytes, at any number of threads; other seeds do not.
expect 0 "$REEL" init --like "$work/tiny" --dtype f32 --seed 7 --threads 1 "$work/again"
diff -r "$work/tiny" "$work/again" >/dev/null || complain "equal seeds gave other bytes"
expect 0 "$REEL" init --like "$work/tiny" --dtype f32 --seed 8 "$work/other"
diff -r "$work/tiny" "$work/other" >/dev/null && complain "another seed gave the same bytes"

# Parts, dtype, tokenizer, a config from a file.
printf 'model' >"$work/spiece.model"
expect 0 "$REEL" init --like wan-tiny --components vae,text_encoder \
    --tokenizer "$work/spiece.model" "$work/parts"
[ ! -e "$work/parts/transformer" ] || complain "a transformer was made"
cmp -s "$work/spiece.model" "$work/parts/tokenizer/spiece.model" || complain "no tokenizer"
expect 0 "$REEL" info "$work/parts"
out_has "vae: AutoencoderKLWan, bf16"
expect 0 "$REEL" init --config tests/golden/wan_dit_i2v/config.json "$work/i2v"
expect 0 "$REEL" info "$work/i2v"
out_has '  "image_dim":28'

# The cache of downloads, by each of its variables.
hub=$work/home/.cache/huggingface/hub/models--Wan-AI--Tiny
mkdir -p "$hub/refs" "$hub/snapshots"
printf 'abc123' >"$hub/refs/main"
cp -r "$work/tiny" "$hub/snapshots/abc123"
expect 0 env -u HF_HUB_CACHE -u HF_HOME -u XDG_CACHE_HOME HOME="$work/home" \
    "$REEL" info Wan-AI/Tiny
out_has "WanPipeline"
expect 0 env HF_HUB_CACHE="$work/home/.cache/huggingface/hub" HOME=/nowhere "$REEL" info Wan-AI/Tiny
expect 0 env -u HF_HUB_CACHE HF_HOME="$work/home/.cache/huggingface" "$REEL" info Wan-AI/Tiny
expect 1 env HF_HUB_CACHE="$work" "$REEL" info Wan-AI/Tiny
err_has "huggingface-cli download Wan-AI/Tiny"

# Refusals: usage errors exit with 2, failures with 1, and nothing is left behind.
expect 2 "$REEL" init "$work/x"
err_has "neither --like and --config"
expect 2 "$REEL" init --like wan-tiny --config x.json "$work/x"
err_has "both"
expect 2 "$REEL" init --like wan-tiny --dtype f16 "$work/x"
err_has "--dtype"
expect 2 "$REEL" init --like wan-tiny --seed -1 "$work/x"
err_has "--seed"
expect 2 "$REEL" init --like wan-tiny
expect 1 "$REEL" init --like wan-huge "$work/x"
err_has "wan2.1-t2v-1.3b"
expect 1 "$REEL" init --like wan-tiny --components sound "$work/x"
err_has "transformer, vae, text_encoder"
expect 1 "$REEL" init --like wan-tiny "$work/tiny"
err_has "exists already"
expect 1 "$REEL" init --like wan-tiny --tokenizer "$work/none.model" "$work/x"
err_has "none.model"
[ ! -e "$work/x" ] || complain "a refused folder was made"
if ls "$work" | grep -q tmp; then complain "a temporary folder was left"; fi

# Broken folders: the file and the reason, and nothing on stdout.
bad() { # TEXT
    expect 1 "$REEL" info "$work/bad"
    no_out
    err_has "$1"
    rm -rf "$work/bad"
}
copy() { cp -r "$work/tiny" "$work/bad"; }
copy; printf '{' >"$work/bad/model_index.json"; bad "model_index.json"
copy; printf '{"_class_name":"WanTransformer3DModel","num_layers":"two"}' >"$work/bad/transformer/config.json"; bad "num_layers"
copy; truncate -s 3000 "$work/bad/vae/diffusion_pytorch_model.safetensors"; bad "diffusion_pytorch_model.safetensors"
copy; cp tests/golden/wan_dit_t2v/config.json "$work/bad/transformer/config.json"; bad "the weights do not fit the config"
copy; rm "$work/bad/text_encoder/model.safetensors"; printf 'PK' >"$work/bad/text_encoder/pytorch_model.bin"; bad "a pickle"
copy; rm "$work/bad/vae/config.json"; ln -s config.json "$work/bad/vae/config.json"; bad "vae/config.json"
finish
