# reel generate on a tiny model: what is asked for is what ffprobe finds, and what was done is in
# the file.
. tests/e2e/lib.sh
. tests/e2e/tiny_model.sh

# probe FILE FIELD: of the first video stream.
probe() {
    ffprobe -v error -select_streams v:0 -count_frames -show_entries "stream=$2" \
        -of default=noprint_wrappers=1:nokey=1 "$1" | head -n 1
}
# is FILE FIELD WANTED
is() {
    got=$(probe "$1" "$2")
    [ "$got" = "$3" ] || complain "$1: $2 is '$got', wanted '$3'"
}

# ---- formats, lengths, sizes ----
expect 0 generate -o "$work/a.mp4"
is "$work/a.mp4" codec_name h264
is "$work/a.mp4" width 64
is "$work/a.mp4" height 48
is "$work/a.mp4" nb_read_frames 9
is "$work/a.mp4" r_frame_rate 8/1
is "$work/a.mp4" pix_fmt yuv420p
[ ! -e "$work/a.mp4.reel-state" ] || complain "the state was not removed"
expect 0 generate -o "$work/b.webm" --frames 5 --fps 23.976 --size 32x32
is "$work/b.webm" codec_name av1
is "$work/b.webm" nb_read_frames 5
is "$work/b.webm" r_frame_rate 24000/1001
expect 0 generate -o "$work/c.gif" --seconds 0.625 -W 32 -H 48
is "$work/c.gif" nb_read_frames 5
is "$work/c.gif" height 48
expect 0 generate -o "$work/d.mkv" --frames 1
is "$work/d.mkv" codec_name ffv1
is "$work/d.mkv" nb_read_frames 1
expect 0 generate -o "$work/e.png" --frames 1
is "$work/e.png" codec_name png
is "$work/e.png" width 64
expect 0 generate -o "$work/f-%03d.png" --frames 5
[ "$(ls "$work"/f-*.png | wc -l)" -eq 5 ] || complain "a sequence of 5 frames has other files"

# ---- rounding is said ----
expect 0 "$REEL" generate --model "$work/model" -p x -o "$work/r.mkv" -W 70 -H 50 --frames 6
err_has "size rounded from 70x50 to 64x48"
err_has "frames rounded from 6 to 5"
is "$work/r.mkv" width 64
err_has "seed "
out_has "$work/r.mkv"

# ---- the same bytes at any number of threads; another seed, another file ----
for t in 1 2 3; do expect 0 generate -t $t -o "$work/t$t.mkv"; done
cmp -s "$work/t1.mkv" "$work/t2.mkv" || complain "1 and 2 threads differ"
cmp -s "$work/t1.mkv" "$work/t3.mkv" || complain "1 and 3 threads differ"
expect 0 generate -t 2 --bit-exact -o "$work/x1.mkv"
expect 0 generate -t 1 --bit-exact -o "$work/x2.mkv"
cmp -s "$work/x1.mkv" "$work/x2.mkv" || complain "bit-exact runs differ"
expect 0 generate -s 8 -o "$work/s8.mkv"
pixels() { ffmpeg -v error -i "$1" -f rawvideo -pix_fmt rgb24 - | md5sum; }
[ "$(pixels "$work/t1.mkv")" != "$(pixels "$work/s8.mkv")" ] || complain "two seeds give one video"
expect 0 "$REEL" generate --model "$work/model" -p "two blue boats at night" -s 7 -q -o "$work/p.mkv"
[ "$(pixels "$work/t1.mkv")" != "$(pixels "$work/p.mkv")" ] || complain "two prompts give one video"

# ---- how it was made ----
expect 0 "$REEL" info "$work/a.mp4"
out_has "a red ball"
expect 0 ffprobe -v error -show_entries format_tags=comment -of default=nw=1:nk=1 "$work/a.mp4"
for part in '"prompt":"a red ball"' '"seed":7' '"steps":3' '"sampler":"unipc"' '"width":64' \
    '"model_hash":"' "\"version\":\"$VERSION\""; do out_has "$part"; done

# ---- prompts from elsewhere, samplers, previews, events ----
printf 'a red ball' >"$work/prompt"
expect 0 "$REEL" generate --model "$work/model" --prompt-file "$work/prompt" -s 7 -q -o "$work/p1.mkv"
printf 'a red ball' | "$REEL" generate --model "$work/model" --prompt-file - -s 7 -q -o "$work/p2.mkv" ||
    complain "a prompt from standard input failed"
cmp -s "$work/p1.mkv" "$work/t1.mkv" || complain "a prompt in a file is another prompt"
cmp -s "$work/p2.mkv" "$work/t1.mkv" || complain "a prompt from standard input is another prompt"
for sampler in euler heun dpm++2m; do expect 0 generate --sampler $sampler -o "$work/s.mkv"; done
expect 0 generate --cfg-scale 1 -o "$work/s.mkv"
expect 0 generate --cfg-from 0.3 --cfg-to 0.7 --cfg-rescale 0.5 --flow-shift 5 -o "$work/s.mkv"
expect 0 generate --preview-path "$work/preview.png" -o "$work/s.mkv"
is "$work/preview.png" width 32
expect 0 generate --preview-path "$work/preview.gif" -o "$work/s.mkv"
is "$work/preview.gif" nb_read_frames 3
expect 0 generate --json -o "$work/s.mkv"
[ "$(grep -c '"event":"step"' "$work/out")" -eq 3 ] || complain "--json told of other than 3 steps"
out_has '"event":"done"'
expect 0 generate --type bf16 -o "$work/s.mkv"
TMP=$(REEL_MODEL=$work/model "$REEL" generate -p x -s 1 -q -o "$work/env.mkv" 2>&1) ||
    complain "REEL_MODEL is not obeyed: $TMP"

# ---- dry runs ----
expect 0 generate --dry-run -o "$work/never.mp4"
out_has "64x48, 9 frames at 8 fps"
out_has "peak about"
! grep -q encoding "$work/out" || complain "without pictures a dry run speaks of encoding"
[ ! -e "$work/never.mp4" ] || complain "a dry run wrote a file"
expect 0 generate --dry-run --json
out_has '"peak_bytes":'
finish
