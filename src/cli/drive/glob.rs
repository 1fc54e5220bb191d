//! What a person means by the paths on a command line: `*`, `?` and `[...]` in any part of a remote path, and
//! whether a path without them is there at all, and a folder or a file.
//!
//! No call of the documents tells of one path: its folder is listed until it comes by. So paths of one
//! folder are looked up together. A name that has such a character in it is taken literally where it
//! exists.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::pages::{follow, name};
use super::{Session, folder_and_name};
use crate::cli::{Failed, Outcome};
use crate::cloud::Kind;
use crate::cloud::files::Item;

/// One command works on so many names at most: they are all known before anything is done.
const MOST: usize = 10_000;

/// What was found of the paths of a command line, in their order.
#[derive(Debug, Default)]
pub(in crate::cli) struct Found {
    /// What is there; what was named twice is here once.
    pub(in crate::cli) items: Vec<Item>,
    /// A sentence for each path that is not.
    pub(in crate::cli) missing: Vec<String>,
    /// What is there of the paths that were to be looked up as well.
    pub(in crate::cli) also: Known,
}

/// What was looked up by its path.
#[derive(Debug, Default)]
pub(in crate::cli) struct Known {
    /// What is there.
    pub(in crate::cli) items: BTreeMap<String, Item>,
    /// Folders that were looked into and are not there.
    pub(in crate::cli) no_folder: BTreeSet<String>,
}

impl Found {
    /// The items, if all of the paths are there: else nothing is to be done at all.
    pub(in crate::cli) fn all(&mut self) -> Outcome<Vec<Item>> {
        if self.missing.is_empty() {
            return Ok(std::mem::take(&mut self.items));
        }
        let last = self.missing.pop().unwrap_or_default();
        for words in self.missing.drain(..) {
            Failed::words(words).warn();
        }
        Err(Failed::words(last).hint("nothing was done"))
    }
}

/// Finds what the paths of a command line stand for, and looks up `also` on the way: absolute paths, taken
/// literally.
pub(in crate::cli) async fn find(session: &Session<'_>, typed: &[String], also: &[String]) -> Outcome<Found> {
    let paths: Vec<String> = typed.iter().map(|typed| session.path(typed)).collect();
    let literal = paths.iter().filter(|path| !is_pattern(path));
    let mut known = look_up(session, literal.chain(also)).await?;
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for path in &paths {
        let items = if is_pattern(path) {
            expand(session, path).await?
        } else {
            known.items.get(path).cloned().into_iter().collect()
        };
        if items.is_empty() {
            found.missing.push(match is_pattern(path) {
                true => format!("{path}: nothing in the cloud matches"),
                false => format!("{path}: there is no such file or folder in the cloud"),
            });
        }
        found.items.extend(items.into_iter().filter(|item| seen.insert(item.path.clone())));
        if found.items.len() > MOST {
            return Err(too_many(path));
        }
    }
    known.items.retain(|path, _| also.contains(path));
    found.also = known;
    Ok(found)
}

/// Looks up paths as they are. Each folder that they lie in is listed until all of them have come by.
pub(in crate::cli) async fn look_up(
    session: &Session<'_>,
    paths: impl IntoIterator<Item = &String>,
) -> Outcome<Known> {
    let mut known = Known::default();
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for path in paths {
        match folder_and_name(path) {
            Some((folder, _)) => drop(wanted.entry(folder).or_default().insert(path)),
            None => drop(known.items.insert(path.clone(), top())),
        }
    }
    for (folder, mut paths) in wanted {
        let is_there = list(session, folder, |item| {
            if paths.remove(item.path.as_str()) {
                known.items.insert(item.path.clone(), item);
            }
            Ok(if paths.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .await?;
        if !is_there {
            known.no_folder.insert(folder.to_owned());
        }
    }
    Ok(known)
}

/// The drive itself: listed by nobody, and always there.
fn top() -> Item {
    Item { path: "/".to_owned(), isdir: true, ..Item::default() }
}

/// Hands on everything in a folder, until `take` has enough; `false` when there is no such folder.
async fn list(
    session: &Session<'_>,
    folder: &str,
    mut take: impl FnMut(Item) -> Outcome<ControlFlow<()>>,
) -> Outcome<bool> {
    let files = session.give_back()?;
    let ask = async |after| files.items(folder, after).await;
    let pages = follow(ask, |page| {
        for item in page {
            if take(item)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    });
    match pages.await {
        Ok(taken) => taken.map(|()| true),
        Err(error) if error.kind == Kind::Missing => Ok(false),
        Err(error) => Err(session.failed_at(folder, error)),
    }
}

/// Whether any part of a path stands for many names.
pub(in crate::cli) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Everything in the cloud that a path with patterns in it stands for, in the order of its folders.
async fn expand(session: &Session<'_>, path: &str) -> Outcome<Vec<Item>> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = Vec::new();
    // Folders, and the number of the part that is to be looked for in each.
    let mut open = vec![(String::new(), 0)];
    while let Some((mut folder, mut at)) = open.pop() {
        while let Some(part) = parts.get(at).filter(|part| !is_pattern(part)) {
            folder = format!("{folder}/{part}");
            at += 1;
        }
        let Some(part) = parts.get(at) else {
            found.extend(look_up(session, [&folder]).await?.items.into_values());
            continue;
        };
        let is_last = at + 1 == parts.len();
        let mut matching = matching(session, &folder, part, path, is_last).await?;
        if is_last {
            found.append(&mut matching);
        } else {
            open.extend(matching.into_iter().rev().map(|item| (item.path, at + 1)));
        }
        if found.len() + open.len() > MOST {
            return Err(too_many(path));
        }
    }
    Ok(found)
}

/// What matches in one folder; only what is called so literally, if there is something.
async fn matching(
    session: &Session<'_>,
    folder: &str,
    part: &str,
    path: &str,
    files_too: bool,
) -> Outcome<Vec<Item>> {
    let pattern = Pattern::new(part);
    let (mut matching, mut literal) = (Vec::new(), None);
    let folder = if folder.is_empty() { "/" } else { folder };
    list(session, folder, |item| {
        if !item.isdir && !files_too {
            return Ok(ControlFlow::Continue(()));
        }
        if name(&item) == part {
            literal = Some(item);
            return Ok(ControlFlow::Break(()));
        }
        if pattern.matches(name(&item)) {
            matching.push(item);
        }
        if matching.len() > MOST { Err(too_many(path)) } else { Ok(ControlFlow::Continue(())) }
    })
    .await?;
    Ok(literal.map_or(matching, |literal| vec![literal]))
}

fn too_many(path: &str) -> Failed {
    Failed::words(format!("{path} stands for more than {MOST} names"))
        .hint("name their folder, or fewer at once")
}

/// `*`, `?` and `[...]` in a name, as a shell has them: `?` is one character, whatever its language. What is
/// no pattern matches only itself.
#[derive(Debug)]
pub(in crate::cli) struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Debug)]
enum Token {
    /// `*`
    Many,
    /// `?`
    One,
    Char(char),
    /// `[a-z]`, `[!a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    pub(in crate::cli) fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let (mut tokens, mut at) = (Vec::new(), 0);
        while let Some(&char) = chars.get(at) {
            at += 1;
            tokens.push(match char {
                '*' => Token::Many,
                '?' => Token::One,
                '[' => match class(&chars[at..]) {
                    Some((class, length)) => {
                        at += length;
                        class
                    }
                    None => Token::Char('['),
                },
                char => Token::Char(char),
            });
        }
        Self { text: text.to_owned(), tokens }
    }

    pub(in crate::cli) fn matches(&self, name: &str) -> bool {
        name == self.text || self.fits(&name.chars().collect::<Vec<_>>())
    }

    /// The longest run of characters that stands in every name that matches, from letter or digit to letter
    /// or digit; empty when there is none.
    pub(in crate::cli) fn word(&self) -> String {
        let mut words = vec![String::new()];
        for token in &self.tokens {
            match (token, words.last_mut()) {
                (Token::Char(char), Some(word)) => word.push(*char),
                _ => words.push(String::new()),
            }
        }
        let words = words.iter().map(|word| word.trim_matches(|char: char| !char.is_alphanumeric()));
        words.rev().max_by_key(|word| word.chars().count()).unwrap_or_default().to_owned()
    }

    /// The last `*` takes one character more whenever what follows it does not fit.
    fn fits(&self, name: &[char]) -> bool {
        let (mut token, mut at, mut many) = (0, 0, None);
        while let Some(&char) = name.get(at) {
            match (self.tokens.get(token), many) {
                (Some(Token::Many), _) => {
                    token += 1;
                    many = Some((token, at));
                }
                (Some(one), _) if one.takes(char) => {
                    token += 1;
                    at += 1;
                }
                (_, Some((after, from))) => {
                    token = after;
                    at = from + 1;
                    many = Some((after, at));
                }
                (_, None) => return false,
            }
        }
        self.tokens[token..].iter().all(|rest| matches!(rest, Token::Many))
    }
}

impl Token {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Many => false,
            Self::One => true,
            Self::Char(own) => *own == char,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&char)) != *negated
            }
        }
    }
}

/// What stands behind a `[`, and how many characters of the pattern it is; `None` where no `]` follows.
fn class(chars: &[char]) -> Option<(Token, usize)> {
    let negated = matches!(chars.first(), Some('!' | '^'));
    let begin = usize::from(negated);
    // A `]` that comes first is one of the characters.
    let end = begin + 1 + chars.get(begin + 1..)?.iter().position(|&char| char == ']')?;
    let (mut ranges, mut inside) = (Vec::new(), &chars[begin..end]);
    while let Some((&from, rest)) = inside.split_first() {
        let (to, rest) = match rest {
            ['-', to, rest @ ..] => (*to, rest),
            rest => (from, rest),
        };
        ranges.push((from, to));
        inside = rest;
    }
    Some((Token::Class { negated, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name, matches) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "a.jpeg", false),
            ("IMG_?.jpg", "IMG_1.jpg", true),
            ("IMG_?.jpg", "IMG_12.jpg", false),
            ("照片*", "照片 2024", true),
            ("?", "照", true),
            ("[ab]*", "bee", true),
            ("[!ab]*", "bee", false),
            ("[照片]*", "片子", true),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[]x]", "]", true),
            ("[^a]", "b", true),
            ("[]", "[]", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-cd", false),
            ("**", "", true),
            ("*?", "", false),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("{a,b}*", "{a,b}c", true),
            ("{a,b}*", "ac", false),
            ("*", ".hidden", true),
            ("a[1].jpg", "a[1].jpg", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), matches, "{pattern} {name}");
        }
        assert!(is_pattern("/a/b*/c") && !is_pattern("/a/b/c"));
    }
}
