//! Things by the numbers of messages, which are given one after the other: 64 neighbours share a page
//! that says by its bits who is there, so that what lies dense costs little beside itself and what was
//! left over of it gives its memory back.

use std::collections::BTreeMap;

use crate::record::Number;

/// Which page, and which bit of it.
fn locate(number: Number) -> (u64, u64) {
    (number / 64, 1 << (number % 64))
}

/// The numbers on a page, in order.
fn numbers(page: u64, mut bits: u64) -> impl Iterator<Item = Number> {
    std::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| bits.trailing_zeros())?;
        bits &= bits - 1;
        Some(page * 64 + u64::from(lowest))
    })
}

/// The bits that are above the number's, if it is on this page.
fn above(after: Number, page: u64) -> u64 {
    let (its, bit) = locate(after);
    if its == page { !(bit | (bit - 1)) } else { u64::MAX }
}

/// Numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Set {
    pages: BTreeMap<u64, u64>,
    len: usize,
}

impl Set {
    /// Says whether it is new.
    pub(crate) fn insert(&mut self, number: Number) -> bool {
        let (page, bit) = locate(number);
        let bits = self.pages.entry(page).or_default();
        let new = *bits & bit == 0;
        *bits |= bit;
        self.len += usize::from(new);
        new
    }

    /// Says whether it was there.
    pub(crate) fn remove(&mut self, number: Number) -> bool {
        let (page, bit) = locate(number);
        let Some(bits) = self.pages.get_mut(&page) else { return false };
        let there = *bits & bit != 0;
        *bits &= !bit;
        if *bits == 0 {
            self.pages.remove(&page);
        }
        self.len -= usize::from(there);
        there
    }

    pub(crate) fn contains(&self, number: Number) -> bool {
        let (page, bit) = locate(number);
        self.pages.get(&page).is_some_and(|bits| bits & bit != 0)
    }

    pub(crate) fn first(&self) -> Option<Number> {
        let (page, bits) = self.pages.first_key_value()?;
        numbers(*page, *bits).next()
    }

    /// Those that are greater, in order.
    pub(crate) fn after(&self, after: Number) -> impl Iterator<Item = Number> {
        let pages = self.pages.range(after / 64..);
        pages.flat_map(move |(page, bits)| numbers(*page, bits & above(after, *page)))
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// Things by number.
#[derive(Debug, Clone)]
pub(crate) struct Table<T> {
    pages: BTreeMap<u64, Page<T>>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Page<T> {
    bits: u64,
    /// One for each bit that is set, in order.
    things: Vec<T>,
}

impl<T> Page<T> {
    /// Where the thing of this bit is, or would be.
    fn index(&self, bit: u64) -> usize {
        (self.bits & (bit - 1)).count_ones() as usize
    }

    fn get(&self, bit: u64) -> Option<&T> {
        if self.bits & bit == 0 { None } else { self.things.get(self.index(bit)) }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), len: 0 }
    }
}

impl<T> Table<T> {
    pub(crate) fn get(&self, number: Number) -> Option<&T> {
        let (page, bit) = locate(number);
        self.pages.get(&page)?.get(bit)
    }

    pub(crate) fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        let (page, bit) = locate(number);
        let page = self.pages.get_mut(&page)?;
        let index = page.index(bit);
        if page.bits & bit == 0 { None } else { page.things.get_mut(index) }
    }

    pub(crate) fn contains(&self, number: Number) -> bool {
        self.get(number).is_some()
    }

    /// Puts it there, in place of what was.
    pub(crate) fn insert(&mut self, number: Number, thing: T) {
        let (page, bit) = locate(number);
        let page = self.pages.entry(page).or_insert_with(|| Page { bits: 0, things: Vec::new() });
        let index = page.index(bit);
        if page.bits & bit == 0 {
            page.bits |= bit;
            page.things.insert(index, thing);
            self.len += 1;
        } else {
            page.things[index] = thing;
        }
    }

    pub(crate) fn remove(&mut self, number: Number) -> Option<T> {
        let (at, bit) = locate(number);
        let page = self.pages.get_mut(&at)?;
        if page.bits & bit == 0 {
            return None;
        }
        let thing = page.things.remove(page.index(bit));
        page.bits &= !bit;
        self.len -= 1;
        if page.things.is_empty() {
            self.pages.remove(&at);
        } else if page.things.len() <= page.things.capacity() / 4 {
            page.things.shrink_to(page.things.len() * 2);
        }
        Some(thing)
    }

    /// Those with greater numbers, in order.
    pub(crate) fn after(&self, after: Number) -> impl Iterator<Item = (Number, &T)> {
        let pages = self.pages.range(after / 64..);
        pages.flat_map(move |(at, page)| {
            let skip = page.things.len() - (page.bits & above(after, *at)).count_ones() as usize;
            numbers(*at, page.bits & above(after, *at)).zip(&page.things[skip..])
        })
    }

    /// The one with the lowest number.
    pub(crate) fn first(&self) -> Option<(Number, &T)> {
        let (at, page) = self.pages.first_key_value()?;
        numbers(*at, page.bits).next().zip(page.things.first())
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Set, Table};

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..200, any::<u64>()]
    }

    proptest! {
        #[test]
        fn is_a_map_in_order(steps in prop::collection::vec((number(), any::<bool>()), 0..400), after in number()) {
            let (mut table, mut set, mut model) = (Table::default(), Set::default(), BTreeMap::new());
            for (step, (number, insert)) in steps.into_iter().enumerate() {
                if insert {
                    table.insert(number, step);
                    prop_assert_eq!(set.insert(number), model.insert(number, step).is_none());
                } else {
                    let was = model.remove(&number);
                    prop_assert_eq!(set.remove(number), was.is_some());
                    prop_assert_eq!(table.remove(number), was);
                }
                prop_assert_eq!(table.get(number), model.get(&number));
                prop_assert_eq!(table.get_mut(number).copied(), model.get(&number).copied());
                prop_assert_eq!(set.contains(number), model.contains_key(&number));
            }
            prop_assert_eq!((table.len(), set.len()), (model.len(), model.len()));
            prop_assert_eq!(table.first(), model.iter().next().map(|(number, step)| (*number, step)));
            prop_assert_eq!(set.first(), model.keys().next().copied());
            let rest: Vec<_> = model.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded)).collect();
            prop_assert_eq!(table.after(after).collect::<Vec<_>>(), rest.iter().map(|(n, s)| (**n, *s)).collect::<Vec<_>>());
            prop_assert_eq!(set.after(after).collect::<Vec<_>>(), rest.iter().map(|(n, _)| **n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_left_over_takes_little() {
        let mut table = Table::default();
        (0..64).for_each(|number| table.insert(number, number));
        (0..63).for_each(|number| assert_eq!(table.remove(number), Some(number)));
        let page = table.pages.values().next().expect("one is left");
        assert!(page.things.capacity() <= 4, "{}", page.things.capacity());
        table.remove(63);
        assert!(table.pages.is_empty());
    }
}
