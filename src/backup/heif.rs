//! Where a HEIC or AVIF keeps its EXIF, and the size of its picture before it turns itself.
//!
//! Phones write EXIF blocks of hundreds of kilobytes here, where libraries stop at what a JPEG can hold,
//! and pictures of hundreds of tiles. (ISO 14496-12: 8.11.3 iloc, 8.11.6 iinf; ISO 23008-12: 6.5.3 ispe,
//! annex A.2.1 for EXIF.)

use std::io::{self, Read, Seek, SeekFrom};

use super::exif::Window;

/// Boxes in front of `meta` that are passed over.
const BOXES: usize = 64;

/// Pieces of one item that are put together.
const EXTENTS: u64 = 16;

/// What we want of the file.
pub(super) struct Heif {
    /// EXIF, beginning with its TIFF header.
    pub(super) exif: Vec<u8>,
    /// Width and height of the largest picture, pixels.
    pub(super) size: Option<(u32, u32)>,
}

/// Reads the file; `None` without EXIF.
pub(super) fn read(window: &mut Window<'_>) -> io::Result<Option<Heif>> {
    let Some(meta) = meta(window)? else {
        return Ok(None);
    };
    // Version and flags come first.
    let boxes = Fields(meta.get(4..).unwrap_or_default());
    let item = boxes.find(b"iinf").and_then(exif_item);
    let extents = item.zip(boxes.find(b"iloc")).and_then(|(item, iloc)| extents(iloc, item));
    let Some((is_within_meta, extents)) = extents else {
        return Ok(None);
    };
    let mut block = Vec::new();
    for (offset, length) in extents {
        if is_within_meta {
            let idat = boxes.find(b"idat").map_or(&[][..], |fields| fields.0);
            let range = usize::try_from(offset).ok().and_then(|offset| idat.get(offset..));
            let range = range.unwrap_or_default();
            block.extend_from_slice(&range[..range.len().min(usize::try_from(length).unwrap_or(0))]);
        } else {
            window.seek(SeekFrom::Start(offset))?;
            block.extend(window.block(u32::try_from(length).unwrap_or(u32::MAX))?);
        }
    }
    let mut fields = Fields(&block);
    let header = fields.number(4).and_then(|skip| usize::try_from(skip).ok());
    let exif = header.and_then(|header| fields.0.get(header..)).unwrap_or_default().to_vec();
    Ok(Some(Heif { exif, size: size(&boxes) }))
}

/// The body of the `meta` box.
fn meta(window: &mut Window<'_>) -> io::Result<Option<Vec<u8>>> {
    window.rewind()?;
    for _ in 0..BOXES {
        let (short, kind) = (u32::from_be_bytes(window.four()?), window.four()?);
        let body = match short {
            0 => u64::MAX,
            1 => {
                let mut long = [0; 8];
                window.read_exact(&mut long)?;
                u64::from_be_bytes(long).saturating_sub(16)
            }
            short => u64::from(short).saturating_sub(8),
        };
        if &kind == b"meta" {
            return window.block(u32::try_from(body).unwrap_or(u32::MAX)).map(Some);
        }
        let Ok(body) = i64::try_from(body) else {
            break;
        };
        window.seek(SeekFrom::Current(body))?;
    }
    Ok(None)
}

/// The number of the item that is EXIF.
fn exif_item(mut iinf: Fields<'_>) -> Option<u64> {
    let version = iinf.number(1)?;
    iinf.number(3)?;
    iinf.number(if version == 0 { 2 } else { 4 })?;
    while let Some((kind, mut infe)) = iinf.next_box() {
        let version = infe.number(1)?;
        infe.number(3)?;
        let item = infe.number(if version == 3 { 4 } else { 2 })?;
        infe.number(2)?;
        if kind == b"infe" && version >= 2 && infe.0.starts_with(b"Exif") {
            return Some(item);
        }
    }
    None
}

/// Offsets and lengths of an item's pieces; whether they lie in `idat` instead of in the file.
fn extents(mut iloc: Fields<'_>, wanted: u64) -> Option<(bool, Vec<(u64, u64)>)> {
    let version = iloc.number(1)?;
    iloc.number(3)?;
    let sizes = iloc.number(2)?;
    let size = |shift: u32| usize::try_from(sizes >> shift & 15).unwrap_or(0);
    let (of_offset, of_length, of_base) = (size(12), size(8), size(4));
    let of_index = if version == 0 { 0 } else { size(0) };
    let of_item = if version < 2 { 2 } else { 4 };
    let count = iloc.number(of_item)?;
    for _ in 0..count {
        let item = iloc.number(of_item)?;
        let method = if version == 0 { 0 } else { iloc.number(2)? & 15 };
        iloc.number(2)?;
        let base = iloc.number(of_base)?;
        let mut extents = Vec::new();
        for number in 0..iloc.number(2)? {
            iloc.number(of_index)?;
            let (offset, length) = (iloc.number(of_offset)?, iloc.number(of_length)?);
            if number < EXTENTS {
                extents.push((base.checked_add(offset)?, length));
            }
        }
        if item == wanted {
            return (method <= 1).then_some((method == 1, extents));
        }
    }
    None
}

/// The largest of the sizes: those of tiles and of the small picture are smaller.
fn size(boxes: &Fields<'_>) -> Option<(u32, u32)> {
    let mut properties = boxes.find(b"iprp")?.find(b"ipco")?;
    let mut largest = None;
    while let Some((kind, mut ispe)) = properties.next_box() {
        if kind == b"ispe" {
            ispe.number(4)?;
            let (width, height) = (ispe.number(4)?, ispe.number(4)?);
            largest = largest.max(Some((width * height, width, height)));
        }
    }
    let (_, width, height) = largest?;
    Some((width.try_into().ok()?, height.try_into().ok()?))
}

/// Big-endian numbers and boxes, one after the other.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// A number of so many bytes, at most 8; of none it is 0.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let (number, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        (bytes <= 8).then(|| number.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    fn next_box(&mut self) -> Option<(&'a [u8], Fields<'a>)> {
        let size = usize::try_from(u32::from_be_bytes(self.0.get(..4)?.try_into().ok()?)).ok()?;
        let (kind, body) = (self.0.get(4..8)?, self.0.get(8..size)?);
        self.0 = &self.0[size..];
        Some((kind, Fields(body)))
    }

    fn find(&self, wanted: &[u8; 4]) -> Option<Fields<'a>> {
        let mut boxes = *self;
        std::iter::from_fn(|| boxes.next_box()).find_map(|(kind, body)| (kind == wanted).then_some(body))
    }
}
