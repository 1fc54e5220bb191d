//! What can be made of an entry of any list: the names it goes by, and what it needs to be shown.

use super::wire;
use super::wire::items::Item as WireItem;
use crate::cloud::files::Item;
use crate::cloud::lenient::Perhaps;

/// What can be made of a list; `paths`: entries have nothing but a path.
pub(super) fn items(listed: Vec<Perhaps<WireItem>>, paths: bool) -> Vec<Item> {
    let count = listed.len();
    let items: Vec<Item> = listed
        .into_iter()
        .filter_map(|entry| item(entry.0?))
        .filter(|item| paths || item.1)
        .map(|item| item.0)
        .collect();
    if items.len() < count {
        tracing::debug!("{} entries of a list make no sense and are left out", count - items.len());
    }
    items
}

/// An entry, and whether it says how large it is. `None` without a path.
fn item(file: WireItem) -> Option<(Item, bool)> {
    let path = file.path.filter(|path| !path.is_empty())?;
    let isdir = file.isdir == Some(1);
    let given = |text: Option<String>| text.filter(|text| !text.is_empty() && text.len() <= wire::TEXT);
    let name = given(file.server_filename).or(given(file.filename)).or(given(file.file_name));
    let name = name.unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default().to_owned());
    let thumbs = file.thumbs.into_iter();
    let thumbs = thumbs.filter_map(|(size, address)| Some((size, given(address.text())?))).collect();
    // 其他说明: "如果接口只下发了docpreview，那么lodocpreview=docpreview + "type=pdf&from=lo"".
    let made = given(file.docpreview).map(|address| {
        let joint = if address.contains('?') { '&' } else { '?' };
        format!("{address}{joint}type=pdf&from=lo")
    });
    let is_sized = isdir || file.size.is_some();
    let item = Item {
        fs_id: file.fs_id.unwrap_or_default(),
        server_filename: name,
        isdir,
        size: if isdir { 0 } else { file.size.unwrap_or(0) },
        category: file.category,
        md5: given(file.md5).filter(|_| !isdir),
        local_ctime: file.local_ctime,
        local_mtime: file.local_mtime,
        server_ctime: file.server_ctime,
        server_mtime: file.server_mtime,
        dir_empty: file.dir_empty.map(|empty| empty == 1),
        thumbs,
        dlink: given(file.dlink),
        lodocpreview: given(file.lodocpreview).or(made),
        date_taken: file.date_taken,
        width: file.width,
        height: file.height,
        path,
    };
    Some((item, is_sized))
}
