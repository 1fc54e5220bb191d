//! A look at a library that has not changed: what the agent does at its start and every `agent.rescan`.
//!
//! Done here as the agent does it, by its own look with its own watches of every directory. Beside it: `find`, which
//! reads the same and compares nothing; `rclone sync` to a second copy of the library, which finds nothing to do;
//! and the scan that `syncthing` is told to make. All of it in memory already; the quickest of three counts, and of
//! the slow ones the only one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use xpand::backup::entry::Limits;
use xpand::backup::filter::Filter;
use xpand::backup::keeper::{Keeper, LONGEST};
use xpand::backup::scan::{Eyes, Scan};
use xpand::backup::watch::Watcher;
use xpand::cloud;
use xpand::config::Provider;
use xpand::content::{FilePath, Fingerprint, FolderId};
use xpand::store::Store;

use crate::yard::figure::Amount;
use crate::yard::process::cost;
use crate::yard::{Bench, Figure, Measure, Result, library};

/// Rounds of what is quick.
const ROUNDS: usize = 3;

pub(crate) fn run(bench: &Bench) -> Result<Figure> {
    let mut figure = Figure::default();
    for full in [100_000, 1_000_000] {
        one(bench, bench.sized(full), &mut figure)?;
    }
    Ok(figure)
}

fn one(bench: &Bench, count: u64, figure: &mut Figure) -> Result<()> {
    let room = bench.room()?;
    let (photos, state) = (room.path().join("photos"), room.path().join("state"));
    bench.say(&format!("making {count} photos that are backed up"));
    library::make(&photos, count)?;
    library::know(&state, &photos, count)?;
    let find = bench.tool("find")?;
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    let mut look = Look::open(bench, &state, &photos)?;
    // The first finds the names and times on the disk, and remembers where disks are mounted.
    look.once(count)?;
    for _ in 0..ROUNDS {
        let mut command = Command::new(&find.program);
        command.arg(&photos).args(["-type", "f", "-printf", "%s %T@ %i\\n"]);
        theirs = theirs.min(cost(&mut command)?.seconds);
        ours = ours.min(look.once(count)?);
    }
    drop(look);
    let seconds = |number| Amount::new(number, "s");
    let what = format!("{count} files");
    figure.add(Measure::at_most(&what, seconds(ours), &find.name, seconds(theirs), 1.5));
    for (name, measure) in
        [("rclone", rclone as fn(&Bench, &Path, u64) -> Result<f64>), ("syncthing", syncthing)]
    {
        let version = bench.tool(name).map(|tool| tool.name);
        figure.add(match version.and_then(|name| Ok((name, measure(bench, room.path(), count)?))) {
            Ok((name, theirs)) => Measure::at_most(&what, seconds(ours), &name, seconds(theirs), 1.0),
            Err(error) => Measure::unknown(&what, &format!("below {name}"), &error.to_string()),
        });
    }
    Ok(())
}

/// What looks: the agent's state and its watches.
struct Look<'a> {
    bench: &'a Bench,
    photos: &'a Path,
    keeper: Arc<Keeper>,
    folder: FolderId,
    watcher: Watcher,
}

impl<'a> Look<'a> {
    fn open(bench: &'a Bench, state: &Path, photos: &'a Path) -> Result<Self> {
        let keeper = Keeper::open(Arc::new(Store::open(state)?.0), LONGEST)?;
        let folder = keeper.with(|queue| queue.folder(photos, library::ACCOUNT)).ok_or("the state fails")?;
        let watcher = bench.wait(async { Watcher::new() });
        Ok(Self { bench, photos, keeper, folder, watcher })
    }

    /// Seconds of one look, which has to find every file as it was.
    fn once(&mut self, count: u64) -> Result<f64> {
        let limits =
            Limits { min_size: 1, max_size: u64::MAX, tier: None, takes: cloud::of(Provider::Baidu).takes() };
        let mut eyes = Watch { look: self, strange: 0 };
        let filter = Arc::new(Filter::everything());
        let begun = Instant::now();
        let scan = Scan {
            folder: self.folder,
            root: self.photos,
            filter: &filter,
            limits,
            keeper: &self.keeper,
            cancelled: &AtomicBool::new(false),
        };
        let report = scan.look(b"", &mut eyes).ok_or("the state fails")?;
        let seconds = begun.elapsed().as_secs_f64();
        if report.files != count || eyes.strange > 0 || report.gone > 0 {
            return Err(format!("not all as it was: {report:?}, {} strange", eyes.strange).into());
        }
        self.bench.say(&format!("a look at {count} files: {seconds:.2} s"));
        Ok(seconds)
    }
}

/// Sees as the agent's eyes do.
struct Watch<'a> {
    look: &'a Look<'a>,
    strange: u64,
}

impl Eyes for Watch<'_> {
    fn directory(&mut self, below: &[u8]) {
        self.look.watcher.add_dir(self.look.folder, self.look.photos, below);
    }

    fn sighting(&mut self, _: FilePath, _: Fingerprint) {
        self.strange += 1;
    }
}

/// `rclone sync` to a second copy.
fn rclone(bench: &Bench, room: &Path, count: u64) -> Result<f64> {
    let rclone = bench.tool("rclone")?;
    let other = room.join("other");
    library::make(&other, count)?;
    let sync = || {
        let mut command = Command::new(&rclone.program);
        command.args(["sync", "--config", "/dev/null"]).arg(room.join("photos")).arg(&other);
        cost(&mut command)
    };
    // The first takes over what little differs, as a directory's time.
    sync()?;
    Ok(sync()?.seconds)
}

/// A scan of what it knows already, as it tells how long that took.
fn syncthing(bench: &Bench, room: &Path, _: u64) -> Result<f64> {
    let (syncthing, curl) = (bench.tool("syncthing")?, bench.tool("curl")?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/syncthing-scan.sh");
    // In a network of its own, which leads nowhere.
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh"]).arg(script).arg(&syncthing.program).arg(&curl.program);
    command.arg(room.join("syncthing")).arg(room.join("photos"));
    let out = cost(&mut command)?.out;
    let seconds = out.lines().rev().find_map(|line| line.strip_prefix("seconds "));
    Ok(seconds.ok_or("it says nothing of seconds")?.trim().parse()?)
}
