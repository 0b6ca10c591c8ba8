# reel kernels: every operation is listed, a cap is honoured, the JSON says the same as the table.
. tests/e2e/lib.sh

expect 0 "$REEL" kernels
out_has "machine "
# Every row of ops.def is there, and each operation that computes has at least its reference kernel.
sed -n 's/^REEL_\(OP\|VIEW\)(\([A-Z0-9_]*\), *\([a-z0-9_]*\))/\1 \3/p' src/ops/ops.def >"$work/ops"
[ -s "$work/ops" ] || complain "no row found in ops.def"
while read -r kind name; do
    row=$(grep "^$name " "$work/out") || { complain "$name is not listed"; continue; }
    case "$kind $row" in
    OP*"$name.ref" | VIEW*nothing*) ;;
    *) complain "$kind $name is listed as '$row'" ;;
    esac
done <"$work/ops"

for isa in portable avx2 avx512 avx512_bf16 amx; do
    expect 0 "$REEL" kernels --isa $isa
    out_has "used up to"
done
expect 0 "$REEL" kernels --isa portable
for stronger in avx2 avx512 amx; do
    ! grep -q "\.$stronger" "$work/out" || complain "portable lists a kernel of $stronger"
done
out_has "used up to portable"

expect 0 "$REEL" kernels --isa=portable --json
[ "$(wc -l <"$work/out")" -eq 1 ] || complain "the JSON is not one line"
out_has '"used_up_to":"portable"'
[ "$(grep -o '"operation":' "$work/out" | wc -l)" -eq "$(wc -l <"$work/ops")" ] ||
    complain "the JSON does not hold one object per operation"
finish
