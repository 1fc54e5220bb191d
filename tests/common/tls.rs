//! A certificate authority of a test's own, made with openssl(1).

use std::path::Path;
use std::process::Command;

use super::disks::is_done;

/// A certificate for a host's name, signed by an authority that nobody knows; its files lie in `folder`.
/// None where there is no openssl.
pub fn certificate(folder: &Path, name: &str) -> Option<cloudsim::Tls> {
    let tls = cloudsim::Tls {
        name: name.into(),
        certificate: folder.join("cloud.pem"),
        key: folder.join("cloud.key"),
        ca: folder.join("ca.pem"),
    };
    let request = |key: &Path, pem: &Path, common: &str| {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(["-days", "30", "-subj", common, "-keyout"]).arg(key).arg("-out").arg(pem);
        openssl
    };
    let ca_key = folder.join("ca.key");
    let mut authority = request(&ca_key, &tls.ca, "/CN=xpand test root");
    let mut leaf = request(&tls.key, &tls.certificate, "/CN=xpand test cloud");
    leaf.arg("-CA").arg(&tls.ca).arg("-CAkey").arg(&ca_key);
    leaf.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    leaf.args(["-addext", &format!("subjectAltName=DNS:{name}")]);
    (is_done(&mut authority) && is_done(&mut leaf)).then_some(tls)
}
