//! Bytes one after the other, each look bounded by what is there.
//!
//! A number of variable length has one way to be written: seven bits a byte, the lowest first, the high
//! bit where more follow, and no byte more than it needs. So what can be read is written back the same.

use super::BadRecord;

/// What hasn't been read yet.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], BadRecord> {
        let length = usize::try_from(length).map_err(|_| BadRecord::Short)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(BadRecord::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(BadRecord::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BadRecord> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BadRecord> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadRecord> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BadRecord> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, BadRecord> {
        self.array().map(u128::from_le_bytes)
    }

    /// A number of variable length.
    pub(crate) fn variable(&mut self) -> Result<u64, BadRecord> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let minimal = byte != 0 || shift == 0;
                let fits = (bits << shift) >> shift == bits;
                return if minimal && fits { Ok(value) } else { Err(BadRecord::Number) };
            }
        }
        Err(BadRecord::Number)
    }

    /// A number of variable length that must fit.
    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Result<T, BadRecord> {
        T::try_from(self.variable()?).map_err(|_| BadRecord::Number)
    }

    /// How many things follow, of at least `each` bytes.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, BadRecord> {
        let count: usize = self.small()?;
        if count > self.rest.len() / each { Err(BadRecord::Short) } else { Ok(count) }
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], BadRecord> {
        let length = self.variable()?;
        self.take(length)
    }

    /// As [`Self::bytes`], of UTF-8.
    pub(crate) fn text(&mut self) -> Result<&'a str, BadRecord> {
        std::str::from_utf8(self.bytes()?).map_err(|_| BadRecord::Text)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// There must be no more.
    pub(crate) fn end(&self) -> Result<(), BadRecord> {
        if self.is_empty() { Ok(()) } else { Err(BadRecord::Rest) }
    }
}
