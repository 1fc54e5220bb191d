//! Names out of the cloud, read back by a second implementation of the rule that `src/remote/names.rs`
//! documents, so that the first has a witness.
//!
//! `%XX` is one byte. A name that was too long is several folders, each but the last ending in `%+`.

/// The bytes of the local path below the folder, or `None` where the rule is broken.
pub(super) fn unescape(remote: &str) -> Option<Vec<u8>> {
    let joined = remote.replace("%+/", "");
    let mut parts = joined.split('%');
    let mut local = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')) {
            return None;
        }
        local.push(u8::from_str_radix(digits, 16).ok()?);
        local.extend(rest.as_bytes());
    }
    Some(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_read_backwards() {
        assert_eq!(unescape("a/b%3Fc%F0%9F%98%80.jpg"), Some("a/b?c😀.jpg".as_bytes().to_vec()));
        assert_eq!(unescape("x%+/y/100%25"), Some(b"xy/100%".to_vec()));
        assert_eq!(unescape("%FF"), Some(vec![0xff]));
        assert_eq!(unescape("%f"), None);
        assert_eq!(unescape("%ff"), None);
        assert_eq!(unescape("x%+y"), None);
    }
}
