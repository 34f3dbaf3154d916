//! Which objects a purge is about, found without looking at the others.
//!
//! Purges name what they mean in orders: a URL or prefix is a run in the order of URLs, a tag one in the
//! order of tags. So the objects' slots are kept in both, in sorted blocks: about six bytes for an object
//! and twelve for a tag of it, where a map from each tag and folder would cost more than the entries.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::Object;
use crate::memory::policy::Policy;
use crate::object::weight;

/// The most items in a block. Inserting moves half of one on average: a kilobyte.
const BLOCK: usize = 512;

/// Blocks with fewer items are joined with the one beside them, so that what is left after many
/// removals doesn't hold memory for what is gone.
const SPARSE: usize = BLOCK / 4;

/// Items in an order that the caller knows: every question comes with a function that says how an item
/// of these stands to what is asked for.
#[derive(Debug)]
struct Runs<T> {
    /// None is empty.
    blocks: Vec<Vec<T>>,
    /// Items that the blocks have room for.
    room: usize,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Runs { blocks: Vec::new(), room: 0 }
    }
}

impl<T: Copy> Runs<T> {
    /// The first item that is not less, as block and place in it. The place may be one past the end.
    fn seek(&self, stands: &mut impl FnMut(T) -> Ordering) -> (usize, usize) {
        let before = self.blocks.partition_point(|b| b.last().is_some_and(|last| stands(*last).is_lt()));
        let block = before.min(self.blocks.len().saturating_sub(1));
        let at = self.blocks.get(block).map_or(0, |b| b.partition_point(|item| stands(*item).is_lt()));
        (block, at)
    }

    /// Adds an item where it belongs, unless its equal is there.
    fn insert(&mut self, item: T, mut stands: impl FnMut(T) -> Ordering) {
        let (mut block, mut at) = self.seek(&mut stands);
        let is_last = block + 1 >= self.blocks.len();
        let Some(items) = self.blocks.get_mut(block) else {
            self.push_block(0, vec![item]);
            return;
        };
        if items.get(at).is_some_and(|found| stands(*found).is_eq()) {
            return;
        }
        if items.len() == BLOCK {
            if is_last && at == BLOCK {
                // Keys that only grow fill their blocks.
                self.push_block(block + 1, vec![item]);
                return;
            }
            let upper = items.split_off(BLOCK / 2);
            items.shrink_to_fit();
            self.room -= BLOCK - items.capacity();
            self.push_block(block + 1, upper);
            if at > BLOCK / 2 {
                (block, at) = (block + 1, at - BLOCK / 2);
            }
        }
        let items = &mut self.blocks[block];
        let room = items.capacity();
        items.insert(at, item);
        self.room += items.capacity() - room;
    }

    /// Removes the item that stands equal.
    fn remove(&mut self, mut stands: impl FnMut(T) -> Ordering) {
        let (block, at) = self.seek(&mut stands);
        let Some(items) = self.blocks.get_mut(block) else { return };
        if !items.get(at).is_some_and(|found| stands(*found).is_eq()) {
            return;
        }
        items.remove(at);
        if items.is_empty() {
            self.take_block(block);
        } else if items.len() < SPARSE {
            self.join(block);
            self.join(block.saturating_sub(1));
        }
    }

    /// All items that stand equal.
    fn run(&self, mut stands: impl FnMut(T) -> Ordering) -> impl Iterator<Item = T> {
        let (block, at) = self.seek(&mut stands);
        let first = self.blocks.get(block).map_or(&[][..], |b| &b[at..]);
        let rest = self.blocks.iter().skip(block + 1).flatten();
        first.iter().chain(rest).copied().take_while(move |item| stands(*item).is_eq())
    }

    /// Makes one block of two, if they fit well.
    fn join(&mut self, lower: usize) {
        let Some([a, b]) = self.blocks.get(lower..lower + 2) else { return };
        if a.len() + b.len() > BLOCK / 2 {
            return;
        }
        let joined = [&a[..], &b[..]].concat();
        self.take_block(lower + 1);
        self.take_block(lower);
        self.push_block(lower, joined);
    }

    fn push_block(&mut self, at: usize, block: Vec<T>) {
        self.room += block.capacity();
        self.blocks.insert(at, block);
    }

    fn take_block(&mut self, at: usize) {
        self.room -= self.blocks.remove(at).capacity();
    }

    /// Bytes of memory.
    fn weight(&self) -> u64 {
        (self.room * size_of::<T>()) as u64 + weight::taken(self.blocks.capacity() * size_of::<Vec<T>>())
    }
}

/// The objects of a shard in the order of their URLs and of their tags.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    urls: Runs<u32>,
    /// Hash of the tag, slot.
    tags: Runs<(u32, u32)>,
}

impl Groups {
    /// Adds the object of a slot.
    pub(crate) fn insert(&mut self, slot: u32, objects: &Policy<Object>, state: &RandomState) {
        let Some(object) = objects.get(slot) else { return };
        self.urls.insert(slot, by_url(slot, object, objects));
        for tag in tags(object) {
            let item = (hash(state, tag), slot);
            self.tags.insert(item, |other| other.cmp(&item));
        }
    }

    /// Removes it; `objects` must still have it.
    pub(crate) fn remove(&mut self, slot: u32, objects: &Policy<Object>, state: &RandomState) {
        let Some(object) = objects.get(slot) else { return };
        self.urls.remove(by_url(slot, object, objects));
        for tag in tags(object) {
            let item = (hash(state, tag), slot);
            self.tags.remove(|other| other.cmp(&item));
        }
    }

    /// The slots of all objects whose primary begins with `prefix`.
    pub(crate) fn below(&self, prefix: &[u8], objects: &Policy<Object>) -> impl Iterator<Item = u32> {
        self.urls.run(move |slot| {
            let primary = primary(slot, objects);
            if primary.starts_with(prefix) { Ordering::Equal } else { primary.cmp(prefix) }
        })
    }

    /// The slots of all objects with this very tag.
    pub(crate) fn tagged(
        &self,
        tag: &[u8],
        objects: &Policy<Object>,
        state: &RandomState,
    ) -> impl Iterator<Item = u32> {
        let wanted = hash(state, tag);
        let slots = self.tags.run(move |(hash, _)| hash.cmp(&wanted)).map(|(_, slot)| slot);
        slots.filter(move |slot| objects.get(*slot).is_some_and(|object| tags(object).any(|own| own == tag)))
    }

    /// Bytes of memory.
    pub(crate) fn weight(&self) -> u64 {
        self.urls.weight() + self.tags.weight()
    }
}

/// How the object of another slot stands to this one: by URL, and variants of one URL by slot.
fn by_url<'a>(
    slot: u32,
    object: &'a Object,
    objects: &'a Policy<Object>,
) -> impl FnMut(u32) -> Ordering + use<'a> {
    let own = object.primary();
    move |other| primary(other, objects).cmp(own).then(other.cmp(&slot))
}

fn primary(slot: u32, objects: &Policy<Object>) -> &[u8] {
    objects.get(slot).map(Object::primary).unwrap_or_default()
}

fn tags(object: &Object) -> impl Iterator<Item = &[u8]> {
    object.tags().split(|byte| *byte == b'\n').filter(|tag| !tag.is_empty())
}

fn hash(state: &RandomState, tag: &[u8]) -> u32 {
    state.hash_one(tag) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_a_sorted_set(steps in prop::collection::vec((0..4u8, 0..3000u32), 1..6000), up in any::<bool>()) {
            let mut runs = Runs::default();
            let mut model = BTreeSet::new();
            for (index, (kind, number)) in steps.into_iter().enumerate() {
                // In some runs the items only grow, as dated names do.
                let number = if up { index as u32 } else { number };
                if kind > 0 {
                    runs.insert(number, |other: u32| other.cmp(&number));
                    model.insert(number);
                } else {
                    let gone = number / 2;
                    runs.remove(|other| other.cmp(&gone));
                    model.remove(&gone);
                }
            }
            let all: Vec<u32> = runs.blocks.iter().flatten().copied().collect();
            prop_assert_eq!(&all, &model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(runs.room, runs.blocks.iter().map(Vec::capacity).sum::<usize>());
            prop_assert!(runs.blocks.iter().all(|block| !block.is_empty() && block.len() <= BLOCK));
            let run = runs.run(|n: u32| (n / 100).cmp(&3));
            prop_assert_eq!(run.collect::<Vec<_>>(), model.range(300..400).copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_left_of_many_takes_little_room() {
        let mut runs = Runs::default();
        for number in 0..100_000u32 {
            runs.insert(number, |other: u32| other.cmp(&number));
        }
        assert!(runs.weight() < 5 * 100_000, "{}", runs.weight());
        for number in (0..100_000u32).filter(|n| n % 100 != 0) {
            runs.remove(|other| other.cmp(&number));
        }
        assert!(runs.room < 16 * 1000, "{}", runs.room);
    }
}
