//! The answers of Baidu's calls as they come over the wire: every field may be missing, numbers may be
//! strings, lists are bounded (field notes 6).

use serde::Deserialize;

use crate::cloud::lenient::{int, list, object, text, wire};

/// The most entries we take in one list; the documents allow 10,000 a page (xpan-api, 获取文件列表).
pub(super) const MAX_ENTRIES: usize = 10_000;
/// The most slice numbers; 1024 are documented, 2048 measured (field notes 3.4).
const MAX_SLICES: usize = 4096;

/// The longest id, session and cursor, bytes: they are kept on disk and sent back. The documents' longest
/// example has about a hundred.
const ID: usize = 1024;
/// The longest token, bytes: an ordinary one has about a hundred.
const TOKEN: usize = 4096;
/// The longest of all other texts, bytes: a path of 4096, its letters written as `%XX`.
pub(super) const TEXT: usize = 16 << 10;

/// An answer that says no more than that it worked.
#[derive(Deserialize, Debug)]
pub(super) struct Nothing {}

pub(super) mod items;
pub(super) mod shares;

wire! {
    /// `uinfo` (获取用户信息).
    UserInfo {
        /// The Baidu account.
        baidu_name: Option<String> = "text::<_, TEXT>",
        /// The drive's own name of the user.
        netdisk_name: Option<String> = "text::<_, TEXT>",
        /// 0 ordinary, 1 member, 2 super member.
        vip_type: Option<u8> = "int",
        /// User id.
        uk: Option<String> = "text::<_, ID>",
    }
}

wire! {
    /// `/api/quota` (获取网盘容量信息), bytes.
    QuotaInfo {
        /// In all.
        total: Option<u64> = "int",
        /// In use.
        used: Option<u64> = "int",
        /// Whether some of it ends within seven days.
        expire: Option<u8> = "int",
    }
}

wire! {
    /// A file or folder, wherever one is described: list, listall, filemetas, create, `info` of precreate.
    File {
        /// `fs_id`
        fs_id: Option<String> = "text::<_, ID>",
        /// Absolute path.
        path: Option<String> = "text::<_, TEXT>",
        /// `create` gives the full path here (field notes 3.5).
        name: Option<String> = "text::<_, TEXT>",
        /// Bytes.
        size: Option<u64> = "int",
        /// 1 for a folder.
        isdir: Option<u8> = "int",
        /// The cloud's md5, see `cloud_md5.rs`.
        md5: Option<String> = "text::<_, TEXT>",
    }
}

wire! {
    /// `list` (获取文件列表), `listall` (递归获取文件列表) and `filemetas` (查询文件信息).
    Listing {
        /// The entries.
        list: Vec<File> = "list::<_, _, MAX_ENTRIES>",
        /// `listall`: where the next page begins.
        cursor: Option<u64> = "int",
        /// `listall`: whether there is one.
        has_more: Option<u8> = "int",
    }
}

wire! {
    /// `precreate` (预上传).
    Precreate {
        /// The session.
        uploadid: Option<String> = "text::<_, ID>",
        /// 1: slices wanted, 2: the cloud has the content.
        return_type: Option<u8> = "int",
        /// The slices wanted; the documents' table calls it a string, their sample shows a list.
        block_list: Option<Vec<u32>> = "numbers",
        /// With `return_type` 2: the file.
        info: Option<File> = "object",
    }
}

wire! {
    /// `superfile2` (分片上传).
    Slice {
        /// MD5 of what arrived.
        md5: Option<String> = "text::<_, TEXT>",
    }
}

wire! {
    /// One of `locateupload`'s servers.
    Server {
        /// `https://…`
        server: Option<String> = "text::<_, TEXT>",
    }
}

wire! {
    /// `locateupload` (field notes 3.3).
    Located {
        /// In the order they are to be tried.
        servers: Vec<Server> = "list::<_, _, 64>",
        /// After those.
        bak_servers: Vec<Server> = "list::<_, _, 64>",
        /// A bare host name, after those.
        host: Option<String> = "text::<_, TEXT>",
    }
}

wire! {
    /// `device/code` (field notes 1.1).
    DeviceCodeAnswer {
        /// Secret.
        device_code: Option<String> = "text::<_, TOKEN>",
        /// What the user types.
        user_code: Option<String> = "text::<_, ID>",
        /// Where.
        verification_url: Option<String> = "text::<_, TEXT>",
        /// A QR code that does both.
        qrcode_url: Option<String> = "text::<_, TEXT>",
        /// Seconds.
        expires_in: Option<u64> = "int",
        /// Seconds.
        interval: Option<u64> = "int",
    }
}

wire! {
    /// `register` (xpan-device, 设备注册).
    Registered {
        /// The id.
        device_id: Option<String> = "text::<_, ID>",
    }
}

wire! {
    /// `checkbind` (xpan-device, 检查设备绑定关系).
    Checked {
        /// 1 bound, 0 not.
        status: Option<u8> = "int",
    }
}

wire! {
    /// One device of `diff` and `list` (xpan-device, 设备列表).
    Device {
        /// The id.
        device_id: Option<String> = "text::<_, ID>",
        /// Given out by the vendor.
        device_type: Option<String> = "text::<_, ID>",
        /// 1 bound, 0 not.
        status: Option<u8> = "int",
        /// 1 loudspeaker, 2 television, 3 NAS.
        device_category: Option<i64> = "int",
        /// The user's name for it.
        device_name: Option<String> = "text::<_, TEXT>",
        /// Maker.
        device_provider: Option<String> = "text::<_, TEXT>",
        /// Product.
        device_brand: Option<String> = "text::<_, TEXT>",
    }
}

wire! {
    /// `diff` (device_list) and `list` (list) of devices.
    Devices {
        /// Where the next diff begins.
        cursor: Option<String> = "text::<_, ID>",
        /// 1 when there is more now.
        has_more: Option<u8> = "int",
        /// The devices, in `list`.
        list: Vec<Device> = "list::<_, _, MAX_ENTRIES>",
        /// The devices, in `diff`.
        device_list: Vec<Device> = "list::<_, _, MAX_ENTRIES>",
    }
}

wire! {
    /// The token answer of OAuth (field notes 1.1, 1.3).
    secret TokenAnswer {
        /// Secret.
        access_token: Option<String> = "text::<_, TOKEN>",
        /// Secret, single-use.
        refresh_token: Option<String> = "text::<_, TOKEN>",
        /// Seconds.
        expires_in: Option<u64> = "int",
    }
}

/// Slice numbers: a list of numbers or of strings, or a string with such a list in it.
fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u32>>, D::Error> {
    struct Visitor;
    impl<'de> serde::de::Visitor<'de> for Visitor {
        type Value = Option<Vec<u32>>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("slice numbers")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            if text.trim().is_empty() {
                return Ok(Some(Vec::new()));
            }
            let mut inner = serde_json::Deserializer::from_str(text);
            numbers(&mut inner).map_err(E::custom)
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut numbers = Vec::new();
            while let Some(number) = seq.next_element::<crate::cloud::lenient::Scalar>()? {
                let number = number.int().and_then(|number| u32::try_from(number).ok());
                match number {
                    Some(number) if numbers.len() < MAX_SLICES => numbers.push(number),
                    _ => return Err(serde::de::Error::custom("not a list of slice numbers")),
                }
            }
            Ok(Some(numbers))
        }
    }
    deserializer.deserialize_any(Visitor)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn slice_numbers_are_read_in_every_form_and_junk_is_refused() {
        let read = |json: &str| {
            let json = format!(r#"{{"block_list":{json}}}"#);
            serde_json::from_str::<Precreate>(&json).map(|answer| answer.block_list)
        };
        assert_eq!(read("[0,1,2]").unwrap(), Some(vec![0, 1, 2]));
        assert_eq!(read(r#"["0","2"]"#).unwrap(), Some(vec![0, 2]));
        assert_eq!(read(r#""[0,1]""#).unwrap(), Some(vec![0, 1]));
        assert_eq!(read("[]").unwrap(), Some(vec![]));
        assert_eq!(read(r#""""#).unwrap(), Some(vec![]));
        assert_eq!(read("null").unwrap(), None);
        for junk in ["[-1]", "[null]", "[\"x\"]", "\"x\"", &format!("[{}0]", "0,".repeat(5000))] {
            assert!(read(junk).is_err(), "{}", &junk[..junk.len().min(20)]);
        }
    }

    #[test]
    fn the_documents_samples_are_read() {
        let present: Precreate = serde_json::from_str(
            r#"{"return_type":2,"errno":0,"info":{"size":2626327,"category":6,"isdir":0,"request_id":273435691682366413,
            "path":"/baidu/test/test.zip","fs_id":657059106724647,"md5":"60bac7b6464d84fed842955e6126826a"}}"#,
        )
        .unwrap();
        assert_eq!(present.info.unwrap().fs_id.unwrap(), "657059106724647");
        let meta: Listing =
            serde_json::from_str(r#"{"list":[{"filename":"a","isdir":"0","size":"7"}]}"#).unwrap();
        assert_eq!((meta.list[0].size, meta.list[0].isdir), (Some(7), Some(0)));
        let devices: Devices =
            serde_json::from_str(r#"{"cursor":null,"device_list":[{"device_type":2}]}"#).unwrap();
        assert_eq!(devices.device_list[0].device_type.as_deref(), Some("2"));
    }
}
