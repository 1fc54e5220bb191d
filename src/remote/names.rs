//! Remote names: any local name, written so that the cloud takes it, and back again byte for byte.
//!
//! What a cloud refuses ([`Rules`]) and control characters, what is not UTF-8, and what a server might trim -
//! blanks at either end of a name, dots at the end - is written as `%XX`, one for each byte, upper case; so is
//! `%` itself. Nothing else is touched: names that differ in normal form or in case stay different names.
//!
//! A name that is longer than [`Rules::longest`] when escaped becomes several folders and a last name.
//! Each piece but the last ends in `%+`, which no escaped name contains; a piece never ends within a
//! `%XX` or a character. So `unescape(escape(x)) == x`, and two local paths never share a remote one.

use std::fmt::Write;

/// How the names of a cloud are written.
#[derive(PartialEq, Eq, Debug)]
pub struct Rules {
    /// What a name cannot have in it, besides `/`, `%` and control characters.
    pub refused: &'static str,
    /// Nor what is beyond the Basic Multilingual Plane, such as emoji.
    pub only_bmp: bool,
    /// The longest name, in bytes.
    pub longest: usize,
}

/// The strictest: names written by them are good anywhere. The agent's own requests and answers have local
/// paths in this way, because they need not be UTF-8.
pub const STRICT: Rules = Rules { refused: "\\?|\"><:*\u{fffe}\u{ffff}", only_bmp: true, longest: MAX_NAME };

/// The longest name by [`STRICT`]: 255 is what disks have.
pub const MAX_NAME: usize = 240;

/// Ends every piece but the last of a name that was too long.
const MARK: &str = "%+";

/// [`Rules::escape`] by [`STRICT`].
#[must_use]
pub fn escape(below: &[u8]) -> String {
    STRICT.escape(below)
}

/// [`Rules::unescape`] by [`STRICT`].
#[must_use]
pub fn unescape(escaped: &str) -> Option<Vec<u8>> {
    STRICT.unescape(escaped)
}

impl Rules {
    /// Escapes a path below a folder: bytes as the disk has them, `/` between names.
    #[must_use]
    pub fn escape(&self, below: &[u8]) -> String {
        let mut escaped = String::with_capacity(below.len() + below.len() / 8);
        for (number, name) in below.split(|&byte| byte == b'/').enumerate() {
            if number > 0 {
                escaped.push('/');
            }
            self.escape_name(name, &mut escaped);
        }
        escaped
    }

    /// Escapes one name onto the end of `out`. A `/` in it (of a label, say) is escaped too.
    pub fn escape_name(&self, name: &[u8], out: &mut String) {
        let start = out.len();
        self.for_each_piece(name, |piece, _| out.push_str(piece));
        if out.len() - start <= self.longest {
            return;
        }
        out.truncate(start);
        let mut from = start;
        self.for_each_piece(name, |piece, plain| {
            if out.len() - from + piece.len() > self.longest.saturating_sub(MARK.len()) {
                out.push_str(MARK);
                out.push('/');
                from = out.len();
            }
            match plain {
                // A blank that has come to stand at the start of a piece.
                Some(blank) if from == out.len() && blank.is_whitespace() => percent(blank, out),
                _ => out.push_str(piece),
            }
        });
    }

    /// Calls `each` with every character of `name` as it is to be written, in order; with the character
    /// itself when it is written plainly.
    fn for_each_piece(&self, name: &[u8], mut each: impl FnMut(&str, Option<char>)) {
        let mut piece = String::with_capacity(12);
        let mut rest = name.len();
        for chunk in name.utf8_chunks() {
            for char in chunk.valid().chars() {
                let first = rest == name.len();
                rest -= char.len_utf8();
                piece.clear();
                if self.is_plain(char, first, rest == 0) {
                    piece.push(char);
                    each(&piece, Some(char));
                } else {
                    percent(char, &mut piece);
                    each(&piece, None);
                }
            }
            for byte in chunk.invalid() {
                rest -= 1;
                piece.clear();
                let _ = write!(piece, "%{byte:02X}");
                each(&piece, None);
            }
        }
    }

    fn is_plain(&self, char: char, first: bool, last: bool) -> bool {
        let refused = matches!(char, '%' | '/') || char.is_control() || self.refused.contains(char);
        let at_an_end = char.is_whitespace() && (first || last) || char == '.' && last;
        !refused && !at_an_end && (u32::from(char) <= 0xffff || !self.only_bmp)
    }

    /// The path below the folder that [`Rules::escape`] made `escaped` of; `None` when it cannot have made it.
    #[must_use]
    pub fn unescape(&self, escaped: &str) -> Option<Vec<u8>> {
        // Whatever could be written in another way as well is somebody else's name.
        decode(escaped).filter(|below| self.escape(below) == escaped)
    }
}

fn percent(char: char, out: &mut String) {
    for byte in char.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(out, "%{byte:02X}");
    }
}

/// The bytes that `escaped` stands for, whoever wrote it.
pub(super) fn decode(escaped: &str) -> Option<Vec<u8>> {
    let mut below = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            below.push(byte);
            continue;
        }
        match bytes.next()? {
            b'+' if bytes.next()? == b'/' => {}
            b'+' => return None,
            high => below.push(nibble(high)? << 4 | nibble(bytes.next()?)?),
        }
    }
    Some(below)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["IMG_0001.JPG", "2024/été/海边 (1).heic", ".hidden", "a+b=c&d", "cafe\u{301}", "café"]
        {
            assert_eq!(escape(name.as_bytes()), name);
        }
        assert_ne!(escape("cafe\u{301}".as_bytes()), escape("café".as_bytes()));
    }

    #[test]
    fn what_the_cloud_refuses_is_written_in_percent() {
        for (name, escaped) in [
            ("a:b?.jpg".as_bytes(), "a%3Ab%3F.jpg"),
            (b"100%.jpg", "100%25.jpg"),
            (b"%3A", "%253A"),
            ("😀.jpg".as_bytes(), "%F0%9F%98%80.jpg"),
            (b"\xff\xfe.jpg", "%FF%FE.jpg"),
            (b"a\nb\x7f", "a%0Ab%7F"),
            ("a\u{85}b".as_bytes(), "a%C2%85b"),
            (b" a b ", "%20a b%20"),
            ("\u{3000}a".as_bytes(), "%E3%80%80a"),
            (b"dots..", "dots.%2E"),
            (b"..", ".%2E"),
            (b".", "%2E"),
            (b" ", "%20"),
            (b"d ir/ x", "d ir/%20x"),
        ] {
            assert_eq!(escape(name), escaped);
            assert_eq!(unescape(escaped).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_name_that_is_too_long_becomes_folders_and_comes_back() {
        let name = "照".repeat(85);
        assert_eq!(name.len(), 255);
        let escaped = escape(name.as_bytes());
        let pieces: Vec<_> = escaped.split('/').collect();
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0], format!("{}%+", "照".repeat(79)));
        assert_eq!(unescape(&escaped).unwrap(), name.as_bytes());
        // A blank where the second piece begins.
        let name = format!("{}{}", "x".repeat(238), "  y");
        assert_eq!(escape(name.as_bytes()), format!("{}%+/%20 y", "x".repeat(238)));
        assert_eq!(unescape(&escape(name.as_bytes())).unwrap(), name.as_bytes());
        // Just as long as may be.
        assert_eq!(escape(&[b'x'; MAX_NAME]).len(), MAX_NAME);
    }

    #[test]
    fn what_we_cannot_have_written_is_not_read() {
        for foreign in
            ["a%", "a%3", "a%3a", "%41", "a:b", "x%+", "x%+/y", "x%+y", " a", "a.", "%2F", "😀", "%zz"]
        {
            assert_eq!(unescape(foreign), None, "{foreign}");
        }
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let odd = proptest::sample::select(vec![
            "%", "%+", "%41", " ", ".", "😀", "é", "e\u{301}", ":", "\u{85}", "\u{3000}", "\u{202e}", "x",
        ]);
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(odd, 0..200).prop_map(|parts| parts.concat().into_bytes()),
            "\\PC{0,120}".prop_map(String::into_bytes),
        ]
        .prop_map(|mut bytes| {
            bytes.retain(|byte| !matches!(byte, 0 | b'/'));
            bytes
        })
    }

    #[test]
    fn another_clouds_rules_refuse_other_characters_and_read_back_as_well() {
        let rules = Rules { refused: "\"\\/:*?|><", only_bmp: false, longest: 254 };
        for (name, escaped) in [
            ("a:b.jpg", "a%3Ab.jpg"),
            ("50% 😀.jpg", "50%25 😀.jpg"),
            (" a/b. ", "%20a/b.%20"),
            ("c.", "c%2E"),
        ] {
            assert_eq!(rules.escape(name.as_bytes()), escaped);
            assert_eq!(rules.unescape(escaped).as_deref(), Some(name.as_bytes()));
        }
        for length in 250..=255 {
            let name = "x".repeat(length);
            let escaped = rules.escape(name.as_bytes());
            assert_eq!(escaped.contains('/'), length > 254);
            assert!(escaped.split('/').all(|name| name.len() <= 254));
            assert_eq!(rules.unescape(&escaped).unwrap(), name.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_path_comes_back_and_is_allowed(names in prop::collection::vec(name(), 1..4)) {
            let below = names.join(&b'/');
            let escaped = escape(&below);
            prop_assert_eq!(unescape(&escaped), Some(below));
            for name in escaped.split('/') {
                prop_assert!(name.len() <= MAX_NAME);
                prop_assert!(!name.ends_with('.') && name.trim() == name);
                let refused = |c: char| c.is_control() || c > '\u{fffd}' || "\\?|\"><:*".contains(c);
                prop_assert!(!name.chars().any(refused));
            }
        }

        #[test]
        fn two_paths_never_share_a_name(one in name(), other in name()) {
            prop_assert_eq!(one == other, escape(&one) == escape(&other));
        }

        #[test]
        fn any_text_is_either_ours_or_refused(text in "[a-c%+/ .0-9A-F]{0,40}") {
            if let Some(below) = unescape(&text) {
                prop_assert_eq!(escape(&below), text);
            }
        }
    }
}
