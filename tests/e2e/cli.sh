# The program's manners: version, help, exit codes, messages.
. tests/e2e/lib.sh

expect 0 "$REEL" --version
out_has "reel $VERSION"
[ "$(wc -l <"$work/out")" -eq 1 ] || complain "--version says more than one line"

expect 0 "$REEL" help
out_has "usage: reel COMMAND"
for command in generate animate extend connect loop edit sheet info init train eval world kernels completion man help; do out_has "  $command "; done
expect 0 "$REEL" --help
for command in info init kernels world; do
    expect 0 "$REEL" help "$command"
    out_has "usage: reel $command"
    cp "$work/out" "$work/help"
    expect 0 "$REEL" "$command" --help
    cmp -s "$work/help" "$work/out" || complain "help $command and $command --help differ"
done

expect 2 "$REEL"
no_out
expect 2 "$REEL" dance
no_out
err_has "got the command 'dance'"
for command in generate animate extend connect loop edit sheet info init train eval world kernels completion man help; do err_has " $command"; done
expect 2 "$REEL" help dance
expect 2 "$REEL" help kernels kernels
err_has "'kernels' as well"
expect 2 "$REEL" kernels --isa sse9
no_out
err_has "--isa: got 'sse9', wanted portable, avx2, avx512, avx512_bf16 or amx"

# Output that cannot be written is a failure, not a success with half a file.
if [ -w /dev/full ]; then
    code=0
    "$REEL" kernels >/dev/full 2>"$work/err" || code=$?
    [ $code -eq 1 ] || complain "a full disk gave exit code $code, wanted 1"
    err_has "could not be written"
fi
finish
