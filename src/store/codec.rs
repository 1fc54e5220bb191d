//! How records are laid out: varints, lengths before bytes, nothing self-describing.
//!
//! A reader never panics and never trusts a length: what does not fit is [`Malformed`].

/// A record does not read back as what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record is malformed")]
pub struct Malformed;

/// Appends fields to a record.
#[derive(Default, Debug)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte as it is.
    pub fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    /// A number in 7-bit groups, low ones first: 1 to 10 bytes.
    pub fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.byte(number.to_le_bytes()[0])
    }

    /// A number that may be negative, zigzag: small either way is short.
    pub fn signed(&mut self, number: i64) -> &mut Self {
        self.number((number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned())
    }

    /// Bytes of a length the reader knows.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).fixed(bytes)
    }

    /// The record.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes fields off a record, in the order they were written.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// At the start of `record`.
    #[must_use]
    pub fn new(record: &'a [u8]) -> Self {
        Self(record)
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// See [`Writer::byte`].
    ///
    /// # Errors
    /// The record ends here.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    /// See [`Writer::number`].
    ///
    /// # Errors
    /// The record ends here, or the number is longer than 64 bits.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    /// A number that fits the wanted type.
    ///
    /// # Errors
    /// As [`Reader::number`], or it does not fit.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.number()?).map_err(|_| Malformed)
    }

    /// See [`Writer::signed`].
    ///
    /// # Errors
    /// As [`Reader::number`].
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// See [`Writer::fixed`].
    ///
    /// # Errors
    /// Fewer than `length` bytes are left.
    pub fn fixed(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Bytes of a length known at compile time.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.fixed(N)?.try_into().map_err(|_| Malformed)
    }

    /// See [`Writer::bytes`].
    ///
    /// # Errors
    /// The length is more than is left.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.small()?;
        self.fixed(length)
    }

    /// Bytes that are text.
    ///
    /// # Errors
    /// As [`Reader::bytes`], or it is not UTF-8.
    pub fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_read_back_as_they_were_written(number: u64, signed: i64, bytes: Vec<u8>, byte: u8) {
            let mut writer = Writer::new();
            writer.number(number).signed(signed).bytes(&bytes).byte(byte);
            let record = writer.finish();
            let mut reader = Reader::new(&record);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.signed(), Ok(signed));
            prop_assert_eq!(reader.bytes(), Ok(&bytes[..]));
            prop_assert_eq!(reader.byte(), Ok(byte));
            prop_assert!(reader.is_empty());
            prop_assert_eq!(reader.byte(), Err(Malformed));
        }

        #[test]
        fn junk_is_malformed_and_never_a_panic(junk: Vec<u8>) {
            let mut reader = Reader::new(&junk);
            while reader.bytes().is_ok() && !reader.is_empty() {}
            let _ = Reader::new(&junk).text();
            let _ = Reader::new(&junk).signed();
            let _ = Reader::new(&junk).array::<16>();
        }
    }

    #[test]
    fn extremes_keep_their_value() {
        for number in [i64::MIN, i64::MAX, 0, -1, 1] {
            let mut writer = Writer::new();
            writer.signed(number);
            assert_eq!(Reader::new(&writer.finish()).signed(), Ok(number));
        }
    }
}
