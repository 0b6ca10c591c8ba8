# reel storyboard on a tiny model: both forms of a script, cuts, fades, continued shots, cards; what
# is kept and what is made again; and scripts that lie.
. tests/e2e/lib.sh
TINY=wan-tiny-ti2v
. tests/e2e/tiny_model.sh
sed -i 's/"height": 48/"height": 64/' "$work/model/model_index.json"
board() { "$REEL" storyboard --model "$work/model" -t 2 "$@"; }
is() { # FILE FRAMES SIZE
    got=$(ffprobe -v error -count_frames -select_streams v:0 -of csv=p=0 \
        -show_entries stream=width,height,r_frame_rate,nb_read_frames "$1")
    [ "$got" = "$3,8/1,$2" ] || complain "$1 is '$got', wanted '$3,8/1,$2'"
}
frames() { # FILE FROM N: their bytes as a checksum
    ffmpeg -nostdin -v error -i "$1" -vf "select=between(n\\,$2\\,$(($2 + $3 - 1)))" -fps_mode passthrough \
        -f rawvideo -pix_fmt rgb24 - | md5sum
}
same() { # FILE FROM FILE FROM N
    [ "$(frames "$1" "$2" "$5")" = "$(frames "$3" "$4" "$5")" ] ||
        complain "$1 from $2 is not $3 from $4 for $5 frames"
}
ffmpeg -v error -y -f lavfi -i color=red:s=64x64 -frames:v 1 "$work/red.png"
ffmpeg -v error -y -f lavfi -i testsrc=s=64x64:r=8:d=2 -frames:v 8 -vf format=gbrp -c:v ffv1 "$work/clip.mkv"
echo "no picture" >"$work/text.png"

cat >"$work/a.story" <<'STORY'
# a comment
seed: 3
@ball: a red ball, @size
@size: as large as a house
title: One
  seconds: 0.5
shot: @ball rolls
  seconds: 1
  camera: pan left
shot: @ball stops. mail me@example.org, @@ball
  seconds: 1.5
  begin: continue
  at 0.75: @ball jumps
shot: grass
  seconds: 1
  begin: fade 0.25
STORY
cat >"$work/a.json" <<'JSON'
{
  "seed": 3,
  "names": {"ball": "a red ball, @size", "@size": "as large as a house"},
  "shots": [
    {"title": "One", "seconds": 0.5},
    {"prompt": "@ball rolls", "seconds": 1, "camera": "pan left"},
    {"prompt": "@ball stops. mail me@example.org, @@ball", "seconds": 1.5, "begin": "continue",
      "cards": [{"at": 0.75, "text": "@ball jumps"}]},
    {"prompt": "grass", "seconds": 1, "begin": "fade 0.25"}
  ]
}
JSON

# ---- a plan, and nothing made ----
expect 0 board "$work/a.story" --dry-run -o "$work/f.mkv"
out_has "2/4  1 s  to make  a red ball, as large as a house rolls, the camera pans left"
out_has "me@example.org, @ball"
[ -z "$(ls "$work" | grep '^f\.')" ] || complain "a plan made something"

# ---- the film: 4 frames of title, 8, 12, 8 less the 2 that are mixed ----
expect 0 board "$work/a.story" -o "$work/f.mkv"
out_has "$work/f.mkv"
out_has "$work/f.sheet.png"
is "$work/f.mkv" 30 64,64
[ "$(ls "$work/f.mkv.reel-shots" | wc -l)" = 4 ] || complain "4 pieces were to be kept"
expect 0 "$REEL" info "$work/f.mkv"
out_has '"task": "storyboard"'
ffprobe -v error -of csv=p=0 -show_entries stream=width "$work/f.sheet.png" >/dev/null || complain "no sheet"
[ "$(frames "$work/f.mkv" 0 1)" = "$(frames "$work/f.mkv" 3 1)" ] || complain "the title moves"
first=$(ls "$work/f.mkv.reel-shots"/*.mkv | while read -r f; do
    [ "$(frames "$f" 0 8)" = "$(frames "$work/f.mkv" 4 8)" ] && echo "$f"
done)
[ -n "$first" ] || complain "the first shot's frames are not in the film"

# ---- the JSON form is the same film, and nothing is made for it ----
cp "$work/f.mkv" "$work/before.mkv"
expect 0 board "$work/a.json" -o "$work/f.mkv" --json
grep -q '"event":"render"' "$work/out" && complain "a shot was made again"
[ "$(grep -c '"made":true' "$work/out")" = 4 ] || complain "4 scenes were to be kept"
same "$work/f.mkv" 0 "$work/before.mkv" 0 30

# ---- one changed word makes one shot; what goes on from it follows ----
sed "s/^shot: grass/shot: sand\\n  seed: 9/" "$work/a.story" >"$work/b.story"
expect 0 board "$work/b.story" -o "$work/f.mkv" --json
[ "$(grep -c '"event":"render"' "$work/out")" = 1 ] || complain "one shot was to be made"
same "$work/f.mkv" 0 "$work/before.mkv" 0 22
[ "$(frames "$work/f.mkv" 24 6)" != "$(frames "$work/before.mkv" 24 6)" ] || complain "the shot is the old one"
[ "$(ls "$work/f.mkv.reel-shots" | wc -l)" = 4 ] || complain "the old shot is still kept"
sed 's/pan left/zoom in/' "$work/b.story" >"$work/c.story"
expect 0 board "$work/c.story" --dry-run -o "$work/f.mkv" --json
[ "$(grep -c '"made":false' "$work/out")" = 2 ] || complain "a shot and its continuation change"
sed 's/seconds: 0.5/seconds: 1/; s/fade 0.25/cut/' "$work/b.story" >"$work/c.story"
expect 0 board "$work/c.story" -o "$work/f.mkv" --json --no-sheet
grep -q '"event":"render"' "$work/out" && complain "titles and fades are no reason to make shots"
is "$work/f.mkv" 36 64,64

# ---- a fade is a mixture: halfway between what is left and what comes ----
cat >"$work/fade.story" <<'STORY'
title: .
  seconds: 1
title: .
  seconds: 1
  begin: fade 0.5
STORY
expect 0 board "$work/fade.story" -o "$work/fade.mkv" --no-sheet
is "$work/fade.mkv" 12 64,64

# ---- cards: a picture and a clip at their times ----
cat >"$work/cards.story" <<'STORY'
shot: a red ball
  seconds: 3
  at 0 image: red.png
  at 1.5 clip: clip.mkv
STORY
expect 0 board "$work/cards.story" -o "$work/cards.mkv" --no-sheet
is "$work/cards.mkv" 24 64,64
rm -rf "$work/cards.mkv.reel-shots"
sed 's/red.png/clip.mkv/; s/image/clip/' "$work/cards.story" >"$work/clips.story"
expect 0 board "$work/clips.story" -o "$work/clips.mkv" --no-sheet
[ "$(frames "$work/cards.mkv" 0 1)" != "$(frames "$work/clips.mkv" 0 1)" ] || complain "the picture has no effect"
cp "$work/red.png" "$work/clip2.png"
ffmpeg -v error -y -f lavfi -i color=blue:s=64x64 -frames:v 1 "$work/red.png"
expect 0 board "$work/cards.story" -o "$work/cards.mkv" --dry-run
out_has "to make"

printf '{"title": "One", "shots": [{"prompt": "a", "seconds": "0.5"}]}' >"$work/t.json"
expect 0 board "$work/t.json" --dry-run -o "$work/f.mkv"
out_has "1/2  2 s  kept     One"

# ---- a shot that was stopped goes on ----
cat >"$work/long.story" <<'STORY'
steps: 40
shot: a red ball
  seconds: 4
STORY
"$REEL" storyboard --model "$work/model" -t 1 -q "$work/long.story" -o "$work/long.mkv" &
pid=$!
tries=0
while [ -z "$(ls "$work/long.mkv.reel-shots" 2>/dev/null | grep state)" ] && [ $tries -lt 400 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
kill -TERM $pid 2>/dev/null
wait $pid 2>/dev/null
[ ! -e "$work/long.mkv" ] || complain "a film of half a shot"
expect 0 board "$work/long.story" -o "$work/long.mkv" --no-sheet
is "$work/long.mkv" 32 64,64

# ---- scripts that lie: file and line, exit 1, nothing left ----
bad() { # LINE MESSAGE, the script on stdin
    cat >"$work/bad.story"
    expect 1 board "$work/bad.story" -o "$work/n.mkv"
    err_has "bad.story:$1: "
    err_has "$2"
    [ -z "$(ls "$work" | grep '^n\.')" ] || complain "'$2' left something behind"
}
printf '@a: @b\n@b: @c runs\n@c: the @a\nshot: @a\n' | bad 3 "lead back to themselves: @a -> @b -> @c -> @a"
printf 'shot: @anna\n@ana: a woman\n' | bad 1 "@anna: nothing has that name, wanted one of @ana"
printf 'shot: a\n  colour: red\n' | bad 2 "a shot has no 'colour', wanted prompt, seconds"
printf 'speed: 3\nshot: a\n' | bad 1 "a film has no 'speed'"
printf 'shot: a\n  seconds: long\n' | bad 2 "seconds: got 'long', wanted 0.04 to 600"
printf 'shot: a\n  seconds: 2\n  at 2: b\n' | bad 3 "the card is at 2 s, but its shot ends at 2 s"
printf 'shot: a\n  seconds: 2\n\n  at 1 image: none.png\n' | bad 4 "none.png: no such file"
printf 'shot: a\n  at 0 image: text.png\n' | bad 1 "text.png"
printf 'shot: a\n  at 0 image: clip.mkv\n' | bad 1 "is a video"
printf 'shot: a\n  begin: continue\n' | bad 1 "only a shot that stands behind a shot continues"
printf 'shot: a\n  seconds: 1\nshot: b\n  seconds: 2\n  begin: fade 1.5\n' | bad 1 "fades"
printf 'shot: a\n  camera: sideways\n' | bad 2 "wanted one of still, pan left"
printf 'shot: a\n  camera: still\n  camera: still\n' | bad 3 "given a second time"
printf '  seconds: 1\n' | bad 1 "no shot or title stands above it"
printf 'a red ball\n' | bad 1 "wanted KEY: WORDS"
printf '\n' | bad 1 "there is no shot"
printf 'shot:\n  seconds: 2\n' | bad 1 "needs a prompt"
printf 'size: 64\nshot: a\n' | bad 1 "wanted WIDTHxHEIGHT"
printf 'shot: a\n  seconds: 2\n  at 0.1 image: red.png\n  at 0.25 image: red.png\n' | bad 1 "too near"
printf '{"shots": [\n {"prompt": "a"},\n {"prompt": "a", "seconds": []}]}' | bad 3 "shots[1].seconds"
printf '{"shots":\n {"prompt": "a"}}' | bad 2 "shots"
printf '{"shots": [{"prompt": "a",\n "cards": [{"at": 9, "text": "b"}]}]}' | bad 2 "the card is at 9 s"
printf '{"shots": [\n' >"$work/bad.story"
expect 1 board "$work/bad.story" -o "$work/n.mkv"
err_has "bad.story: line "
head -c 300000 /dev/zero | tr '\0' x >"$work/bad.story"
expect 1 board "$work/bad.story" -o "$work/n.mkv"
expect 1 board "$work/none.story" -o "$work/n.mkv"
err_has "none.story"
expect 1 board "$work/a.story" -o "$work/n.xyz"
err_has "n.xyz"
expect 2 board -o "$work/n.mkv"
expect 2 board "$work/a.story" -o "$work/n-%d.png"
sed -i 's/"expand_timesteps": *true/"expand_timesteps": false/' "$work/model/model_index.json"
expect 1 board "$work/a.story" -o "$work/n.mkv"
err_has "a.story:10: goes on from what came before"
expect 0 board "$SOURCE/examples/red_ball.story" --model "$SOURCE/models/pocket" --dry-run
out_has "5/5"
finish
