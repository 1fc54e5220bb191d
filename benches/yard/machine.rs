//! What the figures were measured on.

use std::fs;
use std::path::Path;

/// Processor, cores, memory, kernel and the file system of `folder`, in a line.
pub(crate) fn name(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = line("/proc/meminfo", "MemTotal").and_then(|text| kib(&text));
    let memory = memory.map_or("?".into(), |kib| format!("{:.1} GiB", kib as f64 / f64::from(1 << 20)));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What a distribution or a maker calls it besides says nothing here.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "xpand {version} on {}, {cores} cores, {memory} of memory, Linux {}, {}",
        processor(),
        kernel,
        file_system(folder)
    )
}

fn processor() -> String {
    // Boxes with ARM cores tell their board's name, the others their processor's.
    let board = || fs::read_to_string("/proc/device-tree/model").ok();
    let name = line("/proc/cpuinfo", "model name").or_else(board);
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim_matches(['\0', ' ']).to_owned())
}

fn line(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let found = text.lines().find(|line| line.starts_with(name))?;
    Some(found.split_once(':')?.1.trim().to_owned())
}

fn kib(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The kind of the mount that the folder is below.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        folder.starts_with(place).then_some((place.len(), kind))
    });
    above.max_by_key(|(length, _)| *length).map_or("?", |(_, kind)| kind).to_owned()
}
