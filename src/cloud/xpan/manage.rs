//! Copy, move, rename, delete, new folders, and the traits [`Files`] and [`GiveBack`] as a whole (xpan-api, 管理文件 and 创建文件;
//! field notes 3.5 and 3.8).
//!
//! A batch that failed in part is no failure of the call, when its answer says how each item fared.

use serde_json::json;

use super::listing::{FILE, number, refuse};
use super::wire::Nothing;
use super::wire::items::{Fared, Managed as WireManaged, Task as WireTask};
use super::{Call, LARGE, SMALL, Xpan, answer, codes, wire};
use crate::cloud::files::{
    CategoryList, Count, Download, Item, ItemResult, ListAll, ListKind, MOST_MANAGED, Managed, OnDup, Opera,
    Place, PreviewPart, Run, Search, Sort, Task, TaskStatus, Transfer, Want,
};
use crate::cloud::give_back::Asked;
use crate::cloud::lenient::Perhaps;
use crate::cloud::{BoxFuture, Code, Cursor, Error, Files, GiveBack, Kind, Page, Result, Stored};

fn ondup(ondup: OnDup) -> &'static str {
    match ondup {
        OnDup::Fail => "fail",
        OnDup::NewCopy => "newcopy",
        OnDup::Overwrite => "overwrite",
        OnDup::Skip => "skip",
    }
}

/// `opera`, `filelist`, and what each item is called in the result.
fn filelist(opera: &Opera) -> (&'static str, serde_json::Value, Vec<&str>) {
    let ways = |items: &[Transfer]| {
        let way = |item: &Transfer| json!({"path": item.path, "dest": item.dest, "newname": item.newname, "ondup": ondup(item.ondup)});
        items.iter().map(way).collect()
    };
    match opera {
        Opera::Copy(items) => ("copy", ways(items), items.iter().map(|item| item.path.as_str()).collect()),
        // "mover" in the table is a slip of the pen (field notes 3.8); the samples have "move".
        Opera::Move(items) => ("move", ways(items), items.iter().map(|item| item.path.as_str()).collect()),
        Opera::Rename(items) => (
            "rename",
            items.iter().map(|(path, name)| json!({"path": path, "newname": name})).collect(),
            items.iter().map(|(path, _)| path.as_str()).collect(),
        ),
        Opera::Delete(paths) => (
            "delete",
            paths.iter().map(|path| json!(path)).collect(),
            paths.iter().map(String::as_str).collect(),
        ),
    }
}

impl Xpan {
    /// 管理文件
    async fn manage(&self, opera: &Opera, run: Run) -> Result<Managed> {
        let endpoint = "filemanager";
        let (word, list, paths) = filelist(opera);
        if paths.len() > MOST_MANAGED {
            let words = format!("{} items were given at once; the cloud takes {MOST_MANAGED}", paths.len());
            return Err(refuse(endpoint, words));
        }
        if paths.is_empty() {
            return Ok(Managed::default());
        }
        let run = match run {
            Run::Sync => "0",
            Run::Adaptive => "1",
            Run::Async => "2",
        };
        let list = list.to_string();
        let query = [("method", endpoint), ("opera", word)];
        let form = [("async", run), ("filelist", list.as_str())];
        let call = Call { form: Some(&form), limit: LARGE, ..Call::to(endpoint, FILE, &query) };
        let answer: WireManaged = self
            .ask(call, |answer| {
                answer::read_despite(answer, |error, answer: &WireManaged| {
                    tells_each(error, &answer.info, paths.len())
                })
            })
            .await?;
        Ok(Managed { taskid: task(answer.taskid), info: fared(endpoint, answer.info, &paths) })
    }

    /// `/share/taskquery` (field notes 3.8; not in the documents).
    /// `item`: where the numbers of its items have their meaning.
    pub(super) async fn query_task(&self, taskid: &str, item: &str) -> Result<Task> {
        let endpoint = "taskquery";
        let query = [("taskid", taskid)];
        let answer: WireTask = self.get(endpoint, "/share/taskquery", &query, LARGE).await?;
        let status = match answer.status.as_deref() {
            Some("pending") => TaskStatus::Pending,
            Some("running") => TaskStatus::Running,
            Some("success") => TaskStatus::Success,
            Some("failed") => TaskStatus::Failed,
            _ => return Err(answer::broken(endpoint, "the answer does not say how far the task is")),
        };
        let info = fared(item, answer.list, &[]);
        Ok(Task { status, errno: answer.task_errno.unwrap_or(0), info })
    }

    /// 创建文件: "可以使用该接口创建文件夹".
    async fn make_folder(&self, path: &str) -> Result<Stored> {
        let form = [("path", path), ("size", "0"), ("isdir", "1"), ("rtype", "0")];
        let made: Result<wire::File> = self.post("create", FILE, &[("method", "create")], &form, SMALL).await;
        match made {
            Ok(made) => Ok(Stored {
                id: made.fs_id.unwrap_or_default(),
                path: made.path.or(made.name).unwrap_or_else(|| path.to_owned()),
                size: 0,
            }),
            // A folder that is there already is no failure (field notes 3.5); a file of that name is one, and
            // cannot be listed.
            Err(error) if error.kind == Kind::Exists => {
                let query = [("method", "list"), ("dir", path), ("start", "0"), ("limit", "1")];
                match self.get::<Nothing>("list", FILE, &query, SMALL).await {
                    Ok(_) => Ok(Stored { id: String::new(), path: path.to_owned(), size: 0 }),
                    Err(listed) if listed.kind == Kind::Missing => Err(error),
                    Err(listed) => Err(listed),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// A task to ask about, unless it is 0.
pub(super) fn task(taskid: Option<String>) -> Option<String> {
    taskid.filter(|taskid| !matches!(taskid.trim(), "" | "0"))
}

/// Whether a call that failed tells how its items fared: with 12 (field notes 2.1) those that failed at
/// least, with the number of one that failed all of them. It is then no failure of the call.
pub(super) fn tells_each(error: &Error, items: &[Perhaps<Fared>], asked: usize) -> bool {
    let least = match error.number() {
        Some(12) => 1,
        Some(_) if error.kind != Kind::Unauthorized => asked,
        _ => return false,
    };
    let failed = |item: &Perhaps<Fared>| item.0.as_ref().is_some_and(|item| errno(item) != 0);
    items.len() >= least && items.iter().any(failed)
}

/// The number of one item, 0 when it is done.
fn errno(item: &Fared) -> i64 {
    let numbers = [item.errno, item.error_code, item.newno];
    numbers.into_iter().flatten().find(|number| *number != 0).unwrap_or(0)
}

/// How each item fared. One without a path is called as it was asked for: the answer keeps the order.
pub(super) fn fared(endpoint: &str, items: Vec<Perhaps<Fared>>, asked: &[&str]) -> Vec<ItemResult> {
    let result = |(number, item): (usize, Perhaps<Fared>)| {
        let item = item.0.unwrap_or_default();
        let errno = errno(&item);
        let told = item.path.or(item.from).or(item.fsid);
        let path = told.or_else(|| asked.get(number).map(|&path| path.to_owned()))?;
        let meaning = match errno {
            0 => String::new(),
            errno => codes::meaning(endpoint, &Code::Errno(errno), "", 200).1,
        };
        Some(ItemResult { path, errno, meaning })
    };
    items.into_iter().enumerate().filter_map(result).collect()
}

impl GiveBack for Xpan {
    fn items<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(self.list_items(folder, Sort::default(), Want::default(), number(after)))
    }

    fn items_below<'a>(
        &'a self,
        folder: &'a str,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(async move {
            let everything = ListAll { recursion: true, ..ListAll::default() };
            self.listall_items(folder, &everything, number(after)).await
        })
    }

    fn details<'a>(&'a self, files: &'a [Asked]) -> BoxFuture<'a, Result<Vec<Item>>> {
        Box::pin(async move {
            let ids: Vec<String> = files.iter().map(|file| file.id.clone()).collect();
            self.metas(&ids, Want { dlink: true, ..Want::default() }).await
        })
    }

    fn download<'a>(&'a self, dlink: &'a str, from: u64, size: u64) -> BoxFuture<'a, Result<Download>> {
        Box::pin(self.download_file(dlink, from, size))
    }
}

impl Files for Xpan {
    fn list<'a>(
        &'a self,
        dir: &'a str,
        sort: Sort,
        want: Want,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(self.list_items(dir, sort, want, number(after)))
    }

    fn listall<'a>(
        &'a self,
        path: &'a str,
        ask: &'a ListAll,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(self.listall_items(path, ask, number(after)))
    }

    fn list_kind<'a>(
        &'a self,
        kind: ListKind,
        place: Place<'a>,
        sort: Sort,
        want: Want,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(self.list_of_kind(kind, place, sort, want, number(after)))
    }

    fn categoryinfo<'a>(&'a self, category: u8, place: Place<'a>) -> BoxFuture<'a, Result<Count>> {
        Box::pin(self.count_category(category, place))
    }

    fn categorylist<'a>(
        &'a self,
        ask: &'a CategoryList,
        place: Place<'a>,
        sort: Sort,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(self.list_category(ask, place, sort, number(after)))
    }

    fn search<'a>(
        &'a self,
        ask: &'a Search,
        place: Place<'a>,
        after: Option<Cursor>,
    ) -> BoxFuture<'a, Result<Page<Item>>> {
        Box::pin(self.find(ask, place, number(after)))
    }

    fn filemetas<'a>(&'a self, ids: &'a [String], want: Want) -> BoxFuture<'a, Result<Vec<Item>>> {
        Box::pin(self.metas(ids, want))
    }

    fn filemanager<'a>(&'a self, opera: &'a Opera, run: Run) -> BoxFuture<'a, Result<Managed>> {
        Box::pin(self.manage(opera, run))
    }

    fn taskquery<'a>(&'a self, taskid: &'a str) -> BoxFuture<'a, Result<Task>> {
        Box::pin(self.query_task(taskid, "filemanager"))
    }

    fn create_folder<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Stored>> {
        Box::pin(self.make_folder(path))
    }

    fn newinfo<'a>(&'a self, lodocpreview: &'a str, part_index: u32) -> BoxFuture<'a, Result<PreviewPart>> {
        Box::pin(self.preview_part(lodocpreview, part_index))
    }

    fn newview<'a>(
        &'a self,
        lodocpreview: &'a str,
        part: &'a PreviewPart,
    ) -> BoxFuture<'a, Result<Download>> {
        Box::pin(self.preview_content(lodocpreview, part))
    }
}
