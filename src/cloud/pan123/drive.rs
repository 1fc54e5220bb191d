//! The image host as the pipeline sees it: a picture with a path is announced, sent, made and looked at.
//!
//! A session is the cloud's `preuploadID` and the path that the picture goes to, because that need not be the
//! one that was asked for (`placing.rs`). One in which a slice is missing is not gone on with: a picture is one
//! slice, and announcing it anew costs one call. One that is whole is: the cloud may take minutes to compare what
//! came with what was announced, and its result can be asked for at any time.

use std::time::Duration;

use super::folders::{PAGES, ROOT, Want, endless, tidy};
use super::known::{ContentHash, NameHash};
use super::placing::{Place, split};
use super::session::{Session, Stage};
use super::upload::{Announced, Created, Told};
use super::{LARGEST, Oss, SLICE, answer};
use crate::cloud::images::Image;
use crate::cloud::{
    Begin, BoxFuture, Content, Cursor, Drive, Entry, Error, Finish, GiveBack, Images, Kind, Page, Quota,
    Result, Slice, Stored, Upload, User,
};
use crate::content::{Md5, OnConflict};

/// Times that a place is looked for: somebody else may take it meanwhile.
const PLACES: u32 = 4;

impl Drive for Oss {
    /// There is no call for it (the id is the application's): a short list says whether the login is good.
    fn user(&self) -> BoxFuture<'_, Result<User>> {
        Box::pin(async move {
            self.page("", None).await?;
            let (id, name) = (self.client_id.clone(), String::new());
            Ok(User { id, name, vip_type: None, slice_size: SLICE, max_file_size: LARGEST })
        })
    }

    fn knock(&self) -> BoxFuture<'_, Option<Duration>> {
        Box::pin(self.http.knock())
    }

    fn quota(&self) -> BoxFuture<'_, Result<Option<Quota>>> {
        Box::pin(async { Ok(None) })
    }

    fn begin<'a>(&'a self, file: &'a Upload, resume: Option<&'a str>) -> BoxFuture<'a, Result<Begin>> {
        Box::pin(async move {
            let resumed = resume.map(|text| Session::read(text, file));
            if let Some(session) = resumed.filter(|session| session.stage != Stage::Sending) {
                match self.result_of(file, session).await {
                    Ok(Finish::Made(stored)) => return Ok(Begin::Present(stored)),
                    Ok(Finish::Making { session }) => return Ok(Begin::Making { session }),
                    Err(error) if is_about_more(&error) => return Err(error),
                    // Forgotten, made and deleted, or in a way that the cloud has no words for, which might never end:
                    // the same session would be asked for ever.
                    Err(_) => {}
                }
            }
            self.announce(file).await
        })
    }

    fn send<'a>(
        &'a self,
        file: &'a Upload,
        session: &'a str,
        slice: Slice,
    ) -> BoxFuture<'a, Result<Option<Md5>>> {
        let session = Session::read(session, file);
        Box::pin(async move { self.put(session.preupload_id, slice).await.map(|()| None) })
    }

    fn finish<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Finish>> {
        let session = Session::read(session, file);
        Box::pin(self.result_of(file, session))
    }

    fn made<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Finish>> {
        Box::pin(self.result_of(file, Session::read(session, file)))
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let (images, next) = self.images_in(folder, after).await?;
            // What the review rejected is no copy of anything: nobody gets it back.
            let kept = images.into_iter().filter(|image| !image.is_rejected());
            Ok(Page { entries: kept.map(entry).collect(), next })
        })
    }

    fn list_all<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let walk = crate::cloud::walk::Walk::from(folder, after);
            let (folder, after) = walk.next();
            walk.listed(Drive::list(self, &folder, after).await)
        })
    }

    /// The etag is the content's MD5 (获取图片详情).
    fn is_same(&self, entry: &Entry, file: &Upload) -> bool {
        self.content_md5(entry) == Some(file.content_md5) && entry.size == file.size
    }

    fn has_content(&self, entry: &Entry, content: &Content) -> Option<bool> {
        if entry.is_folder || entry.size != content.size {
            return Some(false);
        }
        self.content_md5(entry).map(|md5| md5 == content.md5)
    }

    fn content_md5(&self, entry: &Entry) -> Option<Md5> {
        entry.md5.as_deref().filter(|_| !entry.is_folder)?.parse().ok()
    }

    fn link<'a>(&'a self, id: &'a str) -> Option<BoxFuture<'a, Result<String>>> {
        Some(Box::pin(async move { Ok(self.image(id).await?.link().to_owned()) }))
    }

    fn give_back(&self) -> Option<&dyn GiveBack> {
        Some(self)
    }

    fn images(&self) -> Option<&dyn Images> {
        Some(self)
    }
}

/// Whether an error is about the line, the account, or the picture itself: announcing it anew would not mend it.
fn is_about_more(error: &Error) -> bool {
    match error.kind {
        Kind::Offline | Kind::Unauthorized | Kind::DayLimit | Kind::Full => true,
        Kind::Busy { after } => after.is_some(),
        Kind::Blocked { .. } | Kind::Local => true,
        // The review's word.
        Kind::Refused => error.endpoint == "detail",
        Kind::Expired | Kind::Exists | Kind::Missing | Kind::Broken | Kind::SliceSize => false,
    }
}

fn entry(image: Image) -> Entry {
    let is_folder = image.is_folder();
    let md5 = Some(image.etag).filter(|etag| !is_folder && !etag.is_empty());
    Entry { id: image.file_id, path: image.path.unwrap_or_default(), size: image.size, is_folder, md5 }
}

impl Oss {
    async fn announce(&self, file: &Upload) -> Result<Begin> {
        let content = ContentHash::of(file.content_md5, file.size);
        for attempt in 1.. {
            // When others take one place after the other: where nobody else goes.
            let (folder, id, name, is_there) = match self.place(file, attempt == PLACES).await? {
                Place::At { folder, id, name, is_there } => (folder, id, name, is_there),
                Place::There { id, name } => match self.there(file, &id, name).await? {
                    Some(stored) => return Ok(Begin::There(stored)),
                    None if attempt < PLACES => continue,
                    None => return Err(answer::broken("list", "the folder changes while it is listed")),
                },
            };
            let announced = Announced { parent: &id, name: &name, md5: file.content_md5, size: file.size };
            match self.create(&announced).await {
                Ok(Created::Reused(file_id)) => {
                    self.known().await.put(&id, &name, content);
                    let stored = self.confirm(file, &file_id, &folder).await?;
                    return Ok(if is_there { Begin::There(stored) } else { Begin::Present(stored) });
                }
                Ok(Created::Session { preupload_id, slice_size }) => {
                    let path = format!("{folder}/{name}");
                    let session = Session { preupload_id: &preupload_id, stage: Stage::Sending, path: &path }
                        .text(file)?;
                    let count = u32::try_from(file.size.div_ceil(slice_size)).unwrap_or(u32::MAX).max(1);
                    return Ok(Begin::Send {
                        session,
                        slice_size,
                        missing: (0..count.min(MOST_SLICES)).collect(),
                    });
                }
                // The folder is gone, or is not what it was when it was listed.
                Err(error) if error.kind == Kind::Missing && attempt < PLACES => {
                    self.known().await.forget(&folder);
                }
                Err(error) if error.kind == Kind::Exists && attempt < PLACES => {
                    self.known().await.forget_contents(&id);
                }
                Err(error) => return Err(error),
            }
        }
        Err(answer::broken("create", "there is no place for the picture"))
    }

    /// The picture with this content that is in a folder under a name of this hash.
    async fn there(&self, file: &Upload, folder: &str, name: NameHash) -> Result<Option<Stored>> {
        let (path, _) = split(&file.path);
        let is_it = |image: &Image| {
            NameHash::of(&image.filename) == name && is_content(image, file) && !image.is_folder()
        };
        let found = self.find(folder, is_it).await?;
        if found.is_none() {
            self.known().await.forget_contents(folder);
        }
        found.map(|image| stored(file, &image, &path)).transpose()
    }

    /// The first that fits among what is in the folder of this id.
    pub(super) async fn find(&self, folder: &str, fits: impl Fn(&Image) -> bool) -> Result<Option<Image>> {
        let mut after = None;
        for _ in 0..PAGES {
            let listed = self.page(folder, after.as_deref()).await?;
            if let Some(found) = listed.images.into_iter().find(&fits) {
                return Ok(Some(found));
            }
            after = listed.next;
            if after.is_none() {
                return Ok(None);
            }
        }
        Err(endless())
    }

    /// What becomes of an upload of which everything has arrived.
    async fn result_of(&self, file: &Upload, session: Session<'_>) -> Result<Finish> {
        let told = match session.stage {
            Stage::Sending | Stage::Again => self.complete(session.preupload_id).await?,
            Stage::Whole => self.result(session.preupload_id).await?,
        };
        let (folder, name) = split(session.path);
        let stage = match told {
            Told::Made(id) => return self.confirm(file, &id, &folder).await.map(Finish::Made),
            Told::Later => Stage::Whole,
            Told::Again => session.stage.max(Stage::Again),
        };
        let mut known = self.known().await;
        let id = if folder.is_empty() { Some(ROOT) } else { known.id(&folder) }.map(str::to_owned);
        if let Some(id) = id {
            known.expect(&id, NameHash::of(name), ContentHash::of(file.content_md5, file.size));
        }
        Ok(Finish::Making { session: Session { stage, ..session }.text(file)? })
    }

    /// Looks at what the cloud made: its content, its name, what the review says.
    async fn confirm(&self, file: &Upload, id: &str, folder: &str) -> Result<Stored> {
        let image = match self.image(id).await {
            Err(error) if error.kind == Kind::Missing => {
                return Err(answer::broken("detail", "the cloud has made a file, and does not know it"));
            }
            image => image?,
        };
        self.check_folder(folder, &image.parent_filename).await;
        let made = stored(file, &image, folder)?;
        let (own, own_name) = split(&file.path);
        if folder == own {
            let mut known = self.known().await;
            let id = if folder.is_empty() { Some(ROOT) } else { known.id(folder) }.map(str::to_owned);
            if let Some(id) = id {
                known.put(&id, &image.filename, ContentHash::of(file.content_md5, file.size));
            }
        } else if file.on_conflict == OnConflict::Overwrite {
            return self.take_place(file, made, &own, own_name).await;
        }
        Ok(made)
    }

    /// Puts a picture that lies aside in the place of the one that has its name. By now it is certainly in the
    /// cloud; what is done from here on may end anywhere and leaves it there.
    async fn take_place(&self, file: &Upload, aside: Stored, folder: &str, name: &str) -> Result<Stored> {
        let id = self.folder(folder, Want::Make).await?;
        let content = ContentHash::of(file.content_md5, file.size);
        let is_elsewhere = {
            let mut known = self.known().await;
            known.forget_contents(&id);
            let contents = self.contents(&mut known, &id).await?;
            contents.is_too_large()
                || contents.name_of(content).is_some_and(|there| there != NameHash::of(name))
        };
        if is_elsewhere {
            return Ok(aside);
        }
        match self.find(&id, |image| image.filename == name).await? {
            Some(image) if image.is_folder() => return Ok(aside),
            Some(image) if !is_content(&image, file) => self.remove(&[image.file_id]).await?,
            Some(_) | None => {}
        }
        self.known().await.forget_contents(&id);
        let announced = Announced { parent: &id, name, md5: file.content_md5, size: file.size };
        let Created::Reused(made) = self.create(&announced).await? else { return Ok(aside) };
        let made = stored(file, &self.image(&made).await?, folder)?;
        // Nothing else is in the folder that it lay in.
        let (lay_in, _) = split(&aside.path);
        let lay_in_id = self.folder(&lay_in, Want::Find).await?;
        self.remove(&[aside.id, lay_in_id]).await?;
        self.known().await.forget(&lay_in);
        Ok(made)
    }

    /// One page of the folder at a path, every entry with its own.
    pub(super) async fn images_in(
        &self,
        folder: &str,
        after: Option<Cursor>,
    ) -> Result<(Vec<Image>, Option<Cursor>)> {
        let after = after.as_ref().map(Cursor::text);
        let mut listed =
            self.in_folder(folder, Want::Find, |id| async move { self.page(&id, after).await }).await?;
        let folder = tidy(folder);
        let mut known = self.known().await;
        for image in &mut listed.images {
            let path = format!("{folder}/{}", image.filename);
            if image.is_folder() {
                // Or whoever goes down there would list this folder again, for each.
                known.learn(&path, &image.file_id);
            }
            image.path = Some(path);
        }
        Ok((listed.images, listed.next.map(Cursor::new)))
    }
}

/// No file has more, whatever `sliceSize` says.
const MOST_SLICES: u32 = 100_000;

fn is_content(image: &Image, file: &Upload) -> bool {
    image.size == file.size && image.etag.parse() == Ok(file.content_md5)
}

/// A picture in a folder, as the pipeline takes it: with our content, and not rejected.
fn stored(file: &Upload, image: &Image, folder: &str) -> Result<Stored> {
    if !is_content(image, file) {
        let words = "the file that the cloud made has another content than the one that was sent";
        return Err(Error::new(Kind::Expired, "detail", words));
    }
    if image.is_rejected() {
        let words = format!(
            "123pan's review rejected this picture (status {}): it is in the cloud, and nobody gets to see it",
            image.status
        );
        return Err(Error::new(Kind::Refused, "detail", words));
    }
    Ok(Stored { id: image.file_id.clone(), path: format!("{folder}/{}", image.filename), size: image.size })
}
