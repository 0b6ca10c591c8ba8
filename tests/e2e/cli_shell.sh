# Completions and manual pages: printed from the same tables as the help, and sound for their readers.
. tests/e2e/lib.sh

commands=$("$REEL" help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
for shell in bash zsh fish; do
    expect 0 "$REEL" completion $shell
    for command in $commands; do out_has "$command"; done
    cp "$work/out" "$work/$shell"
    if command -v $shell >/dev/null 2>&1; then
        $shell -n "$work/$shell" || complain "$shell does not read its completion"
    fi
done
expect 2 "$REEL" completion tcsh
err_has "'tcsh', wanted bash, zsh or fish"

# What bash offers: options of a command, the words of a choice.
if command -v bash >/dev/null 2>&1; then
    cat >"$work/ask" <<'BASH'
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_reel
printf '%s\n' "${COMPREPLY[@]}"
BASH
    expect 0 bash "$work/ask" "$work/bash" reel generate --sam
    out_has "--sampler"
    expect 0 bash "$work/ask" "$work/bash" reel generate --sampler ""
    out_has "unipc"
    out_has "dpm++2m"
    expect 0 bash "$work/ask" "$work/bash" reel gen
    out_has "generate"
    expect 0 bash "$work/ask" "$work/bash" reel help k
    out_has "kernels"
fi

expect 0 "$REEL" man
for command in $commands; do
    [ "$command" = help ] && continue
    grep -q "reel.-$command" "$work/out" || complain "reel man does not name $command"
    "$REEL" man "$command" >"$work/$command.1" || complain "reel man $command failed"
done
for page in "$work"/*.1; do
    if command -v groff >/dev/null 2>&1; then
        said=$(groff -ww -man -Tutf8 "$page" 2>&1 >/dev/null)
        [ -z "$said" ] || complain "groff on $page: $said"
    fi
done
grep -q 'frames' "$work/generate.1" || complain "the page of generate lacks an option"
expect 2 "$REEL" man dance
err_has "'dance'"
finish
