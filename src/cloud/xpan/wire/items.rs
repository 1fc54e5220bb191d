//! The answers of the calls for a person at a shell: lists of every kind, counts, batches, tasks,
//! previews.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ID, MAX_ENTRIES, TEXT};
use crate::cloud::lenient::{Perhaps, Scalar, int, list, map, text};

/// The most items of a batch or a task that are looked at.
const MAX_ITEMS: usize = 10_000;

wire! {
    /// A file or folder with all that any call tells of it.
    Item {
        /// `fs_id`
        fs_id: Option<String> = "text::<_, ID>",
        /// Absolute path.
        path: Option<String> = "text::<_, TEXT>",
        /// The name; `list` and most others.
        server_filename: Option<String> = "text::<_, TEXT>",
        /// The name as `filemetas` gives it.
        filename: Option<String> = "text::<_, TEXT>",
        /// The name as the documents' table for `filemetas` has it (field notes 6).
        file_name: Option<String> = "text::<_, TEXT>",
        /// 1 for a folder.
        isdir: Option<u8> = "int",
        /// Bytes.
        size: Option<u64> = "int",
        /// 1 to 7.
        category: Option<u8> = "int",
        /// The cloud's md5, see `cloud_md5.rs`.
        md5: Option<String> = "text::<_, ID>",
        /// Seconds since 1970.
        local_ctime: Option<i64> = "int",
        /// Seconds since 1970.
        local_mtime: Option<i64> = "int",
        /// Seconds since 1970.
        server_ctime: Option<i64> = "int",
        /// Seconds since 1970.
        server_mtime: Option<i64> = "int",
        /// 1: no folders in it.
        dir_empty: Option<u8> = "int",
        /// `icon`, `url1`, `url2`, `url3`.
        thumbs: BTreeMap<String, Scalar> = "map::<_, _, 16>",
        /// Where the content is.
        dlink: Option<String> = "text::<_, TEXT>",
        /// Where the preview is.
        lodocpreview: Option<String> = "text::<_, TEXT>",
        /// Where it is without what `newinfo` needs.
        docpreview: Option<String> = "text::<_, TEXT>",
        /// Seconds since 1970.
        date_taken: Option<i64> = "int",
        /// Pixels.
        width: Option<u32> = "int",
        /// Pixels.
        height: Option<u32> = "int",
    }
}

wire! {
    /// Every list there is: the entries are `list`, or `info` in doclist and its like (field notes 6).
    Items {
        /// list, listall, categorylist, search, filemetas, share list.
        list: Vec<Perhaps<Item>> = "list::<_, _, MAX_ENTRIES>",
        /// doclist, imagelist, videolist, btlist.
        info: Vec<Perhaps<Item>> = "list::<_, _, MAX_ENTRIES>",
        /// Where the next page begins.
        cursor: Option<u64> = "int",
        /// Whether there is one.
        has_more: Option<u8> = "int",
    }
}

wire! {
    /// How many files of one category there are.
    Counted {
        /// Files.
        count: Option<u64> = "int",
        /// Bytes.
        size: Option<u64> = "int",
    }
}

wire! {
    /// `categoryinfo` (获取分类文件总个数): the table knows `count` only, the sample an object for each category.
    Counts {
        /// By category.
        info: BTreeMap<String, Perhaps<Counted>> = "map::<_, _, 16>",
        /// Files.
        count: Option<u64> = "int",
        /// Bytes.
        size: Option<u64> = "int",
    }
}

wire! {
    /// How one item of a batch fared.
    Fared {
        /// 0: done, as far as `newno` does not say otherwise.
        errno: Option<i64> = "int",
        /// In a task's list.
        error_code: Option<i64> = "int",
        /// Empty or a number: -8 with `errno` 0 is a copy onto something that exists (field notes 3.8).
        newno: Option<i64> = "int",
        /// As it was asked for.
        path: Option<String> = "text::<_, TEXT>",
        /// The same in a task's list.
        from: Option<String> = "text::<_, TEXT>",
        /// Of a transfer's item.
        fsid: Option<String> = "text::<_, ID>",
    }
}

wire! {
    /// `filemanager` (管理文件).
    Managed {
        /// 0 or absent: it is done.
        taskid: Option<String> = "text::<_, ID>",
        /// How each item fared.
        info: Vec<Perhaps<Fared>> = "list::<_, _, MAX_ITEMS>",
    }
}

wire! {
    /// `taskquery` (field notes 3.8).
    Task {
        /// `pending`, `running`, `success`, `failed`.
        status: Option<String> = "text::<_, ID>",
        /// 0: nothing is wrong.
        task_errno: Option<i64> = "int",
        /// How each item fared.
        list: Vec<Perhaps<Fared>> = "list::<_, _, MAX_ITEMS>",
    }
}

wire! {
    /// `newinfo` (获取文档列表, 其他说明).
    Part {
        /// Parts in all.
        page_num: Option<u32> = "int",
        /// Names the part.
        ndb_key: Option<String> = "text::<_, TEXT>",
        /// Where it lies.
        region: Option<String> = "text::<_, ID>",
    }
}
