# --max-memory is obeyed: a model that does not fit is streamed, large frames are decoded in bands, or
# in tiles where those do not fit, and the peak the kernel counted stays below what was allowed.
. tests/e2e/lib.sh
. tests/e2e/tiny_model.sh

cat >"$work/wide.json" <<'JSON'
{"_class_name": "WanTransformer3DModel", "patch_size": [1, 2, 2], "num_attention_heads": 8,
 "attention_head_dim": 64, "in_channels": 4, "out_channels": 4, "text_dim": 24, "freq_dim": 32,
 "ffn_dim": 2048, "num_layers": 12, "cross_attn_norm": true, "qk_norm": "rms_norm_across_heads",
 "eps": 1e-06, "rope_max_seq_len": 1024}
JSON
expect 0 "$REEL" init --config "$work/wide.json" --dtype bf16 "$work/wide"
rm -r "$work/model/transformer"
cp -r "$work/wide/transformer" "$work/model/transformer"
awake "$work/model/transformer/diffusion_pytorch_model.safetensors"

mib() { sed -n 's/.*"peak_bytes":\([0-9]*\).*/\1/p' "$work/out" | tail -n 1 | awk '{print int($1 / 1048576) + 1}'; }
run() { generate --json --steps 2 --size 64x64 --frames 5 "$@"; }

expect 0 run -o "$work/free.mkv"
free=$(mib)
[ "$free" -gt 110 ] || complain "the model of 100 MiB was in memory with a peak of $free MiB"
expect 0 run --max-memory 96M -o "$work/tight.mkv"
tight=$(mib)
[ "$tight" -le 96 ] || complain "96 MiB were allowed, the peak was $tight"
cmp -s "$work/free.mkv" "$work/tight.mkv" || complain "streamed weights give other bytes"
# pixels FILE: a checksum of its frames, whatever the file says of how it was made
pixels() { ffmpeg -v error -i "$1" -f rawvideo -pix_fmt rgb24 - | md5sum; }
expect 0 run --type q8_0 -o "$work/q8.mkv"
[ "$(mib)" -lt "$free" ] || complain "8-bit weights need $(mib) MiB, bf16 $free"
[ "$(pixels "$work/free.mkv")" != "$(pixels "$work/q8.mkv")" ] || complain "--type q8_0 changed nothing"

# 8-bit weights that do not fit are made anew at each use: the same blocks, the same video
expect 0 run --type q8_0 --max-memory 80M -o "$work/q8-tight.mkv"
tight8=$(mib)
[ "$tight8" -le 80 ] || complain "80 MiB were allowed, 8-bit weights needed $tight8"
cmp -s "$work/q8.mkv" "$work/q8-tight.mkv" || complain "streamed 8-bit weights give other bytes"

# what a dry run says, within a tenth
expect 0 run --dry-run
said=$(mib)
echo "peak: free $free MiB, predicted $said, allowed 96: $tight"
[ $((said * 10)) -ge $((free * 9)) ] && [ $((said * 10)) -le $((free * 11)) ] ||
    complain "predicted $said MiB, the peak was $free"

# frames too large for the rest: bands, which give the same pixels, before tiles, which do not
big() { generate --json --steps 1 --cfg-scale 1 --size 640x384 --frames 5 "$@"; }
decoding() { sed -n 's/.*"decode_bytes":\([0-9]*\).*/\1/p' "$work/out" | awk '{print int($1 / 1048576) + 1}'; }
expect 0 big -o "$work/whole.mkv"
whole=$(mib)
expect 0 big --max-memory 150M --dry-run
said=$(decoding)
expect 0 big --max-memory 150M -o "$work/bands.mkv"
bands=$(mib)
[ "$bands" -le 150 ] || complain "150 MiB were allowed, the peak was $bands; with whole frames $whole"
[ $((said * 10)) -ge $((bands * 9)) ] && [ $((said * 10)) -le $((bands * 11)) ] ||
    complain "predicted $said MiB of decoding, the peak was $bands"
[ "$(pixels "$work/whole.mkv")" = "$(pixels "$work/bands.mkv")" ] || complain "bands change the pixels"
echo "peak: whole frames $whole MiB, bands $bands MiB, predicted $said"
finish
