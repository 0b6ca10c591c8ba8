# The commands of docs/guide.md, one after another, and the pictures it shows: all of them run, with a
# model that has everything but training, and each picture is made and small.
. tests/e2e/lib.sh
TINY=wan-tiny-ti2v
. tests/e2e/tiny_model.sh
sed -i 's/"width": 64, "height": 48, "frames": 9/"width": 32, "height": 32, "frames": 33/; s/"steps": 3/"steps": 1/' \
    "$work/model/model_index.json"

# The program, but for what takes long: fewer seconds, drafts and steps.
cat >"$work/reel" <<SH
#!/bin/sh
n=\$#
while [ \$n -gt 0 ]; do
    case "\$1 \$2" in
    "--seconds 60") set -- "\$@" --seconds 3 && shift 2 && n=\$((n - 2)) ;;
    "--variations "*) set -- "\$@" --variations 3 && shift 2 && n=\$((n - 2)) ;;
    "--steps "[0-9]*) set -- "\$@" --steps 1 && shift 2 && n=\$((n - 2)) ;;
    *) set -- "\$@" "\$1" && shift && n=\$((n - 1)) ;;
    esac
done
exec "$REEL" "\$@"
SH
chmod +x "$work/reel"
expect 0 scripts/guide-pictures "$work/reel" "$work/model" "$work/pictures"
scripts/guide-pictures --list >"$work/list"
n=0
sed -n 's/^show \([^ ]*\) .*/\1/p' "$work/list" >"$work/names"
while read -r name; do
    n=$((n + 1))
    [ -s "$work/pictures/$name" ] || complain "$name was not made"
    [ "$(wc -c <"$work/pictures/$name")" -le 40000 ] || complain "$name is larger than 40 KB"
    [ -s "$SOURCE/docs/pictures/$name" ] || complain "docs/pictures has no $name"
done <"$work/names"
[ $n -ge 10 ] || complain "the guide shows only $n pictures"
for command in generate animate extend connect loop edit remix blend recut; do
    grep -q "^run reel $command " "$work/list" || complain "the guide has no command of reel $command"
done

# A command that fails is told, with what the program said.
printf '    reel generate -p x --steps nine\n![x.png](pictures/x.jpg)\n' >"$work/broken.md"
expect 1 scripts/guide-pictures "$REEL" "$work/model" "$work/none" "$work/broken.md"
err_has "nine"
err_has "failed: reel generate"
expect 2 scripts/guide-pictures
err_has "usage: guide-pictures BIN MODEL OUT"
finish
