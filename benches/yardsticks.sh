#!/bin/sh
# Installs a tool that the benchmark measures the agent beside: yardsticks.sh FOLDER NAME.
# Debian's own tools come from Debian, as root. The two Python clients come from PyPI, each into FOLDER/NAME, in just the
# version and with just the bytes that are written here; what they need besides goes by version. `cargo bench` runs them
# with nothing but a loopback interface.
set -eu
cache=$1
name=$2
from_debian() {
    command -v apt-get >/dev/null || { echo "$name is missing, and this is not Debian: install it by hand" >&2; exit 1; }
    [ "$(id -u)" = 0 ] || { echo "$name is missing: apt-get install $1" >&2; exit 1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >&2 || {
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >&2
    }
}
from_pypi() {
    client=$1
    hash=$2
    shift 2
    mkdir -p "$cache"
    made=$cache/$name.new
    rm -rf "$made"
    python3 -m venv "$made"
    printf '%s --hash=sha256:%s\n' "$client" "$hash" >"$made/client.txt"
    "$made/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: --no-deps --require-hashes \
        -r "$made/client.txt" >&2
    "$made/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: "$@" >&2
    rm -rf "${cache:?}/$name"
    mv "$made" "$cache/$name"
}
case $name in
find) from_debian findutils ;;
md5sum) from_debian coreutils ;;
curl | openssl | rclone | syncthing | restic | strace) from_debian "$name" ;;
bypy-next)
    from_pypi bypy-next==1.8.9 b0f34470b3034cc1e82060047a5f0a88e0eac7c5963c3b2483f62f720d540e83 \
        requests==2.34.2 requests-toolbelt==1.0.0 multiprocess==0.70.19
    ;;
pypang)
    from_pypi pypang==0.3.2 ae579e7e1364d8bb95b6290b56f5391a35d45f09f203b4adb52527377a5ac64d \
        fastapi==0.165.0 jinja2==3.1.6 python-multipart==0.0.34 requests==2.34.2 uvicorn==0.54.0
    ;;
*)
    echo "$name is not a yardstick" >&2
    exit 2
    ;;
esac
