# reel world: the files it promises, readable by others, the same every time; refusals.
. tests/e2e/lib.sh

clips=$work/clips
case $("$REEL" world --count 1 --frames 1 --out "$work/probe" 2>&1) in
*FFmpeg*) echo "SKIP: built without FFmpeg"; exit 77 ;;
esac

expect 0 "$REEL" world --count 2 --first 5 --frames 9 --fps 8 --size 64x48 --lossless --stereo --masks --depth --out "$clips"
out_has "wrote 2 clips"
for stem in 00000005 00000006; do
    for ending in mkv right.mkv masks.mkv depth.mkv txt json; do
        [ -s "$clips/$stem.$ending" ] || complain "$stem.$ending is missing"
    done
done
[ "$(find "$clips" -type f | wc -l)" -eq 12 ] || complain "there are other files too: $(ls "$clips")"

if command -v ffprobe >/dev/null; then
    for file in 00000005.mkv 00000005.right.mkv 00000006.masks.mkv 00000006.depth.mkv; do
        said=$(ffprobe -v error -count_frames -select_streams v -show_entries stream=width,height,nb_read_frames,r_frame_rate -of csv=p=0 "$clips/$file")
        [ "$said" = "64,48,8/1,9" ] || complain "ffprobe says '$said' of $file"
    done
else
    complain "ffprobe is missing"
fi

# The truth: what the caption names is what the scene holds.
json=$(cat "$clips/00000005.json")
for key in '"index":5' '"split":"train"' '"n_frames":9' '"language":"zh"' '"camera_frames":' '"pixels":'; do
    case $json in *"$key"*) ;; *) complain "the truth lacks $key" ;; esac
done
[ "$(grep -o '"position"' "$clips/00000005.json" | wc -l)" -ge 18 ] || complain "positions are missing"

# Same options, same bytes, at any number of threads; another seed, another world.
expect 0 "$REEL" world --count 2 --first 5 --frames 9 --fps 8 --size 64x48 --lossless --stereo --masks --depth --threads 2 --out "$work/again"
diff -r "$clips" "$work/again" >/dev/null || complain "the same options gave other files"
expect 0 "$REEL" world --count 1 --first 5 --frames 9 --fps 8 --size 64x48 --lossless --seed 2 --out "$work/other"
cmp -s "$clips/00000005.mkv" "$work/other/00000005.mkv" && complain "two seeds gave one clip"

expect 0 "$REEL" world --count 1 --frames 1 --size 40 --split heldout_pairs --out "$work/one"
[ -s "$work/one/00000000.mp4" ] || complain "no mp4 of one frame"

expect 2 "$REEL" world
err_has "--out is missing"
expect 2 "$REEL" world --out "$work/x" --size 64by64
err_has "got '64by64', wanted WxH"
expect 2 "$REEL" world --out "$work/x" --split test
err_has "train, validation or heldout_pairs"
expect 2 "$REEL" world --out "$work/x" --count 0
[ -e "$work/x" ] && complain "a refused command left a folder"
: >"$work/file"
expect 1 "$REEL" world --count 1 --out "$work/file"
err_has "cannot be made a folder"
finish
