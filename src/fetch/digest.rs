//! The MD5s of what comes home, taken as it passes: of the whole, and of the slices it may have been cut in.
//!
//! A file's own MD5 is best; the index knows it, and a server may tell it. Without either there is the md5
//! that the cloud lists, which for a large file is that of its slices' MD5s (field notes 3.7). How it was
//! cut is not listed, so it is cut in every way that a membership cuts. What that means is the cloud's own
//! business: [`crate::cloud::Drive::has_content`].

use md5::{Digest as _, Md5 as Context};

use crate::cloud::Content;
use crate::content::Md5;

/// MD5s on their way.
#[derive(Clone)]
pub(super) struct Digest {
    size: u64,
    whole: Context,
    cuts: Vec<Cut>,
}

#[derive(Clone)]
struct Cut {
    slice_size: u64,
    /// Bytes that the slice lacks.
    room: u64,
    slice: Context,
    slices: Vec<Md5>,
}

impl Digest {
    /// Of nothing yet; also of slices of these sizes, bytes.
    pub(super) fn new(slice_sizes: &[u64]) -> Self {
        let cut = |&slice_size: &u64| Cut {
            slice_size,
            room: slice_size,
            slice: Context::new(),
            slices: Vec::new(),
        };
        let cuts = slice_sizes.iter().filter(|&&size| size > 0).map(cut).collect();
        Self { size: 0, whole: Context::new(), cuts }
    }

    /// Bytes so far.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The whole's MD5 is enough.
    pub(super) fn forget_slices(&mut self) {
        self.cuts.clear();
    }

    /// The next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.whole.update(bytes);
        for cut in &mut self.cuts {
            cut.update(bytes);
        }
    }

    /// What it all comes to.
    pub(super) fn end(&self) -> Content {
        let cuts = self.cuts.iter().cloned().map(Cut::end).collect();
        Content { size: self.size, md5: Md5(self.whole.clone().finalize().into()), cuts }
    }
}

impl Cut {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let now = usize::try_from(self.room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let (these, rest) = bytes.split_at(now);
            self.slice.update(these);
            self.room -= now as u64;
            bytes = rest;
            if self.room == 0 {
                self.slices.push(Md5(self.slice.finalize_reset().into()));
                self.room = self.slice_size;
            }
        }
    }

    fn end(mut self) -> Vec<Md5> {
        if self.room < self.slice_size {
            self.slices.push(Md5(self.slice.finalize().into()));
        }
        self.slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_cut_as_an_upload_cuts_them_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..100_u8).collect();
        for piece in [1, 7, 10, 33, 100] {
            let mut digest = Digest::new(&[10, 32, 100, 400]);
            bytes.chunks(piece).for_each(|piece| digest.update(piece));
            let content = digest.end();
            assert_eq!((content.size, content.md5), (100, Md5::of(&bytes)));
            for (cut, slice) in content.cuts.iter().zip([10, 32, 100, 400]) {
                let slices: Vec<Md5> = bytes.chunks(slice).map(Md5::of).collect();
                assert_eq!(*cut, slices, "{piece} {slice}");
            }
        }
    }
}
