//! Baidu Netdisk: xpan for files and devices, PCS for slices, OAuth for logins.
//!
//! [`Xpan`] is the [`Drive`] of one account. Every call that carries a token goes through
//! [`Xpan::with_token`]: a token that is refused is renewed once and the call made once more. Slices are
//! the exception, because their bytes are gone by then (`upload.rs`).
//!
//! | file | what it asks for |
//! | --- | --- |
//! | `files.rs` | who is logged in, space, a folder's content for the agent |
//! | `upload.rs` | precreate, locateupload, superfile2, create |
//! | `copy.rs` | what a backup need not send, because the drive has it under another name |
//! | `device.rs` | the device calls |
//! | `listing.rs` | every list and search for a person; `manage.rs`: copy, move, rename, delete, new folders |
//! | `download.rs`, `preview.rs` | content |
//! | `share.rs` | share links |
//! | `answer.rs`, `wire.rs`, `item.rs`, `codes.rs` | what comes back |
//! | `limits.rs` | how often which call may be made |
//!
//! Nothing is stored here; a crash costs the calls in flight. What the cloud made of `create` is then
//! unknown, and [`Drive::list`] tells.

mod answer;
mod cloud_md5;
pub mod codes;
mod copy;
mod device;
mod download;
mod files;
mod item;
mod limits;
mod listing;
mod manage;
pub mod oauth;
mod preview;
mod share;
mod upload;
mod wire;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::http::{self, Answer, Body, Http, Limits, Options, Request};
use super::renewed::with_token;
use super::{
    Authority, Begin, BoxFuture, Calls, Cloud, Content, Copies, Cursor, Devices, Drive, Entry, Finish,
    GiveBack, Page, Quota, Result, Service, Slice, Takes, Token, TokenSource, Upload, User,
};
use crate::config;
use crate::content::Md5;
use crate::remote::Home;
use crate::remote::names;
use listing::number;

/// The documents' host for all but slices and logins.
const PAN: &str = "https://pan.baidu.com";
/// Answers without lists, bytes.
const SMALL: usize = 1 << 20;
/// Answers with lists, bytes: a thousand entries with the longest of names and paths, every letter of
/// them written as `\u4e00`.
const LARGE: usize = 4 << 20;

/// Baidu Netdisk.
pub(super) struct Baidu;

impl Cloud for Baidu {
    fn title(&self) -> &'static str {
        "Baidu Netdisk"
    }

    fn open(
        &self,
        account: &config::Account,
        tokens: Arc<dyn TokenSource>,
        calls: Arc<Calls>,
    ) -> Result<Arc<dyn Drive>> {
        Ok(Arc::new(Xpan::open(account, tokens, calls)?))
    }

    fn authority(&self, account: &config::Account) -> Arc<dyn Authority> {
        Arc::new(oauth::OAuth::new(account))
    }

    /// "/apps/<产品名称>" (xpan-api, 能力说明). Names as field notes 3.6 have them, which is what
    /// [`names::STRICT`] is made of; the longest is not documented.
    fn home(&self, account: &config::Account) -> Home {
        let mut path = String::from("/apps/");
        names::STRICT.escape_name(account.app.as_bytes(), &mut path);
        Home { path, names: &names::STRICT }
    }

    fn takes(&self) -> &'static Takes {
        &Takes {
            endings: None,
            largest: None,
            only: "Baidu Netdisk does not take this kind of file",
            at_most: "it is larger than the account's membership allows (4, 10 or 20 GB)",
        }
    }

    fn services(&self) -> &'static [Service] {
        &[Service::Files, Service::Devices, Service::Shares]
    }

    fn explain(&self, code: &str) -> Vec<String> {
        match code.parse() {
            Ok(number) => codes::explain(number),
            Err(_) => codes::explain_word(code),
        }
    }
}

/// The drive of one Baidu account.
pub struct Xpan {
    http: Http,
    tokens: Arc<dyn TokenSource>,
    calls: Arc<Calls>,
    sharing: share::Sharing,
    hosts: upload::Hosts,
    folders: copy::Folders,
    /// The token got after a slice was refused, until a slice went through with it; refused again, it is
    /// not renewed again.
    renewed: Mutex<Option<Token>>,
}

impl std::fmt::Debug for Xpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Xpan").field("http", &self.http).finish_non_exhaustive()
    }
}

/// Every request says `User-Agent: pan.baidu.com` (all curl samples of the documents), and goes to
/// Baidu's own domains only (field notes 3.3).
fn options(account: &config::Account) -> Options {
    Options {
        endpoint: account.endpoint.clone(),
        ca_file: account.ca_file.clone(),
        domains: &["baidu.com", "baidupcs.com"],
        agent: "pan.baidu.com",
        limits: Limits::default(),
    }
}

impl Xpan {
    /// The drive of a configured account. No call is made yet.
    ///
    /// # Errors
    /// [`Kind::Local`]: the endpoint or the CA file cannot be used.
    pub fn open(account: &config::Account, tokens: Arc<dyn TokenSource>, calls: Arc<Calls>) -> Result<Self> {
        Ok(Self {
            http: Http::new(options(account))?,
            tokens,
            calls,
            sharing: share::Sharing::of(account),
            hosts: upload::Hosts::default(),
            folders: copy::Folders::default(),
            renewed: Mutex::new(None),
        })
    }

    /// Makes a call with a token; if the token is refused, once more with a renewed one.
    async fn with_token<T, F, Answer>(&self, call: F) -> Result<T>
    where
        F: Fn(Token) -> Answer,
        Answer: Future<Output = Result<T>>,
    {
        with_token(&*self.tokens, call).await
    }

    /// Makes a call, with the token if there is one.
    async fn send_call(&self, call: &Call<'_>, token: Option<&Token>) -> Result<Answer> {
        let endpoint = call.endpoint;
        let mut pairs = call.query.to_vec();
        let mut secrets: Vec<String> = call.secrets.iter().map(|&secret| secret.to_owned()).collect();
        // 通用参数: the token is always in the address, never in the form.
        if let Some(token) = token {
            pairs.push(("access_token", token.secret()));
            secrets.push(token.secret().to_owned());
        }
        let url = self.http.address(endpoint, call.origin, call.path, &http::encode(&pairs))?;
        let body = call.form.map_or(Body::None, |form| Body::Form(http::encode(form)));
        let request = Request { endpoint, url, body, limit: call.limit, referer: call.referer, secrets };
        if let Some(allowance) = limits::allowance(endpoint) {
            self.calls.admit(endpoint, allowance).await?;
        }
        self.http.call(request).await
    }

    /// Makes a call with a token; `read` makes something of its answer.
    async fn ask<T>(&self, call: Call<'_>, read: impl Fn(&Answer) -> Result<T>) -> Result<T> {
        let (call, read) = (&call, &read);
        self.with_token(|token| async move {
            self.send_call(call, Some(&token)).await.and_then(|answer| read(&answer))
        })
        .await
    }

    /// As [`Xpan::ask`], of a call that wants no token.
    async fn ask_without_token<T>(&self, call: Call<'_>, read: impl Fn(&Answer) -> Result<T>) -> Result<T> {
        read(&self.send_call(&call, None).await?)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        query: &[(&str, &str)],
        limit: usize,
    ) -> Result<T> {
        self.ask(Call { limit, ..Call::to(endpoint, path, query) }, answer::read).await
    }

    async fn get_at<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        origin: &str,
        path: &str,
        query: &[(&str, &str)],
        limit: usize,
    ) -> Result<T> {
        self.ask(Call { origin, limit, ..Call::to(endpoint, path, query) }, answer::read).await
    }

    async fn get_without_token<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T> {
        self.ask_without_token(Call::to(endpoint, path, query), answer::read).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        endpoint: &'static str,
        path: &str,
        query: &[(&str, &str)],
        form: &[(&str, &str)],
        limit: usize,
    ) -> Result<T> {
        self.ask(Call { form: Some(form), limit, ..Call::to(endpoint, path, query) }, answer::read).await
    }
}

/// One call: where to, and what goes with it.
struct Call<'a> {
    /// Its name in the protocol's words.
    endpoint: &'static str,
    origin: &'a str,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    /// A POST, if there is one.
    form: Option<&'a [(&'a str, &'a str)]>,
    /// Bytes: a larger answer is not read.
    limit: usize,
    referer: Option<&'static str>,
    /// What must not show in an error, besides the token.
    secrets: &'a [&'a str],
}

impl<'a> Call<'a> {
    /// A GET at the documents' host with a small answer.
    fn to(endpoint: &'static str, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { endpoint, origin: PAN, path, query, form: None, limit: SMALL, referer: None, secrets: &[] }
    }
}

impl Drive for Xpan {
    fn user(&self) -> BoxFuture<'_, Result<User>> {
        Box::pin(self.uinfo())
    }

    fn knock(&self) -> BoxFuture<'_, Option<Duration>> {
        Box::pin(self.http.knock())
    }

    fn quota(&self) -> BoxFuture<'_, Result<Option<Quota>>> {
        Box::pin(self.space())
    }

    fn begin<'a>(&'a self, file: &'a Upload, resume: Option<&'a str>) -> BoxFuture<'a, Result<Begin>> {
        Box::pin(self.precreate(file, resume))
    }

    fn send<'a>(
        &'a self,
        file: &'a Upload,
        session: &'a str,
        slice: Slice,
    ) -> BoxFuture<'a, Result<Option<Md5>>> {
        Box::pin(async move { self.superfile2(file, session, slice).await.map(Some) })
    }

    fn finish<'a>(&'a self, file: &'a Upload, session: &'a str) -> BoxFuture<'a, Result<Finish>> {
        Box::pin(async move { self.create(file, session).await.map(Finish::Made) })
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(self.page(folder, number(after)))
    }

    fn list_all<'a>(&'a self, folder: &'a str, after: Option<Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(self.page_of_all(folder, number(after)))
    }

    fn slice_sizes(&self) -> &'static [u64] {
        &files::SLICE_SIZES
    }

    /// Field notes 3.7. For a file of several slices a listed md5 says "same" only when it was cut as
    /// `file` is; "not certainly the same" is then the answer for equal content too.
    fn is_same(&self, entry: &Entry, file: &Upload) -> bool {
        if entry.is_folder || entry.size != file.size {
            return false;
        }
        let Some(md5) = entry.md5.as_deref().and_then(cloud_md5::decode) else {
            return false;
        };
        md5 == file.content_md5 || (file.slices.len() > 1 && md5 == cloud_md5::of_slices(&file.slices))
    }

    /// Field notes 3.7. What fits in the smallest of slices was never cut: then the md5 is the content's.
    fn has_content(&self, entry: &Entry, content: &Content) -> Option<bool> {
        if entry.is_folder || entry.size != content.size {
            return Some(false);
        }
        let md5 = entry.md5.as_deref().and_then(cloud_md5::decode)?;
        let of_cut = |slices: &Vec<Md5>| slices.len() > 1 && md5 == cloud_md5::of_slices(slices);
        if md5 == content.md5 || content.cuts.iter().any(of_cut) {
            return Some(true);
        }
        (content.size <= files::SLICE_SIZES[0]).then_some(false)
    }

    /// As for `has_content`: what fits in the smallest of slices was never cut.
    fn content_md5(&self, entry: &Entry) -> Option<Md5> {
        let md5 = entry.md5.as_deref().and_then(cloud_md5::decode)?;
        (!entry.is_folder && entry.size <= files::SLICE_SIZES[0]).then_some(md5)
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }

    fn give_back(&self) -> Option<&dyn GiveBack> {
        Some(self)
    }

    fn devices(&self) -> Option<&dyn Devices> {
        Some(self)
    }

    fn files(&self) -> Option<&dyn super::Files> {
        Some(self)
    }

    fn shares(&self) -> Option<&dyn super::Shares> {
        Some(self)
    }
}

impl Copies for Xpan {
    fn copy<'a>(&'a self, files: &'a [(&'a str, &'a str)]) -> BoxFuture<'a, Result<Vec<bool>>> {
        Box::pin(self.copy_files(files))
    }
}

#[cfg(test)]
mod tests;
