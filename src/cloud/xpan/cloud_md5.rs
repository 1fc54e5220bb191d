//! The `md5` of Baidu's listings, which is mostly not the MD5 of anything one can compute directly
//! (field notes 3.7).
//!
//! Plain ones are pure hex. Newer ones have a letter from g to v at place 9, which makes them never
//! pure hex, and are scrambled. Unscrambled, that of a file of one slice is the content's MD5; that of a
//! file of several slices is the MD5 of the compact JSON list of the slices' MD5s, so that equal content
//! cut otherwise has another.

use crate::content::Md5;

/// The digest inside a listed md5, if it is one.
#[must_use]
pub(super) fn decode(listed: &str) -> Option<Md5> {
    if let Ok(plain) = listed.parse() {
        return Some(plain);
    }
    if listed.len() != 32 {
        return None;
    }
    let mut nibbles = [0_u8; 32];
    for (place, (nibble, digit)) in nibbles.iter_mut().zip(listed.bytes()).enumerate() {
        let value = match (place, digit) {
            (9, b'g'..=b'v') => digit - b'g',
            (_, b'0'..=b'9') => digit - b'0',
            (_, b'a'..=b'f') => digit - b'a' + 10,
            (_, b'A'..=b'F') => digit - b'A' + 10,
            _ => return None,
        };
        *nibble = value ^ (place % 16) as u8;
    }
    // The four groups of eight change places in pairs.
    let mut bytes = [0_u8; 16];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let from = (index ^ 4) * 2;
        *byte = nibbles[from] << 4 | nibbles[from + 1];
    }
    Some(Md5(bytes))
}

/// What the listed md5 of a file of several slices is the digest of.
#[must_use]
pub(super) fn of_slices(slices: &[Md5]) -> Md5 {
    Md5::of(slice_list(slices))
}

/// The compact JSON list of slice MD5s: `block_list` (xpan-api, 预上传, 创建文件).
#[must_use]
pub(super) fn slice_list(slices: &[Md5]) -> String {
    let mut text = String::with_capacity(2 + slices.len() * 35);
    text.push('[');
    for (index, md5) in slices.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        text.push_str(&md5.to_string());
        text.push('"');
    }
    text.push(']');
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_field_notes_vectors_decode() {
        for (listed, md5) in [
            ("bf2266522sea484085c54035f21ac9a5", "a54185afbe0123357bb1044a84e60552"),
            ("8e23f7635tb64136eddb0719602bc477", "d41d8cd98f00b204e9800998ecf8427e"),
        ] {
            assert_eq!(decode(listed).unwrap().to_string(), md5);
        }
    }

    #[test]
    fn a_plain_one_is_itself_and_junk_is_nothing() {
        let plain = "b8b5bd53e23dd40b5c4a650e272f2e19";
        assert_eq!(decode(plain).unwrap().to_string(), plain);
        for junk in ["", "b8b5bd53ew3dd40b5c4a650e272f2e19", "b8b5bd53eg3dd40b5c4a650e272f2e1g", "bé"] {
            assert_eq!(decode(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_slice_list_is_compact_json() {
        let slices = [Md5::of("a"), Md5::of("b")];
        let expected = r#"["0cc175b9c0f1b6a831c399e269772661","92eb5ffee6ae2fec3ad71c777531578f"]"#;
        assert_eq!(slice_list(&slices), expected);
        assert_eq!(of_slices(&slices), Md5::of(expected));
        assert_eq!(slice_list(&[]), "[]");
    }
}
