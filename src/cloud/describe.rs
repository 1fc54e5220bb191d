//! What there is to know of a cloud without asking it ([`Cloud`]): how it names files, which it takes at all.

use std::sync::Arc;

use super::{Authority, Calls, Drive, Result, TokenSource};
use crate::config;
use crate::remote::Home;

/// A cloud. [`super::of`] finds the one of an account.
pub trait Cloud: Sync {
    /// What people call it, for sentences.
    fn title(&self) -> &'static str;
    /// The drive of a configured account, whose `calls` stay within the cloud's limits. No call is made yet.
    /// What it has to remember of its own is kept in [`Calls::beside`].
    ///
    /// # Errors
    /// The endpoint or the CA file of the configuration cannot be used.
    fn open(
        &self,
        account: &config::Account,
        tokens: Arc<dyn TokenSource>,
        calls: Arc<Calls>,
    ) -> Result<Arc<dyn Drive>>;
    /// Where a configured account logs in. No call is made yet.
    fn authority(&self, account: &config::Account) -> Arc<dyn Authority>;
    /// The remote folder that everything of an account goes to, and how its names are written.
    fn home(&self, account: &config::Account) -> Home;
    /// Which files it takes, as far as their names and sizes tell.
    fn takes(&self) -> &'static Takes;
    /// Whether a stored file has an address that anybody can see it at ([`Drive::link`]).
    fn has_links(&self) -> bool {
        false
    }
    /// What it has for a person at a shell, besides what a backup needs: the calls that [`Drive::files`],
    /// [`Drive::devices`], [`Drive::images`] and [`Drive::shares`] give.
    fn services(&self) -> &'static [Service];
    /// What a server's number or word means here, one line a meaning; nothing when it is not known.
    fn explain(&self, code: &str) -> Vec<String>;
}

/// What a cloud may have for a person at a shell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// A drive with files of every kind ([`super::Files`]).
    Files,
    /// Boxes that are devices of the account ([`super::Devices`]).
    Devices,
    /// An image host ([`super::Images`]).
    Images,
    /// Share links ([`super::Shares`]).
    Shares,
}

/// Which files a cloud takes, as far as can be told before anything is read.
#[derive(PartialEq, Eq, Debug)]
pub struct Takes {
    /// The endings of their names, lower case, without the dot; `None`: any.
    pub endings: Option<&'static [&'static str]>,
    /// Bytes; `None`: known once somebody has logged in ([`super::User::max_file_size`]).
    pub largest: Option<u64>,
    /// Why another file is left out, in words: "123pan keeps pictures only".
    pub only: &'static str,
    /// Why a larger one is, in words.
    pub at_most: &'static str,
}

impl Takes {
    /// Whether the ending of a name, or of a path, is one of those that are taken.
    #[must_use]
    pub fn takes_name(&self, name: &[u8]) -> bool {
        let Some(endings) = self.endings else { return true };
        let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let dot = last.iter().rposition(|&byte| byte == b'.');
        let ending = dot.filter(|&dot| dot > 0).and_then(|dot| last.get(dot + 1..)).unwrap_or_default();
        endings.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(ending))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Provider;

    #[test]
    fn a_name_is_taken_by_its_ending() {
        let pictures = crate::cloud::of(Provider::Pan123).takes();
        for name in ["a.jpg", "a.b/IMG_1.JPEG", "x.tar.png"] {
            assert!(pictures.takes_name(name.as_bytes()), "{name}");
        }
        for name in ["a.mp4", "jpg", ".jpg", "a.jpg/b", "a.", "", "a.heic"] {
            assert!(!pictures.takes_name(name.as_bytes()), "{name}");
        }
        assert!(crate::cloud::of(Provider::Baidu).takes().takes_name(b"a.mp4"));
    }
}
