//! Tests of reading EXIF: pictures made here byte by byte, and real ones where they are at hand.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A TIFF structure with a model, three dates, an orientation and the sizes of a picture, entries last.
fn tiff(is_little: bool, orientation: u16, gap: usize) -> Vec<u8> {
    let short = |value: u16| {
        if is_little { value.to_le_bytes() } else { value.to_be_bytes() }
    };
    let long = |value: u32| {
        if is_little { value.to_le_bytes() } else { value.to_be_bytes() }
    };
    let date = b"2018:09:06 15:58:58\0";
    let mut bytes = if is_little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
    let texts = 8 + gap as u32;
    let exif = texts + 40;
    let first = exif + 2 + 12 * 4 + 4;
    bytes.extend(long(first));
    bytes.resize(texts as usize, 0);
    bytes.extend(date);
    bytes.extend(b"iPhone 6s \0\0\0\0\0\0\0\0\0\0");
    let mut list = |entries: &[(u16, u16, u32, [u8; 4])]| {
        bytes.extend(short(entries.len() as u16));
        for (tag, kind, count, value) in entries {
            bytes.extend(short(*tag));
            bytes.extend(short(*kind));
            bytes.extend(long(*count));
            bytes.extend(value);
        }
        bytes.extend(long(0));
    };
    let inline = |value: u16| {
        let [one, two] = short(value);
        [one, two, 0, 0]
    };
    list(&[
        (0x9003, 2, 20, long(texts)),
        (0x9004, 2, 20, long(texts)),
        (0xa002, 4, 1, long(4032)),
        (0xa003, 4, 1, long(3024)),
    ]);
    list(&[
        (0x0100, 3, 1, inline(4032)),
        (0x0101, 3, 1, inline(3024)),
        (0x0110, 2, 11, long(texts + 20)),
        (0x0112, 3, 1, inline(orientation)),
        (0x0132, 2, 20, long(texts)),
        (0x8769, 4, 1, long(exif)),
    ]);
    bytes
}

/// A JPEG of `width` and `height` whose pixels are missing.
fn jpeg(exif: Option<&[u8]>, width: u16, height: u16) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0".to_vec();
    if let Some(exif) = exif {
        bytes.extend(b"\xff\xe1");
        bytes.extend((exif.len() as u16 + 8).to_be_bytes());
        bytes.extend(b"Exif\0\0");
        bytes.extend(exif);
    }
    bytes.extend(b"\xff\xc0\0\x0b\x08");
    bytes.extend(height.to_be_bytes());
    bytes.extend(width.to_be_bytes());
    bytes.extend(b"\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\xff\xd9");
    bytes
}

fn boxed(kind: &[u8; 4], body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
}

/// A HEIC of a 512 pixel tile and a large picture that turns itself, its EXIF in `mdat` at the end.
fn heic(exif: &[u8]) -> Vec<u8> {
    let size = |width: u32, height: u32| [[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat();
    let make = |offset: u32| {
        let infe = boxed(b"infe", &[b"\x02\0\0\x01\0\x07\0\0Exif\0"]);
        let length = (exif.len() as u32 + 10).to_be_bytes();
        let iloc: &[&[u8]] = &[b"\x01\0\0\0\x44\0\0\x01\0\x07\0\0\0\0\0\x01", &offset.to_be_bytes(), &length];
        let properties = [
            boxed(b"ispe", &[&size(512, 512)]),
            boxed(b"ispe", &[&size(4032, 3024)]),
            boxed(b"irot", &[b"\x03"]),
        ];
        [
            boxed(b"ftyp", &[b"heic\0\0\0\0mif1heic"]),
            boxed(
                b"meta",
                &[
                    &[0; 4],
                    &boxed(b"iinf", &[b"\0\0\0\0\0\x01", &infe]),
                    &boxed(b"iprp", &[&boxed(b"ipco", &[&properties.concat()])]),
                    &boxed(b"iloc", iloc),
                ],
            ),
            boxed(b"mdat", &[b"\0\0\0\x06Exif\0\0", exif]),
        ]
        .concat()
    };
    let length = make(0).len() - exif.len() - 10;
    make(length as u32)
}

fn expected(width: u32, height: u32) -> ExifInfo {
    let date = Some("2018:09:06 15:58:58".to_owned());
    ExifInfo {
        height,
        width,
        date_time_original: date.clone(),
        model: Some("iPhone 6s".into()),
        date_time_digitized: date.clone(),
        date_time: date,
        orientation: 6,
        recovery: 0,
    }
}

#[test]
fn a_jpeg_gives_what_the_document_shows() {
    for is_little in [true, false] {
        // The size is the picture's own, whatever its EXIF still says of an earlier one.
        let info = exif_info(&file_of(&jpeg(Some(&tiff(is_little, 6, 0)), 2016, 1512))).unwrap();
        assert_eq!(info, expected(2016, 1512));
        assert_eq!(taken(&info), Some((2018, 9, 6)));
    }
    let shown = r#"{"height":3024,"date_time_original":"2018:09:06 15:58:58","model":"iPhone 6s","width":4032,"date_time_digitized":"2018:09:06 15:58:58","date_time":"2018:09:06 15:58:58","orientation":6,"recovery":0}"#;
    assert_eq!(serde_json::to_string(&expected(4032, 3024)).unwrap(), shown);
}

#[test]
fn a_picture_without_exif_has_none() {
    assert_eq!(exif_info(&file_of(&jpeg(None, 10, 10))), None);
    assert_eq!(exif_info(&file_of(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")), None);
    assert_eq!(exif_info(&file_of(b"no picture at all")), None);
    assert_eq!(exif_info(&file_of(b"")), None);
    // A TIFF's own layout is no EXIF.
    assert_eq!(exif_info(&file_of(b"II*\0\x08\0\0\0\x01\0\0\x01\x03\0\x01\0\0\0\x10\0\0\0\0\0\0\0")), None);
}

#[test]
fn an_orientation_that_is_none_is_upright() {
    for orientation in [0, 9, 65535] {
        let info = exif_info(&file_of(&jpeg(Some(&tiff(true, orientation, 0)), 10, 10))).unwrap();
        assert_eq!(info.orientation, 1);
    }
}

#[test]
fn a_tiff_is_read_even_with_its_entries_far_behind() {
    for is_little in [true, false] {
        let file = file_of(&tiff(is_little, 6, 40_000_000));
        assert_eq!(exif_info(&file).unwrap(), expected(4032, 3024));
    }
}

#[test]
fn png_and_webp_are_read_wherever_their_exif_stands() {
    let exif = tiff(true, 6, 0);
    let chunk =
        |kind: &[u8], body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], kind, body, &[0; 4]].concat();
    let png = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", b"\0\0\x07\xe0\0\0\x05\xe8\x08\x02\0\0\0"),
        chunk(b"IDAT", &vec![7; 10_000_000]),
        chunk(b"eXIf", &exif),
        chunk(b"IEND", b""),
    ];
    assert_eq!(exif_info(&file_of(&png.concat())).unwrap(), expected(2016, 1512));
    let chunk = |kind: &[u8], body: &[u8]| [kind, &(body.len() as u32).to_le_bytes()[..], body].concat();
    let body = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", b"\x08\0\0\0\xdf\x07\0\xe7\x05\0"),
        chunk(b"VP8 ", &vec![7; 10_000_000]),
        chunk(b"EXIF", &[b"Exif\0\0", &exif[..]].concat()),
    ];
    let webp = [b"RIFF".to_vec(), (body.concat().len() as u32).to_le_bytes().to_vec(), body.concat()];
    assert_eq!(exif_info(&file_of(&webp.concat())).unwrap(), expected(2016, 1512));
}

#[test]
fn a_heic_gives_the_size_before_it_turns_itself() {
    let info = exif_info(&file_of(&heic(&tiff(false, 6, 0)))).unwrap();
    assert_eq!(info, expected(4032, 3024));
    // Some phones write more EXIF than a JPEG could hold.
    let info = exif_info(&file_of(&heic(&tiff(false, 6, 200_000)))).unwrap();
    assert_eq!(info, expected(4032, 3024));
}

#[test]
fn dates_are_dates_and_names_are_one_line() {
    let read = |text: &[u8]| date(text.to_vec());
    assert_eq!(read(b"2018:09:06 15:58:58\0").as_deref(), Some("2018:09:06 15:58:58"));
    assert_eq!(read(b"2018-09-06T15:58:58").as_deref(), Some("2018:09:06 15:58:58"));
    for none in [
        &b"    :  :     :  :  "[..],
        b"0000:00:00 00:00:00",
        b"2018:13:06 15:58:58",
        b"2018:09:06",
        b"",
        b"2018:09:06 15:58:+8",
    ] {
        assert_eq!(read(none), None);
    }
    assert_eq!(text(b" NIKON\r\n D5\0rest".to_vec()).as_deref(), Some("NIKON D5"));
    assert_eq!(text(b"  \0".to_vec()), None);
    assert_eq!(text([b'x'; 1000].to_vec()).unwrap().len(), TEXT);
}

#[test]
fn a_picture_that_never_ends_is_left_soon() {
    // Parts that follow each other for gigabytes: a sparse file.
    let file = file_of(b"\x89PNG\r\n\x1a\n");
    file.set_len(1 << 40).unwrap();
    assert_eq!(exif_info(&file), None);
    let mut window = Window::new(&file);
    assert_eq!(window.read_to_end(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    while window.rewind().is_ok() {}
    assert_eq!(window.rewind().unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(
        start in prop::sample::select(vec![0, 1, 2, 3, 4, 5]),
        noise in prop::collection::vec((0usize..400, any::<u8>()), 0..12),
        cut in 0usize..600,
    ) {
        let exif = tiff(start % 2 == 0, 6, 0);
        let mut bytes = match start {
            0 | 1 => exif,
            2 | 3 => jpeg(Some(&exif), 10, 10),
            4 => [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x07\xe0\0\0\x05\xe8\x08\x02\0\0\0....\0\0\0\xc8eXIf", &exif[..]].concat(),
            _ => heic(&exif),
        };
        for (at, byte) in noise {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut / 4));
        let info = exif_info(&file_of(&bytes));
        prop_assert!(info.is_none_or(|info| info.width > 0 && (1..=8).contains(&info.orientation)));
    }
}

#[test]
fn real_pictures_are_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if !fixtures.exists() {
        println!("skipped: no pictures at {}", fixtures.display());
        return;
    }
    for (name, model, day, size, orientation) in [
        ("flower.jpg", "Canon PowerShot S40", (2003, 12, 14), (480, 360), 1),
        ("iptc.jpg", "N70-1", (2006, 7, 8), (640, 480), 1),
        ("ultrahdr.jpg", "Pixel 6", (2024, 5, 7), (1512, 2688), 1),
        ("empty_gps_ifd.jpg", "Redmi Note 9S", (2020, 7, 27), (10, 10), 6),
        ("broken_exif_dpi.jpg", "NIKON D800", (2013, 9, 11), (100, 100), 1),
        ("arrow.heic", "iPhone 8 Plus", (2018, 7, 31), (4032, 3024), 6),
        ("xiaomi.heic", "M2012K11AG", (2023, 4, 27), (2592, 1944), 1),
    ] {
        let info = exif_info(&File::open(fixtures.join(name)).unwrap()).unwrap();
        assert_eq!(info.model.as_deref(), Some(model), "{name}");
        assert_eq!(taken(&info), Some(day), "{name}");
        assert_eq!(((info.width, info.height), info.orientation), (size, orientation), "{name}");
    }
    for name in ["clip.mp4", "clip.mov", "README.md"] {
        assert_eq!(exif_info(&File::open(fixtures.join(name)).unwrap()), None, "{name}");
    }
}
