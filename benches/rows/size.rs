//! The two static binaries that most boxes get, as `packaging/build-static.sh` makes them.
//!
//! What is built already is only brought up to date; from nothing it takes two cores about ten minutes. With
//! `XPAND_STATIC_DIR` set they are built there, as the script says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::yard::figure::Amount;
use crate::yard::process::cost;
use crate::yard::{Bench, Figure, Measure, Result};

const TARGETS: [&str; 2] = ["aarch64-unknown-linux-musl", "armv7-unknown-linux-musleabihf"];

/// MiB.
const MOST: f64 = 6.0;

pub(crate) fn run(_: &Bench) -> Result<Figure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = std::env::var_os("XPAND_STATIC_DIR");
    let place = place.map_or_else(|| root.join("target/static"), PathBuf::from);
    cost(Command::new("bash").arg(root.join("packaging/build-static.sh")).args(TARGETS))?;
    let mut figure = Figure::default();
    for target in TARGETS {
        let bytes = fs::metadata(place.join(target).join("xpand"))?.len();
        let mib = Amount::new(bytes as f64 / f64::from(1 << 20), "MiB");
        figure.add(Measure::within(target, mib, Amount::new(MOST, "MiB")));
        figure.note(format!("{target}: {bytes} bytes"));
    }
    Ok(figure)
}
