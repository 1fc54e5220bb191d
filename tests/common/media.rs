//! Pictures and films made byte by byte: small, real enough for every parser that looks at them, and
//! different for every seed.

use std::path::Path;
use std::time::{Duration, SystemTime};

/// One byte after the other that nobody can compress or confuse with another seed's.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What a [`photo`] says of itself in its EXIF.
pub const MODEL: &str = "Rig One";
pub const TAKEN: &str = "2018:09:06 15:58:58";
pub const WIDTH: u16 = 640;
pub const HEIGHT: u16 = 480;
pub const ORIENTATION: u16 = 6;

/// A JPEG of `length` bytes (a few hundred at least) with EXIF.
pub fn photo(seed: u64, length: usize) -> Vec<u8> {
    let mut jpeg = vec![0xff, 0xd8];
    segment(&mut jpeg, 0xe1, &[b"Exif\0\0".as_slice(), &tiff()].concat());
    segment(&mut jpeg, 0xdb, &[[0].as_slice(), &[1; 64]].concat());
    let [h1, h0] = HEIGHT.to_be_bytes();
    let [w1, w0] = WIDTH.to_be_bytes();
    segment(&mut jpeg, 0xc0, &[8, h1, h0, w1, w0, 1, 1, 0x11, 0]);
    segment(&mut jpeg, 0xda, &[1, 1, 0, 0, 63, 0]);
    let rest = length.saturating_sub(jpeg.len() + 2).max(16);
    // No 0xff inside: it would begin a marker.
    jpeg.extend(noise(seed, rest).into_iter().map(|byte| byte & 0x7f));
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

/// An MP4 of `length` bytes: its brand, and one box of noise.
pub fn video(seed: u64, length: usize) -> Vec<u8> {
    let mut mp4 = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42".to_vec();
    let rest = length.saturating_sub(mp4.len()).max(16);
    mp4.extend(u32::try_from(rest).unwrap().to_be_bytes());
    mp4.extend(b"mdat");
    mp4.extend(noise(seed, rest - 8));
    mp4
}

fn segment(jpeg: &mut Vec<u8>, marker: u8, body: &[u8]) {
    jpeg.extend([0xff, marker]);
    jpeg.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
    jpeg.extend(body);
}

/// Big-endian TIFF: IFD0 with orientation, model, time and the way to the EXIF IFD with two more times.
fn tiff() -> Vec<u8> {
    let date = [TAKEN.as_bytes(), b"\0"].concat();
    let model = [MODEL.as_bytes(), b"\0"].concat();
    let texts = 8 + (2 + 4 * 12 + 4) + (2 + 2 * 12 + 4);
    let exif_at = 8 + 2 + 4 * 12 + 4;
    let mut bytes = b"MM\0*\0\0\0\x08".to_vec();
    let long = |value: usize| u32::try_from(value).unwrap().to_be_bytes();
    let mut ifd = |entries: &[(u16, u16, usize, [u8; 4])]| {
        bytes.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
        for (tag, kind, count, value) in entries {
            bytes.extend(tag.to_be_bytes());
            bytes.extend(kind.to_be_bytes());
            bytes.extend(long(*count));
            bytes.extend(value);
        }
        bytes.extend([0; 4]);
    };
    let [o1, o0] = ORIENTATION.to_be_bytes();
    ifd(&[
        (0x0110, 2, model.len(), long(texts + date.len())),
        (0x0112, 3, 1, [o1, o0, 0, 0]),
        (0x0132, 2, date.len(), long(texts)),
        (0x8769, 4, 1, long(exif_at)),
    ]);
    ifd(&[(0x9003, 2, date.len(), long(texts)), (0x9004, 2, date.len(), long(texts))]);
    [bytes, date, model].concat()
}

/// Sets a file's modification time, in seconds since 1970.
pub fn set_mtime(path: &Path, secs: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Every odd name that a backup of photos can have.
pub fn odd_names() -> Vec<Vec<u8>> {
    let long = format!("{}.jpg", "long-".repeat(49));
    let wide = format!("{}.jpg", "\u{7167}".repeat(83));
    let names: [&[u8]; 24] = [
        b"a:b?.jpg",
        b"a%3Ab%3F.jpg",
        b"what*ever\"<>|.jpg",
        "grin \u{1f600}.jpg".as_bytes(),
        "\u{4e2d}\u{6587}.jpg".as_bytes(),
        b"line\nbreak.jpg",
        b"\xff\xfe.jpg",
        b" blank .jpg",
        b"dots..jpg",
        b"back\\slash/back\\slash.jpg",
        long.as_bytes(),
        wide.as_bytes(),
        b"100%.jpg",
        b"%+.jpg",
        b"esc\x1b[2J.jpg",
        b"dir /x.jpg",
        b" dir/x.jpg",
        b"dots./x.jpg",
        b".../x.jpg",
        b"tab\tbell\x07.jpg",
        "e\u{301}.jpg".as_bytes(),
        "\u{e9}.jpg".as_bytes(),
        b"2024/07/IMG 0001 (1).jpg",
        b"2024/07/img 0001 (1).jpg",
    ];
    names.iter().map(|name| name.to_vec()).collect()
}
