# 3D: a depth head is trained for a tiny model, then clips and generations for two eyes and their
# depth. The left eye's frames are the clip's; the anaglyph is compared with FFmpeg's.
. tests/e2e/lib.sh
TINY=wan-tiny-ti2v
. tests/e2e/tiny_model.sh
cat >"$work/depth.json" <<'JSON'
{"run": {"steps": 6, "log_steps": 1},
 "optimiser": {"batch": 2, "rules": [{"match": "*", "method": "adamw", "lr": 0.01}]},
 "data": {"pool": 4, "pool_start": 2, "fresh": 0.5, "validation": 2,
   "buckets": [{"width": 64, "height": 64, "frames": 9}]},
 "depth": {"channels": 16, "blocks": 1, "mid": 8}}
JSON
ffmpeg -v error -y -f lavfi -i testsrc=s=70x50:r=8:d=10 -vf format=gbrp -frames:v 11 -c:v ffv1 \
    "$work/clip.mkv"
ffmpeg -v error -y -f lavfi -i testsrc=s=64x64 -frames:v 1 "$work/picture.png"
echo "no clip at all" >"$work/text.mkv"
run() {
    command=$1
    shift
    "$REEL" "$command" --model "$work/model" -q -t 2 "$@"
}
is() { # FILE FRAMES SIZE
    got=$(ffprobe -v error -count_frames -select_streams v:0 -of csv=p=0 \
        -show_entries stream=width,height,r_frame_rate,nb_read_frames "$1")
    [ "$got" = "$3,8/1,$2" ] || complain "$1 is '$got', wanted '$3,8/1,$2'"
}
pixels() { # FILE FILTER: a checksum of all frames
    ffmpeg -v error -i "$1" -vf "$2" -fps_mode passthrough -f rawvideo -pix_fmt rgb24 - | md5sum
}

# ---- a folder without a head says so before it does anything ----
expect 1 run stereo "$work/clip.mkv" -o "$work/n.mkv"
err_has "has no depth head"
expect 1 run generate -p "a red ball" --stereo sbs -o "$work/n.mkv"
err_has "has no depth head"
[ -z "$(ls "$work" | grep '^n\.')" ] || complain "something was begun"

expect 0 "$REEL" train depth --config "$work/depth.json" --set "depth.vae=$work/model" --out "$work/run"
grep -q '"error_px":' "$work/run/metrics.jsonl" || complain "the head was not validated"
cp -r "$work/run/depth" "$work/model/depth"
[ "$(wc -c <"$work/model/depth/model.safetensors")" -lt 2000000 ] || complain "the head is too large"

# ---- a clip, of a size that is no multiple of the model's ----
expect 0 run stereo "$work/clip.mkv" -o "$work/sbs.mkv"
is "$work/sbs.mkv" 11 140,50
[ "$(pixels "$work/sbs.mkv" crop=70:50:0:0)" = "$(pixels "$work/clip.mkv" null)" ] ||
    complain "the left eye does not see the clip"
[ "$(pixels "$work/sbs.mkv" crop=70:50:70:0)" != "$(pixels "$work/clip.mkv" null)" ] ||
    complain "both eyes see the same"
expect 0 run stereo "$work/clip.mkv" -o "$work/again.mkv" -t 1
cmp -s "$work/sbs.mkv" "$work/again.mkv" || complain "one thread gives other bytes"
expect 0 run stereo "$work/clip.mkv" --eyes 0 -o "$work/flat.mkv"
[ "$(pixels "$work/flat.mkv" crop=70:50:70:0)" = "$(pixels "$work/clip.mkv" null)" ] ||
    complain "eyes in one place see different things"
expect 0 run stereo "$work/clip.mkv" --as anaglyph -o "$work/red.mkv"
is "$work/red.mkv" 11 70,50
ffmpeg -v error -y -i "$work/sbs.mkv" -vf "format=rgb24,stereo3d=sbsl:arcd,format=gbrp" -c:v ffv1 "$work/ffmpeg.mkv"
likeness=$(ffmpeg -v info -i "$work/red.mkv" -i "$work/ffmpeg.mkv" -lavfi psnr -f null - 2>&1 |
    sed -n 's/.*average:\([0-9.a-z]*\).*/\1/p')
awk "BEGIN { exit !(\"$likeness\" == \"inf\" || $likeness + 0 > 45) }" ||
    complain "the anaglyph is $likeness dB like FFmpeg's, wanted 45"

expect 0 run depth "$work/clip.mkv" -o "$work/depth.mkv"
is "$work/depth.mkv" 11 70,50
[ "$(pixels "$work/depth.mkv" null)" = "$(pixels "$work/depth.mkv" "format=gray,format=rgb24")" ] ||
    complain "the depth is not grey"
expect 0 run depth "$work/picture.png" -o "$work/depth.png"
expect 0 "$REEL" info "$work/sbs.mkv"
out_has '"stereo": "sbs"'

# ---- generations ----
expect 0 run generate -p "a red ball" -s 7 --stereo sbs --depth -o "$work/g.mkv"
is "$work/g.mkv" 9 128,64
is "$work/g.depth.mkv" 9 64,64
expect 0 run generate -p "a red ball" -s 7 -o "$work/plain.mkv"
[ "$(pixels "$work/g.mkv" crop=64:64:0:0)" = "$(pixels "$work/plain.mkv" null)" ] ||
    complain "the left eye does not see what is made without --stereo"
expect 0 run generate -p "a red ball" -s 7 --depth --json -o "$work/plain.mkv"
out_has "plain.depth.mkv"
[ "$(pixels "$work/g.depth.mkv" null)" = "$(pixels "$work/plain.depth.mkv" null)" ] ||
    complain "--depth gives another depth without --stereo"
expect 0 run extend "$work/clip.mkv" --size 64x64 -p x -s 7 --frames 4 --stereo anaglyph -o "$work/e.mp4"
is "$work/e.mp4" 15 64,64
expect 0 "$REEL" info "$work/g.mkv"
out_has '"prompt": "a red ball"'
[ -z "$(ls "$work" | grep 'reel-')" ] || complain "intermediate files are left"

# ---- refused ----
expect 2 run generate -p x --depth -o "$work/n-%03d.png"
err_has "--depth: --output must be one video file"
expect 2 run stereo "$work/clip.mkv" --as hologram
err_has "--as: got 'hologram'"
expect 2 run stereo "$work/clip.mkv" --eyes -1
expect 2 run depth
expect 1 run depth "$work/none.mkv" -o "$work/n.mkv"
err_has "none.mkv"
expect 1 run stereo "$work/text.mkv" -o "$work/n.mkv"
err_has "text.mkv"
expect 1 run stereo "$work/clip.mkv" -o "$work/no/folder.mkv"
[ -z "$(ls "$work" | grep '^n[.-]')" ] || complain "something is half-written"
"$REEL" init --like wan-tiny-ti2v --components vae --dtype f32 --seed 5 "$work/other" >/dev/null 2>&1
cp "$work/other/vae/"*.safetensors "$work/model/vae/"
expect 1 run depth "$work/clip.mkv" -o "$work/n.mkv"
err_has "another autoencoder"
finish
