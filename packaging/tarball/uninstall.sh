#!/bin/sh
# Removes xpand; run it as root. Configuration and state stay, unless --purge is given.
set -u
[ "$(id -u)" = 0 ] || { echo "uninstall.sh: run it as root: sudo $0" >&2; exit 1; }
case ${1:-} in
    '' | --purge) ;;
    *) echo "uninstall.sh: $1 is not known; there is --purge, which also removes configuration and state" >&2; exit 2 ;;
esac

[ ! -e /usr/lib/systemd/system/xpand.service ] \
    || { echo "uninstall.sh: xpand is installed here as a package: sudo apt remove xpand" >&2; exit 1; }

state=$(sed -n 's/^state_dir *= *"\([^"]*\)".*/\1/p' /etc/xpand/config.toml 2>/dev/null)
if [ -e /etc/systemd/system/xpand.service ]; then
    systemctl disable --now --quiet xpand.service
    rm -f /etc/systemd/system/xpand.service /etc/systemd/system/xpand.service.d/old-systemd.conf
    rmdir /etc/systemd/system/xpand.service.d 2>/dev/null
    systemctl daemon-reload
elif [ -x /etc/init.d/xpand ]; then
    /etc/init.d/xpand stop
    if [ -x /sbin/procd ]; then
        /etc/init.d/xpand disable
        rm -f /lib/upgrade/keep.d/xpand
    elif [ -e /usr/lib/xpand/xpand.init ]; then
        rc-update --quiet del xpand default
    elif command -v chkconfig >/dev/null && ! command -v update-rc.d >/dev/null; then
        chkconfig --del xpand
    fi
    rm -f /etc/init.d/xpand /etc/init.d/S95xpand /etc/rc?.d/[SK]??xpand
fi
rm -f /usr/bin/xpand /usr/share/man/man1/xpand.1.gz /usr/share/man/man1/xpand-*.1.gz \
    /usr/share/bash-completion/completions/xpand /usr/share/zsh/vendor-completions/_xpand \
    /usr/share/fish/vendor_completions.d/xpand.fish
rm -rf /usr/share/doc/xpand /usr/lib/xpand /run/xpand /run/xpand-keep
if [ "${1:-}" = --purge ]; then
    rm -rf /etc/xpand /var/lib/xpand
    echo "xpand is gone, with its configuration and state"
    # Somewhere else it may lie among other things.
    case $state in
        '' | /var/lib/xpand | /etc/xpand/*) ;;
        *) echo "  but not $state, where its state was" ;;
    esac
else
    echo "xpand is gone; /etc/xpand and ${state:-/var/lib/xpand} are still there (uninstall.sh --purge removes them)"
fi
