# reel info and reel sheet for video and pictures that FFmpeg's own program made.
. tests/e2e/lib.sh
command -v ffmpeg >/dev/null || { echo "no ffmpeg"; exit 77; }
"$REEL" sheet --help | grep -q CLIP || { complain "reel sheet is missing"; finish; }

recipe='{"prompt":"ein Papierboot — 纸船","seed":7,"steps":[1,{"a":[]}],"quoted":"a \"b\" \\ , : { c"}'
ffmpeg -v error -f lavfi -i testsrc2=s=96x64:r=12:d=2 -pix_fmt yuv420p -metadata comment="$recipe" "$work/a.mp4"
ffmpeg -v error -f lavfi -i testsrc2=s=64x96:r=10:d=1 "$work/b.gif"
ffmpeg -v error -f lavfi -i testsrc2=s=50x50:r=1:d=1 -frames:v 1 "$work/c.png"
ffmpeg -v error -f lavfi -i testsrc2=s=50x50:r=1:d=1 -frames:v 1 "$work/d.jpg"
printf 'I am a letter\n' >"$work/letter.png"

expect 0 "$REEL" info "$work/a.mp4"
out_has "format   mp4, h264, yuv420p"
out_has "size     96x64"
out_has "fps      12"
out_has "frames   24"
out_has "seconds  2"
out_has '  "prompt": "ein Papierboot — 纸船",'
out_has '  "seed": 7,'
out_has '      "a": []'
out_has '  "quoted": "a \"b\" \\ , : { c"'
expect 0 "$REEL" info --json "$work/a.mp4"
out_has '"format":"mp4","codec":"h264","pixel_format":"yuv420p","width":96,"height":64,"fps":12.0,"frames":24,"seconds":2.0'
out_has "\"recipe\":$recipe}"
expect 0 "$REEL" info "$work/c.png"
out_has "size     50x50"
grep -q frames "$work/out" && complain "a picture has frames"

# A comment that would talk to the terminal is shown, not obeyed.
ffmpeg -v error -i "$work/a.mp4" -c copy -metadata comment="$(printf 'x\033[2Jy\302\233z')" "$work/escape.mp4"
expect 0 "$REEL" info "$work/escape.mp4"
out_has 'x\x1b[2Jy\xc2\x9bz'

for file in letter.png missing.mp4; do
    expect 1 "$REEL" info "$work/$file"
    no_out
    err_has "$file"
    expect 1 "$REEL" sheet "$work/a.mp4" "$work/$file" --output "$work/none.png"
    err_has "$file"
    [ ! -e "$work/none.png" ] || complain "a sheet of $file was written"
done

# A row for each clip: four cells of 100 pixels and their gaps; the height follows the first clip.
expect 0 "$REEL" sheet "$work/a.mp4" "$work/b.gif" "$work/c.png" "$work/d.jpg" --columns 4 --width 100 --output "$work/s.png"
no_out
expect 0 ffprobe -v error -show_entries stream=codec_name,width,height -of csv=p=0 "$work/s.png"
out_has "png,420,$((4 + 4 * (67 + 12 + 4)))"
expect 0 "$REEL" sheet "$work/a.mp4" --output "$work/s.png"
first=$(sha256sum <"$work/s.png")
expect 0 "$REEL" sheet "$work/a.mp4" --output "$work/s.png"
[ "$first" = "$(sha256sum <"$work/s.png")" ] || complain "two sheets of one clip differ"

expect 2 "$REEL" sheet
for width in 0 -1 15 4097 text 1e308 NaN 9223372036854775808; do
    expect 2 "$REEL" sheet "$work/a.mp4" --width "$width"
    err_has "--width: got '$width'"
done
expect 1 "$REEL" sheet "$work/a.mp4" --output "$work/missing/s.png"
err_has "missing/s.png"
expect 1 "$REEL" sheet "$work/a.mp4" --output "$work/s.mp4"
err_has "s.mp4"
[ ! -e "$work/s.mp4" ] || complain "a sheet was written as s.mp4"

# A full disk: nothing half, the old file as it was.
if [ -w /dev/full ]; then
    printf old >"$work/old.png"
    expect 1 sh -c "ulimit -f 1; trap '' XFSZ; exec \"\$@\"" - "$REEL" sheet "$work/a.mp4" -o "$work/old.png"
    err_has "cannot write"
    [ "$(cat "$work/old.png")" = old ] || complain "a full disk changed the old file"
    [ "$(find "$work" -name '*.tmp' | wc -l)" -eq 0 ] || complain "a temporary was left behind"
fi
finish
