//! 123pan: its image host (pan123-open-api.md, 图床; field notes 8).

pub mod codes;

use std::sync::Arc;

use super::{Authority, Calls, Cloud, Drive, Error, Kind, Result, Takes, TokenSource};
use crate::config;
use crate::remote::Home;
use crate::remote::names::Rules;

/// 123pan.
pub(super) struct Pan123;

/// "文件名要小于255个字符且不能包含以下任何字符：\"\\/:*?|><" (创建文件). Bytes, of which there are never fewer
/// than characters.
const NAMES: Rules = Rules { refused: "\"\\/:*?|><", only_bmp: false, longest: 254 };

/// Field notes 8.3.
const PICTURES: Takes = Takes {
    endings: Some(&["png", "gif", "jpg", "jpeg", "tif", "tiff", "webp", "svg", "bmp"]),
    largest: Some(100 << 20),
    only: "123pan keeps pictures only: png gif jpg jpeg tif tiff webp svg bmp",
    at_most: "it is larger than 123pan takes pictures (100 MiB)",
};

/// What becomes of a call until the drive is here.
fn not_yet() -> Error {
    Error::new(Kind::Local, "open", "this version does not speak to 123pan yet").unsent()
}

struct Nobody;

impl Authority for Nobody {}

impl Cloud for Pan123 {
    fn title(&self) -> &'static str {
        "123pan"
    }

    fn open(
        &self,
        _account: &config::Account,
        _tokens: Arc<dyn TokenSource>,
        _calls: Arc<Calls>,
    ) -> Result<Arc<dyn Drive>> {
        Err(not_yet())
    }

    fn authority(&self, _account: &config::Account) -> Arc<dyn Authority> {
        Arc::new(Nobody)
    }

    fn home(&self, _account: &config::Account) -> Home {
        Home { path: String::new(), names: &NAMES }
    }

    fn takes(&self) -> &'static Takes {
        &PICTURES
    }

    fn has_links(&self) -> bool {
        true
    }

    fn explain(&self, code: &str) -> Vec<String> {
        let number = code.parse().ok();
        let line =
            number.and_then(|number: i64| Some(format!("{number} at 123pan: {}", codes::explain(number)?)));
        line.into_iter().collect()
    }
}
