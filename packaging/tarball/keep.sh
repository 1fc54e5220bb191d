#!/bin/sh
# Runs the agent as its own user and starts it again when it ends, where no init does that; what it says goes to
# syslog. Started by /etc/init.d/xpand; ends with it on SIGTERM. Exit code 2: the configuration is wrong.
# keep.sh PIDFILE
set -u
pause=${XPAND_PAUSE:-30}
echo $$ >"$1"
agent='' nap='' ending=''
trap 'ending=1; kill $agent $nap 2>/dev/null' TERM INT

run_dir=/run/xpand
mkdir -p $run_dir
chown xpand:xpand $run_dir
pipe=$run_dir/log
rm -f $pipe
mkfifo -m 600 $pipe
# Held open at both ends, so that neither waits for the other and a line is not lost between two starts.
exec 3<>$pipe
if command -v logger >/dev/null; then
    logger -t xpand <$pipe 3>&- &
else
    cat <$pipe 3>&- >/dev/null &
fi
logger=$!

code=0
while [ -z "$ending" ]; do
    if command -v start-stop-daemon >/dev/null; then
        start-stop-daemon -S -q -c xpand:xpand -p $run_dir/none -x /usr/bin/xpand -- run </dev/null >&3 2>&3 3>&- &
    else
        su -s /bin/sh xpand -c 'exec /usr/bin/xpand run' </dev/null >&3 2>&3 3>&- &
    fi
    agent=$!
    wait $agent
    code=$?
    # A signal ends the first wait, not the agent.
    [ -z "$ending" ] || { wait $agent; code=0; break; }
    agent=
    [ $code != 2 ] || break
    sleep "$pause" &
    nap=$!
    wait $nap
    nap=
done
sleep 1
kill $logger 2>/dev/null
rm -f "$1" $pipe
exit $code
