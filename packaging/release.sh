#!/usr/bin/env bash
# Everything that is shipped, from this checkout, on Debian 12 (x86-64):
#
#     packaging/release.sh OUT
#
# builds the static binaries of all targets, and makes all their packages.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# = 1 ] || usage
place=${XPAND_STATIC_DIR:-$root/target/static}
"$root/packaging/build-static.sh" all
# The one of them that runs here writes the manual pages for all.
export XPAND_SPEAKER=$place/x86_64-unknown-linux-musl/xpand
for binary in "$place"/*-linux-*/xpand; do
    target=${binary%/xpand}
    "$root/packaging/package.sh" "${target##*/}" "$binary" "$1"
done
