//! The answers of the calls for share links (xpan-share).

use serde::Deserialize;

use super::items::{Fared, Item};
use super::{ID, MAX_ENTRIES, TEXT, TOKEN};
use crate::cloud::lenient::{Perhaps, int, list, object, text};

wire! {
    /// `set` (创建附件).
    Made {
        /// Of the link.
        shareid: Option<String> = "text::<_, ID>",
        /// The address.
        link: Option<String> = "text::<_, TEXT>",
        /// The address to show.
        shorturl: Option<String> = "text::<_, TEXT>",
        /// The password.
        pwd: Option<String> = "text::<_, ID>",
        /// Who made it.
        uk: Option<String> = "text::<_, ID>",
        /// `expiredType`
        #[serde(rename = "expiredType")]
        expired_type: Option<u64> = "int",
        /// Seconds since 1970.
        ctime: Option<i64> = "int",
    }
}

wire! {
    /// `verify` (附件密码验证).
    Verified {
        /// The key.
        randsk: Option<String> = "text::<_, TOKEN>",
    }
}

wire! {
    /// `list` (获取附件中的文件列表); the table says `shareid`, the sample `share_id`.
    Listed {
        /// Of the link.
        shareid: Option<String> = "text::<_, ID>",
        /// The same.
        share_id: Option<String> = "text::<_, ID>",
        /// Who made it.
        uk: Option<String> = "text::<_, ID>",
        /// Its first file.
        title: Option<String> = "text::<_, TEXT>",
        /// The files.
        list: Vec<Perhaps<Item>> = "list::<_, _, MAX_ENTRIES>",
    }
}

wire! {
    /// `shorturlinfo` (查询附件链接信息).
    Info {
        /// Of the link.
        shareid: Option<String> = "text::<_, ID>",
        /// Who made it.
        uk: Option<String> = "text::<_, ID>",
        /// The same.
        uk_str: Option<String> = "text::<_, ID>",
        /// Days it still lives.
        expire_days: Option<u64> = "int",
        /// Seconds since 1970.
        ctime: Option<i64> = "int",
        /// Files.
        fcount: Option<u64> = "int",
    }
}

wire! {
    /// `transfer` (附件文件转存); the table says `taskid`, the sample `task_id`.
    Transferred {
        /// 0: it is done.
        taskid: Option<String> = "text::<_, ID>",
        /// The same.
        task_id: Option<String> = "text::<_, ID>",
        /// Empty or a number: not 0 is a failure.
        newno: Option<i64> = "int",
        /// How each file fared.
        info: Vec<Perhaps<Fared>> = "list::<_, _, MAX_SAVED>",
        /// From where to where.
        extra: Option<Extra> = "object",
    }
}

wire! {
    /// From where to where each file went.
    Extra {
        /// Each file.
        list: Vec<Perhaps<Way>> = "list::<_, _, MAX_SAVED>",
    }
}

wire! {
    /// From where to where one file went.
    Way {
        /// Path in the share.
        from: Option<String> = "text::<_, TEXT>",
        /// Own path.
        to: Option<String> = "text::<_, TEXT>",
    }
}

/// The most files that one transfer may name (其他说明: super members).
const MAX_SAVED: usize = 50_000;
