//! A number of 48 bits: there are millions of them.

/// Times in milliseconds since 1970 (till the year 10889), numbers of messages, and hashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Small([u8; 6]);

impl Small {
    pub(super) const LEAST: Self = Self([0; 6]);
    pub(super) const MOST: Self = Self([u8::MAX; 6]);

    pub(super) fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The part of a hash that is kept.
    pub(super) fn of_hash(hash: u64) -> Self {
        Self::from(hash >> 16)
    }
}

impl From<u64> for Small {
    /// What is greater than all becomes the greatest.
    fn from(value: u64) -> Self {
        match value.to_be_bytes() {
            [0, 0, a, b, c, d, e, f] => Self([a, b, c, d, e, f]),
            _ => Self::MOST,
        }
    }
}

impl std::fmt::Debug for Small {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}
