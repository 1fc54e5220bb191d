//! The cloud's seven kinds of files, by word or by number.

use std::str::FromStr;

/// A kind of files (xpan-api, 获取分类文件总个数).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::cli) struct Category(u8);

/// The words, from number 1 on.
const WORDS: [&str; 7] = ["video", "audio", "picture", "document", "program", "other", "torrent"];

/// What `--category` takes.
pub(super) const HELP: &str = "video|audio|picture|document|program|other|torrent";

impl Category {
    /// All seven.
    pub(super) fn all() -> Vec<Self> {
        (1..=7).map(Self).collect()
    }

    /// From 1 to 7.
    pub(super) fn number(self) -> u8 {
        self.0
    }
}

/// A number of the cloud's in a word.
pub(super) fn word(number: u8) -> &'static str {
    let at = usize::from(number).checked_sub(1);
    at.and_then(|at| WORDS.get(at)).copied().unwrap_or("unknown")
}

impl FromStr for Category {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text.parse() {
            Ok(number @ 1..=7) => Some(number),
            Ok(_) => None,
            Err(_) => {
                let at = WORDS.iter().position(|word| word.eq_ignore_ascii_case(text));
                at.and_then(|at| u8::try_from(at + 1).ok())
            }
        };
        number.map(Self).ok_or_else(|| format!("write one of {HELP}, or its number from 1 to 7"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_a_word_or_a_number() {
        assert_eq!("video".parse(), Ok(Category(1)));
        assert_eq!("Torrent".parse(), Ok(Category(7)));
        assert_eq!("3".parse::<Category>().map(|category| word(category.number())), Ok("picture"));
        for wrong in ["0", "8", "300", "film", ""] {
            assert!(wrong.parse::<Category>().is_err(), "{wrong}");
        }
    }
}
