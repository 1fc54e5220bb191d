//! The content of the demo's files: landscapes as JPEG and PNG, and films that nothing can compress.

use super::exif::Exif;
use super::jpeg;
use crate::dice::splitmix64;

/// A landscape with its own light and its own hills, as a JPEG.
pub(super) fn photo(seed: u64, width: u16, height: u16, exif: Option<&Exif>) -> Vec<u8> {
    let app1 = exif.map(Exif::app1);
    let scene = Scene::new(seed, width, height);
    jpeg::encode(width, height, app1.as_deref(), |x, y| scene.pixel(x, y))
}

/// The same as a PNG, not compressed.
pub(super) fn screenshot(seed: u64, width: u16, height: u16) -> Vec<u8> {
    let scene = Scene::new(seed, width, height);
    let mut rows = Vec::new();
    for y in 0..height {
        rows.push(0);
        rows.extend((0..width).flat_map(|x| scene.pixel(x, y)));
    }
    let mut head = Vec::new();
    head.extend(u32::from(width).to_be_bytes());
    head.extend(u32::from(height).to_be_bytes());
    head.extend([8, 2, 0, 0, 0]);
    let mut stream = vec![0x78, 0x01];
    let mut left = rows.chunks(65_535).peekable();
    while let Some(chunk) = left.next() {
        let length = chunk.len() as u16;
        stream.push(u8::from(left.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(chunk);
    }
    stream.extend(adler(&rows).to_be_bytes());
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", head), (b"IDAT", stream), (b"IEND", Vec::new())] {
        file.extend((content.len() as u32).to_be_bytes());
        let from = file.len();
        file.extend(kind);
        file.extend(content);
        let sum = crc(&file[from..]);
        file.extend(sum.to_be_bytes());
    }
    file
}

/// A film of `size` bytes: a head that players understand, and frames like noise.
pub(super) fn film(seed: u64, size: usize, brand: &[u8; 4]) -> Vec<u8> {
    let mut header = vec![0; 100];
    // Scale, length, speed, volume, and a matrix that turns nothing.
    for (at, value) in [(12, 1000), (16, 20_000), (20, 0x1_0000), (96, 2)] {
        header[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
    }
    header[24] = 1;
    for (at, value) in [(36, 0x1_0000), (52, 0x1_0000), (68, 0x4000_0000)] {
        header[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
    }
    let kind = [brand.as_slice(), &[0, 0, 2, 0], brand, b"mp41"].concat();
    let mut file = atom(b"ftyp", &kind);
    file.extend(atom(b"moov", &atom(b"mvhd", &header)));
    let mut dice = Dice::new(seed);
    let mut frames = Vec::with_capacity(size);
    while frames.len() + file.len() + 8 < size {
        frames.extend(dice.next().to_le_bytes());
    }
    frames.truncate(size.saturating_sub(file.len() + 8));
    file.extend(atom(b"mdat", &frames));
    file
}

fn atom(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = content.len() as u32 + 8;
    [size.to_be_bytes().as_slice(), kind, content].concat()
}

/// Sky, sun, two rows of hills, and the grain of a small camera.
struct Scene {
    seed: u64,
    width: f32,
    height: f32,
    warmth: f32,
    sun: (f32, f32),
    hills: [(f32, f32, f32); 2],
}

impl Scene {
    fn new(seed: u64, width: u16, height: u16) -> Scene {
        let mut dice = Dice::new(seed);
        let mut between = |from: f32, to: f32| from + (to - from) * dice.share();
        Scene {
            seed,
            width: f32::from(width),
            height: f32::from(height),
            warmth: between(0.0, 1.0),
            sun: (between(0.15, 0.85), between(0.1, 0.45)),
            hills: [
                (between(0.5, 0.6), between(3.0, 6.0), between(0.0, 6.0)),
                (between(0.68, 0.78), between(5.0, 9.0), between(0.0, 6.0)),
            ],
        }
    }

    fn pixel(&self, x: u16, y: u16) -> [u8; 3] {
        let (right, down) = (f32::from(x) / self.width, f32::from(y) / self.height);
        let mut colour = [90.0 + 130.0 * down + 30.0 * self.warmth, 150.0 + 60.0 * down, 235.0 - 50.0 * down];
        let (from_x, from_y) = (right - self.sun.0, (down - self.sun.1) * self.height / self.width);
        if from_x * from_x + from_y * from_y < 0.004 {
            colour = [255.0, 236.0, 170.0];
        }
        for (number, (level, waves, from)) in self.hills.into_iter().enumerate() {
            if down > level + 0.05 * (right * waves + from).sin() {
                let shade = 1.0 - 0.35 * number as f32;
                colour = [70.0 * shade, (140.0 - 40.0 * down) * shade, 80.0 * shade];
            }
        }
        let place = u64::from(x) << 20 | u64::from(y);
        let grain = (Dice::new(self.seed ^ place).next() % 17) as f32 - 8.0;
        colour.map(|value| (value + grain).clamp(0.0, 255.0) as u8)
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    fn share(&mut self) -> f32 {
        (self.next() % 10_000) as f32 / 10_000.0
    }
}

fn adler(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_a_png_are_the_formats() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn a_film_has_the_size_that_was_asked_for() {
        let film = film(1, 100_000, b"isom");
        assert_eq!(film.len(), 100_000);
        assert_eq!(&film[4..12], b"ftypisom");
    }
}
