# What the scripts in this folder share; they source it. Two runs, on two machines, make the same bytes: names are
# sorted, everything belongs to root, and every time is that of the last commit (or SOURCE_DATE_EPOCH).
# shellcheck shell=bash disable=SC2154
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C TZ=UTC PYTHONDONTWRITEBYTECODE=1
umask 022

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# 1 to 9, for all compressors; the tests have no time for 9.
effort=${XPAND_EFFORT:-9}

# Who answers for the packages. That of a checkout has no address: whoever gives packages to others names theirs.
maintainer=${XPAND_MAINTAINER:-xpand authors <xpand@xpand.invalid>}

say() { printf '%s\n' "$*" >&2; }
# The comment at the head of the script.
usage() {
    sed -n '2,${/^# shellcheck/q;/^#/!q;s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

die() { say "${0##*/}: $*"; exit 1; }

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null) \
        || die "this is no git checkout: set SOURCE_DATE_EPOCH, the time that all files get (seconds since 1970)"
fi
export SOURCE_DATE_EPOCH

# The folder $1 as a tar archive, to stdout.
archive() {
    tar --create --directory="$1" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" "${2:-.}"
}

compressed() { gzip -n "-$effort"; }

# All plain files below $1, in bytes.
size_of() { find "$1" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }'; }

# $1 with @VERSION@ and what else is given as NAME=VALUE put in, to stdout.
filled() {
    local text pair user credentials
    text=$(cat "$1")
    user=$(grep -v '^# shellcheck' "$root/packaging/user.sh")
    credentials=$(grep -v '^# shellcheck' "$root/packaging/credentials.sh")
    shift
    for pair in "VERSION=$version" "TARGET=$target" "MAINTAINER=$maintainer" "MACHINES=${machines// / | }" \
        "USER=$user" "CREDENTIALS=$credentials" "$@"; do
        text=${text//"@${pair%%=*}@"/"${pair#*=}"}
    done
    printf '%s\n' "$text"
}
