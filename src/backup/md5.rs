//! MD5 of one stream, and of two that see the same bytes.
//!
//! A file's MD5 and its slices' MD5s run over the same bytes, but neither can be had from the other. One
//! MD5 keeps a core waiting for itself: each step needs the one before. Two of them, interleaved, fill
//! each other's gaps, so the second costs a tenth where the core is ours alone, and a third where another
//! thread of the machine's shares it; a second pass, or a second call of a library, would cost as much again.
//! One stream is as fast as OpenSSL's assembler, and a quarter faster than the `md-5` crate, which is its
//! judge in the tests.

use std::hint::black_box;

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
            one_stream(&mut self.state, &[self.partial]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        one_stream(&mut self.state, blocks);
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
        two_streams(&mut one.state, &mut two.state, blocks);
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

/// In a debug build the library is optimised and we are not. A function of its own: within another one it would
/// share the registers, of which there are too few as it is.
#[inline(never)]
fn one_stream(state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
    if cfg!(debug_assertions) {
        md5::block_api::compress(state, blocks);
    } else {
        blocks.iter().for_each(|block| compress(state, block));
    }
}

#[inline(never)]
fn two_streams(one: &mut [u32; 4], two: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
    if cfg!(debug_assertions) {
        md5::block_api::compress(one, blocks);
        md5::block_api::compress(two, blocks);
    } else {
        blocks.iter().for_each(|block| compress_both(one, two, block));
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

/// All steps of RFC 1321: the round's function, the number of the step, the word of the block, the bits to
/// turn by, and by how much the four words of the state have changed places. Between two rounds the step is
/// told `again`: the compiler would keep the words of the block from round to round, and has no registers for that.
macro_rules! all_steps {
    ($step:ident) => {
        all_steps!($step first 0 [7 12 17 22] [0 1 2 3] [4 5 6 7] [8 9 10 11] [12 13 14 15]);
        $step!(again);
        all_steps!($step second 16 [5 9 14 20] [1 6 11 0] [5 10 15 4] [9 14 3 8] [13 2 7 12]);
        $step!(again);
        all_steps!($step third 32 [4 11 16 23] [5 8 11 14] [1 4 7 10] [13 0 3 6] [9 12 15 2]);
        $step!(again);
        all_steps!($step fourth 48 [6 10 15 21] [0 7 14 5] [12 3 10 1] [8 15 6 13] [4 11 2 9]);
    };
    ($step:ident $round:ident $i:literal $turns:tt $one:tt $two:tt $three:tt $four:tt) => {
        all_steps!($step $round $i $turns $one);
        all_steps!($step $round ($i + 4) $turns $two);
        all_steps!($step $round ($i + 8) $turns $three);
        all_steps!($step $round ($i + 12) $turns $four);
    };
    ($step:ident $round:ident $i:tt [$s0:literal $s1:literal $s2:literal $s3:literal]
        [$m0:literal $m1:literal $m2:literal $m3:literal]) => {
        $step!($round, $i, $m0, $s0, 0 1 2 3);
        $step!($round, $i + 1, $m1, $s1, 3 0 1 2);
        $step!($round, $i + 2, $m2, $s2, 2 3 0 1);
        $step!($round, $i + 3, $m3, $s3, 1 2 3 0);
    };
}

// What ships is built to be small, and small code calls what is called twice. Here a call a block is a tenth of the
// time, so that these are told to be no calls, and are written without iterators, whose own calls they would keep.

/// The word of a block.
#[inline(always)]
fn word(block: &[u8; BLOCK], number: usize) -> u32 {
    let at = number * 4;
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

#[inline(always)]
fn add(state: &mut [u32; 4], words: [u32; 4]) {
    let [a, b, c, d] = words;
    state[0] = state[0].wrapping_add(a);
    state[1] = state[1].wrapping_add(b);
    state[2] = state[2].wrapping_add(c);
    state[3] = state[3].wrapping_add(d);
}

fn compress(state: &mut [u32; 4], mut block: &[u8; BLOCK]) {
    // The compiler must not know these numbers: it would add them last, in the one chain of steps that
    // everything waits for, where now they are added to the block's words in time. A fifth of the speed; of
    // two streams, which wait less, a fiftieth.
    let k = black_box(&K);
    let mut x = *state;
    macro_rules! step {
        (again) => {
            block = black_box(block);
        };
        ($round:ident, $i:expr, $m:literal, $s:literal, $a:literal $b:literal $c:literal $d:literal) => {
            let sum = x[$a].wrapping_add(word(block, $m).wrapping_add(k[$i]));
            x[$a] = $round(sum, x[$b], x[$c], x[$d]).rotate_left($s).wrapping_add(x[$b]);
        };
    }
    all_steps!(step);
    add(state, x);
}

fn compress_both(one: &mut [u32; 4], two: &mut [u32; 4], mut block: &[u8; BLOCK]) {
    let k = black_box(&K);
    let (mut x, mut y) = (*one, *two);
    macro_rules! step {
        (again) => {
            block = black_box(block);
        };
        ($round:ident, $i:expr, $m:literal, $s:literal, $a:literal $b:literal $c:literal $d:literal) => {
            let shared = word(block, $m).wrapping_add(k[$i]);
            x[$a] =
                $round(x[$a].wrapping_add(shared), x[$b], x[$c], x[$d]).rotate_left($s).wrapping_add(x[$b]);
            y[$a] =
                $round(y[$a].wrapping_add(shared), y[$b], y[$c], y[$d]).rotate_left($s).wrapping_add(y[$b]);
        };
    }
    all_steps!(step);
    add(one, x);
    add(two, y);
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
        fn our_steps_are_those_of_the_library(
            one: [u32; 4],
            two: [u32; 4],
            block in prop::collection::vec(any::<u8>(), BLOCK),
        ) {
            let block: [u8; BLOCK] = block.try_into().unwrap_or([0; BLOCK]);
            let (mut expected_one, mut expected_two) = (one, two);
            md5::block_api::compress(&mut expected_one, &[block]);
            md5::block_api::compress(&mut expected_two, &[block]);
            let (mut alone, mut first, mut second) = (one, one, two);
            compress(&mut alone, &block);
            compress_both(&mut first, &mut second, &block);
            prop_assert_eq!(alone, expected_one);
            prop_assert_eq!((first, second), (expected_one, expected_two));
        }

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
