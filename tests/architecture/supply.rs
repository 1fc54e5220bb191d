//! What the program is made of, as far as it can be seen without cargo-deny: where crates come from, under which
//! licence, and who of them runs a program while it is built. What is allowed stands in `deny.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Crates with a build script. Somebody has read each: none of them fetches anything, and of all only ring compiles
/// more than a probe.
const BUILD_SCRIPTS: &str = "assert_cmd crc32fast crossbeam-epoch crossbeam-utils encoding_rs getrandom httparse \
    libc memoffset mime_guess multer nix num-traits portable-atomic proc-macro2 quinn quinn-udp quote ring rustix rustls rustversion serde serde_core serde_json \
    thiserror zmij";

/// Written here; `parking_lot` is what `patches/` has in the place of the registry's.
const OURS: [&str; 3] = ["xpand", "cloudsim", "parking_lot"];

fn table(name: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Packages that are built for Linux, as cargo describes them.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--offline", "--locked", "--format-version=1"]);
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path"]);
    let output = command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let used: BTreeSet<String> = nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
    let Value::Array(mut packages) = metadata["packages"].take() else { panic!("no packages") };
    packages.retain(|package| used.contains(package["id"].as_str().unwrap()));
    packages
}

#[test]
fn every_crate_comes_from_the_registry_with_its_checksum_and_every_exception_is_of_one_that_is_there() {
    let lock = table("Cargo.lock");
    let packages = lock["package"].as_array().unwrap();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        match package.get("source") {
            Some(source) => {
                let of_registry =
                    source.as_str() == Some("registry+https://github.com/rust-lang/crates.io-index");
                assert!(of_registry && package.get("checksum").is_some(), "{name} comes from {source}");
            }
            None => assert!(OURS.contains(&name), "{name} comes from nowhere"),
        }
    }
    let deny = table("deny.toml");
    let is_there = |name: &str, version: &str| {
        packages.iter().any(|package| {
            let beginning = format!("{version}.");
            package["name"].as_str() == Some(name)
                && format!("{}.", package["version"].as_str().unwrap()).starts_with(&beginning)
        })
    };
    for skipped in deny["bans"]["skip"].as_array().unwrap() {
        let (name, version) = skipped["crate"].as_str().unwrap().split_once('@').unwrap();
        assert!(is_there(name, version), "deny.toml skips {name} {version}, which is gone: strike it");
    }
    for banned in deny["bans"]["deny"].as_array().unwrap() {
        let name = banned["crate"].as_str().unwrap();
        let comes = packages.iter().any(|package| package["name"].as_str() == Some(name));
        assert!(!comes, "{name} is in Cargo.lock: {}", banned["reason"]);
    }
    for ignored in deny["advisories"]["ignore"].as_array().unwrap() {
        let (id, reason) = (ignored["id"].as_str().unwrap(), ignored["reason"].as_str().unwrap());
        let name = reason.split(' ').next().unwrap();
        let comes = packages.iter().any(|package| package["name"].as_str() == Some(name));
        assert!(
            id.starts_with("RUSTSEC-") && comes,
            "deny.toml ignores {id} of {name}, which is gone: strike it"
        );
    }
}

#[test]
fn every_licence_is_one_that_is_allowed() {
    let deny = table("deny.toml");
    let allowed: BTreeSet<&str> = deny["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|licence| licence.as_str().unwrap())
        .collect();
    // MIT/Apache-2.0 is how it was written before there were expressions.
    let is_good = |expression: &str| {
        expression.split(" AND ").all(|part| {
            let part = part.trim_matches(['(', ')']).replace('/', " OR ");
            part.split(" OR ").any(|licence| allowed.contains(licence))
        })
    };
    assert!(is_good("(Apache-2.0 OR GPL-3.0) AND ISC") && !is_good("MIT AND GPL-3.0") && !is_good("GPL-3.0"));
    for package in packages() {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or("none"));
        assert!(is_good(licence), "{name} is under {licence}, which is not allowed by deny.toml");
    }
}

#[test]
fn who_runs_while_the_program_is_built_has_been_looked_at() {
    let known: BTreeSet<&str> = BUILD_SCRIPTS.split(' ').collect();
    let has_script = |package: &Value| {
        let targets = package["targets"].as_array().unwrap();
        targets.iter().any(|target| target["kind"][0] == "custom-build")
    };
    let found: Vec<Value> = packages().into_iter().filter(has_script).collect();
    let found: BTreeSet<&str> = found.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(found, known, "read the build script of who is new: it must fetch nothing");
}
