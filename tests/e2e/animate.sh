# reel animate on a tiny model: pictures arrive in their frames, and what cannot be is refused.
. tests/e2e/lib.sh
TINY=wan-tiny-ti2v
. tests/e2e/tiny_model.sh
animate() { "$REEL" animate --model "$work/model" -p "a red ball" -s 7 -q -t 2 "$@"; }

# picture NAME COLOUR SIZE
picture() { ffmpeg -v error -y -f lavfi -i "color=$2:s=$3" -frames:v 1 "$work/$1"; }
picture red.png red 64x64
picture blue.jpg blue 100x50
picture green.webp green 50x100
ffmpeg -v error -y -i "$work/red.png" -vf scale=1:1 "$work/tiny.png"
{ # a header that says 20000x20000
    head -c 16 "$work/red.png"
    printf '\0\0\116\040\0\0\116\040'
    tail -c +25 "$work/red.png"
} >"$work/large.png"
ffmpeg -v error -y -f lavfi -i testsrc=s=64x64:r=8 -frames:v 9 -c:v ffv1 "$work/clip.mkv"
echo "no picture at all" >"$work/text.png"
head -c 60 "$work/red.png" >"$work/cut.png"

# frame FILE K: the bytes of its K-th frame, from 0, as a checksum
frame() { ffmpeg -v error -i "$1" -vf "select=eq(n\\,$2)" -frames:v 1 -f rawvideo -pix_fmt rgb24 - | md5sum; }
# frames FILE N WxH
frames() {
    got=$(ffprobe -v error -count_frames -select_streams v:0 -of csv=p=0 \
        -show_entries stream=width,height,nb_read_frames "$1")
    [ "$got" = "$3,$2" ] || complain "$1 is '$got', wanted '$3,$2'"
}

# ---- a first frame: what the vae makes of the picture, whatever the prompt and the noise are ----
expect 0 animate "$work/red.png" --size 64x64 -o "$work/a.mkv"
frames "$work/a.mkv" 9 64,64
expect 0 "$REEL" animate "$work/red.png" --size 64x64 -o "$work/b.mkv" --model "$work/model" \
    -p "two boats" -s 8 --steps 2 -q
[ "$(frame "$work/a.mkv" 0)" = "$(frame "$work/b.mkv" 0)" ] || complain "the first frame is not kept"
[ "$(frame "$work/a.mkv" 5)" != "$(frame "$work/b.mkv" 5)" ] || complain "nothing else is made"
expect 0 animate "$work/red.png" --size 64x64 -o "$work/c.mkv"
cmp -s "$work/a.mkv" "$work/c.mkv" || complain "the same command gives other bytes"
expect 0 animate "$work/blue.jpg" --size 64x64 -o "$work/d.mkv"
[ "$(frame "$work/a.mkv" 0)" != "$(frame "$work/d.mkv" 0)" ] || complain "the picture has no effect"

# ---- how a picture of another shape is fitted ----
expect 0 animate "$work/green.webp" --fit letterbox --size 64x64 -o "$work/e.mkv"
expect 0 animate "$work/green.webp" --fit crop --size 64x64 -o "$work/f.mkv"
[ "$(frame "$work/e.mkv" 0)" != "$(frame "$work/f.mkv" 0)" ] || complain "--fit has no effect"

# Red above, blue below: a long narrow picture gets bars beside it, or only its middle is shown.
ffmpeg -v error -y -f lavfi -i color=red:s=20x1500 -vf "drawbox=0:750:20:750:blue:fill" -frames:v 1 "$work/tall.png"
ffmpeg -v error -y -i "$work/tall.png" -vf transpose=2 "$work/wide.png" # red on the left
pixel() { # FILE X Y: of its first frame, averaged over 4x4
    ffmpeg -v error -i "$1" -frames:v 1 -vf "crop=4:4:$2:$3,scale=1:1" -f rawvideo -pix_fmt rgb24 - | od -An -tu1
}
for shape in tall wide; do
    for fit in crop letterbox; do
        expect 0 animate "$work/$shape.png" --fit $fit --size 64x64 -o "$work/$shape-$fit.mkv"
        frames "$work/$shape-$fit.mkv" 9 64,64
    done
    [ "$(frame "$work/$shape-crop.mkv" 0)" != "$(frame "$work/$shape-letterbox.mkv" 0)" ] ||
        complain "--fit has no effect on a $shape picture"
done
expect 0 animate "$work/red.png" --size 48x80 -o "$work/size.mkv"
frames "$work/size.mkv" 9 64,96 # this model makes multiples of 32

# ---- pictures at the end and between; the file says what it was made of ----
expect 0 animate "$work/red.png" --end-image "$work/blue.jpg" --keyframe 6="$work/green.webp" \
    --frames 13 --size 64x64 -o "$work/g.mkv"
frames "$work/g.mkv" 13 64,64
expect 0 animate --keyframe 0="$work/red.png" --keyframe=12="$work/blue.jpg" \
    --keyframe 6="$work/green.webp" --frames 13 --size 64x64 -o "$work/h.mkv"
[ "$(frame "$work/g.mkv" 12)" = "$(frame "$work/h.mkv" 12)" ] || complain "--end-image is not the last frame"
expect 0 "$REEL" info "$work/g.mkv"
out_has '"task": "animate"'
out_has "green.webp"
expect 0 animate "$work/red.png" --json --size 64x64 -o "$work/i.mkv"
out_has '"phase":"encode"'

# ---- refused, with the name of what is wrong ----
# bad CODE WHAT ARGUMENT...: and nothing is written
bad() {
    code=$1 what=$2
    shift 2
    expect "$code" animate -o "$work/n.mkv" "$@"
    err_has "$what"
    [ -z "$(ls "$work" | grep '^n\.mkv')" ] || complain "'$*' left something behind"
}
bad 1 "$work/none.png" "$work/none.png"
bad 1 "text.png" "$work/text.png"
bad 1 "cut.png" "$work/cut.png"
bad 1 "1x1 pixels, wanted at least 16x16" "$work/tiny.png"
bad 1 "20000x20000 pixels" "$work/large.png"
bad 1 "is a video, wanted a picture" "$work/clip.mkv"
bad 2 "no picture"
bad 2 "--keyframe FRAME=FILE" --keyframe "$work/red.png"
bad 2 "--keyframe FRAME=FILE" --keyframe 3=
bad 2 "as well" "$work/red.png" "$work/red.png"
bad 2 "--fit: got 'fill'" "$work/red.png" --fit fill
bad 1 "wanted 0 to 8" --keyframe 9="$work/red.png"
bad 1 "wanted 0 to 8" --keyframe -10="$work/red.png"
bad 1 "too near" "$work/red.png" --keyframe 5="$work/red.png" --keyframe 7="$work/blue.jpg"
bad 1 "nothing is left to be made" "$work/red.png" --frames 1

# ---- a model without a noise level for each token ----
sed -i 's/"expand_timesteps": *true/"expand_timesteps": false/' "$work/model/model_index.json"
bad 1 "expand_timesteps" "$work/red.png"
finish
