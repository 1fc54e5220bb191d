//! Under which name a picture goes into its folder, so that it replaces nothing that anybody relies on.
//!
//! Two rules of the image host decide here. Names in a folder are unique ("不能重名", 创建文件). And in one
//! folder each content is there once: "same etag+size in one folder overwrites" (field notes 8.3) - `b.jpg`
//! with the content of `a.jpg` beside it does not become a second picture; the cloud takes `a.jpg` away, and
//! the index would believe in a copy that is gone. So before anything is announced the folder is listed, once
//! for all that go there (a hundred entries a call, which is little beside the calls that send them), and kept
//! up to date by what is sent. Then, for a picture that is to be `folder/name`:
//!
//! | in the folder there is | the picture goes to |
//! | --- | --- |
//! | nothing of this name or content | `folder/name` |
//! | this content, under this name | `folder/name`: the cloud has it and says so |
//! | this content, under another name - or on its way there | **aside**: `folder/%=<hash>/name` |
//! | this name, with other content; keep both | `folder/name(1)`, the first number that is free |
//! | this name, with other content; overwrite | aside; then the other is deleted, and the picture goes to `folder/name` |
//! | more than can be kept in mind | aside |
//!
//! The hash is of name and content: nobody else goes to that folder, so that neither rule can meet the picture
//! there. No name of ours begins with `%=` (`remote/names.rs`), which is how whoever brings files home knows
//! that the folder is none of the family's. A person who sends a picture by name (`image put`) and whose
//! picture is in the folder already, whatever it is called there, is shown that one instead.
//!
//! **What a crash costs**: before `create` nothing; later what was sent, or nothing, if the cloud has made the
//! file of it - it says so at the next try. Overwriting, the new picture is in the cloud and checked before the
//! old one is deleted; a crash after that leaves a second copy of it aside.
//!
//! **What is not covered**: another program that puts the same content under another name into a folder after
//! it was listed (an hour at most) loses its name to ours. The content stays.

use super::Oss;
use super::folders::{Want, tidy};
use super::known::{ContentHash, Known, NameHash};
use crate::cloud::{Result, Upload};
use crate::content::{OnConflict, Purpose};
use crate::remote::names::aside;

/// "文件名要小于255个字符".
const LONGEST_NAME: usize = 254;
/// Names that are tried for a second picture of one name.
const MOST_COPIES: u32 = 99;

/// Where a picture goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// To this folder, under this name.
    At {
        folder: String,
        /// The folder's id.
        id: String,
        name: String,
        /// It is there already.
        is_there: bool,
    },
    /// It is in its folder already, under a name of this hash.
    There { id: String, name: NameHash },
}

/// A path as folder and name.
pub(super) fn split(path: &str) -> (String, &str) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    (tidy(folder), name)
}

/// What is to be done with a picture in a folder of which this is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    Here,
    /// It is there already, under its own name.
    Same,
    Aside,
    There(NameHash),
    /// The name, with this number.
    Numbered(u32),
}

impl Oss {
    /// Where `file` goes. The folders are made.
    pub(super) async fn place(&self, file: &Upload, is_aside: bool) -> Result<Place> {
        let (folder, name) = split(&file.path);
        let choice = if is_aside {
            Choice::Aside
        } else {
            self.in_folder(&folder, Want::Make, |id| self.choose(id, name, file)).await?
        };
        let id = self.folder(&folder, Want::Make).await?;
        Ok(match choice {
            Choice::Here | Choice::Same => {
                Place::At { folder, id, name: name.to_owned(), is_there: choice == Choice::Same }
            }
            Choice::Numbered(number) => {
                Place::At { folder, id, name: numbered(name, number), is_there: false }
            }
            Choice::There(name) => Place::There { id, name },
            Choice::Aside => {
                let folder = format!("{folder}/{}", aside(name, file.content_md5));
                let id = self.in_folder(&folder, Want::Make, |id| async { Ok(id) }).await?;
                Place::At { folder, id, name: name.to_owned(), is_there: false }
            }
        })
    }

    async fn choose(&self, id: String, name: &str, file: &Upload) -> Result<Choice> {
        let id = id.as_str();
        let mut known = self.known().await;
        self.contents(&mut known, id).await?;
        let choice = choose(&mut known, id, name, file);
        let content = ContentHash::of(file.content_md5, file.size);
        match choice {
            Choice::Here | Choice::Same => known.expect(id, NameHash::of(name), content),
            Choice::Numbered(number) => known.expect(id, NameHash::of(&numbered(name, number)), content),
            Choice::Aside | Choice::There(_) => {}
        }
        Ok(choice)
    }
}

fn choose(known: &mut Known, id: &str, name: &str, file: &Upload) -> Choice {
    let content = ContentHash::of(file.content_md5, file.size);
    let own = NameHash::of(name);
    let coming = known.expected(id, content).filter(|coming| *coming != own);
    let Some(contents) = known.contents(id).filter(|contents| !contents.is_too_large()) else {
        return Choice::Aside;
    };
    match contents.name_of(content) {
        Some(there) if there == own => return Choice::Same,
        Some(there) if file.purpose != Purpose::Backup => return Choice::There(there),
        Some(_) => return Choice::Aside,
        None if coming.is_some() => return Choice::Aside,
        None => {}
    }
    if contents.has_name(own).is_none() {
        return Choice::Here;
    }
    if file.on_conflict == OnConflict::Overwrite {
        return Choice::Aside;
    }
    let is_free = |number: &u32| {
        let name = numbered(name, *number);
        name.chars().count() <= LONGEST_NAME && contents.has_name(NameHash::of(&name)).is_none()
    };
    (1..=MOST_COPIES).find(is_free).map_or(Choice::Aside, Choice::Numbered)
}

/// `b(1).jpg` of `b.jpg`: what Baidu makes of a name that is taken, and `remote/kept.rs` reads back.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}({number}).{ending}"),
        None => format!("{name}({number})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::images::Image;
    use crate::cloud::pan123::known::Contents;
    use crate::content::{Md5, Media};
    use crate::remote::kept::original;

    fn upload(path: &str, content: &str, on_conflict: OnConflict) -> Upload {
        Upload {
            path: path.to_owned(),
            size: content.len() as u64,
            content_md5: Md5::of(content),
            head_md5: Md5::of(content),
            slice_size: 1 << 20,
            slices: [Md5::of(content)].into(),
            purpose: Purpose::Backup,
            media: Media::Photo,
            exif: None,
            ctime_secs: 0,
            mtime_secs: 0,
            on_conflict,
        }
    }

    fn folder(pictures: &[(&str, &str)]) -> Known {
        let mut contents = Contents::default();
        for (name, content) in pictures {
            let kind = u8::from(content.is_empty());
            let (filename, etag) = ((*name).to_owned(), Md5::of(content).to_string());
            contents.see(&Image { filename, etag, kind, size: content.len() as u64, ..Image::default() });
        }
        let mut known = Known::default();
        known.keep("F", contents);
        known
    }

    #[test]
    fn a_picture_replaces_nothing_that_anybody_relies_on() {
        use OnConflict::{KeepBoth, Overwrite, Version};
        let full: Vec<_> = (0..=99).map(|number| numbered("n.jpg", number).replace("(0)", "")).collect();
        let full: Vec<_> = full.iter().map(|name| (name.as_str(), name.as_str())).collect();
        let long = format!("{}.jpg", "n".repeat(250));
        for (there, name, content, on_conflict, choice) in [
            (&[][..], "a.jpg", "1", KeepBoth, Choice::Here),
            (&[("a.jpg", "1")], "a.jpg", "1", KeepBoth, Choice::Same),
            (&[("a.jpg", "1")], "a.jpg", "1", Overwrite, Choice::Same),
            // The content is another file's copy.
            (&[("b.jpg", "1")], "a.jpg", "1", KeepBoth, Choice::Aside),
            (&[("b.jpg", "1")], "a.jpg", "1", Overwrite, Choice::Aside),
            // Also where it could have been renamed: the family may have an a(1).jpg of its own.
            (&[("a.jpg", "2"), ("a(1).jpg", "1")], "a.jpg", "1", KeepBoth, Choice::Aside),
            (&[("a.jpg", "2")], "a.jpg", "1", KeepBoth, Choice::Numbered(1)),
            (&[("a.jpg", "2")], "a.jpg", "1", Version, Choice::Numbered(1)),
            (&[("a.jpg", "2"), ("a(1).jpg", "3")], "a.jpg", "1", KeepBoth, Choice::Numbered(2)),
            (&[("a.jpg", "2")], "a.jpg", "1", Overwrite, Choice::Aside),
            (&[("a.jpg", "")], "a.jpg", "1", KeepBoth, Choice::Numbered(1)),
            (&[("a.jpg", "")], "a.jpg", "1", Overwrite, Choice::Aside),
            (&full, "n.jpg", "1", KeepBoth, Choice::Aside),
            (&[(long.as_str(), "2")], long.as_str(), "1", KeepBoth, Choice::Aside),
        ] {
            let file = upload(&format!("/x/{name}"), content, on_conflict);
            let chosen = choose(&mut folder(there), "F", name, &file);
            assert_eq!(chosen, choice, "{name} {content} {on_conflict:?} among {there:?}");
        }
    }

    #[test]
    fn two_equal_pictures_on_their_way_at_once_do_not_meet() {
        let mut known = folder(&[]);
        let (one, other) =
            (upload("/x/a.jpg", "1", OnConflict::KeepBoth), upload("/x/b.jpg", "1", OnConflict::KeepBoth));
        known.expect("F", NameHash::of("a.jpg"), ContentHash::of(one.content_md5, one.size));
        assert_eq!(choose(&mut known, "F", "b.jpg", &other), Choice::Aside);
        assert_eq!(choose(&mut known, "F", "a.jpg", &one), Choice::Here, "its own second try");
    }

    #[test]
    fn a_person_is_shown_the_picture_that_is_there() {
        let file = Upload { purpose: Purpose::Manual, ..upload("/x/a.jpg", "1", OnConflict::KeepBoth) };
        let mut known = folder(&[("b.jpg", "1")]);
        assert_eq!(choose(&mut known, "F", "a.jpg", &file), Choice::There(NameHash::of("b.jpg")));
    }

    #[test]
    fn a_numbered_name_is_read_back() {
        for name in ["b.jpg", "b.c.jpg", "b", ".b"] {
            let path = format!("/x/{}", numbered(name, 7));
            assert_eq!(original(&path), Some(format!("/x/{name}")), "{path}");
        }
    }
}
