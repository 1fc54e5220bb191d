//! The calls of a cloud that knows the box as a device of the account ([`Devices`]).

use super::{BoxFuture, Result};

/// The device calls of a cloud: `device.rs` is their only user.
pub trait Devices: Send + Sync {
    /// Makes the device known to the vendor and returns its id. Needs no login.
    fn register<'a>(&'a self, kind: &'a str, address: &'a str) -> BoxFuture<'a, Result<String>>;
    /// Ties the device to the account that is logged in.
    fn bind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Unties it.
    fn unbind<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Whether it is tied to the account that is logged in.
    fn is_bound<'a>(&'a self, device: &'a str) -> BoxFuture<'a, Result<bool>>;
    /// One page of what changed among the account's devices since `cursor`; empty is the beginning.
    fn diff<'a>(&'a self, cursor: &'a str) -> BoxFuture<'a, Result<DeviceChanges>>;
    /// The account's devices.
    fn all(&self) -> BoxFuture<'_, Result<Vec<DeviceEntry>>>;
}

/// One page of [`Devices::diff`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeviceChanges {
    /// Where the next page, or the next diff, begins.
    pub cursor: String,
    /// Whether there is more to fetch now.
    pub more: bool,
    /// The devices that changed.
    pub devices: Vec<DeviceEntry>,
}

/// A device as the cloud knows it.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct DeviceEntry {
    /// `device_id`
    pub id: String,
    /// `device_type`
    #[serde(rename = "type")]
    pub kind: String,
    /// Tied to the account.
    pub bound: bool,
    /// 1 loudspeaker, 2 television, 3 NAS.
    pub category: i64,
    /// Named by the user.
    pub name: String,
    /// Who made it.
    pub provider: String,
    /// What it is sold as.
    pub brand: String,
}
