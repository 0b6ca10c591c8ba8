# An installed copy is enough to build against: compile and run a consumer with pkg-config alone,
# shared and static, after the installation has been moved elsewhere.
. tests/e2e/lib.sh

expect 0 cmake --install "$BUILD" --prefix "$work/first"
mv "$work/first" "$work/prefix"
[ -x "$work/prefix/bin/reel" ] || complain "bin/reel is not installed"
expect 0 "$work/prefix/bin/reel" --version
pc=$(find "$work/prefix" -name reel.pc)
[ -n "$pc" ] || { complain "reel.pc is not installed"; finish; }
libdir=$(dirname "$(dirname "$pc")")
[ "$(find "$work/prefix/include" -type f | wc -l)" -eq 1 ] || complain "more than reel.h is installed"

cat >"$work/consumer.c" <<'C'
#include <reel/reel.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    reel_env *env = NULL;
    if (reel_env_new(NULL, &env) != REEL_OK) return 1;
    const int quiet = strcmp(reel_env_message(env), "") == 0;
    reel_env_free(&env);
    printf("%s\n", reel_version());
    return quiet ? 0 : 2;
}
C
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion reel)" = "$VERSION" ] || complain "pkg-config does not say $VERSION"
# shellcheck disable=SC2046  # lists of flags
expect 0 "${CC:-cc}" -std=c99 -Wall -Wextra -Werror "$work/consumer.c" $(pkg-config --cflags --libs reel) -o "$work/shared"
expect 0 env LD_LIBRARY_PATH="$libdir" "$work/shared"
out_has "$VERSION"

# The README's example is a whole program, which makes a clip with the model that ships.
sed -n '/^```c$/,/^```$/p' "$SOURCE/README.md" | sed '/^```/d' >"$work/example.c"
# shellcheck disable=SC2046
expect 0 "${CC:-cc}" -std=c99 -Wall -Wextra -Werror "$work/example.c" $(pkg-config --cflags --libs reel) -o "$work/example"
ln -s "$SOURCE/models" "$work/models"
expect 0 env -C "$work" LD_LIBRARY_PATH="$libdir" ./example
expect 0 "$REEL" info "$work/ball.mp4"
out_has "a red ball bounces on green grass"

# The library's own archive, everything else shared.
# shellcheck disable=SC2046
expect 0 "${CC:-cc}" -std=c99 "$work/consumer.c" $(pkg-config --cflags reel) "$libdir/libreel.a" \
    $(pkg-config --libs --static reel | tr ' ' '\n' | grep -v '^-lreel$') -o "$work/static"
expect 0 env LD_LIBRARY_PATH= "$work/static"
out_has "$VERSION"
finish
