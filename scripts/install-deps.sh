#!/bin/sh
# usage: install-deps.sh [build|check]
# Installs the Debian packages that are missing: `build` (the default) for make, make test and
# make bench; `check` for the linters, the sanitizers, the fuzz targets and the ARM build as well.
# Uses sudo when not root. Set REEL_NO_DEPS=1 to leave the system alone.
set -eu
set_name=${1:-build}
packages="gcc g++ libc6-dev make cmake ninja-build pkg-config binutils
    libdnnl-dev libjansson-dev libcmocka-dev libavformat-dev libavcodec-dev libavutil-dev
    libswscale-dev ffmpeg libarchive-dev libsentencepiece-dev sentencepiece"
case $set_name in
build) ;;
check)
    packages="$packages git clang clang-format clang-tidy cppcheck libclang-rt-14-dev
        universal-ctags ccache gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static" ;;
*)
    echo "install-deps.sh: wanted build or check, got '$set_name'" >&2
    exit 2 ;;
esac
[ -z "${REEL_NO_DEPS:-}" ] || exit 0

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "install-deps.sh: this is no Debian system; install by hand what these packages hold," \
        "then run again with REEL_NO_DEPS=1:" >&2
    echo $packages >&2
    exit 1
fi
missing=
for package in $packages; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "install-deps.sh: these packages are missing and neither root nor sudo is at hand;" \
            "ask an administrator for: apt-get install$missing" >&2
        exit 1
    fi
    as_root="sudo DEBIAN_FRONTEND=noninteractive"
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# A fresh machine has no package lists; one that has them may hold stale ones, so both are tried.
# shellcheck disable=SC2086  # lists of words
$as_root apt-get install -qq -y --no-install-recommends $missing </dev/null >/dev/null 2>&1 || {
    $as_root apt-get update -qq </dev/null >&2
    $as_root apt-get install -qq -y --no-install-recommends $missing </dev/null >&2
} || {
    echo "install-deps.sh: apt-get could not install:$missing" >&2
    exit 1
}
