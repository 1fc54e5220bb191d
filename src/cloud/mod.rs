//! Clouds: what the pipeline needs of any of them ([`Drive`]), and how they fail ([`Error`]).
//!
//! This layer knows requests, answers and error numbers. It knows nothing of queues, of sled or of
//! when to try again: it says what kind of failure it was, and `backup/upload.rs` decides.
//!
//! A cloud is a folder below this one, a line in [`of`], and a line in `config/provider.rs` for the word that
//! the configuration calls it by. It is described by [`Cloud`]; what it can do is said by the traits [`Drive`],
//! [`GiveBack`] and [`Authority`], and, where it has more than a backup needs, by [`Copies`], [`Devices`],
//! [`Files`], [`Images`] and [`Shares`]. Nobody outside of `cloud/` asks which cloud it is.
//!
//! Nothing here is stored, so a crash costs the calls in flight and nothing else.

pub mod calls;
mod describe;
mod devices;
mod drive;
mod envelope;
mod error;
pub mod files;
pub mod give_back;
pub mod http;
pub mod images;
mod lenient;
mod login;
pub mod pan123;
mod renewed;
pub mod shares;
#[cfg(test)]
pub(crate) mod testing;
pub mod walk;
pub mod xpan;

pub use calls::Calls;
pub use describe::{Cloud, Service, Takes};
pub use devices::{DeviceChanges, DeviceEntry, Devices};
pub use drive::{
    Begin, Content, Copies, Cursor, Drive, Entry, Finish, Page, Quota, Slice, SliceBody, Stored, Upload, User,
};
pub use error::{Code, Error, Kind, RequestId, Result, Trace};
pub use files::Files;
pub use give_back::GiveBack;
pub use images::Images;
pub use login::{Authority, DeviceCode, Grant, Life, Poll, Token, TokenSource};
pub use shares::Shares;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::{self, Provider};

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What there is to know of a cloud without asking it.
#[must_use]
pub fn of(provider: Provider) -> &'static dyn Cloud {
    match provider {
        Provider::Baidu => &xpan::Baidu,
        Provider::Pan123 => &pan123::Pan123,
    }
}

/// The drive of a configured account, whose `calls` stay within the cloud's limits. No call is made yet.
///
/// # Errors
/// The endpoint or the CA file of the configuration cannot be used.
pub fn open(
    account: &config::Account,
    tokens: Arc<dyn TokenSource>,
    calls: Arc<Calls>,
) -> Result<Arc<dyn Drive>> {
    of(account.provider).open(account, tokens, calls)
}

/// Where a configured account logs in. No call is made yet; an endpoint or CA file that cannot be used
/// shows at the first.
#[must_use]
pub fn authority(account: &config::Account) -> Arc<dyn Authority> {
    of(account.provider).authority(account)
}

/// What a server's number, its OAuth word or a bare HTTP status means in any cloud, one line a meaning:
/// `xpand explain --code N`.
#[must_use]
pub fn explain(code: &str) -> Vec<String> {
    let mut lines = match code.parse() {
        Ok(0) => vec!["0: done".to_owned()],
        number => {
            let bare = number.ok().and_then(|number: i64| u16::try_from(number).ok());
            let bare = bare.filter(|status| (300..=599).contains(status)).map(xpan::codes::explain_status);
            Provider::ALL.iter().flat_map(|&cloud| of(cloud).explain(code)).chain(bare).collect()
        }
    };
    if lines.is_empty() {
        lines.push(format!(
            "{code}: not in the documents; the cloud's own words are shown, and it is tried again only when they \
             came with an HTTP status of 500 or more"
        ));
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::testing::{Server, TwoTokens};
    use super::*;

    #[tokio::test]
    async fn what_a_cloud_says_it_has_is_what_its_drive_gives() {
        let server = Server::start(|_| (404, String::new())).await;
        for &provider in Provider::ALL {
            let account = config::Account { provider, ..server.account() };
            let drive = open(&account, Arc::new(TwoTokens::default()), Calls::uncounted()).unwrap();
            for (service, is_given) in [
                (Service::Files, drive.files().is_some()),
                (Service::Devices, drive.devices().is_some()),
                (Service::Images, drive.images().is_some()),
                (Service::Shares, drive.shares().is_some()),
            ] {
                assert_eq!(of(provider).services().contains(&service), is_given, "{provider:?} {service:?}");
            }
        }
    }

    #[test]
    fn a_status_is_explained_beside_the_numbers_and_what_nobody_knows_says_when_it_is_tried_again() {
        let tired =
            "HTTP 502 without a number of the cloud's own: the cloud failed; tried again, later and later";
        assert_eq!(explain("502"), [tired]);
        let lines = explain("404");
        assert!(
            lines.len() == 2 && lines[0].starts_with("404: ") && lines[1].starts_with("HTTP 404 "),
            "{lines:?}"
        );
        let unknown = "77777: not in the documents; the cloud's own words are shown, and it is tried again only when \
                       they came with an HTTP status of 500 or more";
        assert_eq!(explain("77777"), [unknown]);
    }
}
