//! What families do to their files, disks, clocks and logins; and a day on which they do nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Sim;
use super::checks;
use super::cloud::{LARGEST, Weather};
use super::disk::{Folder, Node, Plug};
use super::life::Life;
use crate::agent::hub::{Look, lock};
use crate::cloud::Kind;
use crate::config::{self, Config};
use crate::content::{Md5, Media};

const ROOTS: [&str; 2] = ["/sim/a", "/sim/b"];
const DIRECTORIES: [&str; 5] = ["", "2024", "2024/07", "trip", "trip/day1"];
/// Files in a folder.
const MOST: usize = 25;
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

pub(super) fn folders() -> Vec<Folder> {
    ROOTS.iter().map(|root| Folder::new(root)).collect()
}

pub(super) fn config() -> Config {
    let folder = |root: &&str| config::Folder {
        path: root.into(),
        account: "home".into(),
        media: vec![Media::Photo, Media::Video],
        label: root.rsplit('/').next().unwrap().into(),
        remote: "{label}/{path}".into(),
        exclude: Vec::new(),
        default_excludes: true,
        min_size: 0,
        max_size: u64::MAX,
    };
    Config {
        file: "/nonexistent".into(),
        device: None,
        accounts: vec![config::Account {
            name: "home".into(),
            provider: config::Provider::DEFAULT,
            client_id: "AppKey".into(),
            client_secret: config::Secret::new("secret"),
            app: "xpand".into(),
            endpoint: None,
            ca_file: None,
            share_type: None,
            share_secret: None,
        }],
        folders: ROOTS.iter().map(folder).collect(),
        upload: config::Upload::default(),
        agent: config::Agent {
            state_dir: "/nonexistent".into(),
            rescan: Duration::from_secs(3 * 3600),
            ..config::Agent::default()
        },
    }
}

/// The agent is told of a change; or it is not, and has to find it.
fn event(sim: &Sim, folder: usize, below: &[u8]) {
    if sim.chance(|chance| chance.in_thousand(600))
        && let Some(looks) = &*lock(&sim.looks)
    {
        let _ = looks.send(Look { folder, start: below.into() });
    }
}

/// The content of a file has changed: it may have to be sent again.
fn changed(sim: &Sim, folder: usize, below: &[u8], bytes: &[u8]) {
    sim.disk().ever.insert(Md5::of(bytes));
    let label = &ROOTS[folder][5..];
    let path = format!("/apps/xpand/{label}/{}", String::from_utf8_lossy(below));
    let mut cloud = sim.cloud();
    cloud.excuse(&path);
    cloud.unsure.insert(path);
    drop(cloud);
    event(sim, folder, below);
}

/// Somebody does something with a file or directory.
pub(super) fn act(sim: &Sim) {
    let at = sim.chance(|chance| chance.below(ROOTS.len()));
    let now_ns = sim.wall_ns();
    let disk = sim.disk();
    let folder = &disk.folders[at];
    if folder.plug != Plug::In {
        return;
    }
    let (names, directories): (Vec<_>, _) = (folder.files.keys().cloned().collect(), folder.directories());
    drop(disk);
    let (what, which) = sim.chance(|chance| (chance.below(100), chance.pick(&names)));
    match (what, which) {
        (0..28, _) if names.len() < MOST => create(sim, at, now_ns),
        (28..33, Some(below)) if names.len() < MOST => twin(sim, at, &below, now_ns),
        (33..50, Some(below)) => {
            let more = sim.chance(|chance| {
                let count = chance.within(1, 60);
                chance.bytes(usize::try_from(count).unwrap())
            });
            let bytes = edit(sim, at, &below, |node| node.append(&more, now_ns));
            sim.note(format_args!("{at}/{} grows", below.escape_ascii()));
            changed(sim, at, &below, &bytes);
        }
        (50..58, Some(below)) => {
            // The same size and the same time, as a tag editor that puts it back does.
            let fresh = sim.chance(|chance| chance.bytes(LARGEST as usize + 200));
            let bytes = edit(sim, at, &below, |node| {
                let (length, mtime_ns) = (node.bytes.len(), node.print.mtime_ns);
                node.write(fresh[..length.min(fresh.len())].to_vec(), mtime_ns, now_ns);
            });
            sim.note(format_args!("{at}/{} is edited", below.escape_ascii()));
            changed(sim, at, &below, &bytes);
        }
        (58..62, Some(below)) => {
            let bytes = edit(sim, at, &below, |node| {
                let bytes = node.bytes.clone();
                node.write(bytes, now_ns, now_ns);
            });
            sim.note(format_args!("{at}/{} is touched", below.escape_ascii()));
            changed(sim, at, &below, &bytes);
        }
        (62..70, Some(below)) => {
            sim.note(format_args!("{at}/{} is deleted", below.escape_ascii()));
            sim.disk().folders[at].files.remove(&below);
            event(sim, at, &below);
        }
        (70..80, Some(below)) => {
            let to = (somewhere(sim, at), name(sim));
            rename(sim, at, to.0, &[(below, to.1)], now_ns);
        }
        (80..86, Some(below)) => {
            // Under the name of a file that was there: the other gets its own, or a new one.
            let other = sim.chance(|chance| chance.pick(&names)).unwrap();
            let free = b"swapped.jpg".to_vec();
            let is_swapped = sim.chance(|chance| chance.in_thousand(600));
            let last = if is_swapped { below.clone() } else { name(sim) };
            if other != below {
                let moves = [(other.clone(), free.clone()), (below, other), (free, last)];
                rename(sim, at, at, &moves, now_ns);
            }
        }
        (86..96, _) => {
            if let Some(directory) = sim.chance(|chance| chance.pick(&directories)) {
                let to = sim.chance(|chance| format!("album{}", chance.below(3)).into_bytes());
                let place = somewhere(sim, at);
                let inside = |below: &&Vec<u8>| {
                    below.starts_with(&directory) && below.get(directory.len()) == Some(&b'/')
                };
                let moves: Vec<_> = names
                    .iter()
                    .filter(inside)
                    .map(|below| (below.clone(), [&to[..], &below[directory.len()..]].concat()))
                    .collect();
                rename(sim, at, place, &moves, now_ns);
                event(sim, at, &directory);
                event(sim, place, &to);
            }
        }
        (96..98, _) => unplug(sim, at),
        (98.., _) => half(sim, at),
        _ => {}
    }
}

fn name(sim: &Sim) -> Vec<u8> {
    sim.chance(|chance| {
        let directory = DIRECTORIES[chance.below(DIRECTORIES.len())];
        let slash = if directory.is_empty() { "" } else { "/" };
        let number = chance.below(40);
        let file =
            if chance.in_thousand(800) { format!("IMG_{number}.jpg") } else { format!("VID_{number}.mp4") };
        format!("{directory}{slash}{file}").into_bytes()
    })
}

fn create(sim: &Sim, at: usize, now_ns: i64) {
    let below = name(sim);
    let (bytes, age_ns) = sim.chance(|chance| {
        let size = match chance.below(20) {
            0 => 0,
            1 => chance.within(300, LARGEST + 200),
            _ => chance.within(1, 200),
        };
        let age = match chance.below(4) {
            // Copied with its old time; from the future; just written.
            0 => i64::try_from(chance.within(0, 1 << 50)).unwrap(),
            1 => -i64::try_from(chance.within(0, 1 << 50)).unwrap(),
            _ => 0,
        };
        (chance.bytes(usize::try_from(size).unwrap()), age)
    });
    let mut node = Node::new(now_ns);
    node.write(bytes.clone(), now_ns - age_ns, now_ns);
    sim.note(format_args!("{at}/{} is made, {} bytes", below.escape_ascii(), bytes.len()));
    sim.disk().folders[at].files.insert(below.clone(), node);
    changed(sim, at, &below, &bytes);
}

fn edit(sim: &Sim, at: usize, below: &[u8], how: impl FnOnce(&mut Node)) -> Vec<u8> {
    let mut disk = sim.disk();
    let node = disk.folders[at].files.get_mut(below).unwrap();
    how(node);
    node.bytes.clone()
}

/// As `cp -p` does: the same time and size. Or by chance so, with another content.
fn twin(sim: &Sim, at: usize, of: &[u8], now_ns: i64) {
    let (place, below) = (somewhere(sim, at), name(sim));
    let other = sim.chance(|chance| chance.in_thousand(300).then(|| chance.number()));
    let mut disk = sim.disk();
    let model = &disk.folders[at].files[of];
    let (mut bytes, mtime_ns) = (model.bytes.clone(), model.print.mtime_ns);
    if let (Some(other), [.., last]) = (other, &mut bytes[..]) {
        *last ^= 1 + other as u8 % 100;
    }
    let mut node = Node::new(now_ns);
    node.write(bytes.clone(), mtime_ns, now_ns);
    disk.folders[place].files.insert(below.clone(), node);
    drop(disk);
    let kind = if other.is_some() { "like" } else { "the same as" };
    sim.note(format_args!("{place}/{} is {kind} {at}/{}", below.escape_ascii(), of.escape_ascii()));
    changed(sim, place, &below, &bytes);
}

/// Where something goes: into the same folder for the most part, or the other one if that is there.
fn somewhere(sim: &Sim, at: usize) -> usize {
    let other = (at + 1) % ROOTS.len();
    let goes = sim.chance(|chance| chance.in_thousand(300));
    let has_room = |folder: &Folder| folder.plug == Plug::In && folder.files.len() < MOST;
    if goes && has_room(&sim.disk().folders[other]) { other } else { at }
}

fn rename(sim: &Sim, at: usize, place: usize, moves: &[(Vec<u8>, Vec<u8>)], now_ns: i64) {
    for (from, to) in moves {
        sim.note(format_args!("{at}/{} becomes {place}/{}", from.escape_ascii(), to.escape_ascii()));
        let mut disk = sim.disk();
        let mut node = disk.folders[at].files.remove(from).unwrap();
        node.print.ctime_ns = now_ns;
        let bytes = node.bytes.clone();
        disk.folders[place].files.insert(to.clone(), node);
        drop(disk);
        event(sim, at, from);
        changed(sim, place, to, &bytes);
    }
}

/// Somebody puts something of their own into the cloud, where a file of this box has its name, or will have it.
fn stranger(sim: &Sim) {
    let at = sim.chance(|chance| chance.below(ROOTS.len()));
    let below = name(sim);
    let path = format!("/apps/xpand/{}/{}", &ROOTS[at][5..], String::from_utf8_lossy(&below));
    let bytes = sim.chance(|chance| chance.bytes(77));
    sim.note(format_args!("a phone puts something at {path}"));
    sim.cloud().put(&path, &bytes);
}

fn unplug(sim: &Sim, at: usize) {
    let plug = sim.chance(|chance| chance.pick(&[Plug::Missing, Plug::Bare, Plug::Denied])).unwrap();
    let known = known_files(sim, at);
    sim.note(format_args!("disk {at} is unplugged: {plug:?}"));
    let mut disk = sim.disk();
    (disk.folders[at].plug, disk.folders[at].known_before) = (plug, known);
}

/// A new process knows what was on its disk, and of the disks that are away no less from then on.
pub(super) fn unplugged_again(sim: &Sim) {
    for at in 0..ROOTS.len() {
        let known = known_files(sim, at);
        sim.disk().folders[at].known_before = known;
    }
}

/// What the agent knows of a folder, by its own word.
fn known_files(sim: &Sim, at: usize) -> BTreeSet<Box<[u8]>> {
    let keeper = lock(&sim.keeper).clone();
    let mut known = BTreeSet::new();
    let mut after: Option<Box<[u8]>> = None;
    while let Some(keeper) = &keeper {
        let page = keeper.with(|queue| {
            let id = queue.folder(ROOTS[at].as_ref(), "home")?;
            queue.page(id, after.as_deref())
        });
        let Some(page) = page.filter(|page| !page.is_empty()) else { break };
        after = page.last().map(|entry| entry.below.clone());
        known.extend(page.into_iter().filter(|entry| !entry.gone).map(|entry| entry.below));
    }
    known
}

/// Some of the folder is away: a disk that is mounted within it, or a sync that is not through.
fn half(sim: &Sim, at: usize) {
    let one_in = sim.chance(|chance| chance.within(2, 6));
    let mut disk = sim.disk();
    let folder = &mut disk.folders[at];
    for (below, node) in std::mem::take(&mut folder.files) {
        let stays = sim.chance(|chance| chance.number().is_multiple_of(one_in));
        if stays {
            folder.files.insert(below, node)
        } else {
            folder.away.insert(below, node)
        };
    }
    drop(disk);
    sim.note(format_args!("much of disk {at} is away"));
    event(sim, at, b"");
}

/// What was away is back.
fn back(sim: &Sim, at: usize) {
    let mut disk = sim.disk();
    let folder = &mut disk.folders[at];
    folder.plug = Plug::In;
    for (below, node) in std::mem::take(&mut folder.away) {
        // Something of that name may have been made meanwhile.
        folder.files.entry(below).or_insert(node);
    }
    folder.denied.clear();
    sim.note(format_args!("disk {at} is whole again"));
}

/// A day on which much goes wrong.
pub(super) async fn bad_day(sim: &Arc<Sim>, life: &mut Life) -> Result<(), String> {
    let meddling = sim.chance(|chance| if chance.in_thousand(300) { 20 } else { 0 });
    sim.meddling.store(meddling, Ordering::Relaxed);
    let busy = sim.chance(|chance| chance.within(60, 7200));
    let steps = sim.chance(|chance| chance.within(5, 40));
    for _ in 0..steps {
        let what = sim.chance(|chance| chance.below(100));
        match what {
            0..60 => act(sim),
            60..64 => (0..ROOTS.len()).for_each(|at| back(sim, at)),
            64..70 => permission(sim),
            70..76 => clock(sim, life),
            76..84 => weather(sim, life),
            84..86 => sim.cloud().forget_a_session(sim.chance(|chance| chance.below(100))),
            86..88 => retry(sim, life),
            88 => stranger(sim),
            89 => life.reload().await?,
            90..92 => life.restart().await?,
            92..94 => life.crash().await?,
            94..97 => sim.memory().set_fuse(Some(sim.chance(|chance| chance.within(1, 12) as u32))),
            _ => sim.calls_left.store(sim.chance(|chance| chance.within(1, 20)), Ordering::Relaxed),
        }
        let pause = sim.chance(|chance| chance.within(0, busy));
        life.wait(Duration::from_millis(pause * 1000 + 137)).await?;
        if sim.chance(|chance| chance.in_thousand(250)) {
            checks::always(sim, life)?;
        }
    }
    checks::always(sim, life)
}

fn permission(sim: &Sim) {
    let at = sim.chance(|chance| chance.below(ROOTS.len()));
    let mut disk = sim.disk();
    let directories = disk.folders[at].directories();
    if let Some(directory) = sim.chance(|chance| chance.pick(&directories)) {
        sim.note(format_args!("{at}/{} may not be read", directory.escape_ascii()));
        disk.folders[at].denied.insert(directory);
    }
}

fn clock(sim: &Sim, life: &mut Life) {
    let jump = sim.chance(|chance| {
        let far = [1, 90, 3600, 5 * 3600, 30 * 86400, 3 * 365 * 86400][chance.below(6)];
        let seconds = i64::try_from(chance.within(0, far)).unwrap();
        if chance.in_thousand(500) { seconds } else { -seconds }
    });
    sim.note(format_args!("the clock jumps by {jump} s"));
    sim.wrong_ns.fetch_add(jump * SECOND, Ordering::Relaxed);
    let wrong = sim.wrong_ns.load(Ordering::Relaxed);
    sim.wrong_ns.store(wrong.clamp(-3 * 365 * 24 * HOUR, 3 * 365 * 24 * HOUR), Ordering::Relaxed);
    life.jumped();
}

fn weather(sim: &Sim, life: &Life) {
    let all = [
        Kind::Offline,
        Kind::Busy { after: None },
        Kind::Busy { after: Some(Duration::from_secs(60)) },
        Kind::DayLimit,
        Kind::Unauthorized,
        Kind::Full,
        Kind::Blocked { after: Duration::from_secs(600) },
        Kind::Broken,
    ];
    let weather = sim.chance(|chance| Weather {
        failing: [0, 30, 200, 600][chance.below(4)],
        all: if chance.in_thousand(300) { chance.pick(&all) } else { None },
        slice_size: if chance.in_thousand(800) { 64 } else { 32 },
        rapid: chance.in_thousand(700),
    });
    sim.note(format_args!("{weather:?}"));
    let mut cloud = sim.cloud();
    // A membership that changes cuts the slices anew.
    cloud.excuse += 1;
    cloud.weather = weather;
    drop(cloud);
    if sim.chance(|chance| chance.in_thousand(300)) {
        life.hub.accounts[0].wake.notify_one();
    }
}

fn retry(sim: &Sim, life: &Life) {
    sim.note(format_args!("xpand retry"));
    for folder in &life.hub.folders {
        life.keeper().with(|queue| queue.retry(folder.id, None));
    }
    life.hub.accounts[0].breaker.lift();
    life.hub.work.notify_one();
}

/// A day and a half on which nothing happens: the disks are there, the cloud is well, the clock is right.
pub(super) async fn quiet_day(sim: &Arc<Sim>, life: &mut Life) -> Result<(), String> {
    sim.meddling.store(0, Ordering::Relaxed);
    sim.calls_left.store(0, Ordering::Relaxed);
    sim.memory().set_fuse(None);
    if sim.memory().is_ended() {
        life.crash().await?;
    }
    (0..ROOTS.len()).for_each(|at| back(sim, at));
    let rapid = sim.chance(|chance| chance.in_thousand(500));
    let slice_size = sim.cloud().weather.slice_size;
    sim.cloud().weather = Weather { rapid, slice_size, ..Weather::default() };
    sim.wrong_ns.store(0, Ordering::Relaxed);
    life.jumped();
    sim.note(format_args!("a quiet day begins"));
    // Somebody has logged in again.
    life.hub.accounts[0].wake.notify_one();
    let mut reads = 0;
    // Used-up calls are there again on the next day.
    let now_ms = sim.wall_ns() / 1_000_000;
    let hours = if life.hub.accounts[0].breaker.paused(now_ms).is_some() { 58 } else { 30 };
    for hour in 0..hours {
        if hour + 10 == hours {
            reads = sim.reads.load(Ordering::Relaxed);
        }
        life.wait(Duration::from_secs(3600)).await?;
    }
    checks::always(sim, life)?;
    checks::everything_arrived(sim, life)?;
    sim.cloud().unsure.clear();
    let reads = sim.reads.load(Ordering::Relaxed) - reads;
    // A folder that lost everything is looked at every half a minute.
    let is_bare = sim.disk().folders.iter().any(|folder| folder.files.is_empty());
    if reads > if is_bare { 20 * IDLE_READS } else { IDLE_READS } {
        return Err(format!("in ten idle hours somebody woke up {reads} times"));
    }
    Ok(())
}

/// So often the clock may be read in ten hours in which nothing happens.
const IDLE_READS: u64 = 600;
