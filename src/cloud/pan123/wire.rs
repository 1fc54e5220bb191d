//! The answers of 123pan's calls as they come over the wire: the `data` of each. Every field may be missing,
//! numbers may be strings, lists are bounded.

use serde::{Deserialize, Deserializer};

use crate::cloud::lenient::{int, list, text, wire};

/// The longest id and session, bytes: they are kept on disk and sent back. A `preuploadID` is too long for the
/// documents to show.
const ID: usize = 4096;
/// The longest token, bytes.
const TOKEN: usize = 8192;
/// The longest of all other texts, bytes: a presigned address.
const TEXT: usize = 16 << 10;
/// Entries of a page; 100 are asked for (获取图片列表, limit).
const MAX_ENTRIES: usize = 1000;

wire! {
    /// `access_token` (获取access_token).
    secret Login {
        /// Secret.
        access_token as "accessToken": Option<String> = "text::<_, TOKEN>",
        /// RFC 3339.
        expired_at as "expiredAt": Option<String> = "text::<_, TEXT>",
    }
}

wire! {
    /// One folder of `mkdir`.
    Folder {
        /// Its name.
        filename: Option<String> = "text::<_, TEXT>",
        /// Its id.
        dir_id as "dirID": Option<String> = "text::<_, ID>",
    }
}

wire! {
    /// `mkdir` (创建目录).
    Made {
        /// The folders that were made.
        list: Vec<Folder> = "list::<_, _, MAX_ENTRIES>",
    }
}

wire! {
    /// `create` (创建文件).
    Created {
        /// With `reuse`: the file.
        file_id as "fileID": Option<String> = "text::<_, ID>",
        /// Without: the session.
        preupload_id as "preuploadID": Option<String> = "text::<_, ID>",
        /// The content was there already, and the file exists now.
        reuse: Option<u8> = "int",
        /// Bytes of every slice but the last.
        slice_size as "sliceSize": Option<u64> = "int",
    }
}

wire! {
    /// `get_upload_url` (获取上传地址&上传分片).
    secret Presigned {
        /// Where the slice goes; whoever has it may write there.
        address as "presignedURL": Option<String> = "text::<_, TEXT>",
    }
}

wire! {
    /// `upload_complete` (上传完毕) and `upload_async_result` (异步轮询获取上传结果).
    Completed {
        /// The file exists.
        completed: Option<u8> = "int",
        /// With `completed`: the file.
        file_id as "fileID": Option<String> = "text::<_, ID>",
    }
}

wire! {
    /// A picture or a folder (获取图片详情, fileList 内容).
    Item {
        /// Its id.
        file_id as "fileId": Option<String> = "text::<_, ID>",
        /// Its name.
        filename: Option<String> = "text::<_, TEXT>",
        /// 0 file, 1 folder.
        kind as "type": Option<u8> = "int",
        /// Bytes.
        size: Option<u64> = "int",
        /// MD5 of the content.
        etag: Option<String> = "text::<_, ID>",
        /// Above 100: the review rejected it.
        status: Option<i64> = "int",
        /// `2025-03-03 16:38:26`, UTC+8 (field notes 8.2).
        create_at as "createAt": Option<String> = "text::<_, ID>",
        /// Likewise.
        update_at as "updateAt": Option<String> = "text::<_, ID>",
        /// Where anybody can see it.
        download_url as "downloadURL": Option<String> = "text::<_, TEXT>",
        /// The same below a domain of the user's own.
        user_self_url as "userSelfURL": Option<String> = "text::<_, TEXT>",
        /// Bytes that were fetched from there.
        total_traffic as "totalTraffic": Option<u64> = "int",
        /// The folder it lies in.
        parent_file_id as "parentFileId": Option<String> = "text::<_, ID>",
        /// That folder's name.
        parent_filename as "parentFilename": Option<String> = "text::<_, TEXT>",
        /// Ending of the name.
        extension: Option<String> = "text::<_, ID>",
    }
}

wire! {
    /// `list` (获取图片列表).
    Listing {
        /// Where the next page begins; -1 at the end.
        last_file_id as "lastFileId": Option<String> = "text::<_, ID>",
        /// What is in the folder; null is an empty one.
        file_list as "fileList": Option<Vec<Item>> = "some_list",
    }
}

/// A list that is there, whatever it is: an answer without it is none to `list`, and no empty folder.
fn some_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Item>>, D::Error> {
    list::<_, _, MAX_ENTRIES>(deserializer).map(Some)
}
