//! What a picture says of itself, for `exif_info` of `create` (xpan-api, "创建文件") and for its date.
//!
//! JPEG, HEIC and AVIF, PNG, WebP and TIFF with the raw formats that are built like it. A picture without
//! EXIF, or one whose size in pixels cannot be found, has no `exif_info`.
//!
//! Pictures come from anywhere, so the parsers get little: they read through a [`Window`] that counts what
//! they do and ends it, and a panic of theirs is a picture without EXIF.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use exif::{Exif, In, Reader, Tag, Value};

use super::heif;
use super::tiff;
use crate::content::ExifInfo;
use crate::remote::template::Date;

/// What the parsers may read of one picture, bytes. EXIF and sizes stand in the first few kilobytes, or
/// some jumps away.
const BUDGET: u64 = 2 * 1024 * 1024;

/// What a jump costs of it, so that a file that sends its reader in circles comes to an end.
const JUMP: u64 = 64;

const WINDOW: usize = 4096;

/// What stands before the EXIF of a JPEG.
const JPEG_MARK: &[u8] = b"Exif\0\0";

/// So much of a block of EXIF is looked at, bytes. A JPEG's has at most 64 KiB.
const BLOCK: u32 = 256 * 1024;

/// More parts of a PNG or WebP are not looked at.
const CHUNKS: usize = 20_000;

/// Longer camera names are cut, characters.
const TEXT: usize = 64;

/// What the picture in `file` says of itself; `None` when it has no EXIF. Blocks: for a thread that may.
#[must_use]
pub fn exif_info(file: &File) -> Option<ExifInfo> {
    catch_unwind(AssertUnwindSafe(|| read(file))).ok().flatten()
}

/// The day the picture was taken, by its EXIF: original, else digitised, else changed.
#[must_use]
pub fn taken(info: &ExifInfo) -> Option<Date> {
    let dates = [&info.date_time_original, &info.date_time_digitized, &info.date_time];
    let text = dates.into_iter().flatten().next()?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u16>().ok();
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    Some((number(0, 4)?, month.try_into().ok()?, day.try_into().ok()?))
}

/// The words and numbers we want, as the file has them.
#[derive(Default, Debug)]
pub(super) struct Fields {
    pub(super) orientation: Option<u32>,
    pub(super) model: Option<Vec<u8>>,
    pub(super) changed: Option<Vec<u8>>,
    pub(super) original: Option<Vec<u8>>,
    pub(super) digitized: Option<Vec<u8>>,
    /// Width and height, pixels.
    pub(super) size: Option<(u32, u32)>,
}

fn read(file: &File) -> Option<ExifInfo> {
    let mut head = [0; 12];
    file.read_exact_at(&mut head, 0).ok()?;
    let mut window = Window::new(file);
    let found = match &head {
        [0xff, 0xd8, 0xff, ..] => jpeg(&mut window).ok()?,
        [0x89, b'P', b'N', b'G', ..] => png(&mut window).ok()?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => webp(&mut window).ok()?,
        // It says itself how it is to be turned, and its EXIF says so once more: with that goes the size
        // before turning, and not the one that is seen.
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
            let heif = heif::read(&mut window).ok()??;
            return finish(fields(&parse(heif.exif)?), heif.size);
        }
        // Its own sizes are the best: the first picture of a raw file is a small one.
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => {
            return finish(tiff::fields(window).ok()??, None);
        }
        _ => return None,
    };
    let fields = fields(&parse(found?)?);
    let size = imagesize::reader_size(Window::new(file)).ok();
    let size = size.and_then(|size| Some((size.width.try_into().ok()?, size.height.try_into().ok()?)));
    finish(fields, size)
}

fn finish(fields: Fields, size: Option<(u32, u32)>) -> Option<ExifInfo> {
    let (width, height) = size.or(fields.size).filter(|&(width, height)| width > 0 && height > 0)?;
    let orientation = fields.orientation.filter(|number| (1..=8).contains(number));
    Some(ExifInfo {
        height,
        width,
        date_time_original: fields.original.and_then(date),
        model: fields.model.and_then(text),
        date_time_digitized: fields.digitized.and_then(date),
        date_time: fields.changed.and_then(date),
        orientation: orientation.and_then(|number| number.try_into().ok()).unwrap_or(1),
        recovery: 0,
    })
}

/// Understands a block of EXIF as far as it goes.
fn parse(mut block: Vec<u8>) -> Option<Exif> {
    // Some writers of WebP put a JPEG's mark in front.
    if block.starts_with(JPEG_MARK) {
        block.drain(..JPEG_MARK.len());
    }
    let read = Reader::new().continue_on_error(true).read_raw(block);
    read.or_else(|error| error.distill_partial_result(|_| {})).ok()
}

fn fields(exif: &Exif) -> Fields {
    let number = |tag| exif.get_field(tag, In::PRIMARY)?.value.get_uint(0);
    let words = |tag| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(words) => words.first().cloned(),
        _ => None,
    };
    Fields {
        orientation: number(Tag::Orientation),
        model: words(Tag::Model),
        changed: words(Tag::DateTime),
        original: words(Tag::DateTimeOriginal),
        digitized: words(Tag::DateTimeDigitized),
        size: number(Tag::PixelXDimension).zip(number(Tag::PixelYDimension)),
    }
}

/// The EXIF segment of a JPEG: one of those before the picture itself.
fn jpeg(window: &mut Window<'_>) -> io::Result<Option<Vec<u8>>> {
    window.seek(SeekFrom::Start(2))?;
    for _ in 0..CHUNKS {
        let [mark, kind, high, low] = window.four()?;
        if (mark, kind) == (0xff, 0xff) {
            // A byte to fill up with.
            window.seek_relative(-3)?;
            continue;
        }
        let length = u16::from_be_bytes([high, low]).saturating_sub(2);
        match (mark, kind) {
            (0xff, 0xe1) => {
                let segment = window.block(length.into())?;
                if segment.starts_with(JPEG_MARK) {
                    return Ok(Some(segment));
                }
            }
            // The picture begins, or this is no JPEG.
            (0xff, 0xda) | (..0xff, _) => break,
            _ => {
                window.seek_relative(length.into())?;
            }
        }
    }
    Ok(None)
}

/// The eXIf chunk of a PNG, wherever it stands.
fn png(window: &mut Window<'_>) -> io::Result<Option<Vec<u8>>> {
    window.seek(SeekFrom::Start(8))?;
    for _ in 0..CHUNKS {
        let (length, kind) = (u32::from_be_bytes(window.four()?), window.four()?);
        if &kind == b"eXIf" {
            return window.block(length).map(Some);
        }
        window.seek_relative(i64::from(length) + 4)?;
    }
    Ok(None)
}

/// The EXIF chunk of a WebP, which stands behind the picture.
fn webp(window: &mut Window<'_>) -> io::Result<Option<Vec<u8>>> {
    window.seek(SeekFrom::Start(12))?;
    for _ in 0..CHUNKS {
        let (kind, length) = (window.four()?, u32::from_le_bytes(window.four()?));
        if &kind == b"EXIF" {
            return window.block(length).map(Some);
        }
        window.seek_relative(i64::from(length) + i64::from(length % 2))?;
    }
    Ok(None)
}

/// `2018:09:06 15:58:58`, or nothing: cameras without a clock write blanks or zeros.
fn date(bytes: Vec<u8>) -> Option<String> {
    let mut bytes: [u8; 19] = bytes.get(..19)?.try_into().ok()?;
    for (at, mark) in [(4, b':'), (7, b':'), (10, b' '), (13, b':'), (16, b':')] {
        let usual =
            bytes[at] == mark || mark == b':' && matches!(bytes[at], b'-' | b'/' | b'.') || bytes[at] == b'T';
        bytes[at] = if usual { mark } else { return None };
    }
    let text = str::from_utf8(&bytes).ok()?;
    let number = |from: usize, to: usize| -> Option<u16> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let is_date =
        number(0, 4)? > 0 && (1..=12).contains(&number(5, 7)?) && (1..=31).contains(&number(8, 10)?);
    let is_time = number(11, 13)? < 24 && number(14, 16)? < 60 && number(17, 19)? <= 60;
    (is_date && is_time).then(|| text.to_owned())
}

/// One line for a person; nothing when it is blank.
fn text(bytes: Vec<u8>) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    let text: String = text.trim().chars().filter(|char| !char.is_control()).take(TEXT).collect();
    (!text.is_empty()).then_some(text)
}

/// A file as the parsers see it: positioned reads of a few kilobytes, and an end to all reading.
pub(super) struct Window<'a> {
    file: &'a File,
    at: u64,
    budget: u64,
    bytes: Vec<u8>,
    /// Where in the file `bytes` begins.
    start: u64,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, at: 0, budget: BUDGET, bytes: Vec::new(), start: 0 }
    }

    /// The next four bytes.
    pub(super) fn four(&mut self) -> io::Result<[u8; 4]> {
        let mut four = [0; 4];
        self.read_exact(&mut four)?;
        Ok(four)
    }

    /// The next `length` bytes, or as many of them as we look at.
    pub(super) fn block(&mut self, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(length.min(BLOCK).into()).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn pay(&mut self, bytes: u64) -> io::Result<()> {
        self.budget = self.budget.checked_sub(bytes).ok_or(io::ErrorKind::QuotaExceeded)?;
        Ok(())
    }
}

impl BufRead for Window<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let within =
            |window: &Self| window.at.checked_sub(window.start).filter(|&at| at < window.bytes.len() as u64);
        if within(self).is_none() {
            self.pay(WINDOW as u64)?;
            self.bytes.resize(WINDOW, 0);
            let read = self.file.read_at(&mut self.bytes, self.at);
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            self.start = self.at;
            read?;
        }
        let from = usize::try_from(within(self).unwrap_or(self.bytes.len() as u64)).unwrap_or(WINDOW);
        Ok(&self.bytes[from..])
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount as u64);
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.pay(JUMP)?;
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
#[path = "exif_tests.rs"]
mod tests;
