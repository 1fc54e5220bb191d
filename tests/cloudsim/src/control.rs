//! The strings behind the stage: `/_sim/*`, never limited and never faulty, and the same as methods for
//! [`CloudSim`](crate::CloudSim).

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::Response;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::{Body, json_page};
use crate::entry::StoredFile;
use crate::faults::Fault;
use crate::oauth::add_tokens;
use crate::options::{Locate, parse_duration, parse_size};
use crate::pan123::Pan123Sim;
use crate::request::Ask;
use crate::state::Cloud;
use crate::users::DEFAULT_ACCOUNT;

/// Control requests are small.
const BODY_LIMIT: usize = 1 << 20;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Request {
    account: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
    ttl_secs: Option<u64>,
    user_code: Option<String>,
    decline: bool,
    vip: Option<u8>,
    total: Option<u64>,
    servers: Option<Vec<String>>,
    own: bool,
    secs: Option<u64>,
    path: Option<String>,
    paths: Vec<String>,
    period: u64,
    latency: Option<String>,
    bandwidth: Option<String>,
    empty_block_list: Option<bool>,
    cloud: Option<Played>,
    client_id: Option<String>,
    client_secret: Option<String>,
    pattern: Option<String>,
    status: Option<i64>,
    slice_size: Option<String>,
    async_delay: Option<String>,
    review_time: Option<String>,
}

/// Which cloud is meant.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Played {
    Baidu,
    Pan123,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    endpoint: String,
    kind: String,
    times: Option<u32>,
    probability: Option<f64>,
    #[serde(default)]
    skip: u32,
    message: Option<String>,
}

/// Answers one control request; mistakes are 400 with `{"error": "…"}`.
pub(crate) async fn serve(cloud: &Cloud, ask: Ask, body: Incoming) -> Response<Body> {
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return json_page(400, &json!({"error": error.to_string()})),
    };
    match run(cloud, &ask, &body) {
        Ok(value) => json_page(200, &value),
        Err(error) => json_page(400, &json!({"error": error})),
    }
}

fn run(cloud: &Cloud, ask: &Ask, body: &[u8]) -> Result<Value, String> {
    let verb = ask.path.trim_start_matches("/_sim/");
    match (ask.http_method.as_str(), verb) {
        ("GET", "files") => return Ok(json!({"files": cloud.all_files()})),
        ("GET", "calls") => {
            let since = ask.query.get("since").and_then(|n| n.parse().ok()).unwrap_or(0);
            return Ok(json!({"calls": cloud.lock().calls.since(since)}));
        }
        ("GET", "leaks") => {
            let leaked = |call: &crate::calls::Call| !call.leaked.is_empty();
            let mut calls = cloud.lock().calls.since(0);
            calls.retain(leaked);
            return Ok(json!({"calls": calls}));
        }
        ("GET", "uploads") => return Ok(json!({"uploads": cloud.uploads()})),
        ("GET", "codes") => return Ok(json!({"pending": cloud.lock().codes.pending()})),
        ("POST", "fault") => {
            let wanted: FaultRequest = parse(body)?;
            cloud.lock().faults.add(Fault {
                kind: wanted.kind.parse()?,
                endpoint: wanted.endpoint,
                times: wanted.times.or(wanted.probability.is_none().then_some(1)),
                probability: wanted.probability,
                skip: wanted.skip,
                message: wanted.message,
            })?;
            return Ok(json!({}));
        }
        ("POST", _) => {}
        _ => return Err(format!("no control request {} {}", ask.http_method, ask.path)),
    }
    let wanted: Request = parse(body)?;
    let account = wanted.account.as_deref();
    let words = |error: io::Error| error.to_string();
    let pan123 = Pan123Sim(cloud);
    // Where no cloud is named, one account's things are Baidu's, and everything is that of both.
    let of_baidu = wanted.cloud != Some(Played::Pan123);
    let of_pan123 = wanted.cloud != Some(Played::Baidu);
    match verb {
        "token" => {
            let access = wanted.access_token.as_deref().ok_or("access_token is missing")?;
            let ttl = wanted.ttl_secs.map(Duration::from_secs);
            let account = account.unwrap_or(DEFAULT_ACCOUNT);
            match of_baidu {
                true => cloud.add_token(account, access, wanted.refresh_token.as_deref(), ttl),
                false => pan123.add_token(account, access, ttl),
            }
            .map_err(words)?;
        }
        "approve" => {
            let account = account.unwrap_or(DEFAULT_ACCOUNT);
            let decided = cloud.decide(wanted.user_code.as_deref(), account, !wanted.decline);
            return Ok(json!({"approved": decided}));
        }
        "clear_faults" => cloud.lock().faults.clear(),
        "expire" => {
            let expired = if of_baidu { cloud.expire(account).map_err(words)? } else { 0 };
            let more = if of_pan123 { pan123.expire(account).map_err(words)? } else { 0 };
            return Ok(json!({"expired": expired + more}));
        }
        "unbind" => return Ok(json!({"unbound": cloud.unbind(account).map_err(words)?})),
        "forget_uploads" => {
            let forgotten = if of_baidu { cloud.lock().sessions.forget_all() } else { 0 };
            let more = if of_pan123 { pan123.forget_uploads() } else { 0 };
            return Ok(json!({"forgotten": forgotten + more}));
        }
        "client" => {
            let id = wanted.client_id.ok_or("client_id is missing")?;
            let secret = wanted.client_secret.ok_or("client_secret is missing")?;
            pan123.add_client(account.unwrap_or(&id), &id, &secret).map_err(words)?;
        }
        "review" => {
            let pattern = wanted.pattern.ok_or("pattern is missing")?;
            let status = wanted.status.ok_or("status is missing")?;
            return Ok(json!({"reviewed": pan123.review(&pattern, status)?}));
        }
        "reset" => cloud.reset().map_err(words)?,
        "vip" => {
            let vip = wanted.vip.filter(|vip| *vip <= 2).ok_or("vip must be 0, 1 or 2")?;
            cloud.change_account(account, |account| account.vip = vip).map_err(words)?;
        }
        "quota" => {
            let total = wanted.total.ok_or("total is missing")?;
            cloud.change_account(account, |account| account.quota = total).map_err(words)?;
        }
        "locate" => {
            cloud.lock().locate = match wanted.servers {
                Some(servers) => Locate::Named(servers),
                None if wanted.own => Locate::Own,
                None => Locate::Nothing,
            }
        }
        "behave" => {
            if let Some(latency) = wanted.latency {
                cloud.set_latency(parse_duration(&latency)?);
            }
            if let Some(rate) = wanted.bandwidth {
                cloud.set_bandwidth(Some(parse_size(&rate)?).filter(|rate| *rate > 0));
            }
            if let Some(empty) = wanted.empty_block_list {
                cloud.lock().empty_block_list = empty;
            }
            if let Some(size) = wanted.slice_size {
                pan123.set_slice_size(parse_size(&size)?);
            }
            match wanted.async_delay.as_deref() {
                None => {}
                Some("off") => pan123.set_async(None),
                Some(delay) => pan123.set_async(Some(parse_duration(delay)?)),
            }
            if let Some(time) = wanted.review_time {
                pan123.set_review_time(parse_duration(&time)?);
            }
        }
        "advance" => cloud.advance(Duration::from_secs(wanted.secs.ok_or("secs is missing")?)),
        "remove" => {
            let path = wanted.path.ok_or("path is missing")?;
            let account = account.unwrap_or(DEFAULT_ACCOUNT);
            let removed = match of_baidu {
                true => cloud.remove(account, &path),
                false => pan123.remove(account, &path),
            }
            .map_err(words)?;
            return Ok(json!({"removed": removed}));
        }
        "share" => {
            let account = account.unwrap_or(DEFAULT_ACCOUNT);
            let link = cloud.share(account, &wanted.paths, wanted.period).map_err(words)?;
            return Ok(json!(link));
        }
        _ => return Err(format!("no control request POST {}", ask.path)),
    }
    Ok(json!({}))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

impl Cloud {
    /// Makes tokens valid; the account is made when it is new.
    pub(crate) fn add_token(
        &self,
        account: &str,
        access: &str,
        refresh: Option<&str>,
        ttl: Option<Duration>,
    ) -> io::Result<()> {
        let ttl = ttl.unwrap_or(self.options.access_ttl);
        let expires = self.now_ms().saturating_add(ttl.as_millis() as u64);
        let mut state = self.lock();
        state.users.ensure(account, self.options.vip, self.options.quota);
        add_tokens(&mut state, account, access, refresh, expires);
        self.save(&state)
    }

    /// Approves or declines pending device codes in the name of `account`.
    pub(crate) fn decide(&self, user_code: Option<&str>, account: &str, approve: bool) -> usize {
        let mut state = self.lock();
        state.users.ensure(account, self.options.vip, self.options.quota);
        state.codes.decide(user_code, approve.then_some(account))
    }

    pub(crate) fn expire(&self, account: Option<&str>) -> io::Result<usize> {
        let mut state = self.lock();
        let expired = state.users.expire(account);
        self.save(&state)?;
        Ok(expired)
    }

    /// The user takes a file or folder away.
    pub(crate) fn remove(&self, account: &str, path: &str) -> io::Result<usize> {
        let mut state = self.lock();
        state.given.removed.push((account.into(), path.into()));
        state.drives.remove(account, path)
    }

    pub(crate) fn unbind(&self, account: Option<&str>) -> io::Result<usize> {
        let mut state = self.lock();
        let unbound = state.devices.unbind(account, self.now());
        self.save(&state)?;
        Ok(unbound)
    }

    /// Changes one account, or every account when none is named.
    pub(crate) fn change_account(
        &self,
        account: Option<&str>,
        change: impl Fn(&mut crate::users::Account),
    ) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(account) = account {
            state.users.ensure(account, self.options.vip, self.options.quota);
        }
        for (name, known) in &mut state.users.accounts {
            if account.is_none_or(|account| account == name) {
                change(known);
            }
        }
        self.save(&state)
    }

    /// Back to an empty cloud: files, uploads, tokens, devices, faults, limits and the log all go.
    pub(crate) fn reset(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.drives.clear()?;
        state.sessions.forget_all();
        state.users = Default::default();
        state.users.ensure(DEFAULT_ACCOUNT, self.options.vip, self.options.quota);
        state.devices = Default::default();
        state.codes.clear();
        state.faults.clear();
        state.limits.clear();
        state.calls.clear();
        state.tasks.clear();
        state.shares = Default::default();
        state.locate = self.options.locate.clone();
        state.empty_block_list = self.options.empty_block_list;
        state.pan123.reset(&self.options)?;
        self.save(&state)
    }

    /// Every stored file of both clouds.
    pub(crate) fn all_files(&self) -> Vec<StoredFile> {
        let state = self.lock();
        let mut files = state.drives.files();
        files.extend(state.pictures(self.now_ms()));
        files
    }

    fn uploads(&self) -> Vec<Value> {
        let state = self.lock();
        state
            .sessions
            .all()
            .map(|session| {
                json!({
                    "cloud": "baidu",
                    "uploadid": session.uploadid,
                    "account": session.account,
                    "path": session.path,
                    "size": session.size,
                    "slices": session.block_list.len(),
                    "missing": session.missing(),
                })
            })
            .chain(state.picture_uploads())
            .collect()
    }
}
