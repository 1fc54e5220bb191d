//! How a simulated cloud is set up: every knob with its default, and the sizes and durations of the
//! command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::pan123::Pan123Options;
use crate::tls::Tls;

/// Settings of one simulated cloud. `Options::default()` suits tests: any free port, a temporary
/// folder, no limits, a normal account of 2 TiB.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Port of the second address, which plays the CDN that dlinks lead to, and
    /// the storage and the direct links of 123pan; 0 takes any free one.
    pub cdn_port: u16,
    /// Both addresses speak TLS, with this certificate; else plain HTTP.
    pub tls: Option<Tls>,
    /// Life of an address there, and of the presigned ones for slices.
    pub cdn_ttl: Duration,
    /// filemanager with `async=1` makes a task of more files than this.
    pub async_above: usize,
    /// How long a task takes.
    pub task_time: Duration,
    /// Where uploaded bytes and the cloud's own notes lie; a temporary folder when not given.
    pub data: Option<PathBuf>,
    /// Product name: all writes must go below `/apps/<app>` ("上传文件夹限制").
    pub app: String,
    /// Membership of new accounts: 0 normal, 1 member, 2 super member (uinfo `vip_type`).
    pub vip: u8,
    /// Waiting time before every call is looked at.
    pub latency: Duration,
    /// Bytes a second for all request bodies together, and as many for all downloads together.
    pub bandwidth: Option<u64>,
    /// Drive size of new accounts in bytes.
    pub quota: u64,
    /// Enforce the documents' calls per minute, hour and day ("请求限制"), and per second ("限流处理").
    pub limits: bool,
    /// Their seconds, minutes, hours and days are so many times shorter, for clients that hurry as well.
    pub limits_hurry: u32,
    /// Device codes are approved by the default user without being asked.
    pub auto_approve: bool,
    /// `client_id` of the one application this cloud knows; of 123pan it is that of the account `demo`.
    pub client_id: String,
    /// Its `client_secret`.
    pub client_secret: String,
    /// The one `device_type` this cloud knows (device register, 42100 for any other).
    pub device_type: String,
    /// The one `third_type` this cloud knows (share set).
    pub share_type: String,
    /// The secret that `csign` is made with.
    pub share_secret: String,
    /// Seconds a client has to wait between two polls of a device code.
    pub code_interval: Duration,
    /// Life of a device code.
    pub code_ttl: Duration,
    /// Life of an access token.
    pub access_ttl: Duration,
    /// Devices one user may bind before 42102.
    pub max_devices_per_user: usize,
    /// Users one device may have before 42103.
    pub max_users_per_device: usize,
    /// Devices in one answer of `diff`.
    pub diff_page: usize,
    /// What locateupload names.
    pub locate: Locate,
    /// Answer `block_list: []` instead of `[0]` to the first precreate of a one-slice file. The
    /// documents call both the same; some clients take `[]` for "nothing to send".
    pub empty_block_list: bool,
    /// Largest file, instead of the membership's 4, 10 or 20 GiB (31365), so that tests stay small.
    pub file_cap: Option<u64>,
    /// How the other cloud behaves.
    pub pan123: Pan123Options,
    /// Seed of every random choice (fault probabilities, ids); random when not given.
    pub seed: Option<u64>,
}

/// What a locateupload answer names as upload hosts (field notes 3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Locate {
    /// No host at all: clients stay on the address they were given.
    #[default]
    Nothing,
    /// The address the call came in on.
    Own,
    /// These URLs, taken as they are: for hostile, dead or foreign hosts.
    Named(Vec<String>),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            cdn_port: 0,
            tls: None,
            cdn_ttl: Duration::from_secs(3600),
            async_above: 100,
            task_time: Duration::from_millis(200),
            data: None,
            app: "xpand".into(),
            vip: 0,
            latency: Duration::ZERO,
            bandwidth: None,
            quota: 2 << 40,
            limits: false,
            limits_hurry: 1,
            auto_approve: false,
            client_id: "demo".into(),
            client_secret: "demo".into(),
            device_type: "2020073115900228875".into(),
            share_type: "2001".into(),
            share_secret: "secret".into(),
            code_interval: Duration::from_secs(5),
            code_ttl: Duration::from_secs(1800),
            access_ttl: Duration::from_secs(2_592_000),
            max_devices_per_user: 10,
            max_users_per_device: 5,
            diff_page: 100,
            locate: Locate::Nothing,
            empty_block_list: true,
            file_cap: None,
            pan123: Pan123Options::default(),
            seed: None,
        }
    }
}

impl Options {
    /// What its addresses begin with.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// Reads a size as people write it: `512`, `64KiB`, `5MiB`, `2TiB`, `4GB`; a trailing `/s` is fine.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim().trim_end_matches("/s");
    let (number, unit) = split_unit(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(format!("unknown unit {unit:?}; write for example 5MiB")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| format!("{text:?} is not a size; write for example 5MiB"))
}

/// Reads a duration: `80ms`, `5s`, `2m`, `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text.trim());
    let wrong = || format!("{text:?} is not a duration; write for example 80ms or 5s");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => Some(number),
        "s" | "" => number.checked_mul(1000),
        "m" | "min" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    millis.map(Duration::from_millis).ok_or_else(wrong)
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_as_people_write_them() {
        assert_eq!(parse_size("5MiB"), Ok(5 << 20));
        assert_eq!(parse_size("2TiB"), Ok(2 << 40));
        assert_eq!(parse_size("5MiB/s"), Ok(5 << 20));
        assert_eq!(parse_size("17"), Ok(17));
        assert!(parse_size("5 apples").is_err());
        assert!(parse_size("99999999TiB").is_err());
        assert_eq!(parse_duration("80ms"), Ok(Duration::from_millis(80)));
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert!(parse_duration("soon").is_err());
    }
}
