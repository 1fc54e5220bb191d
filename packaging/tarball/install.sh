#!/bin/sh
# Installs xpand from this folder, or upgrades it; run it as root. Configuration and state that are there stay.
# For boxes with SysV or BusyBox init, OpenRC, OpenWrt's procd or systemd. uninstall.sh beside it undoes it.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
die() { echo "install.sh: $*" >&2; exit 1; }

other="this xpand is for @TARGET@, and does not run on this box ($(uname -m)): take the one for it"
# First by name: some shells take a program for another processor for a script of theirs.
case $(uname -m) in
    @MACHINES@) ;;
    *) die "$other" ;;
esac
said=$(LC_ALL=C "$here/files/usr/bin/xpand" --version 2>&1) || case $said in
    *ermission*denied*) die "no program can be started in $here, as on a disk that is mounted noexec: unpack it elsewhere" ;;
    *) die "$other" ;;
esac
[ "$(id -u)" = 0 ] || die "run it as root: sudo $0"
# Its unit would be hidden by ours, and uninstall.sh would remove what dpkg has installed.
[ ! -e /usr/lib/systemd/system/xpand.service ] \
    || die "xpand is installed here as a package: upgrade that, or remove it first: sudo apt remove xpand"

if [ -x /sbin/procd ]; then init=procd
elif [ -d /run/systemd/system ]; then init=systemd
elif [ -d /run/openrc ]; then init=openrc
else init=sysv
fi

# One at a time under another name, so that a full disk leaves what was there; a program is on the disk before it has
# its own, so that a power cut does, too.
put() {
    mkdir -p "${3%/*}"
    { cp "$2" "$3.new" && chmod "$1" "$3.new" && { [ "$1" != 755 ] || sync; } && mv -f "$3.new" "$3"; } || {
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
config=$here/files/etc/xpand/config.toml
if [ $init = procd ]; then
    # /var is memory there.
    sed -f "$here/openwrt.sed" "$config" >"$here/config.toml"
    config=$here/config.toml
fi
[ -e /etc/xpand/config.toml ] || put 640 "$config" /etc/xpand/config.toml
chgrp xpand /etc/xpand/config.toml
chmod g+r /etc/xpand/config.toml
state=$(sed -n 's/^state_dir *= *"\([^"]*\)".*/\1/p' /etc/xpand/config.toml)
state=${state:-/var/lib/xpand}
case $state in
    # Ours, whatever became of them: a firmware upgrade of OpenWrt makes the folders anew, as root's.
    /var/lib/xpand | /etc/xpand/state) new=1 ;;
    *) [ -e "$state" ] && new='' || new=1 ;;
esac
if [ -n "$new" ]; then
    mkdir -p "$state/accounts"
    chmod 700 "$state" "$state/accounts"
    chown xpand:xpand "$state" "$state/accounts"
fi

case $init in
    procd)
        put 755 "$here/xpand.procd" /etc/init.d/xpand
        put 644 "$here/keep.d" /lib/upgrade/keep.d/xpand
        /etc/init.d/xpand enable
        /etc/init.d/xpand restart
        ;;
    systemd)
        put 644 usr/lib/systemd/system/xpand.service /etc/systemd/system/xpand.service
@CREDENTIALS@
        systemctl daemon-reload
        systemctl enable --quiet xpand.service
        systemctl restart xpand.service || die "it is installed, and does not start: journalctl -u xpand tells why"
        ;;
    openrc)
        put 755 "$here/keep.sh" /usr/lib/xpand/keep.sh
        put 755 "$here/xpand.init" /usr/lib/xpand/xpand.init
        put 755 "$here/xpand.openrc" /etc/init.d/xpand
        rc-update --quiet add xpand default
        rc-service xpand restart
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
        elif [ -e /etc/init.d/rcS ]; then
            # BusyBox's init of small boxes: all that begins with S, in the order of the numbers.
            ln -sf xpand /etc/init.d/S95xpand
        else
            echo "install.sh: how this box starts things is not known: have it run /etc/init.d/xpand start" >&2
        fi
        /etc/init.d/xpand restart
        ;;
esac
echo "$(/usr/bin/xpand --version) is installed. Write /etc/xpand/config.toml, then: xpand check && xpand reload"
