//! `cargo demo`: the whole story of a backup, played on this machine with the real `xpand` binary and a
//! local cloud, and proved at every turn.
//!
//! ```text
//! demo.rs     how it is asked for and how it ends     story.rs proofs.rs second.rs  the steps, one by one
//! setting.rs  folder, cloud and configuration
//! follow.rs   waiting for the agent, with bars
//! library.rs  the folder with its pictures            media.rs jpeg.rs exif.rs  what is in them
//! build.rs    the binary                              home.rs agent.rs          where and how it runs
//! evidence.rs what the cloud's call log proves        compare.rs names.rs       folder against cloud
//! tell.rs     the terminal
//! ```
//!
//! The demo uses `xpand` only as a person does, through its commands, and believes nothing it says: what
//! arrived is looked up at the cloud. It writes to one temporary folder, speaks to 127.0.0.1 alone, and
//! leaves nothing behind.

mod agent;
mod build;
mod compare;
mod evidence;
mod exif;
mod follow;
mod home;
mod jpeg;
mod library;
mod media;
mod names;
mod proofs;
mod second;
mod setting;
mod story;
mod tell;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::Tls;
use tell::Tell;

/// How the demo is to be played.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Demo {
    /// Back up the pictures and videos in this folder instead of made-up ones; it is only read
    #[arg(long, value_name = "DIR")]
    pub photos: Option<PathBuf>,
    /// Leave everything in this new folder: photos, configuration, state, log, cloud
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// An xpand binary that is there already [default: built now]
    #[arg(long, value_name = "PATH")]
    pub xpand: Option<PathBuf>,
    /// The cloud speaks TLS
    #[arg(skip)]
    pub tls: Option<Tls>,
    /// No colours, and no lines that move
    #[arg(long)]
    pub plain: bool,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Every proof holds.
    Proved,
    /// One does not, or the story could not go on.
    Failed,
    /// Somebody pressed ^C.
    Interrupted,
}

/// Why the story does not go on.
enum Stop {
    Interrupted,
    Broken(String),
}

type Step<T = ()> = Result<T, Stop>;

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Broken(error.to_string())
    }
}

impl Demo {
    /// Plays the story to `out`. It ends soon after `interrupted` becomes true, and tidies up.
    ///
    /// `live` says that `out` is a terminal, whose lines can be drawn again.
    pub fn play(&self, out: Box<dyn Write>, live: bool, interrupted: Arc<AtomicBool>) -> Ended {
        let mut tell = Tell::new(out, live && !self.plain);
        let mut began = Instant::now();
        let outcome = self.prepared(&mut tell, &interrupted, &mut began);
        // A step that was torn apart by ^C may call it by another name.
        if interrupted.load(Ordering::Relaxed) {
            tell.verdict(false, "Interrupted; the agent and the cloud have ended.");
            return Ended::Interrupted;
        }
        if let Err(Stop::Broken(words)) = outcome {
            tell.failed.push(words.clone());
            tell.verdict(false, &format!("The story cannot go on: {words}"));
            return Ended::Failed;
        }
        let (proved, failed) = (tell.proved, tell.failed.len());
        let seconds = began.elapsed().as_secs();
        if failed == 0 {
            tell.verdict(true, &format!("All {proved} proofs hold, after {seconds} s."));
            return Ended::Proved;
        }
        tell.verdict(false, &format!("{failed} of {} proofs do not hold:", proved as usize + failed));
        for words in tell.failed.clone() {
            tell.say(&words);
        }
        Ended::Failed
    }

    fn prepared(&self, tell: &mut Tell, interrupted: &AtomicBool, began: &mut Instant) -> Step {
        tell.line(
            "xpand backs up a family's photos and videos to a cloud drive, by itself. This is the whole",
        );
        tell.line(
            "story with the real program, on this machine only: the cloud is a local one, and what xpand",
        );
        tell.line("says is not believed but looked up there.");
        let binary = match &self.xpand {
            Some(binary) => binary.clone(),
            None => {
                tell.line("");
                tell.line("Building xpand (the first time takes a few minutes) …");
                build::xpand().map_err(Stop::Broken)?
            }
        };
        *began = Instant::now();
        story::play(self, &binary, tell, interrupted)
    }
}
