# The user of the agent, on any box; built into the scripts that say so. $etc is the box's /etc.
# shellcheck shell=sh disable=SC2154
if ! grep -q '^xpand:' "$etc/passwd"; then
    if [ "$etc" = /etc ] && command -v useradd >/dev/null; then
        grep -q '^xpand:' /etc/group || groupadd -r xpand
        useradd -r -M -g xpand -d /var/lib/xpand -s /bin/false xpand
    else
        # Boxes without it have plain files. A last line without its end would take ours as its own.
        for file in "$etc/group" "$etc/passwd"; do
            [ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
        done
        id=200
        while grep -q ":$id:" "$etc/passwd" "$etc/group"; do id=$((id + 1)); done
        grep -q '^xpand:' "$etc/group" || echo "xpand:x:$id:" >>"$etc/group"
        gid=$(sed -n 's/^xpand:[^:]*:\([0-9]*\):.*/\1/p' "$etc/group")
        echo "xpand:*:$id:$gid:xpand backup agent:/var/lib/xpand:/bin/false" >>"$etc/passwd"
    fi
fi
