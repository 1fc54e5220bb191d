//! The few entries of a TIFF file that we want, wherever in it they stand.
//!
//! A scan has hundreds of megabytes and its list of entries often at the end; a library that wants the
//! whole file in memory is no help there. (TIFF 6.0, section 2; EXIF 2.3, 4.6.)

use std::io::{self, Read, Seek, SeekFrom};

use super::exif::{Fields, Window};

const WIDTH: u16 = 0x0100;
const HEIGHT: u16 = 0x0101;
const MODEL: u16 = 0x0110;
const ORIENTATION: u16 = 0x0112;
const DATE_TIME: u16 = 0x0132;
const SUB_IFDS: u16 = 0x014a;
const EXIF_IFD: u16 = 0x8769;
const ORIGINAL: u16 = 0x9003;
const DIGITIZED: u16 = 0x9004;
const PIXELS_X: u16 = 0xa002;
const PIXELS_Y: u16 = 0xa003;

/// Longer lists are not read to their end.
const ENTRIES: u16 = 500;

/// More pictures in one file are not looked at.
const PICTURES: usize = 8;

/// Longer texts are cut, bytes.
const TEXT: u64 = 256;

/// What the file says; `None` when it says nothing beyond the picture's layout.
pub(super) fn fields(window: Window<'_>) -> io::Result<Option<Fields>> {
    let mut tiff = Tiff { window, is_little: false };
    tiff.is_little = tiff.window.four()?[0] == b'I';
    let first = tiff.long()?;
    let mut fields = Fields::default();
    let (mut exif, mut pictures) = (None, Vec::new());
    let mut size = tiff.list(first, |tiff, entry| {
        match entry.tag {
            MODEL => fields.model = Some(tiff.text(entry)?),
            DATE_TIME => fields.changed = Some(tiff.text(entry)?),
            ORIENTATION => fields.orientation = Some(entry.number),
            EXIF_IFD => exif = Some(entry.number),
            SUB_IFDS => pictures = tiff.numbers(entry)?,
            _ => {}
        }
        Ok(())
    })?;
    if exif.is_none() && fields.model.is_none() && fields.changed.is_none() {
        return Ok(None);
    }
    // From here on a broken list only means that we know less. The largest picture is the photo.
    let larger = |one: (u32, u32), two: (u32, u32)| {
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        if area(two) > area(one) { two } else { one }
    };
    for picture in pictures {
        size = larger(size, tiff.list(picture, |_, _| Ok(())).unwrap_or_default());
    }
    if let Some(exif) = exif {
        let told = tiff.list(exif, |tiff, entry| {
            match entry.tag {
                ORIGINAL => fields.original = Some(tiff.text(entry)?),
                DIGITIZED => fields.digitized = Some(tiff.text(entry)?),
                _ => {}
            }
            Ok(())
        });
        size = larger(size, told.unwrap_or_default());
    }
    fields.size = Some(size);
    Ok(Some(fields))
}

struct Tiff<'a> {
    window: Window<'a>,
    is_little: bool,
}

struct Entry {
    tag: u16,
    kind: u16,
    count: u32,
    /// The first number, when it is a short or long that stands here; else where the values are.
    number: u32,
    /// Where the four bytes of the value stand.
    here: u64,
}

impl Tiff<'_> {
    /// Shows `each` the entries of the list at `offset`; returns the width and height among them.
    fn list(
        &mut self,
        offset: u32,
        mut each: impl FnMut(&mut Self, &Entry) -> io::Result<()>,
    ) -> io::Result<(u32, u32)> {
        self.window.seek(SeekFrom::Start(offset.into()))?;
        let count = self.short()?.min(ENTRIES);
        let (mut width, mut height) = (0, 0);
        for number in 0..count {
            let at = u64::from(offset) + 2 + 12 * u64::from(number);
            self.window.seek(SeekFrom::Start(at))?;
            let (tag, kind, count) = (self.short()?, self.short()?, self.long()?);
            let number = if kind == 3 && count <= 2 { self.short()?.into() } else { self.long()? };
            let entry = Entry { tag, kind, count, number, here: at + 8 };
            match tag {
                WIDTH | PIXELS_X => width = entry.number,
                HEIGHT | PIXELS_Y => height = entry.number,
                _ => {}
            }
            each(self, &entry)?;
        }
        Ok((width, height))
    }

    fn text(&mut self, entry: &Entry) -> io::Result<Vec<u8>> {
        let at = if entry.count <= 4 { entry.here } else { entry.number.into() };
        self.window.seek(SeekFrom::Start(at))?;
        let mut text = Vec::new();
        let length = if entry.kind == 2 { TEXT.min(entry.count.into()) } else { 0 };
        (&mut self.window).take(length).read_to_end(&mut text)?;
        Ok(text)
    }

    fn numbers(&mut self, entry: &Entry) -> io::Result<Vec<u32>> {
        if entry.count <= 1 {
            return Ok(vec![entry.number]);
        }
        self.window.seek(SeekFrom::Start(entry.number.into()))?;
        let count = usize::try_from(entry.count).unwrap_or(PICTURES).min(PICTURES);
        (0..count).map(|_| self.long()).collect()
    }

    fn short(&mut self) -> io::Result<u16> {
        let mut bytes = [0; 2];
        self.window.read_exact(&mut bytes)?;
        Ok(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(&mut self) -> io::Result<u32> {
        let bytes = self.window.four()?;
        Ok(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}
