//! Where each object's head is: a table by the hash of the URL, 40 bytes an object.

use std::sync::Arc;

use hashbrown::{HashTable, hash_table};
use smallvec::SmallVec;

use super::format::{Kind, Mark};
use super::runs::Place;
use super::stored::Stored;

/// Objects of one URL that a lookup looks at, the newest first.
const LOOKED_AT: usize = 32;

/// Which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) id: u64,
    /// Of its URL.
    pub(super) hash: u64,
    /// Of its variant.
    pub(super) key: u32,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    id: u64,
    large: Option<Arc<Stored>>,
    key: u32,
    /// 0: its head is not on disk yet.
    offset: u32,
    len: u32,
    slot: u16,
    used: bool,
}

const _: () = assert!(size_of::<Entry>() == 40);

impl Entry {
    fn place(&self) -> Option<Place> {
        (self.offset != 0).then_some(Place { offset: self.offset, len: self.len, slot: self.slot })
    }
}

/// An object that a lookup may mean.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) ticket: Ticket,
    /// Of its head.
    pub(super) place: Place,
    /// Its body, if it isn't in the same record.
    pub(super) large: Option<Arc<Stored>>,
}

/// Tables that grow one after the other, so that nobody waits while all of a large index is moved.
const TABLES: usize = 256;

/// All objects of the tier.
#[derive(Debug)]
pub(super) struct Index(Box<[HashTable<Entry>]>);

impl Default for Index {
    fn default() -> Index {
        Index((0..TABLES).map(|_| HashTable::new()).collect())
    }
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(HashTable::len).sum()
    }

    /// The table of a hash, by bits that the table itself doesn't look at first.
    fn table(&mut self, hash: u64) -> &mut HashTable<Entry> {
        &mut self.0[(hash >> 40) as usize % TABLES]
    }

    fn retain(&mut self, mut stays: impl FnMut(&mut Entry) -> bool) -> usize {
        let before = self.len();
        self.0.iter_mut().for_each(|table| table.retain(&mut stays));
        before - self.len()
    }

    /// Adds an object whose head isn't on disk yet.
    pub(super) fn add(&mut self, ticket: Ticket, large: Option<Arc<Stored>>) {
        let Ticket { id, hash, key } = ticket;
        let entry = Entry { hash, id, large, key, offset: 0, len: 0, slot: 0, used: false };
        self.table(hash).insert_unique(hash, entry, |entry| entry.hash);
    }

    /// Puts an object where its head was found, with its body if that is large. True: it is there already,
    /// and only its head is a newer one.
    pub(super) fn found(
        &mut self,
        ticket: Ticket,
        place: Place,
        large: impl FnOnce() -> Option<Arc<Stored>>,
    ) -> bool {
        let Ticket { id, hash, key } = ticket;
        let Place { offset, len, slot } = place;
        let is = |entry: &Entry| entry.id == id && entry.hash == hash;
        match self.table(hash).entry(hash, is, |entry| entry.hash) {
            hash_table::Entry::Occupied(mut entry) => {
                let entry = entry.get_mut();
                (entry.offset, entry.len, entry.slot) = (offset, len, slot);
                true
            }
            hash_table::Entry::Vacant(vacant) => {
                vacant.insert(Entry { hash, id, large: large(), key, offset, len, slot, used: false });
                false
            }
        }
    }

    fn find(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        self.table(ticket.hash)
            .find_mut(ticket.hash, |entry| entry.id == ticket.id && entry.hash == ticket.hash)
    }

    pub(super) fn has(&mut self, ticket: Ticket) -> bool {
        self.find(ticket).is_some()
    }

    pub(super) fn large(&mut self, ticket: Ticket) -> Option<&Arc<Stored>> {
        self.find(ticket)?.large.as_ref()
    }

    /// Its head is here now.
    pub(super) fn place(&mut self, ticket: Ticket, place: Place) {
        if let Some(entry) = self.find(ticket) {
            (entry.offset, entry.len, entry.slot) = (place.offset, place.len, place.slot);
            entry.used = false;
        }
    }

    /// Its body stands with its head.
    pub(super) fn make_small(&mut self, ticket: Ticket) {
        if let Some(entry) = self.find(ticket) {
            entry.large = None;
        }
    }

    /// Was the object whose head is here used since it was written? None: it isn't there.
    pub(super) fn is_used(&mut self, ticket: Ticket, place: Place) -> Option<bool> {
        self.find(ticket).filter(|entry| entry.place() == Some(place)).map(|entry| entry.used)
    }

    pub(super) fn use_it(&mut self, ticket: Ticket) {
        if let Some(entry) = self.find(ticket) {
            entry.used = true;
        }
    }

    /// Removes one.
    pub(super) fn remove(&mut self, ticket: Ticket) {
        let is = |entry: &Entry| entry.id == ticket.id && entry.hash == ticket.hash;
        if let Ok(found) = self.table(ticket.hash).find_entry(ticket.hash, is) {
            let (entry, _) = found.remove();
            entry.large.inspect(|stored| stored.remove());
        }
    }

    /// Removes the one whose head is here.
    pub(super) fn remove_at(&mut self, ticket: Ticket, place: Place) -> bool {
        let there = self.is_used(ticket, place).is_some();
        if there {
            self.remove(ticket);
        }
        there
    }

    /// What a lookup may mean, the newest first.
    pub(super) fn candidates(&mut self, hash: u64) -> SmallVec<[Candidate; 2]> {
        let of = |entry: &Entry| {
            let ticket = Ticket { id: entry.id, hash, key: entry.key };
            (entry.hash == hash)
                .then(|| Some(Candidate { ticket, place: entry.place()?, large: entry.large.clone() }))
                .flatten()
        };
        let mut found: SmallVec<[Candidate; 2]> = self.table(hash).iter_hash(hash).filter_map(of).collect();
        found.sort_unstable_by_key(|candidate| std::cmp::Reverse(candidate.ticket.id));
        found.truncate(LOOKED_AT);
        found
    }

    /// Removes what a kill means; says how many.
    pub(super) fn kill(&mut self, kill: &Mark) -> usize {
        let Mark { kind, id, hash, key, .. } = *kill;
        if kind == Kind::KillAll {
            return self.retain(|entry| {
                let stays = entry.id >= id;
                if let Some(stored) = entry.large.as_ref().filter(|_| !stays) {
                    stored.remove();
                }
                stays
            });
        }
        let mut count = 0;
        let is = |entry: &Entry| {
            entry.hash == hash && entry.id < id && (kind == Kind::KillUrl || entry.key == key)
        };
        while let Ok(found) = self.table(hash).find_entry(hash, is) {
            let (entry, _) = found.remove();
            entry.large.inspect(|stored| stored.remove());
            count += 1;
        }
        count
    }

    /// All of them are removed.
    pub(super) fn remove_all(&self) {
        self.0.iter().flatten().filter_map(|entry| entry.large.as_ref()).for_each(|stored| stored.remove());
    }

    /// Removes all whose head is in this segment, and forgets the runs there.
    pub(super) fn leave(&mut self, slot: u16) -> usize {
        self.retain(|entry| {
            if let Some(stored) = &entry.large {
                stored.leave(slot);
            }
            entry.offset == 0 || entry.slot != slot
        })
    }

    /// Removes those with a large body whose length is not known: nobody will write the rest.
    pub(super) fn drop_unfinished(&mut self) {
        self.retain(|entry| entry.large.as_ref().is_none_or(|stored| stored.total().is_some()));
    }
}
