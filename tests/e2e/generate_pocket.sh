# The front door: a prompt and nothing else, with the model that ships; and what it says of prompts
# outside its world.
. tests/e2e/lib.sh
if [ ! -f "$SOURCE/models/pocket/model_index.json" ]; then
    echo "SKIP: no model ships with this tree"
    exit 77
fi
unset REEL_MODEL
small() { "$REEL" generate "$@" -s 1 --steps 2 --frames 5 --cfg-scale 1; }
cd "$work" || exit 1

expect 0 "$REEL" generate "a red ball bounces on green grass" --steps 2
[ -s output.mp4 ] || complain "no output.mp4"
ffprobe -v error -count_frames -show_entries stream=width,height,nb_read_frames -of csv=p=0 output.mp4 >"$work/out"
out_has "128,128,33"
err_has "seed "
! grep -q "does not know" "$work/err" || complain "a prompt of its world is complained about"
expect 0 "$REEL" info output.mp4
out_has "a red ball bounces on green grass"

# ---- the same with a flag, and in another language ----
expect 0 small "a red ball bounces on green grass" -q -o a.mkv
expect 0 small -p "a red ball bounces on green grass" -q -o b.mkv
cmp -s a.mkv b.mkv || complain "PROMPT and --prompt make two videos"
expect 0 small "一个红色的球在草地上弹跳" -o c.mkv
! grep -q "does not know" "$work/err" || complain "a Chinese prompt of its world is complained about"

# ---- outside its world ----
expect 0 small "a red ball and a dragon quarrel on the grass" -o d.mkv
err_has "understands: red ball; ground grass"
err_has "does not know: 'dragon', 'quarrel'"
err_has "snowman"
err_has "--model DIR"
expect 0 small "two lawyers in a courtroom" -o e.mkv
err_has "understands: nothing"
err_has "--model DIR"
expect 0 small "two lawyers in a courtroom" --json -o e.mkv
out_has "does not know"
expect 0 "$REEL" generate "two lawyers in a courtroom" --dry-run
err_has "--model DIR"
expect 0 small "two lawyers in a courtroom" -q -o e.mkv
[ ! -s "$work/err" ] || complain "--quiet is not quiet"

# ---- a model that does not say so is not spoken for ----
cp -r "$SOURCE/models/pocket" "$work/other"
sed -i 's/, *"world": *true//' "$work/other/model_index.json"
expect 0 small "two lawyers in a courtroom" --model "$work/other" -o f.mkv
! grep -q "does not know" "$work/err" || complain "a model of another world is spoken for"
finish
