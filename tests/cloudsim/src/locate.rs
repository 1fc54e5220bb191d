//! locateupload: which hosts take the slices (field notes 3.3; the documents leave it out).

use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::options::Locate;
use crate::request::Ask;
use crate::state::Cloud;

/// GET /rest/2.0/pcs/file?method=locateupload. Token and path are not looked at, as observed.
pub(crate) fn locateupload(cloud: &Cloud, ask: &Ask) -> Reply {
    let urls = match &cloud.lock().locate {
        Locate::Nothing => Vec::new(),
        Locate::Own => vec![ask.base_url()],
        Locate::Named(urls) => urls.clone(),
    };
    let host = urls.first().map_or("", |url| bare(url));
    let mut answer = json!({
        "error_code": 0,
        "error_msg": "",
        "expire": 60,
        "host": host,
        "client_ip": "127.0.0.1",
        "newno": "",
        "server_time": cloud.now(),
        "sl": 0,
        "bak_server": [],
        "server": [],
    });
    if ask.query.get("upload_version") == Some("2.0") {
        let servers: Vec<Value> = urls.iter().map(|url| json!({"server": url})).collect();
        answer["servers"] = json!(servers);
        answer["bak_servers"] = json!([]);
        answer["quic_servers"] = json!([]);
    } else {
        answer["server"] = urls.iter().map(|url| json!(bare(url))).collect();
    }
    Ok(Answer::with_number_id(answer))
}

fn bare(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}
