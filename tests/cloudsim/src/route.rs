//! The table of calls: which address and `method=` goes to which handler. New families of calls are new
//! files and new lines here; the calls of the other cloud are in `pan123`.

use crate::answer::{Refusal, Reply};
use crate::pan123;
use crate::request::{Ask, Host, Stream, Vendor, drain};
use crate::state::Cloud;
use crate::{
    create, device, download, files, kinds, locate, manager, oauth, preview, search, shares, slices, tasks,
    transfer, upload, users,
};

/// Whether a call's body is handed on unread: the handler streams it.
pub(crate) fn wants_stream(ask: &Ask) -> bool {
    let is_picture_slice =
        ask.host == Host::Cdn && ask.vendor() == Vendor::Pan123 && ask.http_method == "PUT";
    is_picture_slice
        || matches!(
            (ask.http_method.as_str(), ask.path.as_str(), ask.api_method()),
            ("POST", "/rest/2.0/pcs/superfile2" | "/rest/2.0/pcs/file", "upload")
        )
}

/// Answers one call.
pub(crate) async fn answer(cloud: &Cloud, ask: &Ask, body: Option<Stream>) -> Reply {
    let call = (ask.http_method.as_str(), ask.path.as_str(), ask.api_method());
    if let Some(body) = body {
        return match call {
            ("POST", "/rest/2.0/pcs/superfile2", _) => slices::superfile2(cloud, ask, body).await,
            ("PUT", _, _) => pan123::storage::put(cloud, ask, body).await,
            ("POST", "/rest/2.0/pcs/file", _) => slices::single_shot(cloud, ask, body).await,
            _ => {
                drain(body).await;
                Err(Refusal::NotFound)
            }
        };
    }
    if ask.host == Host::Cdn {
        return match call {
            ("GET" | "HEAD", path, _) if path.starts_with("/cdn/file/") => download::cdn(cloud, ask).await,
            ("GET" | "HEAD", _, _) => pan123::picture(cloud, ask).await,
            _ => Err(Refusal::NotFound),
        };
    }
    match call {
        ("GET", "/oauth/2.0/device/code", _) => oauth::device_code(cloud, ask),
        ("GET", "/oauth/2.0/token", _) => oauth::token(cloud, ask),
        (_, "/oauth/2.0/device/code" | "/oauth/2.0/token", _) => {
            Err(Refusal::oauth("invalid_request", "GET with query parameters only"))
        }

        ("GET", "/rest/2.0/xpan/nas", "uinfo") => users::uinfo(cloud, ask),
        ("GET", "/api/quota", _) => users::quota(cloud, ask),

        ("GET", "/rest/2.0/xpan/device", "register") => device::register(cloud, ask),
        ("GET", "/rest/2.0/xpan/device", "bind") => device::bind(cloud, ask),
        ("GET", "/rest/2.0/xpan/device", "unbind") => device::unbind(cloud, ask),
        ("GET", "/rest/2.0/xpan/device", "checkbind") => device::checkbind(cloud, ask),
        ("POST", "/rest/2.0/xpan/device", "diff") => device::diff(cloud, ask),
        ("GET", "/rest/2.0/xpan/device", "list") => device::list(cloud, ask),

        ("POST", "/rest/2.0/xpan/file", "precreate") => upload::precreate(cloud, ask).await,
        ("POST", "/rest/2.0/xpan/file", "create") => create::create(cloud, ask).await,
        ("GET", "/rest/2.0/pcs/file", "locateupload") => locate::locateupload(cloud, ask),
        // Instant upload of the old PCS: retired, always a bad parameter (field notes 3.1).
        (_, "/rest/2.0/pcs/file", "rapidupload") => Err(Refusal::pcs(31023)),

        ("GET", "/rest/2.0/xpan/file", "list") => files::list(cloud, ask),
        ("GET", "/rest/2.0/xpan/multimedia", "listall") => files::listall(cloud, ask),
        ("GET", "/rest/2.0/xpan/multimedia", "filemetas") => files::filemetas(cloud, ask),
        ("GET", "/rest/2.0/pcs/file", "list") => files::pcs_list(cloud, ask),

        ("GET", "/rest/2.0/xpan/file", "doclist") => kinds::list_of(cloud, ask, 4),
        ("GET", "/rest/2.0/xpan/file", "imagelist") => kinds::list_of(cloud, ask, 3),
        ("GET", "/rest/2.0/xpan/file", "videolist") => kinds::list_of(cloud, ask, 1),
        ("GET", "/rest/2.0/xpan/file", "btlist") => kinds::list_of(cloud, ask, 7),
        ("GET", "/api/categoryinfo", _) => kinds::categoryinfo(cloud, ask),
        ("GET", "/rest/2.0/xpan/multimedia", "categorylist") => kinds::categorylist(cloud, ask),
        ("GET", "/rest/2.0/xpan/file", "search") => search::search(cloud, ask),

        ("POST", "/rest/2.0/xpan/file", "filemanager") => manager::filemanager(cloud, ask),
        ("GET", "/share/taskquery", _) => tasks::taskquery(cloud, ask),

        ("POST", "/rest/2.0/xpan/share/set", _) => shares::set(cloud, ask),
        ("POST", "/rest/2.0/xpan/share", "verify") => shares::verify(cloud, ask),
        ("GET", "/rest/2.0/xpan/share", "list") => shares::list(cloud, ask),
        ("GET", "/api/shorturlinfo", _) => shares::shorturlinfo(cloud, ask),
        ("POST", "/rest/2.0/xpan/share", "transfer") => transfer::transfer(cloud, ask),

        ("GET" | "HEAD", path, _) if path.starts_with("/file/") => download::dlink(cloud, ask),
        ("GET", path, _) if path.starts_with("/doc/") => preview::preview(cloud, ask),

        (_, path, _) if path.starts_with("/rest/2.0/xpan/") || path.starts_with("/api/") => {
            Err(Refusal::errno(3))
        }
        (_, path, _) if path.starts_with("/rest/2.0/pcs/") => Err(Refusal::pcs(3)),
        _ => Err(Refusal::NotFound),
    }
}
