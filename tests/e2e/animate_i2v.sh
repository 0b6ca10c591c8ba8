# Models that make video from a picture (Wan's I2V): with CLIP and without, one transformer and two.
. tests/e2e/lib.sh
TINY=wan-tiny-i2v
. tests/e2e/tiny_model.sh
mv "$work/model" "$work/clip"
TINY=wan-tiny-i2v-pair
. tests/e2e/tiny_model.sh
mv "$work/model" "$work/pair"
ffmpeg -v error -y -f lavfi -i testsrc=s=64x48 -frames:v 1 "$work/first.png"
ffmpeg -v error -y -f lavfi -i "color=blue:s=90x60" -frames:v 1 "$work/last.png"
ffmpeg -v error -y -f lavfi -i testsrc=s=64x48:r=8 -frames:v 9 -c:v ffv1 "$work/clip.mkv"

# pixels FILE: a checksum of its frames, whatever the file says of how it was made
pixels() { ffmpeg -v error -i "$1" -f rawvideo -pix_fmt rgb24 - | md5sum; }
animate() {
    model=$1
    shift
    "$REEL" animate --model "$work/$model" -p "a red ball" -s 7 -q -t 2 "$@"
}
same() { [ "$(pixels "$work/$1.mkv")" = "$(pixels "$work/$2.mkv")" ]; }

for model in clip pair; do
    expect 0 animate $model "$work/first.png" -o "$work/a.mkv"
    expect 0 animate $model "$work/first.png" -t 1 -o "$work/b.mkv"
    cmp -s "$work/a.mkv" "$work/b.mkv" || complain "$model: another number of threads, other bytes"
    expect 0 animate $model "$work/last.png" -o "$work/c.mkv"
    ! same a c || complain "$model: the picture has no effect"
    expect 0 animate $model "$work/first.png" --dry-run
    out_has "peak about"
    [ "$(grep -c ', encoding [0-9]' "$work/out")" -eq 2 ] || complain "$model: time or memory of encoding are not told"
    expect 1 "$REEL" generate --model "$work/$model" -p "a red ball" -o "$work/n.mp4"
    err_has "reel animate PICTURE"
    expect 1 "$REEL" extend "$work/clip.mkv" --model "$work/$model" -p x -o "$work/n.mp4"
    err_has "cannot extend"
    expect 1 animate $model --keyframe 4="$work/first.png" -o "$work/n.mp4"
    expect 1 animate $model "$work/none.png" -o "$work/n.mp4"
    err_has "none.png"
    [ -z "$(ls "$work" | grep '^n\.mp4')" ] || complain "$model: a refusal left something behind"
done
ffprobe -v error -count_frames -show_entries stream=width,height,nb_read_frames -of csv=p=0 "$work/a.mkv" |
    grep -q '^64,48,9$' || complain "the clip has another size"

# ---- a last picture: only where the model has no CLIP, which looks at one ----
expect 0 animate pair "$work/first.png" -o "$work/a.mkv"
expect 0 animate pair "$work/first.png" --end-image "$work/last.png" -o "$work/d.mkv"
! same a d || complain "the last picture has no effect"
expect 1 animate clip "$work/first.png" --end-image "$work/last.png" -o "$work/n.mkv"
err_has "takes one picture"
expect 1 animate pair --end-image "$work/last.png" -o "$work/n.mkv"
err_has "first frame"

# ---- stopped and continued: the picture is looked at again ----
expect 0 animate clip "$work/first.png" --steps 30 -o "$work/whole.mkv"
"$REEL" animate --model "$work/clip" -p "a red ball" -s 7 -q -t 2 "$work/first.png" --steps 30 -o "$work/k.mkv" &
pid=$!
i=0
while [ ! -e "$work/k.mkv.reel-state" ] && [ $i -lt 200 ]; do
    sleep 0.02
    i=$((i + 1))
done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
rm -f "$work/k.mkv"
expect 0 animate clip "$work/first.png" --steps 30 -o "$work/k.mkv"
cmp -s "$work/k.mkv" "$work/whole.mkv" || complain "a killed run ended in other bytes"

# ---- folders that do not fit together ----
rm -r "$work/clip/image_encoder"
expect 1 animate clip "$work/first.png" -o "$work/n.mkv"
err_has "image_encoder"
sed -i 's/"image_encoder": *\[[^]]*\]/"image_encoder": [null, null]/' "$work/clip/model_index.json"
expect 1 animate clip "$work/first.png" -o "$work/n.mkv"
err_has "has no image_encoder"
finish
