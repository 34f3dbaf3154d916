//! Messages that are in the same stage, and how much they take.

use std::collections::BTreeSet;

use super::small::Small;
use crate::record::Number;
use crate::table::Set;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) numbers: Set,
    pub(super) bytes: u64,
    /// By when they ended; empty for those that are open.
    ends: BTreeSet<(Small, Small)>,
}

impl Shelf {
    pub(super) fn insert(&mut self, number: Number, bytes: u32, ended: Option<Small>) {
        self.numbers.insert(number);
        self.bytes += u64::from(bytes);
        self.ends.extend(ended.map(|at| (at, Small::from(number))));
    }

    pub(super) fn remove(&mut self, number: Number, bytes: u32, ended: Option<Small>) {
        self.numbers.remove(number);
        self.bytes -= u64::from(bytes);
        if let Some(at) = ended {
            self.ends.remove(&(at, Small::from(number)));
        }
    }

    /// The one that ended first, and when.
    pub(super) fn oldest(&self) -> Option<(u64, Number)> {
        self.ends.first().map(|(at, number)| (at.get(), number.get()))
    }
}
