# After denoising two minutes of video need no more memory than five seconds: the run that only decodes
# is measured, which is what is left of one that was killed when its decoding began. The latents
# and the video encoder's threads make up to 4 MiB of difference; frames that were kept would be 17.
. tests/e2e/lib.sh
. tests/e2e/tiny_model.sh

# decode_peak SECONDS: MiB of a run whose denoising is behind it, into $peak
decode_peak() {
    out="$work/$1.mp4"
    set -- "$REEL" generate --model "$work/model" "a red ball" -s 7 --json --steps 1 --cfg-scale 1 \
        --size 96x64 --seconds "$1" -o "$out"
    mkfifo "$work/events"
    "$@" >"$work/events" 2>"$work/err" &
    pid=$!
    while read -r line; do
        case $line in *'"phase":"decode"'*) kill -9 $pid; break ;; esac
    done <"$work/events"
    wait $pid 2>/dev/null
    rm "$work/events"
    [ ! -e "$out" ] || complain "a killed run left a file"
    expect 0 "$@"
    ! grep -q '"event":"step"' "$work/out" || complain "steps were made again"
    peak=$(sed -n 's/.*"peak_bytes":\([0-9]*\).*/\1/p' "$work/out" | tail -n 1)
    peak=$((peak / 1048576))
}
decode_peak 5
short=$peak
decode_peak 120
echo "decoding: 5 s $short MiB, 120 s $peak MiB"
[ "$peak" -le $((short + 8)) ] || complain "5 s are decoded in $short MiB, 120 s in $peak"
frames=$(ffprobe -v error -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0 "$out")
[ "$frames" = 961 ] || complain "120 s have $frames frames, wanted 961"
finish
