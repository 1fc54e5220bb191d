//! The worst day of all: a fifth of the calls fails in every way the local cloud knows, the agent is
//! killed again and again, the line breaks, tokens end, sessions are forgotten, files and whole folders are
//! renamed meanwhile - and every file arrives exactly once under each name it is found with.
//!
//! `XPAND_STORM_SEEDS=50 XPAND_STORM_FILES=1000 cargo test --release --test storm` is the full proof;
//! `XPAND_STORM_SEED=7` begins with another seed than 1. A seed repeats what is by chance in the test, not
//! what is by chance in the machine.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cloudsim::{Call, Fault, FaultKind, StoredFile, md5_hex};
use common::clouds::{Cloud, at_each_cloud};
use common::dice::{Dice, number, seeds};
use common::media::{noise, photo};
use common::process::Program;
use common::{PATIENCE, Rig, is_quiet};
use xpand::remote::names::{Rules, escape};
use xpand::status::{AccountState, Status};

at_each_cloud! {
    everything_arrives_exactly_once_through_faults_and_kills
}

const MIB: u64 = 1 << 20;
const PARALLEL: usize = 4;
/// Files in work at a time: those that send, and two that are read meanwhile.
const AT_WORK: usize = PARALLEL + 2;
/// Of all calls, these fail.
const FAILING: f64 = 0.20;

#[test]
fn the_agent_as_a_process() {
    common::hurried::be_the_agent_when_asked();
}

async fn everything_arrives_exactly_once_through_faults_and_kills(cloud: Cloud) {
    let files = number("XPAND_STORM_FILES", cloud.of(120, 60));
    let kills = number("XPAND_STORM_KILLS", if files >= 1000 { 20 } else { cloud.of(6, 4) });
    for seed in seeds("STORM") {
        let begun = Instant::now();
        let told = Storm::new(cloud, seed, files as usize).rage(kills as usize).await;
        println!("seed {seed}: {told}, {:.1} s", begun.elapsed().as_secs_f64());
    }
}

/// One library, one cloud, one bad day.
struct Storm {
    rig: Rig,
    dice: Dice,
    /// What the cloud has to hold in the end, by remote path.
    wanted: BTreeMap<String, Wanted>,
    /// What it may hold besides, and nothing else: what was called so until it was renamed. No name is used
    /// twice.
    left: BTreeMap<String, Wanted>,
    /// Wanted by nobody for a reason that the agent tells: empty files, and films at 123pan.
    skipped: u64,
    tally: Tally,
}

/// A file of the library.
#[derive(Clone)]
struct Wanted {
    below: Vec<u8>,
    md5: String,
    slices: usize,
}

/// What was done to the agent.
#[derive(Default)]
struct Tally {
    kills: usize,
    logins: usize,
    /// Slices of sessions that the cloud was made to forget.
    forgotten: usize,
    /// Files that were renamed.
    moved: usize,
}

impl Storm {
    fn new(cloud: Cloud, seed: u64, files: usize) -> Self {
        let rig = Rig::ready_at(cloud, |setup| {
            setup.sim.seed = Some(seed);
            setup.parallel = PARALLEL;
            setup.hurry = 400;
            setup.device = cloud.of(Some("STORM-1"), None);
            setup.check_bind = "1s";
        });
        let (dice, tally) = (Dice::new(seed), Tally::default());
        let (wanted, left) = Default::default();
        let mut storm = Self { rig, dice, wanted, left, skipped: 0, tally };
        storm.fill(files);
        storm.arm();
        storm
    }
    /// The library: photos for the most part, some films of several slices, names of every kind, twins,
    /// and what is nobody's business.
    fn fill(&mut self, files: usize) {
        let odd: [&[u8]; 14] = [
            "海边 (1).jpg".as_bytes(),
            "😀 party 🎉.jpg".as_bytes(),
            b" blanks  inside .jpg",
            b"what? \"who\" <me> | a:b*c\\d.jpg",
            b"caf\xe9 \xff\xfe.jpg",
            "cafe\u{301}.jpg".as_bytes(),
            "café.jpg".as_bytes(),
            b"100%.jpg",
            b"%41.jpg",
            b"A.JPG",
            b"a.jpg",
            b"tab\there\nand there.png",
            b"a+b=c&d#e;f.jpg",
            b"-rf ..jpg",
        ];
        let folders: [&[u8]; 7] = [
            b"2024/01",
            "2024/春节".as_bytes(),
            "📷/raw".as_bytes(),
            b"\xffold disk/deep/er/and/deeper",
            b"con: what?",
            b"2023",
            b".hidden but wanted",
        ];
        for number in 0..files {
            let folder = self.dice.pick(&folders).to_vec();
            let name = match number % 9 {
                0 => [format!("{number} ").as_bytes(), *self.dice.pick(&odd)].concat(),
                1 if number < 9 * odd.len() => odd[number / 9].to_vec(),
                2 if number == 2 => ["照".repeat(80).as_bytes(), b".jpg"].concat(),
                _ => format!("IMG_{number:05}.jpg").into_bytes(),
            };
            let seed = self.dice.next();
            let length = 500 + self.dice.below(4000);
            match self.dice.below(100) {
                // Large enough for the cloud to know its content at once when it comes a second time.
                0..3 => {
                    let bytes = photo(seed % 3, 300_000);
                    self.put(&[&folder, &b"/twin "[..], &name].concat(), &bytes);
                }
                3 => self.film(&[&folder, format!("/film {number}.mp4").as_bytes()].concat(), seed),
                _ => self.put(&[&folder, &b"/"[..], &name].concat(), &photo(seed, length)),
            }
        }
        self.film("长片 🎬.mp4".as_bytes(), 1);
        self.film(b"film.mkv", 2);
        let root = self.rig.root("photo");
        for (name, bytes) in
            [("notes.txt", &b"no photo"[..]), ("half.jpg.part", &noise(1, 99)), (".DS_Store", b"x")]
        {
            self.rig.put(name, bytes);
        }
        self.rig.put("empty.jpg", b"");
        self.skipped += 1;
        std::os::unix::fs::symlink(root.join("film.mkv"), root.join("link.mkv")).unwrap();
        std::os::unix::fs::symlink(root.join("2023"), root.join("2024 too")).unwrap();
    }

    fn put(&mut self, below: &[u8], bytes: &[u8]) {
        let path = self.rig.root("photo").join(OsStr::from_bytes(below));
        if path.exists() {
            return;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self.want(below, bytes);
    }

    /// A film of three or four slices, cheap on the disk: holes, and some bytes in each slice.
    fn film(&mut self, below: &[u8], seed: u64) {
        let path: PathBuf = self.rig.root("photo").join(OsStr::from_bytes(below));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let length =
            8 * MIB + 1 + noise(seed, 4).iter().map(|&byte| u64::from(byte) * 16_000).sum::<u64>() / 4;
        let file = fs::File::create(&path).unwrap();
        file.set_len(length).unwrap();
        file.write_all_at(b"\0\0\0\x18ftypisom\0\0\x02\0isommp42", 0).unwrap();
        for slice in 0..length.div_ceil(4 * MIB) {
            file.write_all_at(&noise(seed ^ slice << 32, 64), slice * 4 * MIB + 4096).unwrap();
        }
        self.want(below, &fs::read(path).unwrap());
    }

    fn want(&mut self, below: &[u8], bytes: &[u8]) {
        let ending = below.rsplit(|&byte| byte == b'.').next().unwrap_or_default().to_ascii_lowercase();
        if !self.rig.cloud().takes(&String::from_utf8_lossy(&ending)) {
            self.skipped += 1;
            return;
        }
        let (md5, slices) = (md5_hex(bytes), bytes.len().div_ceil(4 << 20));
        self.wanted.insert(remote(below), Wanted { below: below.to_owned(), md5, slices });
    }

    /// Some files get new names, or a whole folder does: never one that was there before.
    fn move_some(&mut self) {
        for _ in 0..1 + self.dice.below(2) {
            let all: Vec<Vec<u8>> = self.wanted.values().map(|wanted| wanted.below.clone()).collect();
            let one = self.dice.pick(&all);
            let name = one.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
            let new = format!("moved {}", self.tally.moved).into_bytes();
            match self.dice.below(4) {
                0 if name > 0 => self.rename(&one[..name - 1], &new),
                1 => self.rename(one, &[&one[..name], &new, b"/", &one[name..]].concat()),
                _ => self.rename(one, &[&new, &b"/"[..], &one[name..]].concat()),
            }
        }
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) {
        let path = |below: &[u8]| self.rig.root("photo").join(OsStr::from_bytes(below));
        fs::create_dir_all(path(to).parent().unwrap()).unwrap();
        fs::rename(path(from), path(to)).unwrap();
        let is_moved = |below: &[u8]| {
            below.strip_prefix(from).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        for (path, wanted) in
            self.wanted.extract_if(.., |_, wanted| is_moved(&wanted.below)).collect::<Vec<_>>()
        {
            let below = [to, &wanted.below[from.len()..]].concat();
            self.wanted.insert(remote(&below), Wanted { below, ..wanted.clone() });
            self.left.insert(path, wanted);
            self.tally.moved += 1;
        }
    }

    /// Every kind of failure that leaves a way to succeed, at every call, so that together a fifth fails.
    fn arm(&self) {
        use FaultKind::*;
        let cloud = self.rig.cloud();
        let passing = || {
            let more = [Status(500), cloud.of(Errno(31_034), Code(20_103)), Delay(Duration::from_millis(40))];
            cloud.passing().into_iter().chain(more).collect::<Vec<_>>()
        };
        let at = |endpoint: &str, kinds: Vec<FaultKind>| {
            // One after the other is asked whether it hits: together that makes a fifth.
            let chance = 1.0 - (1.0 - FAILING).powf(1.0 / kinds.len() as f64);
            kinds.into_iter().map(|kind| Fault::chance(endpoint, kind, chance)).collect::<Vec<_>>()
        };
        let with = |more: Vec<FaultKind>| passing().into_iter().chain(more).collect::<Vec<_>>();
        let mut faults = Vec::new();
        // Those of 123pan.
        faults.extend(at("^PUT ", with(vec![LostSlices, Flip(300)])));
        faults.extend(at("oss/file|access_token", passing()));
        // Those of Baidu.
        faults.extend(at("method=precreate", with(vec![Errno(404), Errno(31_079), Errno(31_063)])));
        faults
            .extend(at("superfile2", with(vec![WrongMd5, LostSlices, ErrorCode(31_233), ErrorCode(31_212)])));
        faults.extend(at(
            "method=create",
            with(vec![Errno(10), Errno(31_081), Errno(31_190), Errno(31_353), Errno(31_363)]),
        ));
        faults.extend(at("oauth/2.0/token", with(vec![OAuth("slow_down".into())])));
        faults.extend(at("filemanager", with(vec![Errno(12), Errno(111), Errno(-7), Errno(-9)])));
        faults.extend(at("method=(uinfo|list|locateupload)|quota|device", passing()));
        for fault in faults {
            self.rig.sim.fault(fault).unwrap();
        }
    }

    /// Kills at moments by chance, then whatever time it takes; then the reckoning.
    async fn rage(mut self, kills: usize) -> String {
        let share = (4 * self.wanted.len()).div_ceil(kills + 1);
        let mut agent = self.rig.spawn_hurried();
        for _ in 0..kills {
            if self.dice.percent(30) {
                // No answer at all: the kill ends the waiting.
                let skipped = u32::try_from(self.dice.below(share)).unwrap();
                let stall = Fault::once("(xpan|oss)/file|uinfo", FaultKind::Stall).after(skipped);
                self.rig.sim.fault(stall).unwrap();
            }
            self.wait_for_a_moment(share).await;
            let while_it_runs = self.dice.percent(50);
            if while_it_runs {
                self.move_some();
                self.wait_for_a_moment(share / 4).await;
            }
            agent.kill();
            self.tally.kills += 1;
            self.change_the_weather();
            if !while_it_runs {
                self.move_some();
            }
            agent = self.rig.spawn_hurried();
        }
        self.rig.sim.clear_faults();
        self.arm();
        self.until_quiet(&mut agent).await;
        // Everything is in the cloud, so that this can be copied there.
        for _ in 0..2 {
            self.move_some();
        }
        let mut status = self.until_quiet(&mut agent).await;
        let begun = Instant::now();
        // 123pan copies nothing by itself, but takes what it has without being sent it.
        let cloud = self.rig.cloud();
        let is_copied = |file: &StoredFile| cloud.of(file.copied, file.instant);
        while !self.rig.sim.files().iter().any(is_copied) {
            assert!(begun.elapsed() < PATIENCE, "nothing is copied inside the cloud: {}", self.rig.log());
            self.rig.sim.clear_faults();
            self.move_some();
            status = self.until_quiet(&mut agent).await;
        }
        let told = self.reckon(&status);
        let (ended, _) = agent.terminate().await;
        assert!(ended.success(), "{ended}: {}", self.rig.log());
        told
    }

    /// A moment: at once after the start, or so many calls later, or when nothing more comes.
    async fn wait_for_a_moment(&mut self, calls: usize) {
        if self.dice.percent(25) {
            tokio::time::sleep(Duration::from_millis(self.dice.next() % 400)).await;
            return;
        }
        let goal = self.rig.mark() + 1 + self.dice.next() % (2 * calls as u64);
        let begun = Instant::now();
        while self.rig.mark() < goal && begun.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(3)).await;
            self.log_in_if_needed().await;
        }
    }

    fn change_the_weather(&mut self) {
        match self.dice.below(6) {
            0 => drop(self.rig.sim.expire().unwrap()),
            1 => {
                self.rig.sim.stop();
                self.rig.sim.restart().unwrap();
            }
            2 => {
                let most = self.wanted.values().map(|wanted| wanted.slices).max().unwrap();
                self.tally.forgotten += most * self.rig.sim.forget_uploads().min(AT_WORK);
            }
            _ => {}
        }
    }

    /// What a person does when the agent asks for it: a renewal whose answer is lost may be tried once more, and
    /// then once an hour, or less.
    async fn log_in_if_needed(&mut self) -> Option<Status> {
        let status = self.rig.client.status().await.ok()?;
        common::check_sums(&status);
        let account = status.accounts.first()?;
        let reason = account.reason.as_deref().unwrap_or("");
        let words = ["what became of the last renewal", "no answer came to the last login"];
        if account.state == AccountState::NeedsLogin || words.iter().any(|words| reason.contains(words)) {
            match self.rig.cloud() {
                Cloud::Baidu => self.rig.log_in("home"),
                Cloud::Pan123 => drop(self.rig.run(&["account", "login", "home"])),
            }
            self.tally.logins += 1;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Some(status)
    }

    async fn until_quiet(&mut self, agent: &mut Program) -> Status {
        let begun = Instant::now();
        // A thousand files on a machine that does other things too.
        let patience = PATIENCE * (1 + u32::try_from(self.wanted.len() / 150).unwrap());
        loop {
            let status = self.log_in_if_needed().await;
            if let Some(status) = &status
                && is_quiet(status)
                && status.totals.counts.files == self.wanted.len() as u64 + self.skipped
                // What was renamed a moment ago it may not have noticed.
                && self.has_all()
            {
                return status.clone();
            }
            let words = || self.rig.story(status.as_ref());
            assert!(agent.is_alive(), "the agent ended: {}", self.rig.log());
            assert!(begun.elapsed() < patience, "not quiet after {patience:?}: {}", words());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One copy of each file at its own path with its own bytes, nothing else but what it was called before,
    /// nothing overwritten, and no more slices than there were reasons for.
    fn reckon(&self, status: &Status) -> String {
        let counts = &status.totals.counts;
        let all = self.wanted.len() as u64;
        assert_eq!((counts.backed_up, counts.failed, counts.skipped), (all, 0, self.skipped), "{status:#?}");
        let files = self.rig.sim.files();
        for file in &files {
            let wanted = self.called(&place(file)).map(|wanted| &wanted.md5);
            assert_eq!(wanted, Some(&file.md5), "{} is not what is on the disk", file.path);
            assert_eq!((file.overwritten, file.versions.len()), (0, 0), "{}", file.path);
        }
        assert!(self.has_all(), "some files are not there");
        for file in files.iter().filter(|file| !file.instant && !file.copied) {
            let bytes = fs::read(&file.disk).unwrap();
            assert_eq!(md5_hex(&bytes), file.md5, "{} is damaged in the cloud", file.path);
        }
        self.rig.assert_only_grew();
        let calls = self.rig.sim.calls();
        let hit = calls.iter().filter(|call| call.fault.is_some()).count();
        let twice = files.iter().filter(|file| file.created > 1).count();
        let (again, reasons) = (self.sent_again(&calls), self.reasons(&calls));
        let Tally { kills, logins, moved, .. } = self.tally;
        let copied = files.iter().filter(|file| file.copied).count();
        let told = format!(
            "{} files, {} calls, {hit} hit by faults, {kills} kills, {logins} log-ins, {twice} confirmed twice, \
             {again} slices again for {reasons} reasons, {moved} renamed, {copied} copied in the cloud",
            files.len(),
            calls.len(),
        );
        assert!(again <= reasons, "{told}");
        told
    }

    fn has_all(&self) -> bool {
        let files = self.rig.sim.files();
        let there: BTreeSet<String> = files.iter().map(place).collect();
        self.wanted.keys().all(|path| there.contains(path))
    }

    /// What is or was called so.
    fn called(&self, path: &str) -> Option<&Wanted> {
        self.wanted.get(path).or_else(|| self.left.get(path))
    }

    /// Slices that the cloud had taken, and had said so, and that came again.
    fn sent_again(&self, calls: &[Call]) -> usize {
        let mut taken = BTreeMap::new();
        // Of Baidu: 123pan knows no slices, and takes all of a picture again when it could not finish it.
        for call in calls.iter().filter(|call| is_slice(call) && is_said(call)) {
            *taken.entry((&call.query["path"], &call.query["partseq"])).or_insert(0) += 1;
        }
        taken.values().map(|times| times - 1).sum()
    }

    /// How many that may be: what was in flight at the kills, and what the faults have lost.
    fn reasons(&self, calls: &[Call]) -> usize {
        let slices = |call: &Call| {
            let path = call.form.get("path").or(call.query.get("path"));
            path.and_then(|path| self.called(path)).map_or(1, |wanted| wanted.slices)
        };
        let mut reasons = self.tally.kills * AT_WORK + self.tally.forgotten + self.tally.logins * AT_WORK;
        let mut failed = BTreeMap::new();
        for call in calls {
            let target = call.target();
            if target.contains("method=create")
                && matches!(call.errno, 10 | 31_081 | 31_190 | 31_353 | 31_355 | 31_363)
            {
                // The cloud says that the upload is spoilt: all of it again.
                reasons += slices(call);
            } else if is_slice(call) && call.errno == 31_355 {
                reasons += slices(call);
            } else if is_slice(call) && slices(call) > 1 {
                // A slice that is given up takes those beside it down: they were in flight.
                let times: &mut usize =
                    failed.entry((&call.query["path"], &call.query["partseq"])).or_default();
                *times = if is_said(call) { 0 } else { *times + 1 };
                let pauses = matches!(call.errno, 4 | 42_000 | 31_034 | 31_200) || call.status == 429;
                if pauses || *times >= 4 {
                    reasons += PARALLEL.min(slices(call)) - 1;
                }
            } else if target.contains("method=list") {
                // Four failures one after the other: it is sent without being asked for.
                let times = failed.entry((&call.path, &call.path)).or_default();
                *times = if is_said(call) { 0 } else { *times + 1 };
                reasons += usize::from(*times >= 4);
            }
        }
        reasons
    }
}

fn remote(below: &[u8]) -> String {
    format!("/apps/xpand/photo/{}", escape(below))
}

/// How 123pan's names are written (创建文件).
const NAMES: Rules = Rules { refused: "\"\\/:*?|><", only_bmp: false, longest: 254, whole_endings: true };

/// Where a file is; of 123pan's, where Baidu would have it: names are written otherwise there, and a picture goes
/// aside, to a folder `%=...`, when its folder has its content already.
fn place(file: &StoredFile) -> String {
    let Some(below) = file.path.strip_prefix("/photo/") else { return file.path.clone() };
    let folders: Vec<&str> = below.split('/').filter(|name| !name.starts_with("%=")).collect();
    remote(&NAMES.unescape(&folders.join("/")).unwrap())
}

fn is_slice(call: &Call) -> bool {
    call.path.ends_with("superfile2")
}

/// The call was answered well, and the answer arrived.
fn is_said(call: &Call) -> bool {
    let harmless = call.fault.as_deref().is_none_or(|fault| matches!(fault, "json_as_html"));
    call.status == 200 && call.errno == 0 && harmless
}
