# A build context for docker or podman, with nothing in it but the program; package.sh sources it.
# shellcheck shell=bash disable=SC2154
container=$work/container
mkdir -p "$container/context" "$container/files/usr" "$container/own/var/lib/xpand" "$container/own/run/xpand" "$container/own/tmp"
cp -a "$tree/usr/bin" "$container/files/usr/"
install -D -m 644 -t "$container/files/usr/share/doc/xpand" "$tree"/usr/share/doc/xpand/{LICENSE-MIT,THIRD-PARTY.gz}
chmod 700 "$container/own/var/lib/xpand"
# Two passes: a few folders are the agent's, all else is root's.
archive "$container/files" ./usr >"$container/context/rootfs.tar"
tar --append --file="$container/context/rootfs.tar" --directory="$container/own" --format=ustar --sort=name \
    --owner=10001 --group=10001 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" ./run/xpand ./tmp ./var/lib/xpand
sed "s|^FROM scratch|FROM --platform=$platform scratch|" "$root/packaging/container/Containerfile" \
    >"$container/context/Dockerfile"
archive "$container/context" | compressed >"$out/$name.container.tar.gz"
