#!/usr/bin/env bash
# Makes the packages of one target from its binary:
#
#     packaging/package.sh TARGET BINARY OUT [deb|tarball|spk|ipk|container|sbom]...
#
# Without a kind: all that there are for this target. OUT/SHA256SUMS is made anew with the sums of all packages in OUT;
# nothing else there is touched. See stage.sh for a binary that does not run here.
#
# XPAND_MAINTAINER   "Name <address>" of who answers for the packages; one that is given to others needs it
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -ge 3 ] || { usage; }
target=$1 binary=$2 out=$3
shift 3

# What the kinds of boxes (kinds/, which use these words) call this processor; nothing where there is no such box.
# shellcheck disable=SC2034
case $target in
    aarch64-*) debian=arm64 synology="rtd1296 rtd1619b armada37xx" machines="aarch64" platform=linux/arm64 ;;
    armv7-*)
        debian=armhf synology="alpine alpine4k armada370 armada375 armada38x armadaxp comcerto2k monaco"
        machines="armv7l armv8l aarch64" platform=linux/arm/v7
        ;;
    arm-*) debian='' synology='' machines="armv6l armv7l armv8l aarch64" platform=linux/arm/v6 ;;
    x86_64-*)
        debian=amd64 machines="x86_64" platform=linux/amd64
        synology="apollolake avoton braswell broadwell broadwellnk broadwellnkv2 broadwellntbap bromolow cedarview"
        synology+=" denverton epyc7002 geminilake geminilakenk grantley kvmx64 purley r1000 r1000nk v1000 v1000nk x86_64"
        ;;
    *) die "$target is no target of cross.toml" ;;
esac

mkdir -p "$out"
place=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# They come to their place when all of them are made.
out=$work/out
mkdir "$out"
tree=$work/tree
version=$("$root/packaging/stage.sh" "$target" "$binary" "$tree")
# shellcheck disable=SC2034
name=xpand-$version-$target

if [ $# = 0 ]; then
    set -- tarball ipk container sbom
    [ -z "$debian" ] || set -- deb "$@"
    [ -z "$synology" ] || set -- spk "$@"
fi
for kind; do
    # shellcheck disable=SC1090
    case $kind in
        deb | tarball | spk | ipk | container | sbom) . "$root/packaging/kinds/$kind.sh" ;;
        *) die "$kind is none of: deb tarball spk ipk container sbom" ;;
    esac
done

mv "$out"/* "$place/"
cd "$place" || exit
find . -maxdepth 1 -type f -name 'xpand[-_]*' -printf '%P\n' | sort | xargs -r -d '\n' sha256sum >"$work/sums"
chmod 644 "$work/sums"
mv "$work/sums" SHA256SUMS
