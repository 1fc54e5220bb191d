//! Answers of 123pan, to every call there is, over a real connection: several of them, because most of what
//! is asked of it takes more than one call.

use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use futures_util::StreamExt;
use xpand::clock::Clock;
use xpand::cloud::give_back::Asked;
use xpand::cloud::images::Image;
use xpand::cloud::{self, Authority, Begin, Calls, Cursor, Drive, Error, Finish, Slice, Stored, Upload};
use xpand::config::Provider;

use super::server::{self, OneToken, PORT, lock};
use super::{cloud as baidu, folder, runtime};

struct World {
    runtime: tokio::runtime::Runtime,
    drive: Arc<dyn Drive>,
    authority: Arc<dyn Authority>,
    _folder: tempfile::TempDir,
    runs: u64,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| {
    let (account, folder) = (server::account(Provider::Pan123), folder());
    // Its waits between two calls are short.
    let calls = Calls::of(folder.path().join("home.calls"), Clock::system().hurried(10_000));
    let drive = cloud::open(&account, Arc::new(OneToken), calls).expect("a drive");
    let authority = cloud::authority(&account);
    Mutex::new(World { runtime: runtime(), drive, authority, _folder: folder, runs: 0 })
});

/// The first byte chooses the call and the frame, the others are the answers, one up to each `0xff`, the last
/// one again and again. `HERE` in them is where the server is, and `NAS` the folder that is asked for: another
/// one each time, because folders are remembered.
pub fn pan123(data: &[u8]) {
    let Some((&choice, answers)) = data.split_first() else { return };
    let mut world = lock(&WORLD);
    world.runs += 1;
    let World { runtime, drive, authority, runs, .. } = &*world;
    // What is remembered of folders is forgotten with this.
    server::answer(0, std::iter::once(&br#"{"code":0,"data":null}"#[..]));
    let images = drive.images().expect("an image host");
    runtime.block_on(images.delete(&[String::from("gone")])).expect("a deletion");
    let words = [("HERE", format!("http://127.0.0.1:{}", *PORT)), ("NAS", format!("nas{runs}"))];
    let said = |one: &[u8]| words.iter().fold(one.to_vec(), |said, (word, by)| replaced(&said, word, by));
    let answers: Vec<Vec<u8>> = answers.split(|&byte| byte == 0xff).map(said).collect();
    server::answer(choice, answers.iter().map(Vec::as_slice));
    let [(_, here), (_, folder)] = &words;
    runtime.block_on(server::judge(async {
        if choice & 63 == 15 {
            let grant = authority.obtain().await?;
            assert!(!grant.access.secret().is_empty());
            return Ok(vec![grant.access.secret().to_owned()]);
        }
        call(choice & 63, &**drive, here, &format!("/{folder}")).await
    }));
}

fn replaced(text: &[u8], word: &str, by: &str) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(word.len()).position(|here| here == word.as_bytes()) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(by.as_bytes());
        rest = &rest[at + word.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

/// Makes one call, and gives back the texts it was told.
async fn call(choice: u8, drive: &dyn Drive, here: &str, nas: &str) -> Result<Vec<String>, Error> {
    let file = Upload { path: format!("{nas}/a.jpg"), ..baidu::upload(1) };
    let (home, images) =
        (drive.give_back().expect("a cloud to restore from"), drive.images().expect("an image host"));
    Ok(match choice {
        0 => {
            let user = drive.user().await?;
            assert!(user.slice_size > 0 && user.max_file_size > 0, "{user:?}");
            vec![user.id, user.name]
        }
        1 | 2 => {
            let resume = if choice == 1 { "P" } else { "P whole /nas/a(1).jpg" };
            match drive.begin(&file, Some(resume)).await? {
                Begin::Present(stored) | Begin::There(stored) => kept(stored, &file),
                Begin::Send { session, slice_size, missing } => {
                    assert!(slice_size > 0 && !session.is_empty(), "{session} {slice_size}");
                    assert!(missing.is_sorted() && missing.len() <= 100_000, "{} slices", missing.len());
                    vec![session]
                }
                Begin::Making { session } => vec![session],
            }
        }
        3 => {
            let body = Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(b"0123456789"))]));
            let md5 = drive.send(&file, "P", Slice { number: 0, length: 10, body }).await?;
            assert_eq!(md5, None, "it tells none");
            Vec::new()
        }
        4 | 5 => {
            let finish = if choice == 4 {
                drive.finish(&file, "P").await?
            } else {
                drive.made(&file, "P whole").await?
            };
            match finish {
                Finish::Made(stored) => kept(stored, &file),
                Finish::Making { session } => vec![session],
            }
        }
        6 | 7 => {
            let (mut after, mut texts) = (None, Vec::new());
            for _ in 0..5 {
                let page = match choice {
                    6 => drive.list(nas, after).await?,
                    _ => drive.list_all("/", after).await?,
                };
                for entry in page.entries {
                    sound(&entry.path);
                    drive.is_same(&entry, &file);
                    texts.extend([entry.id, entry.path]);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            texts
        }
        8 => {
            let page = home.items(nas, None).await?;
            let asked = |id: &str, path: &str| Asked { id: id.into(), path: path.into() };
            let known = page.entries.iter().take(50).map(|item| asked(&item.fs_id, &item.path));
            let more = (0..5).map(|number| asked(&number.to_string(), &format!("{nas}/x.jpg")));
            let items = home.details(&known.chain(more).collect::<Vec<_>>()).await?;
            let of_item = |item: xpand::cloud::files::Item| {
                sound(&item.path);
                [item.fs_id, item.path, item.dlink.unwrap_or_default()]
            };
            page.entries.into_iter().chain(items).flat_map(of_item).collect()
        }
        9 => vec![images.mkdir("/a/b").await?],
        10 => {
            let page = images.list("/a", Some(Cursor::new("F"))).await?;
            page.entries.into_iter().flat_map(texts).collect()
        }
        11 => texts(images.detail("F").await?).into(),
        12 => {
            images.delete(&["F".into()]).await?;
            Vec::new()
        }
        13 => vec![drive.link("F").expect("a cloud with links").await?],
        _ => {
            let mut download = home.download(&format!("{here}/a.jpg"), 2, 10).await?;
            while let Some(piece) = download.body.next().await {
                piece?;
            }
            Vec::new()
        }
    })
}

/// What is said to be stored has our length, and lies somewhere.
fn kept(stored: Stored, file: &Upload) -> Vec<String> {
    assert_eq!(stored.size, file.size);
    sound(&stored.path);
    vec![stored.id, stored.path]
}

/// A path leads nowhere but down.
fn sound(path: &str) {
    let mut names = path.split('/');
    assert_eq!(names.next(), Some(""), "{path}");
    assert!(names.all(|name| !matches!(name, "" | "." | "..")), "{path}");
}

fn texts(image: Image) -> [String; 5] {
    [image.file_id, image.filename, image.etag, image.download_url, image.user_self_url]
}
