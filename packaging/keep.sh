#!/bin/sh
# Runs a program, starts it again when it ends, and gives what it says to syslog; for boxes whose init does not.
#
#   keep.sh start DIR PROGRAM...   in the background; DIR holds keep.pid and a pipe
#   keep.sh stop DIR               the program gets SIGTERM, and after half a minute SIGKILL
#   keep.sh status DIR             exit code 3: it does not run
#
# XPAND_PAUSE: seconds between an end and the next start. It is not started again after exit code 2: then the
# configuration is wrong, which only a person can mend.
set -u

# A number that another process has by now is not ours; nor is it when it is this one, as may be after a restart of
# the box, where DIR outlives that.
running() {
    pid=$(cat "$dir/keep.pid" 2>/dev/null) && [ -n "$pid" ] && [ "$pid" != $$ ] \
        && grep -q keep.sh "/proc/$pid/cmdline" 2>/dev/null
}

start() {
    running && { echo "xpand runs already"; return 0; }
    if command -v setsid >/dev/null; then
        setsid "$0" run "$dir" "$@" </dev/null >/dev/null 2>&1 &
    else
        "$0" run "$dir" "$@" </dev/null >/dev/null 2>&1 &
    fi
    echo $! >"$dir/keep.pid"
    # Long enough for a wrong configuration to show itself.
    for _ in 1 2; do
        sleep 1
        running || { echo "xpand does not start: xpand check tells more" >&2; return 1; }
    done
}

stop() {
    running || return 0
    kill "$pid" 2>/dev/null
    tries=0
    while running; do
        tries=$((tries + 1))
        # The second one kills the program.
        [ $tries != 30 ] || kill "$pid" 2>/dev/null
        [ $tries -le 40 ] || { echo "xpand does not end, as on a disk that does not answer" >&2; return 1; }
        sleep 1
    done
}

run() {
    echo $$ >"$dir/keep.pid"
    # Others go first, with the processor and with the disk. What this shell has its children have, too.
    renice -n 10 -p $$ >/dev/null 2>&1
    ionice -c 3 -p $$ >/dev/null 2>&1
    program='' nap='' ending=''
    trap 'kill ${ending:+-KILL} $program $nap 2>/dev/null; ending=1' TERM INT
    # Where there is no /etc/localtime the C library of such a box reads this, and xpand does not.
    [ -e /etc/localtime ] || [ ! -s /etc/TZ ] || { TZ=$(cat /etc/TZ); export TZ; }
    rm -f "$dir/log"
    mkfifo -m 600 "$dir/log"
    # Held open at both ends: neither has to wait for the other, and no line is lost between two starts. And
    # somebody always reads, or the program would stand still in the middle of a word.
    exec 3<>"$dir/log"
    while :; do
        logger -t xpand 2>/dev/null || cat >/dev/null
        sleep 1
    done <"$dir/log" 3>&- &
    reader=$!

    code=0
    while [ -z "$ending" ]; do
        "$@" </dev/null >&3 2>&3 3>&- &
        program=$!
        # A signal that came in between found no number to kill.
        [ -z "$ending" ] || kill $program 2>/dev/null
        wait $program
        code=$?
        # A signal ends that wait, not the program.
        [ -z "$ending" ] || { wait $program; code=0; break; }
        program=''
        [ $code != 2 ] || break
        sleep "${XPAND_PAUSE:-30}" &
        nap=$!
        [ -z "$ending" ] || kill $nap 2>/dev/null
        wait $nap
        nap=''
    done
    kill $reader 2>/dev/null
    rm -f "$dir/keep.pid" "$dir/log"
    exit $code
}

[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
what=$1 dir=$2
shift 2
case $what in
    start | run | stop) $what "$@" ;;
    status) if running; then echo "xpand runs"; else echo "xpand does not run"; exit 3; fi ;;
    *) echo "keep.sh: $what is none of start, stop, status" >&2; exit 2 ;;
esac
