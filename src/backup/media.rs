//! Photo, video or other: by the name's ending, and by the first bytes.
//!
//! The rule. The walk goes by the name alone ([`by_name`]), so that nothing is opened to find out that it
//! is not wanted. Where the name says nothing - no ending, or one that stands for two quite different
//! things, like `.ts` - the content is asked ([`sniff`]). When a file is read anyway, to be hashed, what
//! its first bytes say with certainty wins over the name ([`decide`]): a film that is called `.jpg` is
//! backed up as a film.
//!
//! Photo and video are what a camera made. Drawings, icons and layered documents (svg, ico, psd) and a
//! camera's own previews (thm, lrv) are other files.

use crate::content::Media;

/// How many first bytes [`sniff`] wants to see; fewer are fine when the file is shorter.
pub const SNIFF_BYTES: usize = 1024;

const PHOTO: &[&str] = &[
    // For everybody.
    "jpg", "jpeg", "jpe", "jfif", "png", "apng", "gif", "bmp", "dib", "webp", "tif", "tiff", "heic", "heif",
    "heics", "heifs", "hif", "avif", "avifs", "avci", "jxl", "jp2", "jpx", "j2k", "mpo", "insp",
    "livp", // Raw, by maker.
    "dng", "raw", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf", "sr2", "arq", "raf", "orf", "ori", "rw2",
    "rwl", "pef", "ptx", "srw", "x3f", "3fr", "fff", "iiq", "mef", "mos", "mrw", "kdc", "dcr", "k25", "erf",
    "gpr",
];

const VIDEO: &[&str] = &[
    "mp4", "m4v", "mp4v", "mov", "qt", "avi", "divx", "mkv", "mk3d", "webm", "mts", "m2ts", "m2t", "mpg",
    "mpeg", "mpe", "m1v", "m2v", "mpv", "vob", "evo", "tp", "trp", "3gp", "3gpp", "3g2", "3gp2", "wmv",
    "asf", "flv", "f4v", "rm", "rmvb", "ogv", "ogm", "dv", "dif", "mxf", "amv", "wtv", "dvr-ms", "mjpg",
    "mjpeg", "h264", "h265", "264", "265", "hevc", "avc", "insv", "360", "tod", "braw", "r3d", "crm",
];

/// Endings that stand for a film and for something else: TypeScript, tracker music.
const UNCLEAR: &[&str] = &["ts", "mod"];

/// Sound in the containers of films: no first bytes make a film of them.
const SOUND: &[&str] =
    &["m4a", "m4b", "m4p", "m4r", "f4a", "f4b", "3ga", "aac", "mka", "wma", "weba", "oga", "ogg", "opus"];

/// What the file name says; `None` when only the content can tell (no ending, or an unclear one).
///
/// `name` is the last part of a path. The case of letters does not matter.
#[must_use]
pub fn by_name(name: &[u8]) -> Option<Media> {
    let ending = ending(name)?;
    let mut lower = [0; 8];
    let Some(lower) = lower.get_mut(..ending.len()) else {
        return Some(Media::Other);
    };
    lower.copy_from_slice(ending);
    lower.make_ascii_lowercase();
    let is_in = |list: &[&str]| list.iter().any(|known| known.as_bytes() == &*lower);
    if is_in(PHOTO) {
        Some(Media::Photo)
    } else if is_in(VIDEO) {
        Some(Media::Video)
    } else if is_in(UNCLEAR) {
        None
    } else {
        Some(Media::Other)
    }
}

/// What a file is, all told: the certain word of its content, else its name's, else other.
///
/// `sniffed` is [`sniff`]'s answer. Sound stays other, although its container is a film's.
#[must_use]
pub fn decide(name: &[u8], sniffed: Option<Media>) -> Media {
    let named = by_name(name);
    if named == Some(Media::Other) && ending(name).is_some_and(is_sound) {
        return Media::Other;
    }
    sniffed.or(named).unwrap_or(Media::Other)
}

/// The letters after the last dot; `None` without a dot, or with nothing before or after it.
fn ending(name: &[u8]) -> Option<&[u8]> {
    let dot = name.iter().rposition(|&byte| byte == b'.')?;
    let ending = &name[dot + 1..];
    (dot > 0 && !ending.is_empty()).then_some(ending)
}

fn is_sound(ending: &[u8]) -> bool {
    SOUND.iter().any(|known| ending.eq_ignore_ascii_case(known.as_bytes()))
}

/// What the first bytes of a file say with certainty; `None` when they do not.
///
/// `head` is the beginning of the file, at best [`SNIFF_BYTES`] of it.
#[must_use]
pub fn sniff(head: &[u8]) -> Option<Media> {
    const PHOTO_MARKS: &[&[u8]] = &[
        b"\xff\xd8\xff",      // JPEG
        b"\x89PNG\r\n\x1a\n", // PNG
        b"GIF87a",
        b"GIF89a",
        b"II*\0", // TIFF and most raw formats
        b"MM\0*",
        b"II+\0\x08\0\0\0", // BigTIFF
        b"MM\0+\0\x08\0\0",
        b"IIU\0", // Panasonic
        b"IIRO",  // Olympus
        b"IIRS",
        b"MMOR",
        b"II\x1a\0\0\0HEAPCCDR", // Canon CRW
        b"FUJIFILMCCD-RAW",
        b"FOVb",  // Sigma
        b"\0MRM", // Minolta
        b"\0\0\0\x0cJXL \r\n\x87\n",
        b"\0\0\0\x0cjP  \r\n\x87\n", // JPEG 2000
        b"\xff\x4f\xff\x51",
    ];
    const VIDEO_MARKS: &[&[u8]] = &[
        b"\x1a\x45\xdf\xa3", // Matroska, WebM
        b"FLV\x01",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", // ASF
        b"\0\0\x01\xba",                                                     // MPEG program stream
        b"\0\0\x01\xb3",                                                     // MPEG video stream
        b".RMF\0\0\0",                                                       // RealMedia
        b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01",             // MXF
    ];
    let starts = |marks: &[&[u8]]| marks.iter().any(|mark| head.starts_with(mark));
    if starts(PHOTO_MARKS) || is_bmp(head) {
        return Some(Media::Photo);
    }
    if starts(VIDEO_MARKS) || is_transport_stream(head) {
        return Some(Media::Video);
    }
    match (head.get(..4)?, head.get(4..8)?, head.get(8..12)?) {
        (b"RIFF", _, b"WEBP") => Some(Media::Photo),
        (b"RIFF", _, b"AVI " | b"AVIX" | b"AMV ") => Some(Media::Video),
        (size, b"ftyp", _) => by_brand(size, head),
        // QuickTime before there was ftyp: the first box is one of its own.
        ([0, ..], b"moov" | b"mdat" | b"wide" | b"pnot", _) => Some(Media::Video),
        _ => None,
    }
}

/// ISO base media: the major brand, else the first compatible brand that is known.
fn by_brand(size: &[u8], head: &[u8]) -> Option<Media> {
    let size = size.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    let body = head.get(8..size.min(head.len()))?;
    body.chunks_exact(4)
        .enumerate()
        .filter(|(at, _)| *at != 1) // the second word is the version
        .find_map(|(_, brand)| match brand {
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" | b"mif1"
            | b"mif2" | b"msf1" | b"miaf" | b"avif" | b"avis" | b"avio" | b"avci" | b"avcs" | b"jpeg"
            | b"crx " => Some(Some(Media::Photo)),
            b"isom" | b"iso2" | b"iso3" | b"iso4" | b"iso5" | b"iso6" | b"iso7" | b"iso8" | b"iso9"
            | b"mp41" | b"mp42" | b"mp71" | b"mp4v" | b"avc1" | b"hvc1" | b"av01" | b"qt  " | b"M4V "
            | b"M4VH" | b"M4VP" | b"f4v " | b"F4V " | b"MSNV" | b"XAVC" | b"mmp4" | b"dash" | b"dvh1"
            | b"CAEP" | b"niko" | b"pana" => Some(Some(Media::Video)),
            [b'3', b'g', ..] => Some(Some(Media::Video)),
            b"M4A " | b"M4B " | b"M4P " | b"F4A " | b"F4B " => Some(None),
            _ => None,
        })
        .flatten()
}

/// `BM` alone is two letters of any text: the sizes behind it must make sense too.
fn is_bmp(head: &[u8]) -> bool {
    head.starts_with(b"BM")
        && head.get(6..10) == Some(&[0; 4])
        && matches!(head.get(14..18), Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
}

/// MPEG-TS has 0x47 every 188 bytes; on Blu-ray and AVCHD four bytes of time stand before each packet.
fn is_transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192)]
        .into_iter()
        .any(|(from, packet)| (0..4).all(|number| head.get(from + number * packet) == Some(&0x47)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_decides_whatever_its_case() {
        for (name, media) in [
            ("a.jpg", Some(Media::Photo)),
            ("IMG_0001.HEIC", Some(Media::Photo)),
            ("b.Cr3", Some(Media::Photo)),
            ("c.MTS", Some(Media::Video)),
            ("VID.insv", Some(Media::Video)),
            ("GX01.LRV", Some(Media::Other)),
            ("d.jpg.txt", Some(Media::Other)),
            ("e.verylongending", Some(Media::Other)),
            ("recording.ts", None),
            ("README", None),
            (".jpg", None),
            ("dot.", None),
            ("", None),
        ] {
            assert_eq!(by_name(name.as_bytes()), media, "{name}");
        }
    }

    #[test]
    fn no_ending_stands_in_two_tables_and_all_are_lower_case() {
        let all: Vec<_> = [PHOTO, VIDEO, UNCLEAR, SOUND].concat();
        for (at, ending) in all.iter().enumerate() {
            assert!(!all[..at].contains(ending), "{ending} twice");
            assert_eq!(*ending, ending.to_ascii_lowercase());
            assert!(ending.len() <= 8, "{ending} is longer than by_name looks");
        }
    }

    fn stream(first: usize, packet: usize) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes.iter_mut().skip(first).step_by(packet).for_each(|byte| *byte = 0x47);
        bytes
    }

    #[test]
    fn the_first_bytes_tell_what_is_certain() {
        let mut bmp = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bmp.resize(60, 0);
        let cases: Vec<(&[u8], Option<Media>)> = vec![
            (b"\xff\xd8\xff\xe1", Some(Media::Photo)),
            (b"\x89PNG\r\n\x1a\n\0\0", Some(Media::Photo)),
            (b"GIF89a..", Some(Media::Photo)),
            (&bmp, Some(Media::Photo)),
            (b"BMW is a car, and this is a text about it", None),
            (b"II*\0\x08\0\0\0", Some(Media::Photo)),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some(Media::Photo)),
            (b"RIFF\x10\0\0\0AVI LIST", Some(Media::Video)),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Some(Media::Photo)),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Some(Media::Photo)),
            (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", Some(Media::Photo)),
            (b"\0\0\0\x18ftypisom\0\0\x02\0isomavc1", Some(Media::Video)),
            (b"\0\0\0\x14ftypqt  \0\0\x02\0qt  ", Some(Media::Video)),
            (b"\0\0\0\x18ftypXXXX\0\0\0\0XXXXmp42", Some(Media::Video)),
            (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", None),
            (b"\0\0\0\x14ftypXXXX\0\0\0\0YYYYmp42", None),
            (b"\0\0\0\x08wide\0\0\x10\0mdat", Some(Media::Video)),
            (b"\x1a\x45\xdf\xa3....", Some(Media::Video)),
            (b"\0\0\x01\xba....", Some(Media::Video)),
            (b"hello, world: a text", None),
            (b"", None),
            (b"\0\0\0", None),
        ];
        for (head, media) in cases {
            assert_eq!(sniff(head), media, "{:?}", head.escape_ascii().to_string());
        }
        assert_eq!(sniff(&stream(0, 188)), Some(Media::Video));
        assert_eq!(sniff(&stream(4, 192)), Some(Media::Video));
        assert_eq!(sniff(&stream(1, 188)), None);
    }

    #[test]
    fn certain_content_wins_over_the_name_but_sound_is_no_film() {
        assert_eq!(decide(b"film.jpg", Some(Media::Video)), Media::Video);
        assert_eq!(decide(b"photo.jpg", None), Media::Photo);
        assert_eq!(decide(b"README", None), Media::Other);
        assert_eq!(decide(b"song.M4A", Some(Media::Video)), Media::Other);
        assert_eq!(decide(b"photo.txt", Some(Media::Photo)), Media::Photo);
    }
}
