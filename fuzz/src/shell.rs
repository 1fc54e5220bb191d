//! Answers to the calls that a person at a shell makes: lists, batches, downloads, previews, shares.

use futures_util::StreamExt;
use xpand::cloud::files::{
    CategoryList, Download, Item, ListAll, ListKind, OnDup, Opera, Place, PreviewPart, Run, Search, Sort,
    Want,
};
use xpand::cloud::shares::{Link, Period, Save};
use xpand::cloud::{Cursor, Drive, Error, Page};

const PLACE: Place<'static> = Place { path: "/apps/xpand", recursion: true };

/// Makes one call, and gives back the texts it was told.
pub(super) async fn call(choice: u8, drive: &dyn Drive) -> Result<Vec<String>, Error> {
    let files = drive.files().expect("a cloud with files");
    let shares = drive.shares().expect("a cloud with shares");
    let want = Want { thumbs: true, dlink: true, extra: true, folders: false };
    let sort = Sort::default();
    Ok(match choice % 16 {
        0 => page(files.list("/apps/xpand", sort, want, None).await?, 0),
        1 => page(files.listall("/apps/xpand", &ListAll::default(), Some(Cursor::at(7))).await?, 7),
        2 => page(files.list_kind(ListKind::Doc, PLACE, sort, want, Some(Cursor::at(2))).await?, 2),
        3 => {
            files.categoryinfo(3, PLACE).await?;
            let ask = CategoryList { categories: vec![3], ext: Vec::new() };
            page(files.categorylist(&ask, PLACE, sort, Some(Cursor::at(7))).await?, 7)
        }
        4 => {
            let ask = Search { key: "a".into(), ..Search::default() };
            page(files.search(&ask, PLACE, Some(Cursor::at(2))).await?, 2)
        }
        5 => files.filemetas(&["1".into()], want).await?.into_iter().flat_map(texts).collect(),
        6 => {
            let managed = files.filemanager(&Opera::Delete(vec!["/a".into()]), Run::Adaptive).await?;
            managed.info.into_iter().map(|item| item.path).chain(managed.taskid).collect()
        }
        7 => files.taskquery("7").await?.info.into_iter().map(|item| item.path).collect(),
        8 => {
            let made = files.create_folder("/apps/xpand/a").await?;
            vec![made.id, made.path]
        }
        9 | 10 => {
            let from = if choice % 16 == 9 { 0 } else { 5 };
            drain(files.download("https://d.pcs.baidu.com/file/1?a=1", from, 10).await?, from).await?
        }
        11 => {
            let part = files.newinfo("http://pcsdata.baidu.com/doc/1?a=1", 0).await?;
            vec![part.ndb_key, part.region]
        }
        12 => {
            let part = PreviewPart { page_num: 1, ndb_key: "a".into(), region: "b".into() };
            drain(files.newview("http://pcsdata.baidu.com/doc/1?a=1", &part).await?, 0).await?
        }
        13 => {
            let link = Link::Short { surl: "a".into(), linksource: "b".into() };
            let shared = shares.list(&link, "key", None, Some(Cursor::at(2))).await?;
            [vec![shared.shareid, shared.uk, shared.title], page(shared.page, 2)].concat()
        }
        14 => {
            let link = Link::Numbers { shareid: "1".into(), uk: "2".into() };
            let info = shares.info(&link, "key").await?;
            vec![info.shareid, info.uk, shares.verify(&link, "pass").await?]
        }
        _ if choice >= 48 => {
            let made = shares.set(&["1".into()], Period::Day, "").await?;
            vec![made.shareid, made.uk, made.link, made.shorturl, made.pwd]
        }
        _ => {
            let save = Save {
                shareid: "1".into(),
                uk: "2".into(),
                sekey: "key".into(),
                ids: vec!["1".into()],
                path: "/apps".into(),
                ondup: OnDup::NewCopy,
            };
            let saved = shares.transfer(&save, Run::Sync).await?;
            let ways = saved.saved.into_iter().flat_map(|(from, to)| [from, to]);
            ways.chain(saved.taskid).chain(saved.info.into_iter().map(|item| item.path)).collect()
        }
    })
}

/// A page goes on further on, or not at all.
fn page(page: Page<Item>, after: u64) -> Vec<String> {
    let next = page.next.as_ref().map(|next| next.number().expect("a number"));
    assert!(next.is_none_or(|next| next > after), "{next:?} after {after}");
    page.entries.into_iter().flat_map(texts).collect()
}

fn texts(item: Item) -> Vec<String> {
    assert!(!item.path.is_empty(), "{item:?}");
    let others = [Some(item.fs_id), Some(item.path), Some(item.server_filename), item.md5, item.dlink];
    others.into_iter().flatten().chain(item.thumbs.into_values()).collect()
}

/// A body without an error is as long as was said.
async fn drain(mut download: Download, asked: u64) -> Result<Vec<String>, Error> {
    assert!(download.from == 0 || download.from == asked);
    let mut came = 0;
    while let Some(piece) = download.body.next().await {
        came += piece?.len() as u64;
    }
    assert!(download.total == 0 || download.from + came == download.total, "{came} of {}", download.total);
    Ok(Vec::new())
}
