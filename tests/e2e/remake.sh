# Files made again: variations, drafts that are finished, remix, blend and recut on a tiny model.
. tests/e2e/lib.sh
TINY=wan-tiny-ti2v
. tests/e2e/tiny_model.sh
run() {
    command=$1
    shift
    "$REEL" "$command" -q -t 2 "$@"
}
m="--model $work/model"
frames() { # FILE FROM N
    ffmpeg -v error -i "$1" -vf "select=between(n\\,$2\\,$(($2 + $3 - 1)))" -fps_mode passthrough \
        -f rawvideo -pix_fmt gbrp - | md5sum
}
same() {
    [ "$(frames "$1" "$2" "$5")" = "$(frames "$3" "$4" "$5")" ] ||
        complain "$1 from $2 is not $3 from $4 for $5 frames"
}
differs() { [ "$(frames "$1" 0 "$3")" != "$(frames "$2" 0 "$3")" ] || complain "$1 is $2"; }
is() { # FILE N WxH
    got=$(ffprobe -v error -count_frames -select_streams v:0 -of csv=p=0 \
        -show_entries stream=width,height,nb_read_frames "$1")
    [ "$got" = "$3,$2" ] || complain "$1 is '$got', wanted '$3,$2'"
}
ffmpeg -v error -f lavfi -i testsrc=s=64x64:r=8 -vf format=gbrp -frames:v 11 -c:v ffv1 "$work/clip.mkv"
ffmpeg -v error -f lavfi -i color=red:s=64x64:r=8 -vf format=gbrp -frames:v 7 -c:v ffv1 "$work/red.mkv"
ffmpeg -v error -f lavfi -i color=black:s=64x64:r=8 -frames:v 11 -c:v ffv1 "$work/black.mkv"
ffmpeg -v error -f lavfi -i color=black:s=64x64:r=8 -vf "drawbox=0:0:32:64:white:fill:enable='gte(n,5)'" \
    -frames:v 11 -c:v ffv1 "$work/later.mkv"

# ---- variations: a file for each seed, and a sheet ----
expect 0 run generate $m -p "a red ball" -s 7 --variations 3 --steps 1 -o "$work/v.mkv"
for seed in 7 8 9; do is "$work/v-$seed.mkv" 9 64,64; done
[ "$(od -An -tx1 -N4 "$work/v-variations.png" | tr -d " ")" = 89504e47 ] || complain "no contact sheet"
expect 0 run generate $m -p "a red ball" -s 8 --steps 1 -o "$work/one.mkv"
cmp -s "$work/one.mkv" "$work/v-8.mkv" || complain "a variation is not what its seed makes"
differs "$work/v-7.mkv" "$work/v-8.mkv" 9
expect 0 run loop $m -p "a red ball" --size 64x64 --frames 5 -s 7 --variations 2 -o "$work/l.mkv"
is "$work/l-8.mkv" 10 64,64

# ---- killed behind the first: the same command keeps it and makes the rest, and so does one for more ----
vary() { run generate $m -p "a red ball" -s 7 --steps 40 "$@"; }
state() { stat -c '%i %y' "$@"; }
mkdir "$work/whole"
expect 0 vary --variations 3 -o "$work/k.mkv"
mv "$work"/k-* "$work/whole"
killed_with() { # FILE COMMAND...: once the file is there
    file=$1
    shift
    "$@" >/dev/null 2>&1 &
    pid=$!
    while [ ! -e "$file" ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    child=$(ps -o pid= --ppid $pid | tr -d ' ')
    kill -9 ${child:-$pid} 2>/dev/null
    wait $pid 2>/dev/null
}
killed_with "$work/k-7.mkv" vary --variations 3 -o "$work/k.mkv"
[ ! -e "$work/k-9.mkv" ] || complain "it was not killed in time to test anything"
first=$(state "$work/k-7.mkv")
printf 'no video' >"$work/k-9.mkv"
printf 'a red ball' | "$REEL" generate $m --prompt-file - -s 7 --steps 40 -t 2 --variations 3 -o "$work/k.mkv" \
    >"$work/out" 2>"$work/err" || complain "it did not go on"
err_has "k-7.mkv is finished, and kept"
[ "$(state "$work/k-7.mkv")" = "$first" ] || complain "a finished variation was made anew"
for made in "$work"/whole/*; do
    cmp -s "$made" "$work/${made##*/}" || complain "killed, ${made##*/} has other bytes"
done
all=$(state "$work"/k-[789].mkv)
expect 0 vary --variations 4 -o "$work/k.mkv"
[ "$(state "$work"/k-[789].mkv)" = "$all" ] || complain "for one more all were made anew"
is "$work/k-10.mkv" 9 64,64
expect 0 run generate $m -p "a blue ball" -s 7 --steps 40 --variations 2 -o "$work/k.mkv"
[ "$(state "$work/k-7.mkv")" != "$first" ] || complain "the file of another prompt was kept"
ffmpeg -v error -i "$work/k-9.mkv" -frames:v 5 -c copy "$work/cut.mkv" && mv "$work/cut.mkv" "$work/k-9.mkv"
expect 0 vary --variations 3 -o "$work/k.mkv"
is "$work/k-9.mkv" 9 64,64

# ---- of two runs the first is not made again ----
loop() { "$REEL" loop $m -p "a red ball" --size 64x64 --frames 5 -s 7 -t 2 --steps 40 -o "$work/t.mkv"; }
expect 0 loop
mv "$work/t.mkv" "$work/whole"
killed_with "$work/t.mkv.reel-half.mkv" loop
[ ! -e "$work/t.mkv" ] || complain "the loop was not killed in time to test anything"
expect 0 loop
err_has "t.mkv.reel-half.mkv is finished, and kept"
cmp -s "$work/t.mkv" "$work/whole/t.mkv" || complain "killed in its second run, a loop has other bytes"

# ---- without a seed one is drawn, and kept until all of them are there ----
mkdir "$work/d-variations.png" # no sheet can be written there: the run ends before its end
expect 1 run generate $m -p "a red ball" --variations 2 --steps 1 -o "$work/d.mkv"
set -- "$work"/d-[0-9]*.mkv
[ $# -eq 2 ] || complain "wanted two files of drawn seeds, got $*"
[ -s "$work/d-variations.reel-state" ] || complain "the drawn seed was not kept"
first=$(cksum <"$1")
rm "$2"
rmdir "$work/d-variations.png"
expect 0 run generate $m -p "a red ball" --variations 2 --steps 1 -o "$work/d.mkv"
[ "$(echo "$work"/d-[0-9]*.mkv)" = "$1 $2" ] || complain "the same command went on with another seed"
[ "$(cksum <"$1")" = "$first" ] || complain "the same seed made another file"
[ ! -e "$work/d-variations.reel-state" ] || complain "the drawn seed was kept for ever"
printf 'no number\n' >"$work/d-variations.reel-state"
expect 0 run generate $m -p "a red ball" --variations 2 --steps 1 -o "$work/d.mkv"
set -- "$work"/d-[0-9]*.mkv
[ $# -eq 4 ] || complain "wanted a new seed where none can be read"

# ---- a draft is finished: as if it had been made with all steps ----
expect 0 run generate --continue "$work/v-8.mkv" -o "$work/final.mkv"
expect 0 run generate $m -p "a red ball" -s 8 -o "$work/full.mkv"
cmp -s "$work/final.mkv" "$work/full.mkv" || complain "a finished draft is not what all steps make"
expect 0 run generate --continue "$work/v-8.mkv" --steps 2 -p "two boats" -o "$work/boats.mkv"
expect 0 "$REEL" info "$work/boats.mkv"
out_has '"prompt": "two boats"'
out_has '"seed": 8'
out_has '"steps": 2'
ffmpeg -v error -i "$work/clip.mkv" -frames:v 1 "$work/picture.png"
expect 0 run animate "$work/picture.png" $m -p "a boat" -s 3 --steps 1 --frames 13 --size 64x64 -o "$work/d.mkv"
expect 0 run animate "$work/picture.png" --continue "$work/d.mkv" -o "$work/e.mkv"
expect 0 run animate "$work/picture.png" $m -p "a boat" -s 3 --frames 13 --size 64x64 -o "$work/f.mkv"
cmp -s "$work/e.mkv" "$work/f.mkv" || complain "a finished animation is not what all steps make"

# ---- remix: an edit with the recipe that is in the file ----
expect 0 run remix "$work/one.mkv" -p "two boats" -o "$work/remix.mkv"
expect 0 run edit "$work/one.mkv" $m -p "two boats" -s 8 --steps 1 --strength 0.6 -o "$work/edit.mkv"
cmp -s "$work/remix.mkv" "$work/edit.mkv" || complain "remix is not the edit it stands for"
is "$work/remix.mkv" 9 64,64

# ---- blend: the ends are the clips', as the autoencoder has them ----
expect 0 run blend "$work/clip.mkv" "$work/red.mkv" $m -p x -s 1 --curve hold -o "$work/b.mkv"
is "$work/b.mkv" 7 64,64
expect 0 run blend "$work/clip.mkv" "$work/red.mkv" $m -p x -s 2 --curve 0:0,1:0 -o "$work/a.mkv"
same "$work/b.mkv" 0 "$work/a.mkv" 0 1
expect 0 run blend "$work/clip.mkv" "$work/red.mkv" $m -p x -s 1 --curve 0:0,0.5:1,1:1 -o "$work/c.mkv"
differs "$work/c.mkv" "$work/b.mkv" 7

# ---- recut: a part is kept and grown ----
expect 0 run recut "$work/clip.mkv" $m --keep 0.5s-1s -p x -s 1 --frames 15 -o "$work/r.mkv"
is "$work/r.mkv" 15 64,64
same "$work/r.mkv" 5 "$work/clip.mkv" 4 4
expect 0 run recut "$work/clip.mkv" $m --keep 0.25-1.25 --direction forward -p x -s 1 --seconds 2 -o "$work/s.mkv"
is "$work/s.mkv" 16 64,64
same "$work/s.mkv" 0 "$work/clip.mkv" 2 8

# ---- a mask that moves ----
expect 0 run edit "$work/clip.mkv" $m -p x -s 1 --strength 1 --mask "$work/later.mkv" -o "$work/m.mkv"
expect 0 run edit "$work/clip.mkv" $m -p x -s 1 --strength 0.01 -o "$work/kept.mkv"
same "$work/m.mkv" 0 "$work/kept.mkv" 0 1
differs "$work/m.mkv" "$work/kept.mkv" 11

# ---- refused ----
bad() {
    code=$1 what=$2
    shift 2
    expect "$code" run "$@" -o "$work/n.mkv"
    err_has "$what"
    [ -z "$(ls "$work" | grep '^n[-.]')" ] || complain "'$*' left something behind"
}
bad 1 "no recipe of reel's is in it" generate --continue "$work/clip.mkv"
bad 1 "none.mkv" generate --continue "$work/none.mkv"
bad 2 "no prompt" remix "$work/one.mkv"
bad 1 "no recipe of reel's is in it" remix "$work/clip.mkv" -p x
bad 2 "keeps its length" remix "$work/one.mkv" -p x --seconds 3
bad 2 "--curve: got 'wave'" blend "$work/clip.mkv" "$work/red.mkv" $m -p x --curve wave
bad 2 "--curve: got '0:0,1:2'" blend "$work/clip.mkv" "$work/red.mkv" $m -p x --curve 0:0,1:2
bad 2 "--curve: got '0:0,0.5:1'" blend "$work/clip.mkv" "$work/red.mkv" $m -p x --curve 0:0,0.5:1
bad 2 "got 1 operand" blend "$work/clip.mkv" $m -p x
bad 2 "--keep: got 'nothing'" recut "$work/clip.mkv" $m -p x --seconds 2
bad 2 "--keep: got '2-1'" recut "$work/clip.mkv" $m -p x --seconds 2 --keep 2-1
bad 2 "how long?" recut "$work/clip.mkv" $m -p x --keep 0.5-1
bad 1 "of its 11" recut "$work/clip.mkv" $m -p x --keep 1s-9s --seconds 20
bad 1 "nothing to be made" recut "$work/clip.mkv" $m -p x --keep 0-1 --seconds 0.5
bad 1 "black.mkv: nothing of the mask is white" edit "$work/clip.mkv" $m -p x --mask "$work/black.mkv"
bad 1 "the mask has 7 frames, wanted the clip's 11" edit "$work/clip.mkv" $m -p x --mask "$work/red.mkv"
bad 2 "--variations: got '0'" generate $m -p x --variations 0
expect 2 run generate $m -p x --variations 2 -o "$work/n-%03d.png"
err_has "no contact sheet"
finish
