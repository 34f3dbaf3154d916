//! Numbers that were given and haven't been seen in the log.
//!
//! What is seen twice is a copy; so a number that is neither here nor the next one has had its message.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::record::Number;

/// Ranges that don't touch, each by its first number, with the one after its last.
#[derive(Debug, Default)]
pub(super) struct Gaps(BTreeMap<Number, Number>);

impl Gaps {
    /// All of these are missing; they are greater than those that are.
    pub(super) fn add(&mut self, numbers: Range<Number>) {
        if numbers.is_empty() {
            return;
        }
        match self.0.last_entry() {
            Some(mut last) if *last.get() == numbers.start => *last.get_mut() = numbers.end,
            _ => drop(self.0.insert(numbers.start, numbers.end)),
        }
    }

    /// It isn't missing any more; says whether it was.
    pub(super) fn remove(&mut self, number: Number) -> bool {
        let Some((&start, &end)) = self.0.range(..=number).next_back() else { return false };
        if number >= end {
            return false;
        }
        self.0.remove(&start);
        for part in [start..number, number + 1..end] {
            if !part.is_empty() {
                self.0.insert(part.start, part.end);
            }
        }
        true
    }

    pub(super) fn ranges(&self) -> impl ExactSizeIterator<Item = Range<Number>> {
        self.0.iter().map(|(start, end)| *start..*end)
    }
}
