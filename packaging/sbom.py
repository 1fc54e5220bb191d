#!/usr/bin/env python3
"""Writes what a binary of xpand is made of: packaging/sbom.py TARGET BINARY

CycloneDX 1.5, to stdout: the crates that are linked for this target, with their licences and what needs what (from
cargo), the checksums of their archives (from Cargo.lock), and the libraries beneath them. Crates of
tests, build scripts and macros are not in it.
"""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def metadata_of(target):
    """What cargo knows of the crates for a target."""
    cargo = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--format-version=1"]
    cargo += ["--filter-platform", target, "--manifest-path", ROOT / "Cargo.toml"]
    return json.loads(subprocess.run(cargo, check=True, stdout=subprocess.PIPE).stdout)


def linked(metadata):
    """The graph of what is linked: id of a package -> ids it needs."""
    # Code that only writes code while the compiler runs.
    macros = {p["id"] for p in metadata["packages"] if any("proc-macro" in t["kind"] for t in p["targets"])}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    graph, ahead = {}, [metadata["resolve"]["root"]]
    while ahead:
        package = ahead.pop()
        if package in graph:
            continue
        graph[package] = sorted(
            dependency["pkg"]
            for dependency in nodes[package]["deps"]
            if dependency["pkg"] not in macros and any(kind["kind"] is None for kind in dependency["dep_kinds"])
        )
        ahead += graph[package]
    return graph


def component(package, checksums):
    """One crate in CycloneDX's words."""
    name, version = package["name"], package["version"]
    described = {
        "type": "library",
        "bom-ref": f"pkg:cargo/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
    }
    if package["license"]:
        # Some still write MIT/Apache-2.0, which is no expression.
        described["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if (name, version) in checksums:
        described["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
    return described


def beneath(binary, target):
    """What is linked that no crate brings: the standard library, as the compiler signed the binary, and musl."""
    found = re.search(rb"rustc version (\S+)", binary)
    if found:
        version = found[1].decode()
        ref = f"pkg:generic/rust-std@{version}"
        yield {"type": "library", "bom-ref": ref, "name": "rust-std", "version": version, "purl": ref}
    if "-musl" in target:
        yield {"type": "library", "bom-ref": "pkg:generic/musl", "name": "musl", "purl": "pkg:generic/musl"}


def main():
    """See the head of the file."""
    target, binary = sys.argv[1:]
    metadata = metadata_of(target)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}

    graph = linked(metadata)
    packages = {package["id"]: component(package, checksums) for package in metadata["packages"]}
    ref = {package: packages[package]["bom-ref"] for package in graph}
    top = packages[metadata["resolve"]["root"]]
    top["type"] = "application"
    content = pathlib.Path(binary).read_bytes()
    top["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
    parts = [packages[package] for package in graph if packages[package] is not top]
    parts += beneath(content, target)
    moment = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment), "component": top},
        "components": sorted(parts, key=lambda part: part["bom-ref"]),
        "dependencies": sorted(
            ({"ref": ref[package], "dependsOn": sorted(ref[need] for need in needs)} for package, needs in graph.items()),
            key=lambda dependency: dependency["ref"],
        ),
    }
    json.dump(bom, sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
