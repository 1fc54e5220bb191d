# systemd before 250 takes no folder of secrets, and does not start a service that names one (Debian 11, Ubuntu 22.04);
# built into the scripts that say so. Secrets stand in the configuration there.
# shellcheck shell=sh
old=/etc/systemd/system/xpand.service.d/old-systemd.conf
version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "${version:-250}" -lt 250 ]; then
    mkdir -p "${old%/*}"
    printf '# systemd %s takes no folder of secrets.\n[Service]\nLoadCredential=\n' "$version" >"$old"
else
    rm -f "$old"
    rmdir "${old%/*}" 2>/dev/null || true
fi
