//! The device's address: the MD5 of its serial number or of a MAC address (xpan-device, 设备注册).
//!
//! A MAC address stands for the box only if it is a real card's own: docker, bridges and tunnels have
//! no hardware behind them, and made-up addresses - random ones of a WLAN card above all - have the
//! locally-administered bit.

use std::fs;
use std::path::Path;

use mac_address::MacAddress;

use crate::content::Md5;

/// Ethernet, as the kernel numbers link types.
const ETHERNET: &str = "1";

pub(super) fn of_serial(serial: &str) -> String {
    Md5::of(serial).to_string()
}

/// The address of the card that is most likely to stay, and its name.
pub(super) fn of_network_card(sysfs: &Path) -> Option<(String, String)> {
    let mut names: Vec<String> = fs::read_dir(sysfs)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    // Wired cards are built in; others are plugged and unplugged.
    names.sort_unstable_by_key(|name| (!(name.starts_with("eth") || name.starts_with("en")), name.clone()));
    names.into_iter().find_map(|name| {
        let mac = own_address(&sysfs.join(&name))?;
        // Upper case with colons, as it is printed on the box.
        Some((Md5::of(mac.to_string()).to_string(), name))
    })
}

/// The MAC address of a card that has hardware and an address given to it at the factory.
fn own_address(card: &Path) -> Option<MacAddress> {
    let read = |file: &str| fs::read_to_string(card.join(file)).map(|text| text.trim().to_owned()).ok();
    let is_real = card.join("device").exists() && read("type").is_none_or(|kind| kind == ETHERNET);
    // addr_assign_type: 0 is the hardware's own; 1 random, 2 stolen from another, 3 set by a person.
    let is_own = read("addr_assign_type").is_none_or(|how| how == "0");
    let mac: MacAddress = read("address")?.parse().ok()?;
    let [first, rest @ ..] = mac.bytes();
    let is_global = first & 0b11 == 0 && !(first == 0 && rest == [0; 5]);
    (is_real && is_own && is_global).then_some(mac)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn card(root: &Path, name: &str, mac: &str, is_real: bool, assigned: &str) {
        let folder = root.join(name);
        fs::create_dir_all(folder.join(if is_real { "device" } else { "queues" })).unwrap();
        for (file, text) in [("address", mac), ("type", "1"), ("addr_assign_type", assigned)] {
            fs::write(folder.join(file), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn only_a_real_card_with_its_own_address_counts_and_wired_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(of_network_card(root), None);
        assert_eq!(of_network_card(Path::new("/nowhere")), None);
        card(root, "lo", "00:00:00:00:00:00", false, "0");
        card(root, "docker0", "02:42:ac:11:00:01", false, "3");
        card(root, "br0", "00:11:32:aa:bb:01", false, "0");
        card(root, "veth12ab", "3e:11:32:aa:bb:02", false, "3");
        card(root, "bond0", "00:11:32:aa:bb:03", false, "2");
        card(root, "wlan1", "da:a1:19:00:00:01", true, "1");
        card(root, "eth9", "00:00:00:00:00:00", true, "0");
        assert_eq!(of_network_card(root), None);
        card(root, "wlan0", "dc:a6:32:00:00:02", true, "0");
        assert_eq!(of_network_card(root).unwrap().1, "wlan0");
        card(root, "eth1", "00:11:32:aa:bb:0d", true, "0");
        card(root, "eth0", "00:11:32:aa:bb:0c", true, "0");
        let (address, name) = of_network_card(root).unwrap();
        assert_eq!((address, name.as_str()), (Md5::of("00:11:32:AA:BB:0C").to_string(), "eth0"));
    }
}
