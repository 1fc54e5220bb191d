#!/bin/sh
# How long syncthing takes to scan a folder that it knows and that has not changed: syncthing-scan.sh SYNCTHING CURL HOME FOLDER.
# To be run in a network namespace of its own.
set -eu
syncthing=$1 curl=$2 home=$3 folder=$4
ip link set lo up
mkdir -p "$home" "$folder/.stfolder"
"$syncthing" generate --home="$home" --no-default-folder --skip-port-probing >/dev/null
key=$(sed -n 's:.*<apikey>\(.*\)</apikey>.*:\1:p' "$home/config.xml")
# Watching would scan by itself, and so would the hourly scan.
sed -i "s:</configuration>:<folder id=\"library\" label=\"library\" path=\"$folder\" type=\"sendonly\" rescanIntervalS=\"0\" fsWatcherEnabled=\"false\"></folder></configuration>:" \
    "$home/config.xml"
"$syncthing" serve --home="$home" --no-browser --no-restart --gui-address=127.0.0.1:8384 >"$home/log" 2>&1 &
trap 'kill $! 2>/dev/null; wait' EXIT
ask() {
    "$curl" -sf -H "X-API-Key: $key" "$@"
}
tries=0
until ask http://127.0.0.1:8384/rest/system/ping >/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { tail -3 "$home/log" >&2; exit 1; }
    sleep 0.2
done
# The first one returns when the folder has been read for the first time.
ask -X POST 'http://127.0.0.1:8384/rest/db/scan?folder=library' >/dev/null
ask -X POST 'http://127.0.0.1:8384/rest/db/scan?folder=library' >/dev/null
printf 'seconds '
ask -o /dev/null -w '%{time_total}\n' -X POST 'http://127.0.0.1:8384/rest/db/scan?folder=library'
