//! Which `Idempotency-Key` belongs to which message.

use std::collections::BTreeMap;

use crate::record::{Dedupe, Number};
use crate::table::Table;

/// Keys that are remembered; beyond that the oldest are forgotten before their time.
pub(super) const MOST: usize = 10_000_000;

/// Half of a key finds its message, all of it must be the same. That two have the same half happens to
/// nobody; if it does, the older is forgotten.
#[derive(Debug, Default)]
pub(super) struct Keys {
    entries: Table<Entry>,
    by_key: BTreeMap<u64, Number>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: [u64; 2],
    /// Half of the hash: nothing hangs on it but that a mistake is told.
    content: u64,
    till: u64,
}

fn halves(key: u128) -> [u64; 2] {
    [(key >> 64) as u64, key as u64]
}

impl Keys {
    /// The message that came with this key, and whether it was the same.
    pub(super) fn find(&self, dedupe: &Dedupe, now: u64) -> Option<(Number, bool)> {
        let key = halves(dedupe.key);
        let number = *self.by_key.get(&key[0])?;
        let entry = self.entries.get(number)?;
        (entry.key == key && entry.till > now).then_some((number, entry.content == dedupe.content as u64))
    }

    pub(super) fn insert(&mut self, number: Number, dedupe: &Dedupe) {
        let key = halves(dedupe.key);
        self.entries.insert(number, Entry { key, content: dedupe.content as u64, till: dedupe.till });
        self.by_key.insert(key[0], number);
    }

    /// When the oldest is over.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.entries.first().map(|(_, entry)| entry.till)
    }

    /// Forgets one whose time is over, if the oldest is.
    pub(super) fn expire(&mut self, now: u64) -> bool {
        let Some((number, &Entry { key: [half, _], till, .. })) = self.entries.first() else { return false };
        if till > now && self.entries.len() <= MOST {
            return false;
        }
        self.entries.remove(number);
        if self.by_key.get(&half) == Some(&number) {
            self.by_key.remove(&half);
        }
        true
    }

    /// All from the one after this on.
    pub(super) fn after(&self, after: Number) -> impl Iterator<Item = (Number, Dedupe)> {
        self.entries.after(after).map(|(number, entry)| {
            let [high, low] = entry.key.map(u128::from);
            (number, Dedupe { key: high << 64 | low, content: entry.content.into(), till: entry.till })
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}
