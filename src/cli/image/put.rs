//! `image put`: sends pictures as `drive put` does, and prints their links.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::manage::check_path;
use super::twins::{Twin, twins};
use super::{Host, image_path, in_session};
use crate::backup::batch::{End, Named, Watch};
use crate::backup::entry::{Copy, Limits};
use crate::backup::progress::Progress;
use crate::backup::source::{Naming, Reader, Source};
use crate::backup::walk::Passed;
use crate::cli::drive::put::local::{Local, What};
use crate::cli::drive::put::teller::Teller;
use crate::cli::drive::put::{THREADS, key_of, send, setting};
use crate::cli::terminal::plain;
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::cloud;
use crate::content::{OnConflict, Purpose};
use crate::fetch::Disk;
use crate::remote::names::Rules;

/// `xpand image put`.
#[derive(clap::Args, Debug)]
pub struct PutArgs {
    /// Pictures of this box: png gif jpg jpeg tif tiff webp svg bmp, at most 100 MiB each; the last one, when
    /// it is no file, is the folder they go to [default: /]
    #[arg(required = true, value_name = "FILE... [PATH]")]
    files: Vec<PathBuf>,
    /// Print a line to paste into a text: ![name](link)
    #[arg(long)]
    markdown: bool,
}

/// Does it.
pub(super) fn run(context: &Context, account: Option<&str>, args: &PutArgs) -> Outcome {
    // Before the account is opened: files are looked at and read with the rights of whoever typed it.
    let disk = Disk::start(THREADS)?;
    let mut locals: Vec<Local> = args.files.iter().map(|typed| Local::look(typed)).collect();
    let is_path = |local: &Local| !matches!(local.what, What::File { .. });
    let remote = if locals.len() > 1 && locals.last().is_some_and(is_path) { locals.pop() } else { None };
    if let Some(bad) = locals.iter().find(|local| is_path(local)) {
        let why = match &bad.what {
            What::Bad(why) => why.clone(),
            _ => "it is a folder: name the pictures in it".to_owned(),
        };
        return Err(Failed::words(format!("{}: {why}", bad.typed.display()))
            .hint("nothing was sent")
            .status(ExitStatus::Usage));
    }
    let remote = match remote.map(|local| local.typed) {
        None => "/".to_owned(),
        Some(typed) => typed.to_str().map(str::to_owned).ok_or_else(|| {
            Failed::words(format!("{} is no file, and no name of a folder either", typed.display()))
                .status(ExitStatus::Usage)
        })?,
    };
    let remote = image_path(&remote).map_err(|why| {
        Failed::words(format!("{remote:?}: {why}")).hint("nothing was sent").status(ExitStatus::Usage)
    })?;
    in_session(context, account, async |host| put(host, disk, args, &locals, &remote).await)
}

async fn put(host: &Host<'_>, disk: Disk, args: &PutArgs, locals: &[Local], remote: &str) -> Outcome {
    let session = host.session;
    let takes = cloud::of(session.account.provider).takes();
    let folder = session.path(remote);
    if takes.takes_name(folder.as_bytes()) {
        return Err(Failed::words(format!("{remote}: there is no such file, and a folder is not called so"))
            .hint("nothing was sent")
            .status(ExitStatus::Usage));
    }
    check_path(host, &folder)?;
    let limits = Limits { min_size: 0, max_size: u64::MAX, tier: None, takes };
    let twins = twins(locals, &limits, &disk).await;
    let to_folder = To { folder: folder.trim_end_matches('/'), names: session.home().names };
    let teller = Teller::of_troubles(session.context);
    let reader = Reader::Own(Arc::new(move |work| disk.hand(work)));
    let sent = locals.iter().enumerate().filter(|(number, _)| !twins.contains_key(number));
    let named = plan(&to_folder, sent.map(|(_, local)| local), limits, &reader)?;
    let setting = setting(session).await?;
    let words = ["image", &session.account.name, &setting.user.id, &folder];
    let key = key_of(&words, locals.iter().map(|local| local.typed.as_path()))?;
    let links = Links { teller: &teller, ended: RefCell::default() };
    let ran = send(session, setting, &key, named, &teller, &links).await?;
    teller.clear();
    // What did arrive has its link, however the rest ended.
    let told = Told { host, markdown: args.markdown, to_folder, teller: &teller };
    let told = told.tell(locals, &twins, &links.ended.into_inner()).await;
    let ran = teller.end(ran);
    told?;
    ran
}

/// Where the pictures go.
struct To<'f> {
    /// Without a slash at its end.
    folder: &'f str,
    names: &'static Rules,
}

impl To<'_> {
    fn path(&self, local: &Local) -> String {
        format!("{}/{}", self.folder, self.names.escape(&local.name))
    }
}

/// What is sent as what.
fn plan<'l>(
    to_folder: &To<'_>,
    locals: impl Iterator<Item = &'l Local>,
    limits: Limits,
    reader: &Reader,
) -> Outcome<Vec<Named>> {
    let mut targets: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut all = Vec::new();
    for local in locals {
        let What::File { root, below } = &local.what else { continue };
        let (target, path) = (to_folder.path(local), local.what.path());
        match targets.insert(target.clone(), path.clone()) {
            Some(other) if other == path => continue,
            Some(other) => {
                let (one, other) = (other.display(), path.display());
                return Err(Failed::words(format!("{one} and {other} would both be {target}"))
                    .hint("nothing was sent; send them one after the other")
                    .status(ExitStatus::Usage));
            }
            None => {}
        }
        let source = Source {
            root: root.clone(),
            naming: Naming::At(target),
            on_conflict: OnConflict::KeepBoth,
            limits,
            purpose: Purpose::Manual,
            reader: reader.clone(),
        };
        all.push(Named { source: Arc::new(source), below: below.clone() });
    }
    Ok(all)
}

/// What became of a picture.
#[derive(Clone)]
struct Ended {
    /// `sent`, `instant`, `there` or `failed`.
    state: &'static str,
    copy: Option<Copy>,
    reason: Option<String>,
}

impl Ended {
    fn well(state: &'static str, copy: &Copy) -> Self {
        Self { state, copy: Some(copy.clone()), reason: None }
    }

    fn failed(why: impl Into<String>) -> Self {
        Self { state: "failed", copy: None, reason: Some(why.into()) }
    }
}

/// Watches, and keeps what each came to: the links are printed in the order that was typed.
struct Links<'t, 'c> {
    teller: &'t Teller<'c>,
    ended: RefCell<BTreeMap<PathBuf, Ended>>,
}

impl Watch for Links<'_, '_> {
    fn expects(&self, local: &Path, remote: &str, size: u64, is_escaped: bool) {
        self.teller.expects(local, remote, size, is_escaped);
    }

    fn begins(&self, local: &Path, size: u64, progress: &Arc<Progress>) {
        self.teller.begins(local, size, progress);
    }

    fn ended(&self, local: &Path, remote: &str, size: u64, end: &End) {
        let ended = match end {
            End::Done(copy) => Ended::well("sent", copy),
            End::Instant(copy) => Ended::well("instant", copy),
            End::There(copy) => Ended::well("there", copy),
            End::Skipped(why) | End::Failed(why) => Ended::failed(why),
            End::Later(_) | End::Rehearsed => return self.teller.ended(local, remote, size, end),
        };
        self.teller.ended(local, remote, size, end);
        self.ended.borrow_mut().insert(local.to_owned(), ended);
    }

    fn waits(&self, words: &str) {
        self.teller.waits(words);
    }

    fn passed(&self, passed: Passed) {
        self.teller.passed(passed);
    }
}

/// One picture, with `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    /// Of this box.
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// What the links are printed with.
struct Told<'h, 't, 'f> {
    host: &'h Host<'h>,
    markdown: bool,
    to_folder: To<'f>,
    teller: &'t Teller<'h>,
}

impl Told<'_, '_, '_> {
    async fn tell(
        &self,
        locals: &[Local],
        twins: &BTreeMap<usize, Twin>,
        ended: &BTreeMap<PathBuf, Ended>,
    ) -> Outcome {
        let session = self.host.session;
        let mut failed = None;
        for (number, local) in locals.iter().enumerate() {
            let ended = match twins.get(&number) {
                None => ended.get(&local.what.path()).cloned(),
                Some(twin) => ended.get(&twin.first).map(|first| self.end_of_twin(local, twin, first)),
            };
            let Some(ended) = ended else { continue };
            let link = match &ended.copy {
                None => None,
                Some(copy) => match self.host.images.detail(&copy.id).await {
                    Ok(image) => Some(image.link().to_owned()),
                    Err(error) => {
                        failed = Some(session.failed_at(&copy.path, error));
                        None
                    }
                },
            };
            self.say_where(local, &ended);
            self.print(local, &ended, link.as_deref())?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// A picture that was not sent because another one with its content was.
    fn end_of_twin(&self, local: &Local, twin: &Twin, first: &Ended) -> Ended {
        let ended = match &first.copy {
            Some(copy) if copy.md5 == twin.md5 && copy.size == twin.size => Ended::well("there", copy),
            Some(_) => Ended::failed(format!("{} changed while it was sent", twin.first.display())),
            None => {
                Ended::failed(format!("it is the same picture as {}, which failed", twin.first.display()))
            }
        };
        let end = match (&ended.copy, &ended.reason) {
            (Some(copy), _) => End::There(copy.clone()),
            (None, why) => End::Failed(why.clone().unwrap_or_default()),
        };
        self.teller.ended(&local.what.path(), &self.to_folder.path(local), twin.size, &end);
        ended
    }

    /// Says under which name a picture is there, when it is not its own.
    fn say_where(&self, local: &Local, ended: &Ended) {
        let Some(copy) = &ended.copy else { return };
        let (typed, wanted) = (local.typed.display(), self.to_folder.path(local));
        if copy.path == wanted {
            let name = wanted.strip_prefix(self.to_folder.folder).unwrap_or(&wanted).trim_start_matches('/');
            if name.as_bytes() != &*local.name {
                self.teller.escaped(&local.name, name);
            }
        } else if ended.state == "there" {
            self.teller.say(&format!("{typed}: its folder has this picture already, as {}", copy.path));
        } else {
            self.teller.say(&format!("{typed}: the name {wanted} is not free; it is {} now", copy.path));
        }
    }

    fn print(&self, local: &Local, ended: &Ended, link: Option<&str>) -> Outcome {
        let context = self.host.session.context;
        if context.json() {
            return context.print_json(&Line {
                path: &local.typed.to_string_lossy(),
                remote: ended.copy.as_ref().map(|copy| copy.path.as_str()),
                file_id: ended.copy.as_ref().map(|copy| copy.id.as_str()),
                state: ended.state,
                link,
                reason: ended.reason.as_deref(),
            });
        }
        let Some(link) = link else { return Ok(()) };
        let line = if self.markdown { markdown(&local.name, link) } else { plain(link) };
        context.print_text(&format!("{line}\n"))
    }
}

/// `![name](link)`: the name without its ending.
fn markdown(name: &[u8], link: &str) -> String {
    let name = plain(&String::from_utf8_lossy(name));
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    let mut text = String::from("![");
    for char in stem.chars() {
        if matches!(char, '[' | ']' | '\\' | '`' | '*' | '_' | '<' | '>' | '!') {
            text.push('\\');
        }
        text.push(char);
    }
    let link = link.replace(' ', "%20").replace('(', "%28").replace(')', "%29");
    format!("{text}]({})", plain(&link))
}

#[cfg(test)]
mod tests {
    use super::markdown;

    #[test]
    fn a_line_to_paste_is_one_picture_whatever_its_name() {
        let link = "https://vip.123pan.cn/1/ID.jpg";
        for (name, text) in [
            ("holiday.jpg", "![holiday](https://vip.123pan.cn/1/ID.jpg)"),
            ("a[1]_b.c.jpg", "![a\\[1\\]\\_b.c](https://vip.123pan.cn/1/ID.jpg)"),
            ("照片.jpg", "![照片](https://vip.123pan.cn/1/ID.jpg)"),
        ] {
            assert_eq!(markdown(name.as_bytes(), link), text);
        }
        assert_eq!(markdown(b"a\x1b.jpg", "https://x/(1) 2.jpg"), "![a\\\\u{1b}](https://x/%281%29%202.jpg)");
    }
}
