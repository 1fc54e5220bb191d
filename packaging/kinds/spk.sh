# The Synology package, for DSM 7; package.sh sources it.
# shellcheck shell=bash disable=SC2154
[ -n "$synology" ] || die "$target: no Synology box has this processor"
spk=$work/spk
from=$root/packaging/synology
mkdir -p "$spk/target/lib" "$spk/package/conf" "$spk/package/scripts"
install -D -m 755 "$tree/usr/bin/xpand" "$spk/target/lib/xpand"
install -D -m 755 "$from/xpand" "$spk/target/bin/xpand"
install -m 755 "$root/packaging/keep.sh" "$spk/target/lib/"
sed -f "$from/synology.sed" "$tree/etc/xpand/config.toml" >"$spk/target/config.example.toml"
cp -a "$tree/usr/share/doc/xpand"/[RLT]* "$spk/target/"
archive "$spk/target" | compressed >"$spk/package/package.tgz"

filled "$from/INFO" "NAME=${maintainer%% <*}" "ARCHITECTURES=$synology" "SIZE=$(($(size_of "$spk/target") / 1024))" >"$spk/package/INFO"
install -m 644 "$from/privilege" "$from/resource" "$spk/package/conf/"
for script in preinst postinst preuninst postuninst preupgrade postupgrade; do
    install -m 755 "$from/nothing" "$spk/package/scripts/$script"
done
install -m 755 "$from/postinst" "$from/start-stop-status" "$spk/package/scripts/"
cat "$root/LICENSE-MIT" "$root/LICENSE-APACHE" >"$spk/package/LICENSE"
install -m 644 "$from/PACKAGE_ICON.PNG" "$from/PACKAGE_ICON_256.PNG" "$spk/package/"
# INFO comes first: what lists packages need not read on.
(
    cd "$spk/package" || exit
    tar --create --format=ustar --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --sort=name \
        INFO LICENSE PACKAGE_ICON.PNG PACKAGE_ICON_256.PNG conf package.tgz scripts
) >"$out/$name.spk"
