//! The drive of one process: calls that take their time and fail as the weather is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::Sim;
use super::chance::Chance;
use super::cloud::{Cloud, ITEMS, Item, LARGEST};
use crate::cloud::{
    Begin, BoxFuture, Copies, Cursor, Drive, Entry, Error, Finish, Kind, Page, Quota, Result, Slice, Upload,
    User,
};
use crate::content::Md5;

/// Every way in which a call can fail.
const KINDS: [Kind; 15] = [
    Kind::Offline,
    Kind::Offline,
    Kind::Busy { after: None },
    Kind::Busy { after: Some(Duration::ZERO) },
    Kind::Busy { after: Some(Duration::from_secs(30)) },
    Kind::DayLimit,
    Kind::Unauthorized,
    Kind::Expired,
    Kind::Full,
    Kind::Exists,
    Kind::Missing,
    Kind::Refused,
    Kind::Blocked { after: Duration::from_secs(600) },
    Kind::Broken,
    Kind::SliceSize,
];

/// The drive of one process: when that is dead, nothing comes from it any more.
pub(super) struct SimDrive {
    pub(super) sim: Arc<Sim>,
    pub(super) life: u64,
}

/// What becomes of one call.
pub(super) enum Fate {
    Good,
    /// It is not done.
    Before(Kind),
    /// It is done, and the answer is lost.
    After(Kind),
}

impl SimDrive {
    /// One call: it takes its time, and perhaps it is done, and perhaps there is an answer.
    async fn call<T>(
        &self,
        what: &'static str,
        path: &str,
        action: impl FnOnce(&mut Cloud) -> Result<T>,
    ) -> Result<T> {
        self.alive().await;
        let latency = self.sim.chance(|chance| chance.within(20, 3000));
        tokio::time::sleep(Duration::from_millis(latency)).await;
        self.alive().await;
        let (fate, dies) = self.fate();
        if dies == Some(false) {
            self.sim.end_process();
            self.alive().await;
        }
        let outcome = match &fate {
            Fate::Good => action(&mut self.sim.cloud()),
            Fate::Before(kind) => Err(Error::new(*kind, what, "as the weather is")),
            Fate::After(kind) => {
                drop(action(&mut self.sim.cloud()));
                Err(Error::new(*kind, what, "the answer is lost"))
            }
        };
        self.sim.cloud().learn(path, &fate);
        if dies.is_some() {
            self.sim.end_process();
        }
        self.alive().await;
        match &outcome {
            // Asked each hour, and of no interest.
            Ok(_) if path.is_empty() => {}
            Ok(_) => self.sim.note(format_args!("{what} {path}")),
            Err(error) => self.sim.note(format_args!("{what} {path}: {:?}, {error}", error.kind)),
        }
        outcome
    }

    /// What becomes of the next call, and whether the process ends after (true) or before it is done.
    fn fate(&self) -> (Fate, Option<bool>) {
        let mut cloud = self.sim.cloud();
        cloud.calls += 1;
        if cloud.calls.is_multiple_of(3) {
            cloud.keep_promises();
        }
        let (failing, all) = (cloud.weather.failing, cloud.weather.all);
        let (fails, kind, is_done, late) = self.sim.chance(|chance| {
            let fails = chance.in_thousand(failing);
            (fails, KINDS[chance.below(KINDS.len())], chance.in_thousand(400), chance.in_thousand(500))
        });
        let dies = self.sim.is_last_call().then_some(late);
        let fate = match all {
            Some(kind) => Fate::Before(kind),
            None if !fails => Fate::Good,
            None if is_done => Fate::After(match kind {
                Kind::Busy { .. } | Kind::Broken => kind,
                _ => Kind::Offline,
            }),
            None => Fate::Before(kind),
        };
        (fate, dies)
    }

    /// Goes on only while the process lives.
    async fn alive(&self) {
        if self.sim.is_over(self.life) {
            std::future::pending::<()>().await;
        }
    }
}

impl Drive for SimDrive {
    fn user(&self) -> BoxFuture<'_, Result<User>> {
        Box::pin(self.call("user", "", |cloud| {
            let slice_size = cloud.weather.slice_size;
            Ok(User {
                id: "7".into(),
                name: "family".into(),
                vip_type: Some(0),
                slice_size,
                max_file_size: LARGEST,
            })
        }))
    }

    fn quota(&self) -> BoxFuture<'_, Result<Option<Quota>>> {
        Box::pin(
            self.call("quota", "", |_| Ok(Some(Quota { used: 1 << 30, total: 1 << 40, expires: false }))),
        )
    }

    fn begin<'a>(&'a self, file: &'a Upload, resume: Option<&'a str>) -> BoxFuture<'a, Result<Begin>> {
        Box::pin(self.call("begin", &file.path, move |cloud| cloud.begin(file, resume)))
    }

    fn send<'a>(
        &'a self,
        file: &'a Upload,
        session: &'a str,
        mut slice: Slice,
    ) -> BoxFuture<'a, Result<Option<Md5>>> {
        Box::pin(async move {
            let mut bytes = Vec::new();
            while let Some(piece) = slice.body.next().await {
                let broken =
                    |error| Error::new(Kind::Local, "superfile2", "the file cannot be read").because(error);
                bytes.extend(piece.map_err(broken)?);
            }
            let what = format!("{} #{}", file.path, slice.number);
            let taken =
                self.call("send", &file.path, |cloud| match cloud.take(file, session, slice.number, bytes) {
                    Ok(md5) => Ok(Ok(md5)),
                    Err(None) => Err(Error::new(Kind::Expired, "superfile2", what)),
                    Err(Some(wrong)) => Ok(Err(wrong)),
                });
            taken.await?.map(Some).map_err(|wrong| self.sim.fail(&wrong))
        })
    }

    fn finish<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Finish>> {
        Box::pin(async move {
            // A fifth of all files takes its time, some of them very long.
            let checks = self.sim.chance(|chance| match chance.below(100) {
                0 => chance.within(100, 200),
                1..20 => chance.within(1, 5),
                _ => 0,
            });
            let checks = u32::try_from(checks).unwrap();
            let made = self.call("create", &file.path, |cloud| {
                cloud.finish(file, session, &self.sim.disk().ever, checks)
            });
            made.await?.map_err(|wrong| self.sim.fail(&wrong))
        })
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(self.call("list", folder, move |cloud| cloud.list(folder, after)))
    }

    fn is_same(&self, entry: &Entry, file: &Upload) -> bool {
        entry.size == file.size && entry.md5.as_deref() == Some(file.content_md5.to_string().as_str())
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}

impl Copies for SimDrive {
    fn copy<'a>(&'a self, files: &'a [(&'a str, &'a str)]) -> BoxFuture<'a, Result<Vec<bool>>> {
        Box::pin(async move {
            // Whatever goes wrong with it is no reason to send anything twice, nor to leave a file out.
            let what = format!("of {} files", files.len());
            let failing = self.sim.cloud().weather.failing;
            let item = |chance: &mut Chance| {
                if chance.in_thousand(failing) { ITEMS[chance.below(ITEMS.len())] } else { Item::Honest }
            };
            let items: Vec<Item> = files.iter().map(|_| self.sim.chance(item)).collect();
            let copied = self.call("copy", &what, |cloud| {
                let all = files.iter().zip(items);
                Ok(all.map(|((from, to), item)| cloud.copy(from, to, item)).collect::<Vec<bool>>())
            });
            copied.await
        })
    }
}
