//! MD5 of one stream, and of two that see the same bytes.
//!
//! A file's MD5 and its slices' MD5s run over the same bytes, but neither can be had from the other. One
//! MD5 keeps a core waiting for itself: each step needs the one before. Two of them, interleaved, fill
//! each other's gaps, so the second costs little - where two passes, or two calls of a library, would
//! cost double. The single stream is the `md-5` crate's own.

use crate::content::Md5;

const BLOCK: usize = 64;

/// An MD5 on its way.
#[derive(Clone)]
pub(super) struct Running {
    state: [u32; 4],
    /// Bytes so far.
    length: u64,
    /// The last `length % 64` bytes.
    partial: [u8; BLOCK],
}

impl Running {
    pub(super) fn new() -> Self {
        Self { state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476], length: 0, partial: [0; BLOCK] }
    }

    fn held(&self) -> usize {
        usize::try_from(self.length % BLOCK as u64).unwrap_or_default()
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let held = self.held();
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let (first, rest) = bytes.split_at(bytes.len().min(BLOCK - held));
            self.partial[held..held + first.len()].copy_from_slice(first);
            if held + first.len() < BLOCK {
                return;
            }
            md5::block_api::compress(&mut self.state, &[self.partial]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        md5::block_api::compress(&mut self.state, blocks);
        self.partial[..rest.len()].copy_from_slice(rest);
    }

    /// Shows both the same bytes.
    pub(super) fn update_both(one: &mut Self, two: &mut Self, bytes: &[u8]) {
        if one.held() != 0 || two.held() != 0 {
            one.update(bytes);
            two.update(bytes);
            return;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            compress_both(&mut one.state, &mut two.state, block);
        }
        for stream in [one, two] {
            stream.length = stream.length.wrapping_add(bytes.len() as u64);
            stream.partial[..rest.len()].copy_from_slice(rest);
        }
    }

    pub(super) fn finish(mut self) -> Md5 {
        let bits = self.length.wrapping_mul(8);
        let held = self.held();
        let zeros = (2 * BLOCK - 9 - held) % BLOCK;
        let mut end = [0; 2 * BLOCK];
        end[0] = 0x80;
        end[1 + zeros..9 + zeros].copy_from_slice(&bits.to_le_bytes());
        self.update(&end[..9 + zeros]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        Md5(digest)
    }
}

/// The sines of RFC 1321.
const K: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

#[inline]
fn compress_both(one: &mut [u32; 4], two: &mut [u32; 4], block: &[u8; BLOCK]) {
    let mut m = [0u32; 16];
    for (word, bytes) in m.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let [mut a, mut b, mut c, mut d] = *one;
    let [mut e, mut f, mut g, mut h] = *two;

    macro_rules! step {
        ($round:ident, $i:expr, $m:expr, $s:expr, $a:ident $b:ident $c:ident $d:ident, $e:ident $f:ident $g:ident $h:ident) => {
            let shared = m[$m].wrapping_add(K[$i]);
            $a = $round($a.wrapping_add(shared), $b, $c, $d).rotate_left($s).wrapping_add($b);
            $e = $round($e.wrapping_add(shared), $f, $g, $h).rotate_left($s).wrapping_add($f);
        };
    }
    macro_rules! four {
        ($round:ident, $i:expr, [$m0:expr, $m1:expr, $m2:expr, $m3:expr], [$s0:expr, $s1:expr, $s2:expr, $s3:expr]) => {
            step!($round, $i, $m0, $s0, a b c d, e f g h);
            step!($round, $i + 1, $m1, $s1, d a b c, h e f g);
            step!($round, $i + 2, $m2, $s2, c d a b, g h e f);
            step!($round, $i + 3, $m3, $s3, b c d a, f g h e);
        };
    }
    four!(first, 0, [0, 1, 2, 3], [7, 12, 17, 22]);
    four!(first, 4, [4, 5, 6, 7], [7, 12, 17, 22]);
    four!(first, 8, [8, 9, 10, 11], [7, 12, 17, 22]);
    four!(first, 12, [12, 13, 14, 15], [7, 12, 17, 22]);
    four!(second, 16, [1, 6, 11, 0], [5, 9, 14, 20]);
    four!(second, 20, [5, 10, 15, 4], [5, 9, 14, 20]);
    four!(second, 24, [9, 14, 3, 8], [5, 9, 14, 20]);
    four!(second, 28, [13, 2, 7, 12], [5, 9, 14, 20]);
    four!(third, 32, [5, 8, 11, 14], [4, 11, 16, 23]);
    four!(third, 36, [1, 4, 7, 10], [4, 11, 16, 23]);
    four!(third, 40, [13, 0, 3, 6], [4, 11, 16, 23]);
    four!(third, 44, [9, 12, 15, 2], [4, 11, 16, 23]);
    four!(fourth, 48, [0, 7, 14, 5], [6, 10, 15, 21]);
    four!(fourth, 52, [12, 3, 10, 1], [6, 10, 15, 21]);
    four!(fourth, 56, [8, 15, 6, 13], [6, 10, 15, 21]);
    four!(fourth, 60, [4, 11, 2, 9], [6, 10, 15, 21]);

    for (state, word) in one.iter_mut().zip([a, b, c, d]) {
        *state = state.wrapping_add(word);
    }
    for (state, word) in two.iter_mut().zip([e, f, g, h]) {
        *state = state.wrapping_add(word);
    }
}

#[inline(always)]
fn first(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(d ^ (b & (c ^ d)))
}

/// The two halves of the choice share no bit, so they may be added one after the other: the one that
/// needs `b`, the newest word, last.
#[inline(always)]
fn second(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(!d & c).wrapping_add(d & b)
}

#[inline(always)]
fn third(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(b ^ (c ^ d))
}

#[inline(always)]
fn fourth(sum: u32, b: u32, c: u32, d: u32) -> u32 {
    sum.wrapping_add(c ^ (b | !d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_or_two_streams_in_any_pieces_agree_with_the_library(
            head in prop::collection::vec(any::<u8>(), 0..200),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        ) {
            let (mut one, mut two) = (Running::new(), Running::new());
            one.update(&head);
            for piece in &pieces {
                Running::update_both(&mut one, &mut two, piece);
            }
            let tail = pieces.concat();
            prop_assert_eq!(one.finish(), Md5::of([&head[..], &tail].concat()));
            prop_assert_eq!(two.finish(), Md5::of(tail));
        }
    }

    #[test]
    fn every_length_around_a_block_is_padded_right() {
        for length in 0..200 {
            let bytes = vec![b'x'; length];
            let mut running = Running::new();
            running.update(&bytes);
            assert_eq!(running.finish(), Md5::of(&bytes), "{length}");
        }
    }
}
