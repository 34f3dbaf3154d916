//! The memory tier.
//!
//! Objects are spread over shards by the hash of their URL, and a lookup locks one shard for the time of
//! a comparison or two. What a shard does is in `shard`, which object has to go in `policy`. The limit is
//! one for all shards: when it is reached, the shard with the most objects gives one up, so that a large
//! object doesn't empty the shard that it happens to fall in.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::Object;
use crate::ledger::What;

pub(crate) mod policy;
mod shard;

use shard::Shard;

/// An object may take this part of the tier at most: 1/8. Larger ones would sweep out too much at once.
const LARGEST_SHARE: u64 = 8;

/// Objects that a purge removes under one lock.
const PURGE_BATCH: usize = 256;

/// Bodies are to be made of pieces of this length, a shorter one at the end, each in an allocation of its
/// own length. Larger ones leave holes when they go that the allocator can't fill: with pieces of 128 KiB
/// the process grows by twice the limit.
pub const PIECE: usize = 32 * 1024;

/// Objects in memory, up to a number of bytes.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    /// How many objects each shard has, beside each other so that the fullest is found at a glance.
    counts: Box<[AtomicU32]>,
    state: RandomState,
    limit: AtomicU64,
    bytes: AtomicU64,
    evicted: AtomicU64,
}

impl Memory {
    /// A tier that holds `bytes` at most, bookkeeping and the allocator's rounding included.
    pub fn new(bytes: u64) -> Memory {
        let shards = policy::shards(bytes);
        Memory {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            counts: (0..shards).map(|_| AtomicU32::new(0)).collect(),
            state: RandomState::default(),
            limit: AtomicU64::new(bytes),
            bytes: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    /// Changes the limit; what no longer fits is gone on return.
    pub fn resize(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
        self.settle();
    }

    /// The newest object of this URL that fits, counting the use. `fits` runs under the shard's lock.
    #[inline]
    pub fn get(&self, primary: &[u8], fits: impl FnMut(&Object) -> bool) -> Option<Object> {
        let (index, hash) = self.whereabouts(primary);
        let mut shard = self.lock(index);
        let slot = shard.find(hash, primary, fits)?;
        shard.used(slot)
    }

    /// As [`Memory::get`], but without counting: for those who only look.
    pub fn peek(&self, primary: &[u8], fits: impl FnMut(&Object) -> bool) -> Option<Object> {
        let (index, hash) = self.whereabouts(primary);
        let shard = self.lock(index);
        let slot = shard.find(hash, primary, fits)?;
        shard.object(slot).cloned()
    }

    /// Adds an object in place of the one of the same URL and variant ([`crate::vary::same`]). False: it is too large for
    /// this tier, and an older one with its names is gone, for it must not answer any more.
    pub fn insert(&self, object: Object) -> bool {
        let (index, hash) = self.whereabouts(object.primary());
        let fits = self.room_for(object.weight());
        let old = self.change(index, |shard| {
            let old = shard.same(hash, &object);
            match (fits, old) {
                (true, Some(slot)) => shard.renew(slot, object, &self.state),
                (true, None) => shard.insert(hash, object, &self.state),
                (false, Some(slot)) => shard.remove(slot, &self.state),
                (false, None) => None,
            }
        });
        drop(old);
        self.settle();
        fits
    }

    /// Removes exactly this object, if it is still there.
    pub fn remove(&self, object: &Object) -> bool {
        let (index, hash) = self.whereabouts(object.primary());
        let old = self.change(index, |shard| {
            let slot = shard.find(hash, object.primary(), |other| other.is(object))?;
            shard.remove(slot, &self.state)
        });
        old.is_some()
    }

    /// Removes all that a purge names, or marks it as stale if the purge is soft; says how many that were.
    pub fn purge(&self, what: &What, soft: bool) -> usize {
        if let What::Url(primary) = what {
            let (index, hash) = self.whereabouts(primary);
            return self.purge_in(index, hash, what, soft);
        }
        (0..self.shards.len()).map(|index| self.purge_in(index, 0, what, soft)).sum()
    }

    /// Bytes of memory it takes, bookkeeping included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many objects it holds.
    pub fn objects(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(count.load(Ordering::Relaxed))).sum()
    }

    /// How many had to go for others since it was made.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// May an object of `len` bytes be kept here?
    pub fn room_for(&self, len: u64) -> bool {
        len <= self.limit.load(Ordering::Relaxed) / LARGEST_SHARE
    }

    fn purge_in(&self, index: usize, hash: u32, what: &What, soft: bool) -> usize {
        if soft {
            let shard = self.lock(index);
            let objects = shard.named(what, hash, usize::MAX, &self.state);
            return objects.into_iter().filter_map(|slot| shard.object(slot)).map(Object::soften).count();
        }
        if *what == What::All {
            return self.change(index, std::mem::take).objects();
        }
        let mut count = 0;
        loop {
            // In batches, so that those who look for something else needn't wait for all of it.
            let gone: Vec<Object> = self.change(index, |shard| {
                let slots = shard.named(what, hash, PURGE_BATCH, &self.state);
                slots.into_iter().filter_map(|slot| shard.remove(slot, &self.state)).collect()
            });
            count += gone.len();
            if gone.len() < PURGE_BATCH {
                break;
            }
        }
        if count > 0 {
            self.change(index, Shard::trim);
        }
        count
    }

    /// Evicts until the limit holds.
    fn settle(&self) {
        while self.bytes() > self.limit.load(Ordering::Relaxed) {
            let fullest =
                self.counts.iter().enumerate().max_by_key(|(_, count)| count.load(Ordering::Relaxed));
            let Some((index, _)) = fullest else { return };
            let gone = self.change(index, |shard| shard.evict(&self.state));
            if gone.is_none() {
                return;
            }
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Which shard, and the hash within it.
    #[inline]
    fn whereabouts(&self, primary: &[u8]) -> (usize, u32) {
        let hash = self.state.hash_one(primary);
        ((hash >> 32) as usize & (self.shards.len() - 1), hash as u32)
    }

    /// Changes a shard and counts what that changed. What comes out is dropped by the caller, after the
    /// lock: to free a large object takes longer than all else here.
    fn change<T>(&self, index: usize, change: impl FnOnce(&mut Shard) -> T) -> T {
        let mut shard = self.lock(index);
        let before = shard.bytes();
        let out = change(&mut shard);
        let after = shard.bytes();
        if after >= before {
            self.bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
        self.counts[index].store(shard.objects() as u32, Ordering::Relaxed);
        out
    }

    /// A panic under the lock can only have come from `fits`, before anything was changed.
    #[inline]
    fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
