//! A small baseline JPEG encoder: real pictures for the demo that every program can open.
//!
//! Full colour resolution, one quantisation table, and the simplest Huffman codes the format allows:
//! all of one length, so that no table has to be copied from anywhere.

use std::f32::consts::PI;

/// Bits of every code of the DC table: twelve symbols.
const DC_BITS: u32 = 4;
/// Bits of every code of the AC table: 162 symbols.
const AC_BITS: u32 = 8;

/// A JPEG of these pixels. `app1` is the whole EXIF segment's content, from `Exif\0\0` on.
pub(super) fn encode(
    width: u16,
    height: u16,
    app1: Option<&[u8]>,
    pixel: impl Fn(u16, u16) -> [u8; 3],
) -> Vec<u8> {
    let zigzag = zigzag();
    let quant: Vec<u8> = zigzag.iter().map(|&(row, column)| (3 + row + column) as u8).collect();
    let mut file = vec![0xff, 0xd8];
    match app1 {
        Some(exif) => segment(&mut file, 0xe1, exif),
        None => segment(&mut file, 0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
    }
    segment(&mut file, 0xdb, &[&[0], quant.as_slice()].concat());
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(3);
    for component in 1..=3 {
        frame.extend([component, 0x11, 0]);
    }
    segment(&mut file, 0xc0, &frame);
    let dc: Vec<u8> = (0..12).collect();
    segment(&mut file, 0xc4, &huffman(0x00, DC_BITS, &dc));
    segment(&mut file, 0xc4, &huffman(0x10, AC_BITS, &ac_symbols()));
    segment(&mut file, 0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 63, 0]);
    let mut bits = Bits { file, held: 0, count: 0 };
    let transform = Transform::new();
    let mut before = [0; 3];
    for top in (0..height).step_by(8) {
        for left in (0..width).step_by(8) {
            let blocks = blocks((left, top), (width, height), &pixel);
            for (block, before) in blocks.iter().zip(&mut before) {
                let waves = transform.forward(block);
                let level = |at: usize| {
                    let (row, column) = zigzag[at];
                    (waves[row][column] / f32::from(quant[at])).round() as i32
                };
                let levels: Vec<i32> = (0..64).map(level).collect();
                bits.block(&levels, before);
            }
        }
    }
    let mut file = bits.finish();
    file.extend([0xff, 0xd9]);
    file
}

fn segment(file: &mut Vec<u8>, marker: u8, content: &[u8]) {
    file.extend([0xff, marker]);
    file.extend((content.len() as u16 + 2).to_be_bytes());
    file.extend(content);
}

/// Row and column of each coefficient, in the order they are written.
fn zigzag() -> Vec<(usize, usize)> {
    let mut order = Vec::with_capacity(64);
    for sum in 0..15_usize {
        let rows = sum.saturating_sub(7)..=sum.min(7);
        match sum % 2 {
            0 => order.extend(rows.rev().map(|row| (row, sum - row))),
            _ => order.extend(rows.map(|row| (row, sum - row))),
        }
    }
    order
}

/// End of block, sixteen zeros, then every run of up to 15 zeros before every size up to 10 bits.
fn ac_symbols() -> Vec<u8> {
    let pairs = (0..16).flat_map(|run| (1..=10).map(move |size| run << 4 | size));
    [0x00, 0xf0].into_iter().chain(pairs).collect()
}

/// A table whose codes all have `bits` bits and are the symbols' places.
fn huffman(class: u8, bits: u32, symbols: &[u8]) -> Vec<u8> {
    let mut table = vec![class];
    table.extend((1..=16).map(|length| if length == bits { symbols.len() as u8 } else { 0 }));
    table.extend(symbols);
    table
}

/// Luminance and the two colour differences of one square, around zero. Edges are repeated.
fn blocks(
    (left, top): (u16, u16),
    (width, height): (u16, u16),
    pixel: &impl Fn(u16, u16) -> [u8; 3],
) -> [[[f32; 8]; 8]; 3] {
    let mut blocks = [[[0.0; 8]; 8]; 3];
    for row in 0..8 {
        for column in 0..8 {
            let x = (left + column).min(width - 1);
            let y = (top + row).min(height - 1);
            let [r, g, b] = pixel(x, y).map(f32::from);
            let (row, column) = (usize::from(row), usize::from(column));
            blocks[0][row][column] = 0.299 * r + 0.587 * g + 0.114 * b - 128.0;
            blocks[1][row][column] = -0.168_74 * r - 0.331_26 * g + 0.5 * b;
            blocks[2][row][column] = 0.5 * r - 0.418_69 * g - 0.081_31 * b;
        }
    }
    blocks
}

/// The cosine transform of a square.
struct Transform([[f32; 8]; 8]);

impl Transform {
    fn new() -> Transform {
        let mut waves = [[0.0; 8]; 8];
        for (frequency, wave) in waves.iter_mut().enumerate() {
            let scale = if frequency == 0 { 0.125_f32.sqrt() } else { 0.5 };
            for (at, value) in wave.iter_mut().enumerate() {
                *value = scale * ((2 * at + 1) as f32 * frequency as f32 * PI / 16.0).cos();
            }
        }
        Transform(waves)
    }

    fn forward(&self, block: &[[f32; 8]; 8]) -> [[f32; 8]; 8] {
        let dot = |a: &[f32; 8], b: &[f32; 8]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let mut across = [[0.0; 8]; 8];
        for (row, values) in block.iter().enumerate() {
            for (frequency, wave) in self.0.iter().enumerate() {
                across[frequency][row] = dot(values, wave);
            }
        }
        let mut out = [[0.0; 8]; 8];
        for (column, values) in across.iter().enumerate() {
            for (frequency, wave) in self.0.iter().enumerate() {
                out[frequency][column] = dot(values, wave);
            }
        }
        out
    }
}

/// Bits on their way into the file.
struct Bits {
    file: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn block(&mut self, levels: &[i32], before: &mut i32) {
        let step = levels[0] - *before;
        *before = levels[0];
        let size = length(step);
        self.push(size, DC_BITS);
        self.value(step, size);
        let mut zeros = 0;
        for &level in &levels[1..] {
            if level == 0 {
                zeros += 1;
                continue;
            }
            while zeros > 15 {
                self.push(1, AC_BITS);
                zeros -= 16;
            }
            let size = length(level);
            self.push(2 + zeros * 10 + size - 1, AC_BITS);
            self.value(level, size);
            zeros = 0;
        }
        if zeros > 0 {
            self.push(0, AC_BITS);
        }
    }

    /// Negative numbers are written as one less, in `size` bits.
    fn value(&mut self, value: i32, size: u32) {
        let value = if value < 0 { value - 1 } else { value };
        self.push(value as u32 & ((1 << size) - 1), size);
    }

    fn push(&mut self, value: u32, bits: u32) {
        self.held = self.held << bits | value;
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.held >> self.count) as u8;
            self.file.push(byte);
            if byte == 0xff {
                self.file.push(0);
            }
        }
        self.held &= (1 << self.count) - 1;
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            let missing = 8 - self.count;
            self.push((1 << missing) - 1, missing);
        }
        self.file
    }
}

/// Bits of a number without its sign.
fn length(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_coefficients_is_the_formats() {
        let order = zigzag();
        assert_eq!(order[..6], [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2)]);
        assert_eq!(order.len(), 64);
        assert_eq!(order[62..], [(7, 6), (7, 7)]);
    }

    #[test]
    fn a_grey_square_is_a_few_bytes_between_its_marks() {
        let file = encode(8, 8, None, |_, _| [128; 3]);
        assert_eq!(file[..4], [0xff, 0xd8, 0xff, 0xe0]);
        // Three blocks of twelve bits: no step, end of block.
        assert_eq!(file[file.len() - 7..], [0, 0, 0, 0, 0x0f, 0xff, 0xd9]);
    }
}
