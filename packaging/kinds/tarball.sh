# The tarball with install.sh, for boxes that have no package manager we know; package.sh sources it.
# shellcheck shell=bash disable=SC2154
tarball=$work/tarball/$name
mkdir -p "$tarball"
cp -a "$tree" "$tarball/files"
filled "$root/packaging/tarball/install.sh" >"$tarball/install.sh"
chmod 755 "$tarball/install.sh"
for file in tarball/uninstall.sh keep.sh tarball/xpand.init tarball/xpand.openrc openwrt/xpand.procd; do
    install -m 755 "$root/packaging/$file" "$tarball/"
done
install -m 644 "$root"/packaging/openwrt/{openwrt.sed,keep.d} "$root"/README* "$root"/LICENSE* "$tarball/"
archive "$work/tarball" "$name" | compressed >"$out/$name.tar.gz"
