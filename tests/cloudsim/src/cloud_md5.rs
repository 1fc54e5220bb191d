//! The `md5` a list or create answer shows is not the content's MD5: it is shuffled, so that a client
//! cannot use it to claim files it does not have (field notes 3.7).

use md5::{Digest, Md5};

/// Lower-case hex MD5 of some bytes.
pub fn md5_hex(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Content MD5 to cloud MD5: swap the 8-character groups pairwise, XOR nibble i with i mod 16, and
/// write the nibble at 9 as a letter from `g` on. Text that is no MD5 comes back unchanged.
pub fn encode(md5: &str) -> String {
    let Some(nibbles) = nibbles(md5) else {
        return md5.into();
    };
    let swapped = swap(&nibbles);
    (0..32)
        .map(|i| {
            let nibble = swapped[i] ^ (i as u8 & 15);
            if i == 9 {
                (b'g' + nibble) as char
            } else {
                char::from_digit(u32::from(nibble), 16).unwrap_or('0')
            }
        })
        .collect()
}

/// Cloud MD5 back to the MD5 it hides; a plain MD5 comes back unchanged.
pub fn decode(cloud: &str) -> String {
    let bytes = cloud.as_bytes();
    if bytes.len() != 32 || !(b'g'..=b'v').contains(&bytes[9]) {
        return cloud.into();
    }
    let mut plain = bytes.to_vec();
    plain[9] = match bytes[9] - b'g' {
        n @ 0..=9 => b'0' + n,
        n => b'a' + n - 10,
    };
    let Some(mut nibbles) = std::str::from_utf8(&plain).ok().and_then(nibbles) else {
        return cloud.into();
    };
    for (i, nibble) in nibbles.iter_mut().enumerate() {
        *nibble ^= i as u8 & 15;
    }
    swap(&nibbles).iter().filter_map(|n| char::from_digit(u32::from(*n), 16)).collect()
}

/// The cloud MD5 of a file: of the content when it came as one slice, else of the compact JSON text of
/// its slice MD5 list.
pub(crate) fn of_slices(block_list: &[String]) -> String {
    match block_list {
        [only] => encode(only),
        many => encode(&md5_hex(serde_json::json!(many).to_string().as_bytes())),
    }
}

fn nibbles(md5: &str) -> Option<Vec<u8>> {
    let nibbles: Vec<u8> = md5.chars().map(|c| c.to_digit(16).map(|n| n as u8)).collect::<Option<_>>()?;
    (nibbles.len() == 32).then_some(nibbles)
}

fn swap(nibbles: &[u8]) -> Vec<u8> {
    [8..16, 0..8, 24..32, 16..24].into_iter().flat_map(|group| nibbles[group].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_field_notes_hold_both_ways() {
        for (plain, cloud) in [
            ("a54185afbe0123357bb1044a84e60552", "bf2266522sea484085c54035f21ac9a5"),
            ("d41d8cd98f00b204e9800998ecf8427e", "8e23f7635tb64136eddb0719602bc477"),
        ] {
            assert_eq!(encode(plain), cloud);
            assert_eq!(decode(cloud), plain);
        }
    }

    #[test]
    fn plain_md5s_and_other_text_are_left_alone_by_decode() {
        let plain = "60bac7b6464d84fed842955e6126826a";
        assert_eq!(decode(plain), plain);
        assert_eq!(decode("short"), "short");
        assert_eq!(encode("short"), "short");
    }

    #[test]
    fn several_slices_hide_the_md5_of_their_compact_json_list() {
        let list = vec![md5_hex(b"a"), md5_hex(b"b")];
        let json = format!("[\"{}\",\"{}\"]", list[0], list[1]);
        assert_eq!(decode(&of_slices(&list)), md5_hex(json.as_bytes()));
        assert_eq!(decode(&of_slices(&list[..1])), md5_hex(b"a"));
    }
}
