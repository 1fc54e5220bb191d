#!/bin/sh
# Installs xpand from this folder, or upgrades it; run it as root. Configuration and state that are there stay.
# For boxes with SysV init, OpenWrt's procd or systemd. uninstall.sh beside it undoes it.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
die() { echo "install.sh: $*" >&2; exit 1; }

"$here/files/usr/bin/xpand" --version >/dev/null 2>&1 \
    || die "this xpand is for @TARGET@, and does not run on this box ($(uname -m)): take the one for it"
[ "$(id -u)" = 0 ] || die "run it as root: sudo $0"

if [ -x /sbin/procd ]; then init=procd
elif [ -d /run/systemd/system ]; then init=systemd
else init=sysv
fi

# One at a time under another name, so that a full disk leaves what was there.
put() {
    mkdir -p "${3%/*}"
    { cp "$2" "$3.new" && chmod "$1" "$3.new" && mv -f "$3.new" "$3"; } || {
        rm -f "$3.new"
        die "cannot write $3; make room and run this again: what was installed before is still there"
    }
}

# shellcheck disable=SC2034
etc=/etc
@USER@

cd "$here/files"
find usr -type f | grep -v -e '^usr/lib/systemd/' -e '^usr/lib/sysusers.d/' -e '^usr/lib/tmpfiles.d/' | sort \
    | while read -r file; do
        mode=644
        [ "$file" != usr/bin/xpand ] || mode=755
        put $mode "$file" "/$file"
    done
put 755 "$here/uninstall.sh" /usr/lib/xpand/uninstall.sh
mkdir -p /etc/xpand/secrets
chmod 700 /etc/xpand/secrets
# Above: what is the program's. From here on: what is the box's.
if [ ! -e /etc/xpand/config.toml ]; then
    put 640 etc/xpand/config.toml /etc/xpand/config.toml
    if [ $init = procd ]; then
        # /var is memory there.
        sed -f "$here/openwrt.sed" etc/xpand/config.toml >/etc/xpand/config.toml
    fi
    chown root:xpand /etc/xpand/config.toml
fi
state=$(sed -n 's/^state_dir *= *"\([^"]*\)".*/\1/p' /etc/xpand/config.toml)
state=${state:-/var/lib/xpand}
if [ ! -e "$state" ]; then
    mkdir -p "$state"
    chmod 700 "$state"
    chown xpand:xpand "$state"
fi

case $init in
    procd)
        put 755 "$here/xpand.procd" /etc/init.d/xpand
        /etc/init.d/xpand enable
        /etc/init.d/xpand restart
        ;;
    systemd)
        put 644 usr/lib/systemd/system/xpand.service /etc/systemd/system/xpand.service
        systemctl daemon-reload
        systemctl enable --quiet xpand.service
        systemctl restart xpand.service
        ;;
    sysv)
        put 755 "$here/keep.sh" /usr/lib/xpand/keep.sh
        put 755 "$here/xpand.init" /etc/init.d/xpand
        if command -v update-rc.d >/dev/null; then
            update-rc.d xpand defaults >/dev/null
        elif command -v chkconfig >/dev/null; then
            chkconfig --add xpand
        elif [ -d /etc/rc3.d ]; then
            for level in 2 3 4 5; do
                [ ! -d /etc/rc$level.d ] || ln -sf ../init.d/xpand /etc/rc$level.d/S95xpand
            done
            for level in 0 1 6; do
                [ ! -d /etc/rc$level.d ] || ln -sf ../init.d/xpand /etc/rc$level.d/K05xpand
            done
        elif [ -d /etc/init.d ]; then
            # BusyBox's init of small boxes: all that begins with S, in the order of the numbers.
            ln -sf xpand /etc/init.d/S95xpand
        fi
        /etc/init.d/xpand restart
        ;;
esac
echo "$(/usr/bin/xpand --version) is installed. Write /etc/xpand/config.toml, then: xpand check && xpand reload"
