//! A small forgetful memory of URLs, each with a time.
//!
//! A place holds some bits of a URL's hash and a time in one atomic, so looking and noting take no lock.
//! Two URLs in one place forget each other, so nothing is kept here that must never be forgotten.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places; a power of two.
const PLACES: usize = 16 * 1024;

/// Bits of a place that are the time: enough for milliseconds since 1970 until the year 2109. The 22
/// others tell one URL from another.
const TIME: u64 = (1 << 42) - 1;

/// URLs that something holds of until a time.
pub(crate) struct Noted {
    places: Box<[AtomicU64]>,
    hasher: foldhash::fast::RandomState,
}

impl Noted {
    pub(crate) fn new() -> Noted {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Noted { places, hasher: foldhash::fast::RandomState::default() }
    }

    fn place(&self, primary: &[u8]) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one(primary);
        (&self.places[hash as usize % PLACES], hash & !TIME)
    }

    /// Is its time later than `now`?
    pub(crate) fn has(&self, primary: &[u8], now: u64) -> bool {
        let (place, name) = self.place(primary);
        let noted = place.load(Ordering::Relaxed);
        noted & !TIME == name && noted & TIME > now
    }

    /// Gives it this time.
    pub(crate) fn note(&self, primary: &[u8], until: u64) {
        let (place, name) = self.place(primary);
        place.store(name | until.min(TIME), Ordering::Relaxed);
    }

    /// Gives it this time, unless it has a later one.
    pub(crate) fn extend(&self, primary: &[u8], until: u64) {
        let (place, name) = self.place(primary);
        let new = name | until.min(TIME);
        let later = |old: u64| (old & !TIME != name || old < new).then_some(new);
        place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_holds_till_its_time_and_for_its_url() {
        let noted = Noted::new();
        noted.note(b"http://h/a", 100);
        assert!(noted.has(b"http://h/a", 99));
        assert!(!noted.has(b"http://h/a", 100));
        assert!(!noted.has(b"http://h/b", 99));
        noted.note(b"http://h/a", 0);
        assert!(!noted.has(b"http://h/a", 0));
    }

    #[test]
    fn an_earlier_time_doesnt_take_the_place_of_a_later_one() {
        let noted = Noted::new();
        let now = 1_800_000_000_000; // milliseconds, in 2027
        noted.extend(b"http://h/a", now);
        noted.extend(b"http://h/a", now - 1);
        assert!(noted.has(b"http://h/a", now - 1));
        assert!(!noted.has(b"http://h/a", now));
        noted.extend(b"http://h/a", now + 1);
        assert!(noted.has(b"http://h/a", now));
        noted.extend(b"http://h/a", u64::MAX);
        assert!(noted.has(b"http://h/a", TIME - 1) && !noted.has(b"http://h/b", 0));
    }
}
