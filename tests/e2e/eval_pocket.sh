# reel eval on the model that ships, with nothing named but its folder: the judge that lies in it
# answers for generated clips, and says of real renders what they are.
. tests/e2e/lib.sh
pocket=$SOURCE/models/pocket
if [ ! -f "$pocket/judge/config.json" ]; then
    echo "SKIP: no judge ships with this tree"
    exit 77
fi

expect 0 "$REEL" eval --model "$pocket" --only judge --prompts 12 --steps 1 --json "$work/scores.json"
out_has "everything"
grep -q '"judge":{"one object":{"kind":{"value":' "$work/scores.json" || complain "the JSON lacks the judge's scores"

# real NAME: the share of one object's real renders that are answered right, in percent.
real() {
    awk -v name="$1" '/^[a-z]/ { group = $2 " " $3 }
        { line = $0; sub(/^judge +one object/, "", line); split(line, word, " ") }
        group == "one object" && word[1] == name { print int($(NF - 2)); exit }' "$work/out"
}
for name in kind color motion camera ground sky; do # 6 renders: one may be wrong
    share=$(real "$name")
    [ "${share:-0}" -ge 80 ] || complain "real renders: $name is right in ${share:-no} percent, wanted 80"
done

expect 0 "$REEL" info "$pocket"
out_has "judge: ReelJudge, "
finish
