//! Many files: a bounded queue, some downloads at a time, and one that fails never stops the others.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::local::{self, Looked};
use super::lost::Lost;
use super::one::Ready;
use super::patience::{Line, Over, Patience};
use super::queue::Queue;
use super::{Copies, Disk, End, Found, Place, Stop, Target, Wanted, Watch};
use crate::clock::Clock;
use crate::cloud::files::Item;
use crate::cloud::give_back::{Asked, MOST_DETAILS};
use crate::cloud::{Drive, Error, GiveBack, Kind};

/// For so long more files are waited for before fewer than [`MOST_DETAILS`] are asked about.
const GATHER: Duration = Duration::from_millis(300);

/// How files are fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Downloads at a time, 1 or more.
    pub parallel: usize,
    /// A different local file is replaced.
    pub overwrite: bool,
    /// Nothing is fetched; it is only said what would be.
    pub dry_run: bool,
}

/// Fetches files into a target.
pub struct Fetcher<'a> {
    pub(super) drive: Arc<dyn Drive>,
    pub(super) disk: Disk,
    pub(super) target: Arc<Target>,
    pub(super) options: Options,
    pub(super) watch: &'a dyn Watch,
    pub(super) line: Line,
    /// Who knows where else a content is.
    pub(super) copies: Option<&'a dyn Copies>,
    /// Files that are not where they were said to be.
    pub(super) lost: RefCell<Vec<Lost>>,
    /// When it began, nanoseconds since 1970.
    since_ns: i64,
    /// The places on their way, and the id of what comes there.
    under_way: RefCell<HashMap<Place, String>>,
}

impl<'a> Fetcher<'a> {
    /// A fetcher; it has done nothing yet.
    #[must_use]
    pub fn new(
        drive: Arc<dyn Drive>,
        disk: Disk,
        target: Arc<Target>,
        options: Options,
        clock: Clock,
        watch: &'a dyn Watch,
    ) -> Self {
        let since_ns = clock.now_ns();
        let line = Line::new(clock);
        let (copies, lost, under_way) = (None, RefCell::default(), RefCell::default());
        Self { drive, disk, target, options, watch, line, copies, lost, since_ns, under_way }
    }

    /// It is part of a run that began at this time, nanoseconds since 1970: what was written since then is not
    /// overwritten.
    #[must_use]
    pub fn since(self, since_ns: i64) -> Self {
        Self { since_ns, ..self }
    }

    /// What is not where it should be is fetched from where `copies` says that its content is too.
    #[must_use]
    pub fn with_copies(self, copies: &'a dyn Copies) -> Self {
        Self { copies: Some(copies), ..self }
    }

    /// Fetches what is found until there is no more. All of it survives a power cut then.
    ///
    /// # Errors
    /// See [`Stop`]: nothing more can be fetched. What was fetched is in its place, and part files stay.
    pub async fn run(&self, found: mpsc::Receiver<Found>) -> Result<(), Stop> {
        let Some(files) = self.drive.give_back() else {
            let words = "this cloud has no calls to fetch files by";
            return Err(Error::new(Kind::Refused, "download", words).unsent().into());
        };
        let (ready, queue) = mpsc::channel(MOST_DETAILS);
        let queue = Queue::new(queue);
        let workers = try_join_all((0..self.options.parallel.max(1)).map(|_| self.work(files, &queue)));
        let fetched = tokio::try_join!(self.sort(files, found, ready), workers);
        let target = Arc::clone(&self.target);
        let settled = self.disk.run(move || target.settle()).await;
        fetched?;
        settled.map_err(|source| Stop::Disk { path: self.target.path().to_owned(), source })
    }

    /// Looks at what is there already, and asks about the rest in bundles.
    async fn sort(
        &self,
        files: &dyn GiveBack,
        mut found: mpsc::Receiver<Found>,
        ready: mpsc::Sender<Ready>,
    ) -> Result<(), Stop> {
        let mut bundle: Vec<Ready> = Vec::new();
        loop {
            let next = if bundle.is_empty() {
                Ok(found.recv().await)
            } else {
                tokio::time::timeout(GATHER, found.recv()).await
            };
            let is_end = matches!(next, Ok(None));
            let is_pause = next.is_err();
            match next {
                Ok(Some(Found::File(wanted))) => bundle.extend(self.wanted(wanted).await?),
                Ok(Some(Found::Folder { remote, place })) => self.folder(&remote, &place).await?,
                Ok(Some(Found::Bad { remote, size, why })) => {
                    self.watch.ended(&remote, None, size, &End::Failed(why));
                }
                Ok(None) | Err(_) => {}
            }
            if bundle.len() >= MOST_DETAILS || is_pause || is_end {
                for file in self.addresses(files, std::mem::take(&mut bundle)).await? {
                    // Nobody takes any more only when all of it has stopped.
                    let _ = ready.send(file).await;
                }
            }
            if is_end || self.has_lost_many() {
                self.look_elsewhere(files, &ready).await?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    /// Whether a file has to be fetched.
    async fn wanted(&self, wanted: Wanted) -> Result<Option<Ready>, Stop> {
        if let Some(other) = self.under_way.borrow().get(&wanted.place) {
            // A listing that changes while it is read tells of a file twice.
            if *other != wanted.fs_id {
                let why = "another file of the cloud has the same place here".to_owned();
                self.tell(&wanted, &End::Failed(why));
            }
            return Ok(None);
        }
        self.under_way.borrow_mut().insert(wanted.place.clone(), wanted.fs_id.clone());
        let end = match self.look(&wanted).await {
            Ok(Looked::Present) => End::Present,
            Ok(Looked::Taken(why)) => End::Failed(why),
            Ok(_) if self.options.dry_run => End::Rehearsed,
            Ok(looked) => {
                let replace = looked == Looked::Replace;
                return Ok(Some(Ready::new(wanted, replace)));
            }
            Err(error) => self.disk_failed(&wanted, error)?,
        };
        self.ended(&wanted, &end);
        Ok(None)
    }

    pub(super) async fn look(&self, wanted: &Wanted) -> io::Result<Looked> {
        let (target, drive, wanted) = (Arc::clone(&self.target), Arc::clone(&self.drive), wanted.clone());
        let (overwrite, since_ns) = (self.options.overwrite, self.since_ns);
        self.disk.run(move || local::look(&target, &*drive, &wanted, overwrite, since_ns)).await
    }

    async fn folder(&self, remote: &str, place: &Place) -> Result<(), Stop> {
        if self.options.dry_run {
            return Ok(());
        }
        let (target, at) = (Arc::clone(&self.target), place.clone());
        if let Err(error) = self.disk.run(move || target.make(&at)).await {
            let local = place.under(self.target.path());
            if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem) {
                return Err(Stop::Disk { path: local, source: error });
            }
            self.watch.ended(remote, Some(local), 0, &End::Failed(error.to_string()));
        }
        Ok(())
    }

    /// Asks for the address of each file, and leaves out those that have none.
    async fn addresses(&self, files: &dyn GiveBack, bundle: Vec<Ready>) -> Result<Vec<Ready>, Stop> {
        let (mut ready, lost) = self.ask(files, bundle).await?;
        if !lost.is_empty() {
            let (found, lost) = self.found_by_path(files, lost).await?;
            ready.extend(found);
            self.lost.borrow_mut().extend(lost);
        }
        Ok(ready)
    }

    /// Asks once: those that have an address, and those that are not there as they should be although their
    /// content is known.
    pub(super) async fn ask(
        &self,
        files: &dyn GiveBack,
        bundle: Vec<Ready>,
    ) -> Result<(Vec<Ready>, Vec<Lost>), Stop> {
        let (mut ready, mut lost) = (Vec::with_capacity(bundle.len()), Vec::new());
        let asked = |file: &&Ready| file.wanted.size > 0;
        let mut these: Vec<Asked> = bundle.iter().filter(asked).map(Ready::asked).collect();
        // One copy may be wanted for two places.
        these.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        these.dedup_by(|one, other| one.id == other.id);
        let items = match self.metas(files, &these).await {
            Ok(items) => items,
            Err(Over::All(stop)) => return Err(stop),
            Err(Over::File(why)) => {
                bundle.iter().for_each(|file| self.ended(&file.wanted, &End::Failed(why.clone())));
                return Ok((ready, lost));
            }
        };
        let asked_at = Instant::now();
        for mut file in bundle {
            if file.wanted.size > 0 {
                let item = items.get(&file.wanted.fs_id).cloned();
                if let Err(end) = address(&mut file, item) {
                    match file.wanted.md5 {
                        Some(_) => lost.push(Lost { file, end }),
                        None => self.ended(&file.wanted, &end),
                    }
                    continue;
                }
            }
            file.asked_at = Some(asked_at);
            ready.push(file);
        }
        Ok((ready, lost))
    }

    /// What the cloud tells of at most [`MOST_DETAILS`] files, each with its address.
    pub(super) async fn metas(
        &self,
        files: &dyn GiveBack,
        these: &[Asked],
    ) -> Result<HashMap<String, Item>, Over> {
        let mut patience = Patience::default();
        while !these.is_empty() {
            match files.details(these).await {
                Ok(items) => {
                    self.line.moves();
                    return Ok(items.into_iter().map(|item| (item.fs_id.clone(), item)).collect());
                }
                Err(error) => patience.wait(error, &self.line, self.watch).await?,
            }
        }
        Ok(HashMap::new())
    }

    async fn work(&self, files: &dyn GiveBack, queue: &Queue) -> Result<(), Stop> {
        while let Some(ready) = queue.next().await {
            let wanted = ready.wanted.clone();
            let end = self.bring(files, queue, ready).await?;
            self.ended(&wanted, &end);
        }
        Ok(())
    }

    /// A file that was under way fared so.
    pub(super) fn ended(&self, wanted: &Wanted, end: &End) {
        self.under_way.borrow_mut().remove(&wanted.place);
        self.tell(wanted, end);
    }

    fn tell(&self, wanted: &Wanted, end: &End) {
        let local = wanted.place.under(self.target.path());
        self.watch.ended(&wanted.remote, Some(local), wanted.size, end);
    }
}

/// Takes the address of a file out of what the cloud tells of it now.
fn address(file: &mut Ready, item: Option<Item>) -> Result<(), End> {
    let wanted = &mut file.wanted;
    let failed = |why: &str| Err(End::Failed(why.to_owned()));
    let Some(item) = item else {
        let why = "it is not in the cloud any more".to_owned();
        return Err(if wanted.may_vanish { End::Skipped(why) } else { End::Failed(why) });
    };
    if item.isdir {
        return failed("it is a folder in the cloud");
    }
    if item.size != wanted.size {
        if wanted.md5.is_some() {
            let why = format!("its copy has {} bytes in the cloud and had {}", item.size, wanted.size);
            return Err(End::Failed(why));
        }
        // It changed since it was listed, in its place: then that is what is wanted.
        wanted.size = item.size;
    }
    if item.md5.is_some() {
        wanted.listed = item.md5;
    }
    let secs = item.local_mtime.or(item.server_mtime);
    wanted.mtime = wanted.mtime.or(secs.map(|secs| (secs, 0)));
    match item.dlink {
        Some(dlink) => file.dlink = dlink,
        None if wanted.size == 0 => {}
        None => return failed("the cloud gives no address to fetch it from"),
    }
    Ok(())
}
