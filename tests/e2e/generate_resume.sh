# Killed at random moments, the same command goes on to the same bytes. REEL_KILLS sets how often.
. tests/e2e/lib.sh
. tests/e2e/tiny_model.sh

run() { generate --steps 40 --frames 17 -o "$work/$1.mkv"; }
start=$(date +%s%N)
expect 0 run whole
whole_ms=$((($(date +%s%N) - start) / 1000000))

# Before the kill: anything from nothing to all of a run. $1 is a number that varies.
pause() {
    random=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
    ms=$((random * whole_ms / 65536))
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
}

kills=${REEL_KILLS:-8}
killed=0
resumed=0
while [ $killed -lt "$kills" ]; do
    run killed >/dev/null 2>&1 &
    pid=$!
    pause
    # the function runs in a shell of its own: its child is the program
    child=$(ps -o pid= --ppid $pid | tr -d ' ')
    kill -9 ${child:-$pid} 2>/dev/null
    wait $pid 2>/dev/null
    killed=$((killed + 1))
    [ ! -e "$work/killed.mkv.reel-state" ] || resumed=$((resumed + 1))
    if [ -e "$work/killed.mkv" ]; then # it was faster
        cmp -s "$work/killed.mkv" "$work/whole.mkv" || complain "kill $killed: other bytes"
        rm -f "$work/killed.mkv"
    fi
done
expect 0 run killed
cmp -s "$work/killed.mkv" "$work/whole.mkv" || complain "after $killed kills: other bytes"
[ ! -e "$work/killed.mkv.reel-state" ] || complain "the state was not removed"
[ -z "$(ls "$work" | grep 'killed.*tmp')" ] || complain "temporaries are left: $(ls "$work")"
echo "$killed kills, $resumed of them left a state"

# ---- stopped politely, then continued, with a seed that was drawn ----
"$REEL" generate --model "$work/model" -p "a red ball" --steps 200 -q -o "$work/polite.mkv" &
pid=$!
i=0
while ! grep -aqs '"done":"[1-9]' "$work/polite.mkv.reel-state" && [ $i -lt 200 ]; do
    sleep 0.05
    i=$((i + 1))
done
kill -INT $pid
code=0
wait $pid || code=$?
if [ $code -eq 1 ]; then
    [ -e "$work/polite.mkv.reel-state" ] || complain "a stopped run left no state"
    expect 0 "$REEL" generate --model "$work/model" -p "a red ball" --steps 200 -o "$work/polite.mkv"
    err_has "going on after step"
else
    [ $code -eq 0 ] || complain "a stopped run exited with $code"
fi

# ---- the state of another command is said to be one ----
"$REEL" generate --model "$work/model" -p "a red ball" -s 1 --steps 200 -q -o "$work/other.mkv" &
pid=$!
i=0
while [ ! -e "$work/other.mkv.reel-state" ] && [ $i -lt 100 ]; do
    sleep 0.05
    i=$((i + 1))
done
kill -9 $pid
wait $pid 2>/dev/null
if [ -e "$work/other.mkv.reel-state" ]; then
    expect 0 "$REEL" generate --model "$work/model" -p "a blue boat" -s 1 -o "$work/other.mkv"
    err_has "other settings"
fi
finish
