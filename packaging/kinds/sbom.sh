# What the program is made of, as CycloneDX; package.sh sources it.
# shellcheck shell=bash disable=SC2154
python3 "$root/packaging/sbom.py" "$target" "$tree/usr/bin/xpand" >"$out/$name.cdx.json"
