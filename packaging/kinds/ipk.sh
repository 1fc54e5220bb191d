# The OpenWrt package for opkg (up to OpenWrt 24.10; later ones take the tarball); package.sh sources it.
# shellcheck shell=bash disable=SC2154
ipk=$work/ipk
mkdir -p "$ipk/data/usr/bin" "$ipk/data/etc/init.d" "$ipk/data/lib/upgrade/keep.d" "$ipk/control" "$ipk/package"
# A router has no use for manual pages.
cp -a "$tree/usr/bin/xpand" "$ipk/data/usr/bin/"
install -D -m 644 -t "$ipk/data/usr/share/doc/xpand" "$tree"/usr/share/doc/xpand/{LICENSE-MIT,THIRD-PARTY.gz}
cp -a "$tree/etc/xpand" "$ipk/data/etc/"
sed -f "$root/packaging/openwrt/openwrt.sed" "$tree/etc/xpand/config.toml" >"$ipk/data/etc/xpand/config.toml"
install -m 755 "$root/packaging/openwrt/xpand.procd" "$ipk/data/etc/init.d/xpand"
install -m 644 "$root/packaging/openwrt/keep.d" "$ipk/data/lib/upgrade/keep.d/xpand"

filled "$root/packaging/openwrt/control" "SIZE=$(size_of "$ipk/data")" >"$ipk/control/control"
echo /etc/xpand/config.toml >"$ipk/control/conffiles"
for script in preinst postinst prerm; do
    filled "$root/packaging/openwrt/$script" >"$ipk/control/$script"
    chmod 755 "$ipk/control/$script"
done
echo 2.0 >"$ipk/package/debian-binary"
archive "$ipk/data" | compressed >"$ipk/package/data.tar.gz"
archive "$ipk/control" | compressed >"$ipk/package/control.tar.gz"
archive "$ipk/package" | compressed >"$out/$name.ipk"
