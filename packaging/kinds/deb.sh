# The Debian package, for dpkg; package.sh sources it.
# shellcheck shell=bash disable=SC2154
[ -n "$debian" ] || die "$target: Debian has no architecture for it; take the tarball"
deb=$work/deb
cp -a "$tree" "$deb"
doc=$deb/usr/share/doc/xpand
# Debian's place for licences is one file; the longer of the two is on every Debian box.
{
    printf 'xpand, as you like under one of these two licences:\n\n'
    printf 'Apache License 2.0, which is in /usr/share/common-licenses/Apache-2.0, or\n\n'
    cat "$doc/LICENSE-MIT"
    printf '\nOf the crates and libraries that are linked into the program: THIRD-PARTY.gz beside this file.\n'
} >"$doc/copyright"
rm "$doc/LICENSE-MIT" "$doc/LICENSE-APACHE"
printf 'xpand (%s) stable; urgency=medium\n\n  * See README.md beside this file.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"

install -D -m 644 "$root/packaging/debian/lintian-overrides" "$deb/usr/share/lintian/overrides/xpand"

mkdir "$deb/DEBIAN"
filled "$root/packaging/debian/control" "ARCHITECTURE=$debian" "SIZE=$((($(size_of "$tree") + 1023) / 1024))" \
    >"$deb/DEBIAN/control"
echo /etc/xpand/config.toml >"$deb/DEBIAN/conffiles"
for script in preinst postinst prerm postrm; do
    filled "$root/packaging/debian/$script" >"$deb/DEBIAN/$script"
    chmod 755 "$deb/DEBIAN/$script"
done
(cd "$deb" && find usr -type f | sort | xargs -d '\n' md5sum) >"$deb/DEBIAN/md5sums"
# xz, which every dpkg of the last fifteen years reads; gzip when there is no time.
[ "$effort" = 9 ] && how=(-Zxz -z9) || how=(-Zgzip "-z$effort")
dpkg-deb --root-owner-group "${how[@]}" --build "$deb" "$out/xpand_${version}_$debian.deb" >/dev/null
