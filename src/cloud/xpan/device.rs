//! The device calls (xpan-device.txt, all six sections): register, bind, unbind, checkbind, diff, list.
//!
//! Only what the documents name is sent. When to call what, and what is kept, is `device.rs` above.

use serde::de::DeserializeOwned;

use super::{Xpan, answer, wire};
use crate::cloud::{BoxFuture, DeviceChanges, DeviceEntry, Devices, Result};

const PATH: &str = "/rest/2.0/xpan/device";

impl Xpan {
    async fn on_device<T: DeserializeOwned>(&self, method: &'static str, device: &str) -> Result<T> {
        self.get(method, PATH, &[("method", method), ("device_id", device)], super::SMALL).await
    }
}

impl Devices for Xpan {
    /// 设备注册. No access token: registering comes before any login.
    fn register<'a>(&'a self, kind: &'a str, address: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let query = [("method", "register"), ("device_type", kind), ("device_addr", address)];
            let answer: wire::Registered = self.get_without_token("register", PATH, &query).await?;
            let id = answer.device_id.filter(|id| !id.is_empty());
            id.ok_or_else(|| answer::broken("register", "the answer has no device_id"))
        })
    }

    /// 设备绑定
    fn bind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let wire::Nothing {} = self.on_device("bind", device).await?;
            Ok(())
        })
    }

    /// 设备解绑
    fn unbind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let wire::Nothing {} = self.on_device("unbind", device).await?;
            Ok(())
        })
    }

    /// 检查设备绑定关系: `status` 1 is bound, 0 is not.
    fn is_bound<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let checked: wire::Checked = self.on_device("checkbind", device).await?;
            match checked.status {
                Some(0) => Ok(false),
                Some(1) => Ok(true),
                _ => Err(answer::broken("checkbind", "the answer does not say whether the device is bound")),
            }
        })
    }

    /// 设备列表diff: a form with one field `param`, a JSON text; an empty cursor is the beginning.
    fn diff<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<DeviceChanges>> {
        Box::pin(async move {
            let param = serde_json::json!({ "cursor": cursor, "category_list": [1, 2, 3] }).to_string();
            let form = [("param", param.as_str())];
            let answer: wire::Devices =
                self.post("diff", PATH, &[("method", "diff")], &form, super::LARGE).await?;
            Ok(DeviceChanges {
                cursor: answer.cursor.unwrap_or_default(),
                more: answer.has_more == Some(1),
                devices: answer.device_list.into_iter().map(entry).collect(),
            })
        })
    }

    /// 设备列表
    fn all(&self) -> BoxFuture<'_, Result<Vec<DeviceEntry>>> {
        Box::pin(async move {
            let query = [("method", "list"), ("category", "1,2,3")];
            let answer: wire::Devices = self.get("device list", PATH, &query, super::LARGE).await?;
            Ok(answer.list.into_iter().map(entry).collect())
        })
    }
}

fn entry(device: wire::Device) -> DeviceEntry {
    DeviceEntry {
        id: device.device_id.unwrap_or_default(),
        kind: device.device_type.unwrap_or_default(),
        bound: device.status == Some(1),
        category: device.device_category.unwrap_or_default(),
        name: device.device_name.unwrap_or_default(),
        provider: device.device_provider.unwrap_or_default(),
        brand: device.device_brand.unwrap_or_default(),
    }
}
