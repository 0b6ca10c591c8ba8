# reel extend, connect, loop and edit on a tiny model: clips keep their frames, the rest is made.
. tests/e2e/lib.sh
TINY=wan-tiny-ti2v
. tests/e2e/tiny_model.sh
run() {
    command=$1
    shift
    "$REEL" "$command" --model "$work/model" -p "a red ball" -s 7 -q -t 2 "$@"
}
# clip NAME SIZE FRAMES START: lossless
clip() {
    ffmpeg -v error -y -f lavfi -i "testsrc=s=$2:r=8:d=100" -vf "select=gte(n\\,$4),setpts=N/8/TB,format=gbrp" \
        -frames:v "$3" -r 8 -c:v ffv1 "$work/$1"
}
clip a.mkv 64x64 11 0
clip b.mkv 64x64 7 40
clip c.mkv 96x64 5 20
clip odd.mkv 70x64 5 20
ffmpeg -v error -y -f lavfi -i color=red:s=64x64 -frames:v 1 "$work/picture.png"
ffmpeg -v error -y -f lavfi -i color=black:s=64x64 -frames:v 1 "$work/black.png"
ffmpeg -v error -y -f lavfi -i color=black:s=64x64 -vf "drawbox=0:0:32:64:white:fill" -frames:v 1 "$work/left.png"
echo "no clip at all" >"$work/text.mkv"

# frames FILE FROM N: their bytes as a checksum
frames() {
    ffmpeg -v error -i "$1" -vf "select=between(n\\,$2\\,$(($2 + $3 - 1)))" -fps_mode passthrough \
        -f rawvideo -pix_fmt gbrp - | md5sum
}
same() {
    [ "$(frames "$1" "$2" "$5")" = "$(frames "$3" "$4" "$5")" ] ||
        complain "$1 from $2 is not $3 from $4 for $5 frames"
}
# is FILE N SIZE: and the rate of the clips
is() {
    got=$(ffprobe -v error -count_frames -select_streams v:0 -of csv=p=0 \
        -show_entries stream=width,height,r_frame_rate,nb_read_frames "$1")
    [ "$got" = "$3,8/1,$2" ] || complain "$1 is '$got', wanted '$3,8/1,$2'"
}

# ---- extend: the clip's frames are the clip's, wherever they come to lie ----
expect 0 run extend "$work/a.mkv" --seconds 1 -o "$work/f.mkv"
is "$work/f.mkv" 19 64,64
same "$work/f.mkv" 0 "$work/a.mkv" 0 11
expect 0 run extend "$work/a.mkv" --frames 5 --direction backward -o "$work/w.mkv"
is "$work/w.mkv" 16 64,64
same "$work/w.mkv" 5 "$work/a.mkv" 0 11
expect 0 run extend "$work/a.mkv" --frames 3 --direction both -o "$work/both.mkv"
is "$work/both.mkv" 17 64,64
same "$work/both.mkv" 3 "$work/a.mkv" 0 11
[ -z "$(ls "$work" | grep reel-half)" ] || complain "the half is left"
expect 0 run extend "$work/a.mkv" --seconds 1 -o "$work/g.mkv"
cmp -s "$work/f.mkv" "$work/g.mkv" || complain "the same command gives other bytes"
expect 0 run extend "$work/odd.mkv" --size 64x64 --fit letterbox --frames 2 -o "$work/o.mkv"
is "$work/o.mkv" 7 64,64
expect 0 "$REEL" info "$work/f.mkv"
out_has '"task": "extend"'

# ---- connect ----
expect 0 run connect "$work/a.mkv" "$work/b.mkv" --frames 8 -o "$work/t.mkv"
is "$work/t.mkv" 26 64,64
same "$work/t.mkv" 0 "$work/a.mkv" 0 11
same "$work/t.mkv" 19 "$work/b.mkv" 0 7

# ---- loop, and what it says of its seams ----
expect 0 run loop "$work/a.mkv" --frames 8 --json -o "$work/l.mkv"
is "$work/l.mkv" 19 64,64
same "$work/l.mkv" 0 "$work/a.mkv" 0 11
out_has '"seam":"'
expect 0 run loop --size 64x64 --frames 5 -o "$work/p.mkv"
is "$work/p.mkv" 10 64,64
expect 0 "$REEL" loop --model "$work/model" -p x -s 7 "$work/a.mkv" --frames 4 -o "$work/l.mkv"
err_has "times the median step"

# ---- edit: more strength, more change; nothing changes outside the mask ----
expect 0 run edit "$work/a.mkv" --strength 0.2 -o "$work/e.mkv"
is "$work/e.mkv" 11 64,64
expect 0 run edit "$work/a.mkv" --strength 1 -o "$work/h.mkv"
likeness() { # of two clips, in decibels
    ffmpeg -v info -i "$1" -i "$2" -lavfi psnr -f null - 2>&1 | sed -n 's/.*average:\([0-9.]*\).*/\1/p'
}
[ "$(frames "$work/e.mkv" 0 11)" != "$(frames "$work/h.mkv" 0 11)" ] || complain "--strength has no effect"
expect 0 run edit "$work/a.mkv" --strength 1 --mask "$work/left.png" -o "$work/m.mkv"
[ "$(frames "$work/m.mkv" 0 11)" != "$(frames "$work/h.mkv" 0 11)" ] || complain "--mask has no effect"
expect 0 run edit "$work/a.mkv" --strength 0.01 -o "$work/r.mkv" # what the vae makes of the clip
[ "$(frames "$work/r.mkv" 0 11)" != "$(frames "$work/a.mkv" 0 11)" ] || complain "edit copies its clip"
masked=$(likeness "$work/r.mkv" "$work/m.mkv")
whole=$(likeness "$work/r.mkv" "$work/h.mkv")
awk "BEGIN { exit !($masked > $whole) }" ||
    complain "with half of it kept a clip is $masked dB like itself, without $whole"

# ---- refused, with the name of what is wrong ----
bad() {
    code=$1 what=$2
    shift 2
    expect "$code" run "$@" -o "$work/n.mkv"
    err_has "$what"
    [ -z "$(ls "$work" | grep '^n\.mkv')" ] || complain "'$*' left something behind"
}
bad 1 "none.mkv" extend "$work/none.mkv"
bad 1 "text.mkv" extend "$work/text.mkv"
bad 1 "is a picture" extend "$work/picture.png"
bad 1 "--size 64x64" extend "$work/odd.mkv"
bad 1 "say which size both are to get" connect "$work/a.mkv" "$work/c.mkv"
bad 2 "got 1 operand" connect "$work/a.mkv"
bad 2 "got 0 operands" extend
bad 2 "--direction: got 'up'" extend "$work/a.mkv" --direction up
bad 2 "--strength: got '0'" edit "$work/a.mkv" --strength 0
bad 2 "keeps its length" edit "$work/a.mkv" --seconds 2
bad 1 "black.png: nothing of the mask is white" edit "$work/a.mkv" --mask "$work/black.png"
bad 1 "text.mkv" edit "$work/a.mkv" --mask "$work/text.mkv"
bad 1 "wanted the clip's 96x64" edit "$work/c.mkv" --mask "$work/left.png"
sed -i 's/"expand_timesteps": *true/"expand_timesteps": false/' "$work/model/model_index.json"
bad 1 "cannot loop" loop "$work/a.mkv"
bad 1 "cannot edit" edit "$work/a.mkv"
finish
