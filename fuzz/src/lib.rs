//! Where bytes that others made come in: one function for each way, which must not panic whatever it is
//! given, and asserts what must hold whatever was read.
//!
//! The fuzz targets call these, and so does `tests/hostile_input.rs` in the ordinary run. They use the
//! public interface of xpand alone.

mod cloud;
mod control;
mod local;
mod names;
mod pan123;
mod server;
mod shell;

pub use cloud::answers;
pub use control::control;
pub use local::{config, files, pictures, records};
pub use names::{filters, names};
pub use pan123::pan123;

/// One way in: its name, which is also that of its folder in `seeds`, and what to call.
pub type Entry = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Entry; 9] = [
    ("answers", answers),
    ("control", control),
    ("config", config),
    ("files", files),
    ("filters", filters),
    ("names", names),
    ("pan123", pan123),
    ("pictures", pictures),
    ("records", records),
];

/// The pieces of an input: everything up to each `0xff`, which no UTF-8 text has.
fn pieces<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut rest = data.splitn(N, |&byte| byte == 0xff);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

/// A folder in memory where there is one.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("xpand-fuzz-");
        builder
    };
    builder().tempdir_in(memory).or_else(|_| builder().tempdir()).expect("a folder for temporary files")
}

/// A runtime for one thread.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
