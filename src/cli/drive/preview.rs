//! `drive preview`: a document as a PDF that the cloud made of it, part by part (xpan-api, 获取文档列表, 其他说明).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::Serialize;

use super::pages::follow;
use super::{Session, folder_and_name, with_files};
use crate::cli::terminal::{bytes as in_words, plain};
use crate::cli::{Context, ExitStatus, Failed, Outcome};
use crate::cloud::files::{Download, Item, ListKind, Place, Sort, Want};
use crate::fetch::Disk;

/// 不支持预览的文件格式如下.
const WITHOUT_PREVIEW: &[&str] = &[
    "txt", "as", "sh", "c", "cpp", "h", "cs", "asp", "css", "pas", "diff", "patch", "erl", "groovy", "java",
    "jsp", "js", "json", "pl", "php", "py", "rb", "sass", "scss", "scala", "sql", "vb", "xml", "xhtml",
    "html", "htm", "md", "less", "lua", "go", "bat", "wml",
];
/// How every PDF begins.
const PDF: &[u8] = b"%PDF";
/// A document of more parts is none.
const MOST_PARTS: u32 = 10_000;

/// `xpand drive preview`.
#[derive(clap::Args, Debug)]
pub struct PreviewArgs {
    /// A document in the cloud
    #[arg(value_parser = super::remote_path)]
    path: String,
    /// Where the PDF goes, or the folder for it; a document of several parts becomes FILE-1.pdf, FILE-2.pdf ...
    #[arg(value_name = "FILE.pdf")]
    file: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    overwrite: bool,
}

/// Does it, after refusing what needs no call to be refused.
pub(super) fn run(context: &Context, account: Option<&str>, args: &PreviewArgs) -> Outcome {
    let ending = args.path.rsplit('/').next().and_then(|name| name.rsplit_once('.'));
    if let Some((_, ending)) = ending
        && WITHOUT_PREVIEW.contains(&ending.to_ascii_lowercase().as_str())
    {
        let words = format!("{}: the cloud makes no preview of .{ending} files", args.path);
        return Err(Failed::words(words).hint("fetch the file itself: xpand drive get"));
    }
    let file = file(args)?;
    // Before the account is opened: the thread that writes has the rights of whoever typed the command.
    let disk = Disk::start(1)?;
    with_files(context, account, async |session| preview(session, args, &file, &disk).await)
}

/// Where the PDF goes: in a folder that is there, it is called as the document.
fn file(args: &PreviewArgs) -> Outcome<PathBuf> {
    let name = args.path.rsplit('/').next().unwrap_or_default();
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    let file = match args.file.is_dir() && !name.is_empty() {
        true => args.file.join(format!("{name}.pdf")),
        false => args.file.clone(),
    };
    if file.file_name().is_none() {
        let words = format!("{} is no name for a file", file.display());
        return Err(Failed::words(words).status(ExitStatus::Usage));
    }
    Ok(file)
}

async fn preview(session: &Session<'_>, args: &PreviewArgs, file: &Path, disk: &Disk) -> Outcome {
    let path = session.path(&args.path);
    let address = lodocpreview(session, &path).await?;
    let files = session.files()?;
    let (mut number, mut parts) = (0, 1);
    while number < parts {
        let failed = |error| session.failed_at(&path, error);
        let part = files.newinfo(&address, number).await.map_err(failed)?;
        if number == 0 {
            parts = part.page_num.clamp(1, MOST_PARTS);
        }
        let paper = Paper::new(file, (parts > 1).then_some(number + 1), args.overwrite);
        let open = paper.clone();
        let opened = disk.run(move || open.open()).await.map_err(|error| paper.failed(&error))?;
        let download = files.newview(&address, &part).await.map_err(failed)?;
        let size = write(session, &path, &paper, disk, opened, download).await?;
        tell(session, &paper, &path, size)?;
        number += 1;
    }
    Ok(())
}

/// The address of a document's preview: only the list of documents has it.
async fn lodocpreview(session: &Session<'_>, path: &str) -> Outcome<String> {
    let nothing = || Failed::words(format!("{path}: there is no such document in the cloud"));
    let (folder, _) = folder_and_name(path).ok_or_else(nothing)?;
    let place = Place { path: folder, recursion: false };
    let want = Want { thumbs: true, ..Want::default() };
    let files = session.files()?;
    let mut found: Option<Item> = None;
    let ask = async |after| files.list_kind(ListKind::Doc, place, Sort::default(), want, after).await;
    let pages = follow(ask, |page| {
        found = page.into_iter().find(|item| item.path == path);
        Ok(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    pages.await.map_err(|error| session.failed_at(path, error))??;
    let item =
        found.ok_or_else(|| nothing().hint("only what xpand drive media documents lists has a preview"))?;
    item.lodocpreview
        .ok_or_else(|| Failed::words(format!("{path}: the cloud makes no preview of this document")))
}

/// Writes a part and gives it its name. What could not be fetched whole leaves nothing.
async fn write(
    session: &Session<'_>,
    path: &str,
    paper: &Paper,
    disk: &Disk,
    file: File,
    download: Download,
) -> Outcome<u64> {
    let file = Arc::new(file);
    let fetched = fetch(session, path, paper, disk, &file, download).await;
    let end = paper.clone();
    match fetched {
        Ok(size) => match disk.run(move || end.finish(&file)).await {
            Ok(()) => Ok(size),
            Err(error) => Err(paper.failed(&error)),
        },
        Err(failed) => {
            let _ = disk.run(move || end.remove()).await;
            Err(failed)
        }
    }
}

async fn fetch(
    session: &Session<'_>,
    path: &str,
    paper: &Paper,
    disk: &Disk,
    file: &Arc<File>,
    mut download: Download,
) -> Outcome<u64> {
    // A refusal may come with HTTP 200, as JSON where the PDF was to be.
    let mut head = Vec::new();
    let mut size = 0;
    loop {
        let next = download.body.next().await;
        let next = next.transpose().map_err(|error| session.failed_at(path, error))?;
        let is_over = next.is_none();
        let mut bytes = next.unwrap_or_default();
        size += bytes.len() as u64;
        if head.len() < PDF.len() {
            head.extend_from_slice(&bytes);
            if head.len() < PDF.len() && !is_over {
                continue;
            }
            if !head.starts_with(PDF) {
                let words = format!("{path}: what the cloud sent is no PDF{}", number(&head));
                return Err(Failed::words(words));
            }
            bytes = Bytes::copy_from_slice(&head);
        }
        if is_over {
            break;
        }
        let to = Arc::clone(file);
        disk.run(move || (&*to).write_all(&bytes)).await.map_err(|error| paper.failed(&error))?;
    }
    if download.total != 0 && download.total != size {
        let words = format!("{path}: only {size} bytes of {} came", download.total);
        return Err(Failed::words(words));
    }
    Ok(size)
}

/// ` (errno 2)`, where a refusal says so.
fn number(refusal: &[u8]) -> String {
    let refusal: serde_json::Value = serde_json::from_slice(refusal).unwrap_or_default();
    let said = ["errno", "error_code"].into_iter().find_map(|key| Some((key, refusal.get(key)?.as_i64()?)));
    said.map_or_else(String::new, |(key, number)| format!(" ({key} {number})"))
}

/// A PDF on its way to the disk.
#[derive(Clone, Debug)]
struct Paper {
    file: PathBuf,
    part: PathBuf,
    overwrite: bool,
}

impl Paper {
    /// `number` from 1, of a document of several parts.
    fn new(file: &Path, number: Option<u32>, overwrite: bool) -> Self {
        let file = number.map_or_else(|| file.to_owned(), |number| numbered(file, number));
        let mut part = file.clone().into_os_string();
        part.push(".xpand-part");
        Self { file, part: part.into(), overwrite }
    }

    fn open(&self) -> io::Result<File> {
        if !self.overwrite && self.file.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        File::options().write(true).create(true).truncate(true).custom_flags(no_link).open(&self.part)
    }

    /// The name comes last, and never to a file that came meanwhile.
    fn finish(&self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        if self.overwrite {
            return std::fs::rename(&self.part, &self.file);
        }
        match renameat_with(CWD, &self.part, CWD, &self.file, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => Err(exists()),
            // FAT, and what other systems export, know no such rename.
            Err(Errno::INVAL | Errno::NOSYS) if self.file.symlink_metadata().is_err() => {
                std::fs::rename(&self.part, &self.file)
            }
            renamed => Ok(renamed?),
        }
    }

    fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.part)
    }

    fn failed(&self, error: &io::Error) -> Failed {
        let failed = Failed::words(format!("{}: {error}", self.file.display()));
        match error.kind() {
            io::ErrorKind::AlreadyExists => failed.hint("add --overwrite to replace it"),
            _ => failed,
        }
    }
}

fn exists() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "there is such a file already")
}

/// `a/letter.pdf` and 2: `a/letter-2.pdf`.
fn numbered(file: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(file.file_stem().unwrap_or_default());
    name.push(format!("-{number}"));
    if let Some(ending) = file.extension() {
        name.push(".");
        name.push(ending);
    }
    file.with_file_name(name)
}

#[derive(Serialize)]
struct Written<'a> {
    path: &'a str,
    file: String,
    size: u64,
}

fn tell(session: &Session<'_>, paper: &Paper, path: &str, size: u64) -> Outcome {
    let file = paper.file.display().to_string();
    if session.context.json() {
        return session.context.print_json(&Written { path, file, size });
    }
    session.context.say(&format!("{} ({})", plain(&file), in_words(size)));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_before_the_ending() {
        assert_eq!(numbered(Path::new("a/letter.pdf"), 2), Path::new("a/letter-2.pdf"));
        assert_eq!(numbered(Path::new("letter"), 10), Path::new("letter-10"));
    }

    #[test]
    fn a_file_that_is_there_stays_unless_it_is_to_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pdf");
        let write = |overwrite| {
            let paper = Paper::new(&path, None, overwrite);
            let mut file = paper.open()?;
            file.write_all(b"new")?;
            // Somebody else was quicker.
            if !path.exists() {
                std::fs::write(&path, "other")?;
            }
            paper.finish(&file)
        };
        assert_eq!(write(false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"other");
        assert_eq!(write(false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        write(true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}
