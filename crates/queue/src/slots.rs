//! What one data thread may have under way at once. A receiver gets as many slots as a third of those that
//! are free then, and one in any case: however many receivers hang, the next one gets its messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::record::ReceiverIndex;

/// Deliveries under way on one thread, and one more for each receiver that would have none.
const MOST: usize = 2048;

/// A receiver gets one slot while so many are free for each that it has: alone, it gets a quarter of all.
const FREE: usize = 3;

/// To whom a delivery goes: a queue's name, and one of its receivers.
pub(crate) type Way = (Arc<str>, ReceiverIndex);

/// The slots of one thread.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: usize,
    by_way: BTreeMap<Way, usize>,
    missed: bool,
}

impl Slots {
    /// Somebody looks anew for what is due.
    pub(crate) fn look(&mut self) {
        self.missed = false;
    }

    /// May one more go this way?
    pub(crate) fn may_take(&mut self, way: &Way) -> bool {
        let its = self.by_way.get(way).copied().unwrap_or(0);
        let may = its == 0 || its * FREE < MOST.saturating_sub(self.taken);
        self.missed |= !may;
        may
    }

    pub(crate) fn take(&mut self, way: Way) {
        self.taken += 1;
        *self.by_way.entry(way).or_default() += 1;
    }

    /// A delivery is over; says whether there may be one that waited for that.
    pub(crate) fn give_back(&mut self, way: &Way) -> bool {
        self.taken = self.taken.saturating_sub(1);
        if let Some(its) = self.by_way.get_mut(way) {
            *its -= 1;
            if *its == 0 {
                self.by_way.remove(way);
            }
        }
        self.missed
    }

    /// Since the last look began, something was due that got no slot.
    pub(crate) fn missed(&self) -> bool {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Slots};

    #[test]
    fn however_many_hang_there_are_slots_for_the_next() {
        let mut slots = Slots::default();
        let way = |receiver: u16| (std::sync::Arc::from("hooks"), receiver);
        let mut took = Vec::new();
        for receiver in 0..100 {
            let mut its = 0;
            // A receiver has 32 in flight if the file doesn't say otherwise, the first one very many.
            while its < if receiver == 0 { 2000 } else { 32 } && slots.may_take(&way(receiver)) {
                slots.take(way(receiver));
                its += 1;
            }
            took.push(its);
        }
        assert_eq!((took[0], took[1]), (MOST / 4, 32));
        assert!(took.iter().all(|its| *its > 0), "{took:?}");
        assert!(slots.taken < MOST + 100 && slots.missed());
        slots.look();
        assert!(slots.may_take(&way(100)) && !slots.missed());
        assert!(!slots.may_take(&way(0)) && slots.give_back(&way(1)), "one waits for it");
    }
}
