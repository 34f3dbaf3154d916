//! How data threads learn that something is due, and what each of them may have under way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::slots::{Slots, Way};

/// One bell for each data thread.
#[derive(Debug)]
pub(crate) struct Wake {
    bells: Vec<Bell>,
    next: AtomicUsize,
}

/// What wakes one thread, and what that thread has.
#[derive(Debug, Default)]
struct Bell {
    rings: Notify,
    /// Threads that a ring can be passed on to yet, where this one may not take what it is for.
    others: AtomicUsize,
    slots: Mutex<Slots>,
}

impl Bell {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, others: usize) {
        self.others.fetch_max(others, Ordering::Relaxed);
        self.rings.notify_one();
    }
}

impl Wake {
    pub(crate) fn new(threads: usize) -> Wake {
        let bells = (0..threads.max(1)).map(|_| Bell::default()).collect();
        Wake { bells, next: AtomicUsize::new(0) }
    }

    fn bell(&self, thread: usize) -> &Bell {
        &self.bells[thread % self.bells.len()]
    }

    /// Wakes the next thread in turn; it takes what there is, and others find what it leaves.
    pub(crate) fn one(&self) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.bell(next).ring(self.bells.len() - 1);
    }

    /// Wakes all: something changed for all of them.
    pub(crate) fn all(&self) {
        self.bells.iter().for_each(|bell| bell.rings.notify_one());
    }

    /// Returns when this thread is to look; a ring while it didn't listen isn't lost.
    pub(crate) async fn woken(&self, thread: usize) {
        self.bell(thread).rings.notified().await;
    }

    /// A thread begins to look for what is due.
    pub(crate) fn look(&self, thread: usize) {
        self.bell(thread).slots().look();
    }

    /// A thread took all that it may. What it was woken for and left is shown to the next one; a ring goes
    /// round once, so that threads which may all not take it don't wake each other for ever.
    pub(crate) fn looked(&self, thread: usize) {
        let bell = self.bell(thread);
        let others = bell.others.swap(0, Ordering::Relaxed);
        if others > 0 && bell.slots().missed() {
            self.bell(thread + 1).ring(others - 1);
        }
    }

    /// May this thread make one more delivery on this way?
    pub(crate) fn may_take(&self, thread: usize, way: &Way) -> bool {
        self.bell(thread).slots().may_take(way)
    }

    /// It makes one.
    pub(crate) fn take(self: &Arc<Self>, thread: usize, way: Way) -> Slot {
        self.bell(thread).slots().take(way.clone());
        Slot { wake: self.clone(), thread, way }
    }
}

/// A delivery's place among those of its thread, as long as it is under way.
#[derive(Debug)]
pub(crate) struct Slot {
    wake: Arc<Wake>,
    thread: usize,
    way: Way,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let bell = self.wake.bell(self.thread);
        if bell.slots().give_back(&self.way) {
            bell.rings.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::{Slot, Wake};
    use crate::slots::Way;

    fn is_rung(rings: &Notify) -> bool {
        let mut notified = std::pin::pin!(rings.notified());
        notified.as_mut().enable()
    }

    /// Takes all that this receiver may have.
    fn fill(wake: &Arc<Wake>, thread: usize, way: &Way) -> Vec<Slot> {
        wake.look(thread);
        let slots = std::iter::from_fn(|| wake.may_take(thread, way).then(|| wake.take(thread, way.clone())));
        let slots = slots.collect();
        wake.looked(thread);
        slots
    }

    #[test]
    fn a_ring_passes_by_those_who_can_take_nothing_and_ends() {
        let wake = Arc::new(Wake::new(3));
        let way: Way = (Arc::from("hooks"), 0);
        let is_rung = |thread: usize| is_rung(&wake.bells[thread].rings);
        let mut held: Vec<_> = (0..2).map(|thread| fill(&wake, thread, &way)).collect();
        wake.one();
        for thread in 0..2 {
            assert!(is_rung(thread));
            assert!(fill(&wake, thread, &way).is_empty());
        }
        assert!(is_rung(2));
        held.push(fill(&wake, 2, &way));
        assert!(!held[2].is_empty() && !is_rung(0), "the third could take something");
        wake.one();
        for thread in [1, 2, 0] {
            assert!(is_rung(thread));
            assert!(fill(&wake, thread, &way).is_empty());
        }
        assert!((0..3).all(|thread| !is_rung(thread)), "it went round, and ends");
        held[1].pop();
        assert!(is_rung(1), "it looks for what waited");
    }
}
