//! `xpand drive` as a person or a script calls it: the real binary against a local cloud.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

#[path = "drive/change.rs"]
mod change;
#[path = "drive/look.rs"]
mod look;
#[path = "drive/preview.rs"]
mod preview;

use std::fs;

use common::Rig;
use common::process::{Said, documents};

/// A cloud with these files below `/apps/xpand`; each has its own path as content.
fn rig_with(files: &[&str]) -> Rig {
    let rig = Rig::ready(|setup| setup.tidies = true);
    for path in files {
        put(&rig, path);
    }
    rig
}

fn put(rig: &Rig, path: &str) {
    rig.sim.put_file("demo", &format!("/apps/xpand/{path}"), path.as_bytes()).unwrap();
}

/// `xpand drive …`. The minute's allowance of calls is not what is looked at here, so that it begins anew.
fn drive(rig: &Rig, args: &[&str]) -> Said {
    let _ = fs::remove_file(rig.state_dir().join("accounts/home.calls"));
    rig.run(&[&["drive"], args].concat())
}

/// The same, which goes well.
#[track_caller]
fn done(rig: &Rig, args: &[&str]) -> String {
    drive(rig, args).done()
}

/// The same, which fails with this exit code and says all of these.
#[track_caller]
fn fails(rig: &Rig, args: &[&str], code: i32, words: &[&str]) -> Said {
    drive(rig, args).failed(code, words)
}

/// What is stored below `/apps/xpand`.
fn stored(rig: &Rig) -> Vec<String> {
    rig.sim.files().iter().map(|file| file.path.trim_start_matches("/apps/xpand/").to_owned()).collect()
}

/// Calls that change something, by their target.
fn changing(rig: &Rig, mark: u64) -> Vec<String> {
    let calls = rig.sim.calls_since(mark);
    let changing = calls.iter().filter(|call| call.method == "POST");
    changing.map(cloudsim::Call::target).collect()
}
