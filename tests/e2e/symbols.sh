# The shared library exports what reel.h marks REEL_API, all of it and nothing else.
. tests/e2e/lib.sh
library=$BUILD/libreel.so

nm -D --defined-only "$library" | awk '$2 ~ /^[A-Z]$/ { sub(/@.*/, "", $3); print $3 }' |
    LC_ALL=C sort >"$work/exported"
# A declaration may run over lines and begins with REEL_API or REEL_MUST_USE REEL_API.
tr '\n' ' ' <include/reel/reel.h | grep -o 'REEL_API [^;#]*(' | grep -o 'reel_[a-z0-9_]* *(' |
    tr -d ' (' | LC_ALL=C sort -u >"$work/declared"
[ "$(wc -l <"$work/declared")" -ge 7 ] || complain "found only $(wc -l <"$work/declared") declarations"
diff "$work/declared" "$work/exported" >"$work/diff" ||
    complain "declared (<) and exported (>) differ:
$(cat "$work/diff")"

objdump -p "$library" >"$work/headers"
grep -q "SONAME *libreel.so.${VERSION%%.*}\$" "$work/headers" || complain "the SONAME is not libreel.so.${VERSION%%.*}"
[ "$(readlink -f "$library")" = "$(readlink -f "$BUILD/libreel.so.$VERSION")" ] ||
    complain "libreel.so is not libreel.so.$VERSION"
finish
