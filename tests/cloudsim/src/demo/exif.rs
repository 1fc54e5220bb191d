//! EXIF as a camera writes it, and what the cloud has to be told of it.

use serde_json::{Value, json};

/// What the demo's camera says of a picture.
#[derive(Clone, Debug)]
pub(super) struct Exif {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) orientation: u16,
    pub(super) model: &'static str,
    /// `2024:05:01 10:20:30`
    pub(super) taken: String,
}

const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;

impl Exif {
    /// The content of an APP1 segment: a TIFF of two directories, little end first.
    pub(super) fn app1(&self) -> Vec<u8> {
        let text = |text: &str| [text.as_bytes(), b"\0"].concat();
        let number = |number: u16| u32::from(number).to_le_bytes().to_vec();
        let main = [
            (0x0110, ASCII, text(self.model)),
            (0x0112, SHORT, number(self.orientation)),
            (0x0132, ASCII, text(&self.taken)),
        ];
        let detail = [
            (0x9003, ASCII, text(&self.taken)),
            (0x9004, ASCII, text(&self.taken)),
            (0xa002, LONG, number(self.width)),
            (0xa003, LONG, number(self.height)),
        ];
        let mut tiff = b"II*\0\x08\0\0\0".to_vec();
        // The place of the second directory is only known when the first is written.
        let end = directory(&mut tiff.clone(), &main, Some(0));
        directory(&mut tiff, &main, Some(end));
        directory(&mut tiff, &detail, None);
        [b"Exif\0\0", tiff.as_slice()].concat()
    }

    /// `exif_info` as the documents want it.
    pub(super) fn info(&self) -> Value {
        json!({
            "width": self.width,
            "height": self.height,
            "orientation": self.orientation,
            "model": self.model,
            "date_time_original": self.taken,
            "date_time_digitized": self.taken,
            "date_time": self.taken,
            "recovery": 0,
        })
    }
}

/// Appends a directory and its long values; returns where the file ends then. `next` adds a pointer to
/// the directory of details.
fn directory(tiff: &mut Vec<u8>, fields: &[(u16, u16, Vec<u8>)], next: Option<usize>) -> usize {
    let count = fields.len() + usize::from(next.is_some());
    let mut values = tiff.len() + 2 + 12 * count + 4;
    let mut long = Vec::new();
    tiff.extend((count as u16).to_le_bytes());
    for (tag, kind, value) in fields {
        let number = if *kind == ASCII { value.len() as u32 } else { 1 };
        tiff.extend(tag.to_le_bytes());
        tiff.extend(kind.to_le_bytes());
        tiff.extend(number.to_le_bytes());
        if value.len() <= 4 {
            tiff.extend(value);
            tiff.resize(tiff.len() + 4 - value.len(), 0);
            continue;
        }
        tiff.extend((values as u32).to_le_bytes());
        long.extend(value);
        // Values begin at even places.
        long.resize(long.len().next_multiple_of(2), 0);
        values += value.len().next_multiple_of(2);
    }
    if let Some(next) = next {
        tiff.extend(0x8769_u16.to_le_bytes());
        tiff.extend(LONG.to_le_bytes());
        tiff.extend(1_u32.to_le_bytes());
        tiff.extend((next as u32).to_le_bytes());
    }
    tiff.extend([0; 4]);
    tiff.extend(long);
    tiff.len()
}
