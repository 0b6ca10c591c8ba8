# Models of two transformers (Wan 2.2's 14B): which one works when, and what is refused.
. tests/e2e/lib.sh
TINY=wan-tiny-pair
. tests/e2e/tiny_model.sh
cp -r "$work/model" "$work/high"
cp -r "$work/model" "$work/low"
rm -r "$work/low/transformer" && cp -r "$work/low/transformer_2" "$work/low/transformer"
for one in high low; do
    rm -r "$work/$one/transformer_2"
    sed -i 's/"transformer_2": *\[[^]]*\]/"transformer_2": [null, null]/; s/"boundary_ratio": *[0-9.e-]*/"boundary_ratio": null/' \
        "$work/$one/model_index.json"
done
# pair RATIO: the pair with another boundary
pair() { sed -i "s/\"boundary_ratio\": *[0-9.e-]*/\"boundary_ratio\": $1/" "$work/model/model_index.json"; }
pixels() { ffmpeg -v error -i "$work/$1.mkv" -f rawvideo -pix_fmt rgb24 - | md5sum; }
make() {
    expect 0 "$REEL" generate --model "$work/$1" -p "a red ball" -s 7 -q --steps 6 --sampler euler -o "$work/$2.mkv"
}

make high high
make low low
make model both
[ "$(pixels high)" != "$(pixels low)" ] || complain "the two transformers are one"
[ "$(pixels both)" != "$(pixels high)" ] || complain "the second transformer never works"
[ "$(pixels both)" != "$(pixels low)" ] || complain "the first transformer never works"
pair 0.001 # below every level there is
make model first
[ "$(pixels first)" = "$(pixels high)" ] || complain "above the boundary something else than the first works"
rm -r "$work/model/transformer_2" && cp -r "$work/model/transformer" "$work/model/transformer_2"
pair 0.875
make model twice
[ "$(pixels twice)" = "$(pixels high)" ] || complain "a change to the same transformer changes something"
expect 0 "$REEL" info "$work/twice.mkv"
out_has '"boundary_ratio": 0.875'

# ---- killed where the first one works, continued where the second one does ----
cp -r "$work/low/transformer/." "$work/model/transformer_2/"
run() { "$REEL" generate --model "$work/model" -p "a red ball" -s 7 -q --steps 60 -o "$work/$1.mkv"; }
expect 0 run whole
kills=0
while [ $kills -lt 4 ]; do
    "$REEL" generate --model "$work/model" -p "a red ball" -s 7 -q --steps 60 -o "$work/killed.mkv" &
    pid=$!
    sleep 0.0$((3 + 2 * kills))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    kills=$((kills + 1))
    rm -f "$work/killed.mkv"
done
expect 0 run killed
cmp -s "$work/killed.mkv" "$work/whole.mkv" || complain "a killed pair ended in other bytes"

# ---- what does not fit ----
pair 1.5
expect 1 run n
err_has "boundary_ratio"
pair 0.875
sed -i 's/"ffn_dim": *56/"ffn_dim":64/' "$work/model/transformer_2/config.json"
expect 1 run n
err_has "transformer_2"
sed -i 's/, *"boundary_ratio": *[^,}]*//' "$work/model/model_index.json"
expect 1 run n
err_has "second one takes over"
[ ! -e "$work/n.mkv" ] || complain "a refusal left a file"
finish
