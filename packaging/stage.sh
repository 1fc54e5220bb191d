#!/usr/bin/env bash
# Lays out what every package holds, as it lies on a box:
#
#     packaging/stage.sh TARGET BINARY DIR
#
# BINARY writes its manual pages and completions itself. When it cannot run here, XPAND_SPEAKER names an xpand of
# the same version that can.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# = 3 ] || { usage; }
target=$1 binary=$2 dir=$3
[ -x "$binary" ] || die "$binary is not there; packaging/build-static.sh $target makes it"
[ ! -e "$dir" ] || die "$dir is there already"

# The ELF header's word for the processor, and its class.
machine=$(od -An -tx1 -j18 -N2 "$binary" | tr -d ' \n')
case $target in
    aarch64-*) wanted=b700 ;;
    arm*) wanted=2800 ;;
    x86_64-*) wanted=3e00 ;;
    *) die "$target is no target of cross.toml" ;;
esac
[ "$machine" = "$wanted" ] || die "$binary is not for $target: its ELF machine is $machine, not $wanted"

speaker=${XPAND_SPEAKER:-$binary}
# Without the user's environment: the pages tell what variables are set to.
speak() { env -i "$speaker" "$@"; }
version=$(speak --version 2>/dev/null | sed 's/^xpand //') || true
[ -n "$version" ] || die "$speaker does not run here; name an xpand of the same version that does: XPAND_SPEAKER=PATH"
grep -qaF "$version" "$binary" || die "$speaker is xpand $version, and $binary is another version"

put() { install -D -m "$1" "$2" "$dir/$3"; }
put 755 "$binary" usr/bin/xpand
put 640 "$root/packaging/config.example.toml" etc/xpand/config.toml
install -d -m 700 "$dir/etc/xpand/secrets"
put 644 "$root/systemd/xpand.service" usr/lib/systemd/system/xpand.service
put 644 "$root/systemd/sysusers.conf" usr/lib/sysusers.d/xpand.conf
put 644 "$root/systemd/tmpfiles.conf" usr/lib/tmpfiles.d/xpand.conf
for file in README.md README.zh.md LICENSE-MIT LICENSE-APACHE packaging/config.example.toml; do
    put 644 "$root/$file" "usr/share/doc/xpand/${file##*/}"
done
# Whose licences ask that they come along.
"$root/packaging/licences.py" "$target" | gzip -9n >"$dir/usr/share/doc/xpand/THIRD-PARTY.gz"

install -d "$dir/usr/share/man/man1"
speak man "$dir/usr/share/man/man1"
gzip -9n "$dir/usr/share/man/man1"/*
completions() {
    install -d "$dir/${2%/*}"
    speak completions "$1" >"$dir/$2"
}
completions bash usr/share/bash-completion/completions/xpand
completions zsh usr/share/zsh/vendor-completions/_xpand
completions fish usr/share/fish/vendor_completions.d/xpand.fish

find "$dir" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
printf '%s\n' "$version"
