//! The folder that is backed up: made here, with everything a family's folder has, or the user's own.
//! Each file comes with what has to become of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::exif::Exif;
use super::media;

/// What has to become of a file.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// In the cloud as a photo.
    Photo(Told),
    /// In the cloud as a video.
    Video,
    /// Not in the cloud, because it is empty.
    Empty,
    /// Not in the cloud: nobody's photo.
    Junk,
}

/// The EXIF of a photo.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// The user's own picture: we do not know.
    Unknown,
    Nothing,
    This(Exif),
}

/// A folder and its files, by their path below it.
pub(super) struct Library {
    pub(super) root: PathBuf,
    pub(super) files: BTreeMap<Vec<u8>, Expect>,
    /// Made by the demo, so that everything about it is known.
    pub(super) made: bool,
    /// Names that this disk does not take.
    pub(super) refused: Vec<String>,
}

/// Size and time of each file: what must be the same at the end.
pub(super) type Looks = BTreeMap<Vec<u8>, (u64, Option<SystemTime>)>;

/// The day of the first picture: 2024-05-01, 10:00 UTC.
const FIRST_DAY: u64 = 1_714_557_600;

impl Library {
    /// Makes a family's folder below `root`.
    pub(super) fn make(root: &Path) -> io::Result<Library> {
        fs::create_dir_all(root)?;
        let mut library =
            Library { root: root.into(), files: BTreeMap::new(), made: true, refused: Vec::new() };
        let long = "海边的照片".repeat(16) + "好.jpg";
        // Folder and name, orientation.
        let with_exif: [(&[u8], u16); 8] = [
            (b"2023/Spring/IMG_0001.jpg", 1),
            (b"2023/Spring/IMG_0002.jpg", 6),
            (b"2024/Holiday/IMG_1001.JPG", 1),
            (b"2024/Holiday/IMG_1002.JPG", 8),
            ("2024/Birthday 🎂/cake.jpg".as_bytes(), 1),
            (b"Odd names/a?b:c*.jpg", 3),
            ("Odd names/caf\u{e9}.jpg".as_bytes(), 1),
            (long.as_bytes(), 1),
        ];
        for (number, (below, orientation)) in with_exif.into_iter().enumerate() {
            library.photo(below, number as u64, Some(orientation))?;
        }
        let without: [&[u8]; 5] = [
            b"2024/From a friend.jpg",
            "Odd names/cafe\u{301}.jpg".as_bytes(),
            b"Odd names/100% %41.jpg",
            b"Odd names/not \xff\xfe text.jpg",
            b"Odd names/no ending, a blank behind ",
        ];
        for (number, below) in without.into_iter().enumerate() {
            library.photo(below, 20 + number as u64, None)?;
        }
        library.write(
            b"2024/Screenshot.png",
            &media::screenshot(30, 480, 320),
            Expect::Photo(Told::Nothing),
        )?;
        let copy = fs::read(library.path(b"2023/Spring/IMG_0001.jpg"))?;
        let exif = library.files.get(b"2023/Spring/IMG_0001.jpg".as_slice()).cloned();
        library.write(b"Best of/IMG_0001 again.jpg", &copy, exif.unwrap_or(Expect::Junk))?;
        for (below, size, brand) in [
            (b"2024/Holiday/The sea.mp4".as_slice(), 26_000_000, b"isom"),
            (b"2024/Holiday/MOV_0007.MOV", 13_000_000, b"qt  "),
            ("2024/Birthday 🎂/candles.mp4".as_bytes(), 9_000_000, b"mp42"),
        ] {
            library.write(below, &media::film(size as u64, size, brand), Expect::Video)?;
        }
        library.write(b"2024/Holiday/IMG_1003.JPG", b"", Expect::Empty)?;
        for below in [
            "@eaDir/IMG_0001.jpg/SYNOPHOTO_THUMB_XL.jpg",
            "2024/.DS_Store",
            "2024/Holiday/._IMG_1001.JPG",
            "2024/Holiday/Thumbs.db",
            "2024/Holiday/next.mp4.part",
            "2024/Holiday/notes.txt",
        ] {
            library.write(below.as_bytes(), b"\xff\xd8\xff nobody's photo", Expect::Junk)?;
        }
        Ok(library)
    }

    /// The user's folder, which is only read.
    pub(super) fn of_user(root: &Path) -> io::Result<Library> {
        let root = root.canonicalize()?;
        let mut library = Library { root, files: BTreeMap::new(), made: false, refused: Vec::new() };
        for (below, (size, _)) in looks(&library.root)? {
            let ending = Path::new(OsStr::from_bytes(&below)).extension().unwrap_or_default();
            let expect = match ending.to_string_lossy().to_ascii_lowercase().as_str() {
                _ if size == 0 => continue,
                "jpg" | "jpeg" | "png" | "gif" | "webp" | "bmp" | "tif" | "tiff" | "heic" | "dng" => {
                    Expect::Photo(Told::Unknown)
                }
                "mp4" | "mov" | "m4v" | "mkv" | "avi" | "3gp" | "mts" | "webm" => Expect::Video,
                _ => continue,
            };
            library.files.insert(below, expect);
        }
        Ok(library)
    }

    /// One more picture, as if a phone had just copied it here.
    pub(super) fn add_photo(&mut self, below: &[u8]) -> io::Result<()> {
        self.photo(below, 27, Some(1))
    }

    /// One more file with the content of another.
    pub(super) fn copy(&mut self, from: &[u8], to: &[u8]) -> io::Result<()> {
        let expect = self.files.get(from).cloned().unwrap_or(Expect::Junk);
        self.write(to, &fs::read(self.path(from))?, expect)
    }

    pub(super) fn path(&self, below: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(below))
    }

    /// Files that have to be in the cloud.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Vec<u8>> {
        let is_wanted = |expect: &Expect| matches!(expect, Expect::Photo(_) | Expect::Video);
        self.files.iter().filter(move |(_, expect)| is_wanted(expect)).map(|(below, _)| below)
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.wanted().filter_map(|below| fs::metadata(self.path(below)).ok()).map(|data| data.len()).sum()
    }

    fn photo(&mut self, below: &[u8], number: u64, orientation: Option<u16>) -> io::Result<()> {
        let (width, height) = if number.is_multiple_of(3) { (640, 480) } else { (480, 640) };
        let exif = orientation.map(|orientation| Exif {
            width,
            height,
            orientation,
            model: if number.is_multiple_of(2) { "Pocket 3" } else { "Family Phone 12" },
            taken: format!("2024:05:{:02} 10:{number:02}:30", number + 1),
        });
        let bytes = media::photo(number, width, height, exif.as_ref());
        let told = exif.map_or(Told::Nothing, Told::This);
        self.write(below, &bytes, Expect::Photo(told))
    }

    fn write(&mut self, below: &[u8], bytes: &[u8], expect: Expect) -> io::Result<()> {
        let path = self.path(below);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // ext4 takes any name, other disks do not.
        if let Err(error) = fs::write(&path, bytes) {
            if below.starts_with(b"Odd names/") {
                self.refused.push(super::tell::plain(below));
                return Ok(());
            }
            return Err(error);
        }
        let day = Duration::from_secs(86_400 * self.files.len() as u64);
        let time = UNIX_EPOCH + Duration::from_secs(FIRST_DAY) + day;
        File::options().write(true).open(&path)?.set_times(FileTimes::new().set_modified(time))?;
        self.files.insert(below.into(), expect);
        Ok(())
    }
}

/// Every regular file below `root`, whatever it is.
pub(super) fn looks(root: &Path) -> io::Result<Looks> {
    let mut looks = Looks::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let data = fs::metadata(&path)?;
                let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
                looks.insert(below.into_os_string().into_vec(), (data.len(), data.modified().ok()));
            }
        }
    }
    Ok(looks)
}
