# What is longer than a model makes at once: windows on a tiny model. The length is exact, the first
# window is what a short run makes, memory does not grow, and a killed run ends in the same bytes.
. tests/e2e/lib.sh
TINY=wan-tiny-ti2v
. tests/e2e/tiny_model.sh
run() {
    command=$1
    shift
    "$REEL" "$command" --model "$work/model" -p "a red ball" -s 7 -t 2 --window 9 "$@"
}
frames() { # FILE FROM N
    ffmpeg -v error -i "$1" -vf "select=between(n\\,$2\\,$(($2 + $3 - 1)))" -fps_mode passthrough \
        -f rawvideo -pix_fmt gbrp - | md5sum
}
same() {
    [ "$(frames "$1" "$2" "$5")" = "$(frames "$3" "$4" "$5")" ] ||
        complain "$1 from $2 is not $3 from $4 for $5 frames"
}
is() { # FILE N WxH
    got=$(ffprobe -v error -count_frames -select_streams v:0 -of csv=p=0 \
        -show_entries stream=width,height,nb_read_frames "$1")
    [ "$got" = "$3,$2" ] || complain "$1 is '$got', wanted '$3,$2'"
}
nothing_left() { [ -z "$(ls "$work" | grep 'reel-\|partial')" ] || complain "left: $(ls "$work")"; }
peak() { sed -n 's/.*"peak_bytes":\([0-9]*\).*/\1/p' "$work/out" | tail -n 1; }
# A clip of 11 frames.
ffmpeg -v error -f lavfi -i testsrc=s=64x64:r=8 -vf format=gbrp -frames:v 11 -c:v ffv1 "$work/clip.mkv"

# ---- generate ----
# Peaks are compared: AddressSanitizer would keep what is freed, up to 256 MB of it.
options=${ASAN_OPTIONS-}
export ASAN_OPTIONS="$options:quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
expect 0 run generate --frames 9 --json -o "$work/short.mkv"
short=$(peak)
expect 0 run generate --frames 41 --json -o "$work/long.mkv"
is "$work/long.mkv" 41 64,64
same "$work/long.mkv" 0 "$work/short.mkv" 0 9
out_has '"windows":5'
out_has '"done":15,"total":15'
nothing_left
expect 0 run generate --frames 161 --json -o "$work/longer.mkv"
is "$work/longer.mkv" 161 64,64
echo "peak: $short of 9 frames, $(peak) of 161"
[ "$(peak)" -le $((short / 20 * 21)) ] || complain "peak $(peak) of 161 frames, $short of 9"
export ASAN_OPTIONS="$options"
for option in "--context 5" "--anchor 1 --context-noise 0.3"; do
    expect 0 run generate --frames 41 -q $option -o "$work/other.mkv"
    same "$work/other.mkv" 0 "$work/long.mkv" 0 9
    [ "$(frames "$work/other.mkv" 9 32)" != "$(frames "$work/long.mkv" 9 32)" ] ||
        complain "$option has no effect"
done
expect 0 run generate --frames 41 --dry-run
out_has "in 5 windows"
expect 0 "$REEL" info "$work/long.mkv"
out_has '"window": 9'

# ---- clips: what is given stays, forward, backward and between ----
expect 0 run extend "$work/clip.mkv" --frames 30 -q -o "$work/f.mkv"
is "$work/f.mkv" 41 64,64
same "$work/f.mkv" 0 "$work/clip.mkv" 0 11
expect 0 run extend "$work/clip.mkv" --frames 30 -q --direction backward -o "$work/b.mkv"
is "$work/b.mkv" 41 64,64
same "$work/b.mkv" 30 "$work/clip.mkv" 0 11
expect 0 run extend "$work/clip.mkv" --frames 30 -q --direction both -o "$work/both.mkv"
is "$work/both.mkv" 71 64,64
same "$work/both.mkv" 30 "$work/clip.mkv" 0 11
expect 0 run connect "$work/clip.mkv" "$work/clip.mkv" --frames 30 -q -o "$work/c.mkv"
is "$work/c.mkv" 52 64,64
same "$work/c.mkv" 41 "$work/clip.mkv" 0 11
expect 0 run edit "$work/longer.mkv" --strength 0.5 -q -o "$work/e.mkv"
is "$work/e.mkv" 161 64,64
nothing_left

# ---- pictures in later windows ----
ffmpeg -v error -f lavfi -i color=red:s=64x64 -frames:v 1 "$work/red.png"
expect 0 run animate --keyframe 20="$work/red.png" --end-image "$work/red.png" --frames 41 -q -o "$work/k.mkv"
expect 0 run animate --keyframe 20="$work/red.png" --frames 41 -q -o "$work/l.mkv"
is "$work/k.mkv" 41 64,64
same "$work/k.mkv" 0 "$work/l.mkv" 0 33
[ "$(frames "$work/k.mkv" 40 1)" != "$(frames "$work/l.mkv" 40 1)" ] || complain "--end-image has no effect"

# ---- killed at random moments, and stopped politely ----
killed() { # NAME COMMAND...: kills it a few times, then lets it end
    name=$1
    shift
    for wait in 0.15 0.4 0.3 0.6; do
        run "$@" -q -o "$work/$name" &
        pid=$!
        sleep $wait
        child=$(ps -o pid= --ppid $pid | tr -d ' ')
        kill -9 ${child:-$pid} 2>/dev/null
        wait $pid 2>/dev/null
    done
    expect 0 run "$@" -o "$work/$name"
}
killed again.mkv generate --frames 41
cmp -s "$work/again.mkv" "$work/long.mkv" || complain "killed and gone on with: other bytes"
killed back.mkv extend "$work/clip.mkv" --frames 30 --direction backward
cmp -s "$work/back.mkv" "$work/b.mkv" || complain "backward, killed and gone on with: other bytes"
nothing_left

run generate --frames 401 --steps 20 -q -o "$work/polite.mkv" 2>"$work/err" &
pid=$!
i=0
while [ ! -e "$work/polite.mkv.reel-parts/000001.mkv" ] && [ $i -lt 400 ]; do
    sleep 0.05
    i=$((i + 1))
done
child=$(ps -o pid= --ppid $pid | tr -d ' ')
kill -INT ${child:-$pid}
code=0
wait $pid || code=$?
[ $code -eq 1 ] || complain "stopped, it exited with $code"
err_has "goes on from here"
n=$(ffprobe -v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0 "$work/polite.partial.mkv")
[ "${n:-0}" -ge 17 ] || complain "the partial video has '$n' frames, wanted at least 17"
# another run under that name drops what the first one left
expect 0 run generate --frames 17 -q -o "$work/polite.mkv"
is "$work/polite.mkv" 17 64,64
nothing_left

# ---- refused ----
bad() {
    code=$1 what=$2
    shift 2
    expect "$code" run generate --frames 41 "$@" -o "$work/n.mkv"
    err_has "$what"
    [ -z "$(ls "$work" | grep '^n\.mkv')" ] || complain "'$*' left something behind"
}
bad 1 "leaves nothing to be made" --context 9
bad 1 "leaves nothing to be made" --anchor 5
bad 2 "--context-noise: got '2'" --context-noise 2
bad 2 "--window: got '0'" --window 0
sed -i 's/"expand_timesteps": *true/"expand_timesteps": false/' "$work/model/model_index.json"
bad 1 "takes one noise level for a whole video"
finish
