//! The direct link of a picture (downloadURL): for everyone who has it, without a token.
//!
//! ```text
//! GET or HEAD /<uid>/<fileId>.<extension>        on the second address, as vip.123pan.cn is another host
//! ```

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::item::{Item, content_type};
use crate::answer::{Answer, Refusal, Reply, html};
use crate::download::{content, put};
use crate::request::Ask;
use crate::state::Cloud;

/// The link of a picture.
pub(super) fn link(cloud: &Cloud, ask: &Ask, uid: u64, item: &Item) -> String {
    format!("{}/{uid}/{}.{}", ask.cdn_url(cloud.cdn_port()), item.id, item.extension())
}

/// GET /<uid>/<fileId>.<extension>: the bytes, or the part that a Range asks for. 404 for what is not
/// there, 403 for what the review rejected.
pub(crate) async fn picture(cloud: &Cloud, ask: &Ask) -> Reply {
    let (item, disk) = {
        let state = cloud.lock();
        let pan123 = &state.pan123;
        let item = find(pan123, &ask.path).ok_or(Refusal::NotFound)?;
        let review_ms = pan123.behave.review_time.as_millis() as u64;
        if item.status(cloud.now_ms(), review_ms) > 100 {
            return Ok(Answer::page(html(403)));
        }
        (item.clone(), pan123.library.disk(item)?)
    };
    let mut response = content(&ask.headers, disk, &item.etag, item.size).await?;
    if let Some(kind) = content_type(&item.name) {
        put(&mut response, CONTENT_TYPE, kind.into());
    }
    if ask.http_method != "HEAD" {
        let length = response.headers().get(CONTENT_LENGTH);
        let sent = length.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
        cloud.lock().pan123.library.add_traffic(&item.id, sent)?;
    }
    Ok(Answer::page(response))
}

fn find<'a>(pan123: &'a super::Pan123, path: &str) -> Option<&'a Item> {
    let (uid, file) = path.strip_prefix('/')?.split_once('/')?;
    let (id, extension) = file.split_once('.')?;
    let account = pan123.clients.account_of_uid(uid.parse().ok()?)?;
    pan123.library.of(account, id).filter(|item| !item.isdir && item.extension() == extension)
}
