# Sourced by the tests beside it. They run from the root of the source with REEL (the program),
# BUILD, SOURCE, CC and VERSION in the environment, and work in a folder of their own.
set -u
: "${REEL:?}" "${BUILD:?}" "${SOURCE:?}" "${VERSION:?}"
work=$(mktemp -d "${TMPDIR:-/tmp}/reel-e2e.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
    echo "FAILED: $*" >&2
    failed=1
}

# expect CODE COMMAND...: runs it, output in $work/out and $work/err, and checks the exit code.
expect() {
    want=$1
    shift
    got=0
    "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    [ "$got" -eq "$want" ] && return
    complain "'$*' exited with $got, wanted $want"
    cat "$work/out" "$work/err" >&2
}

# out_has TEXT, err_has TEXT: the last command said it; no_out: it left stdout alone.
out_has() { grep -qF -- "$1" "$work/out" || { complain "stdout lacks '$1'"; cat "$work/out" >&2; }; }
err_has() { grep -qF -- "$1" "$work/err" || { complain "stderr lacks '$1'"; cat "$work/err" >&2; }; }
no_out() { [ ! -s "$work/out" ] || { complain "stdout is not empty"; cat "$work/out" >&2; }; }

finish() { exit $failed; }
