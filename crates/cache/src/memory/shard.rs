//! One shard of the memory tier: all that its lock guards.

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::Object;
use crate::groups::Groups;
use crate::ledger::What;
use crate::memory::policy::{Policy, Weigh};
use crate::vary;

/// A table that could hold so many times more is made smaller after a purge.
const SHRINK_AT: usize = 8;

/// Objects, found by URL, prefix and tag, and the order in which they go.
#[derive(Debug)]
pub(super) struct Shard {
    objects: Policy<Object>,
    index: HashTable<u32>,
    groups: Groups,
}

impl Default for Shard {
    fn default() -> Self {
        Shard { objects: Policy::new(), index: HashTable::new(), groups: Groups::default() }
    }
}

impl Weigh for Object {
    fn weight(&self) -> u64 {
        Object::weight(self)
    }
}

/// The table takes its tag from the top bits, its place from the low ones; so all 32 must reach both.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Shard {
    pub(super) fn objects(&self) -> usize {
        self.objects.len()
    }

    /// Bytes of memory: objects and bookkeeping.
    pub(super) fn bytes(&self) -> u64 {
        let bookkeeping =
            self.objects.overhead() + self.index.allocation_size() as u64 + self.groups.weight();
        self.objects.weight() + bookkeeping
    }

    pub(super) fn object(&self, slot: u32) -> Option<&Object> {
        self.objects.get(slot)
    }

    /// Counts a use of the object of a slot and gives it.
    #[inline]
    pub(super) fn used(&mut self, slot: u32) -> Option<Object> {
        self.objects.used(slot);
        self.object(slot).cloned()
    }

    /// The newest of this URL that fits.
    #[inline]
    pub(super) fn find(
        &self,
        hash: u32,
        primary: &[u8],
        mut fits: impl FnMut(&Object) -> bool,
    ) -> Option<u32> {
        let mut newest: Option<(u32, &Object)> = None;
        for slot in self.index.iter_hash(spread(hash)) {
            let named = self.object(*slot).filter(|object| object.primary() == primary);
            let Some(object) = named.filter(|object| fits(object)) else { continue };
            // Mostly there is one, and then nobody asks when it came.
            if newest.is_none_or(|(_, newest)| newest.facts().received <= object.facts().received) {
                newest = Some((*slot, object));
            }
        }
        newest.map(|(slot, _)| slot)
    }

    /// The object whose place this one takes.
    pub(super) fn same(&self, hash: u32, object: &Object) -> Option<u32> {
        self.find(hash, object.primary(), |other| vary::same(other.variant(), object.variant()))
    }

    /// The objects that a purge names, `most` at most.
    pub(super) fn named(&self, what: &What, hash: u32, most: usize, state: &RandomState) -> Vec<u32> {
        let objects = &self.objects;
        let is_of = |slot: &u32, url: &[u8]| self.object(*slot).is_some_and(|object| object.primary() == url);
        match what {
            What::Url(url) => {
                let slots = self.index.iter_hash(spread(hash)).copied();
                slots.filter(|slot| is_of(slot, url)).take(most).collect()
            }
            What::Prefix(prefix) => self.groups.below(prefix, objects).take(most).collect(),
            What::Tag(tag) => self.groups.tagged(tag, objects, state).take(most).collect(),
            What::All => self.index.iter().copied().take(most).collect(),
        }
    }

    /// Adds an object that has no namesake here. Nothing comes out.
    pub(super) fn insert(&mut self, hash: u32, object: Object, state: &RandomState) -> Option<Object> {
        let Shard { objects, index, groups } = self;
        let slot = objects.insert(hash, object);
        index.insert_unique(spread(hash), slot, |slot| spread(objects.hash(*slot)));
        groups.insert(slot, objects, state);
        None
    }

    /// Puts an object in the place of its namesake, which comes out.
    pub(super) fn renew(&mut self, slot: u32, object: Object, state: &RandomState) -> Option<Object> {
        // Its URL is the same, so only other tags move it.
        if self.object(slot).is_some_and(|old| old.tags() == object.tags()) {
            return self.objects.renew(slot, object);
        }
        self.groups.remove(slot, &self.objects, state);
        let old = self.objects.renew(slot, object);
        self.groups.insert(slot, &self.objects, state);
        old
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, slot: u32, state: &RandomState) -> Option<Object> {
        let Shard { objects, index, groups } = self;
        let hash = objects.hash(slot);
        if let Ok(entry) = index.find_entry(spread(hash), |other| *other == slot) {
            entry.remove();
        }
        groups.remove(slot, objects, state);
        objects.remove(slot)
    }

    /// Takes out the object that has to go next.
    pub(super) fn evict(&mut self, state: &RandomState) -> Option<Object> {
        let slot = self.objects.victim()?;
        self.remove(slot, state)
    }

    /// Gives back memory after much went at once.
    pub(super) fn trim(&mut self) {
        if self.objects.len() == 0 {
            *self = Shard::default();
        } else if self.index.capacity() > SHRINK_AT * self.objects.len() {
            self.index.shrink_to(2 * self.objects.len(), |slot| spread(self.objects.hash(*slot)));
        }
    }
}
