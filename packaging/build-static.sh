#!/usr/bin/env bash
# Builds xpand as one static binary for each TARGET, on Debian 12 (x86-64) without Docker:
#
#     packaging/build-static.sh aarch64-unknown-linux-musl
#     packaging/build-static.sh all
#     packaging/build-static.sh --install      what building takes, and no more
#
# The binaries come to target/static/TARGET/xpand. What is missing is installed: the compiler and the source of
# its library from Debian (as root), zig and cargo-zigbuild from PyPI into target/static/tools. The targets are
# those of cross.toml, the profile is [profile.release] of Cargo.toml.
#
# XPAND_STATIC_DIR   another place for all of it, e.g. one that outlives the checkout
set -euo pipefail
shopt -s inherit_errexit

root=$(cd "$(dirname "$0")/.." && pwd)
place=${XPAND_STATIC_DIR:-$root/target/static}
venv=$place/tools
library=/usr/lib/rustlib/src/rust

say() { printf '%s\n' "$*" >&2; }
die() { say "build-static.sh: $*"; exit 1; }

known_targets() { sed -n 's/^\[target\.\([a-z0-9_-]*\)\]$/\1/p' "$root/cross.toml"; }

check_targets() {
    local target
    for target; do
        case $target in
            armv5*) die "$target: ARMv5 has no 64-bit atomics, which the database needs" ;;
        esac
        known_targets | grep -qx -- "$target" || die "$target is none of: $(known_targets | tr '\n' ' ')"
    done
}

# Debian's compiler and the source of the library it was made with. rustup's compilers do not fit that source.
install_compiler() {
    local missing=() package
    for package in rustc-web cargo-web rust-web-src binutils gcc libc6-dev python3-venv; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        [ "$(id -u)" = 0 ] || die "not installed: ${missing[*]}; run: sudo apt-get install ${missing[*]}"
        say "installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
    fi
    # Debian has one version at a time and replaces it in place, so no version is pinned here: the two must agree.
    local compiler source
    compiler=$(dpkg-query -W -f '${Version}' rustc-web)
    source=$(dpkg-query -W -f '${Version}' rust-web-src)
    [ "$compiler" = "$source" ] \
        || die "rustc-web is $compiler but rust-web-src is $source; run: apt-get install rustc-web cargo-web rust-web-src"
    [ -d "$library/library/std" ] || die "$library/library/std is not there, though rust-web-src is installed"
}

install_zig() {
    local stamp
    stamp=$(sha256sum "$root/packaging/tools.txt")
    [ -f "$venv/stamp" ] && [ "$(cat "$venv/stamp")" = "$stamp" ] && return
    say "installing zig and cargo-zigbuild into $venv"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-deps --require-hashes -r "$root/packaging/tools.txt"
    printf '%s\n' "$stamp" >"$venv/stamp"
}

build() {
    local target=$1 variable
    variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")_RUSTFLAGS
    # - link-self-contained=no: the C start-up files are zig's; with the compiler's own the link fails on rcrt1.o.
    # - -pie: zig does not know -static-pie and would make a binary that lies at a fixed address.
    # - the rest: no path of this machine in what a panic says, so that two machines make the same bytes.
    local flags="-C link-self-contained=no -C link-arg=-pie"
    flags+=" --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates --remap-path-prefix=$root=xpand"
    flags+=" --remap-path-prefix=$library=rust"
    say "building for $target"
    # PATH without rustup's cargo; RUSTC_BOOTSTRAP for -Z build-std, which Debian's stable compiler refuses otherwise.
    # panic_unwind: the database reports damage by panicking, and the agent has to survive that. The library is
    # built without its reader of debug information: what ships has none, and it is 150 KB.
    (
        cd "$root"
        env "$variable=$flags" PATH="$venv/bin:/usr/local/bin:/usr/bin:/bin" \
            RUSTC=/usr/bin/rustc CARGO=/usr/bin/cargo RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$place/build" \
            ZIG_GLOBAL_CACHE_DIR="$place/zig" CARGO_ZIGBUILD_CACHE_DIR="$place/zigbuild" \
            cargo-zigbuild zigbuild --package xpand --release --locked --target "$target" -Z build-std=std,panic_unwind \
            -Z build-std-features=panic-unwind,optimize_for_size
    )
    mkdir -p "$place/$target"
    install -m 755 "$place/build/$target/release/xpand" "$place/$target/xpand.new"
    check "$target" "$place/$target/xpand.new"
    mv "$place/$target/xpand.new" "$place/$target/xpand"
    say "$place/$target/xpand: $(stat -c %s "$place/$target/xpand") bytes"
}

# What makes it a static binary for this processor. (A static PIE has a dynamic section, but needs nothing by it.)
check() {
    local target=$1 file=$2 machine arch="" all
    case $target in
        aarch64-*) machine=AArch64 ;;
        armv7-*) machine=ARM arch=v7 ;;
        arm-*) machine=ARM arch=v6 ;;
        x86_64-*) machine=X86-64 ;;
    esac
    all=$(readelf -hldSAW "$file")
    is() { grep -q -- "$1" <<<"$all"; }
    is "Machine: .*$machine\$" || die "$file is for another processor"
    is 'Type: *DYN' || die "$file is not position independent"
    ! is INTERP || die "$file wants an interpreter: it is not static"
    ! is NEEDED || die "$file needs shared libraries: it is not static"
    ! is '\.symtab\|\.debug_' || die "$file is not stripped"
    [ -z "$arch" ] || is "Tag_CPU_arch: $arch\$" || die "$file is not for ARM$arch"
}

[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
targets=("$@")
[ "$*" != --install ] || targets=()
[ "$*" != all ] || mapfile -t targets < <(known_targets)
check_targets "${targets[@]}"
install_compiler
install_zig
for target in "${targets[@]}"; do
    build "$target"
done
