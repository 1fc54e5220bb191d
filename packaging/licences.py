#!/usr/bin/env python3
"""Writes the licences of others whose work is in a binary of xpand: packaging/licences.py TARGET

To stdout: each crate that is linked for this target, with the text of its licence as it lies in its archive; of
several to choose from, MIT, the shortest. Equal texts stand there once.
"""

import pathlib
import re
import sys

from sbom import linked, metadata_of

BENEATH = """The standard library of Rust (MIT OR Apache-2.0): Copyright (c) The Rust Project Contributors.
The C library musl (MIT), linked into the static binaries: Copyright (c) 2005-2020 Rich Felker, et al."""
HEAD = "xpand is made with the work of others, under these licences. The texts follow, each after the names it is of.\n"
FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def texts(package):
    """The licence files of a crate, or of several to choose from the one for MIT."""
    folder = pathlib.Path(package["manifest_path"]).parent
    found = sorted(path for path in folder.iterdir() if path.is_file() and FILE.match(path.name))
    choice = re.split(r" OR |/", package["license"] or "")
    mit = [path for path in found if "mit" in path.name.lower()]
    if "MIT" in choice and mit:
        found = mit
    return [path.read_text(errors="replace").strip() for path in found]


def main():
    """See the head of the file."""
    metadata = metadata_of(sys.argv[1])
    packages = {package["id"]: package for package in metadata["packages"]}
    of_text = {}
    for identity in sorted(linked(metadata), key=lambda identity: packages[identity]["name"]):
        package = packages[identity]
        if identity == metadata["resolve"]["root"]:
            continue
        name = f"{package['name']} {package['version']} ({package['license']})"
        for text in texts(package) or ["Its archive has no text of it."]:
            of_text.setdefault(text, []).append(name)
    print(HEAD)
    print(BENEATH)
    for text, names in of_text.items():
        print("\n" + "-" * 80 + "\n" + "\n".join(names) + "\n\n" + text)


if __name__ == "__main__":
    main()
