//! Slices of an upload that have arrived, each a file of its own in the upload's folder:
//! `<number>-<md5>`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Slices by their number.
pub(crate) type Slices = BTreeMap<u32, Slice>;

/// A slice that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) md5: String,
    pub(crate) size: u64,
    pub(crate) file: PathBuf,
}

/// Keeps a slice that arrived whole in `file`; the same number again replaces it.
pub(crate) fn keep(
    slices: &mut Slices,
    folder: &Path,
    number: u32,
    md5: &str,
    size: u64,
    file: &Path,
) -> io::Result<()> {
    let place = folder.join(format!("{number}-{md5}"));
    fs::rename(file, &place)?;
    let slice = Slice { md5: md5.into(), size, file: place.clone() };
    if let Some(old) = slices.insert(number, slice)
        && old.file != place
    {
        let _ = fs::remove_file(old.file);
    }
    Ok(())
}

/// The slices that an earlier run left in a folder.
pub(crate) fn find(folder: &Path) -> io::Result<Slices> {
    let mut slices = Slices::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let Some((number, md5)) = name.to_str().and_then(|name| name.split_once('-')) else {
            continue;
        };
        if let Ok(number) = number.parse() {
            let slice = Slice { md5: md5.into(), size: file.metadata()?.len(), file: file.path() };
            slices.insert(number, slice);
        }
    }
    Ok(slices)
}
