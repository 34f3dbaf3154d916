//! Which object has to go when room is needed.
//!
//! It is S3-FIFO: what is new waits in a small queue for proof that it is wanted, what proved it lives in
//! the main queue as long as it is used between two turns, and what left the small queue too early is
//! remembered for a while and comes back into the main one. So a scan passes through a tenth of the room.
//!
//! Two things differ, each for what `cargo xtask sim` showed. Objects smaller than the average pay less
//! of their uses for a turn, which gains many hits for few bytes, as the admission of W-TinyLFU does. And
//! half as many are remembered: those of a longer memory displace better ones where popularity is flat.
//!
//! Pure and without bodies, so that the simulation replays traces through this very file.

/// No slot.
const NONE: u32 = u32::MAX;

/// Entries in a full chunk of the slab: just below 16 KiB of those of 24 bytes, which is a size class.
/// Full chunks are never moved, so growth copies little.
const CHUNK: usize = 682;

/// The small queue's share of the weight: 1/10.
const SMALL_SHARE: u64 = 10;

/// What a use is worth, and a turn costs an item of average weight or above.
const USE: u8 = 4;

/// What a turn costs the smallest items.
const LEAST_COST: u8 = 1;

/// Three uses are counted.
const MOST_CREDIT: u8 = 3 * USE;

/// For so many items one name is remembered.
const ITEMS_PER_GHOST: usize = 2;

/// Names in one set of the ghost.
const SET: usize = 8;

/// The most shards.
const MOST_SHARDS: u64 = 64;

/// A shard is made for so many bytes. More of them would hold too few objects each to judge them well.
const SHARD_BYTES: u64 = 8 * 1024 * 1024;

/// How many shards a tier of so many bytes has: a power of two.
pub fn shards(bytes: u64) -> usize {
    (bytes / SHARD_BYTES).clamp(1, MOST_SHARDS).next_power_of_two() as usize
}

/// What an item weighs; must not change.
pub trait Weigh {
    /// In bytes.
    fn weight(&self) -> u64;
}

/// An item and its place in its queue.
#[derive(Debug)]
struct Entry<T> {
    item: Option<T>,
    hash: u32,
    newer: u32,
    older: u32,
    credit: u8,
    in_main: bool,
}

/// Newest to oldest.
#[derive(Debug, Clone, Copy)]
struct Queue {
    newest: u32,
    oldest: u32,
    weight: u64,
}

/// Items in two queues, and the memory of some that went.
#[derive(Debug)]
pub struct Policy<T> {
    chunks: Vec<Vec<Entry<T>>>,
    free: u32,
    live: usize,
    queues: [Queue; 2],
    ghost: Ghost,
}

const SMALL: usize = 0;
const MAIN: usize = 1;

impl<T: Weigh> Policy<T> {
    pub fn new() -> Policy<T> {
        let queue = Queue { newest: NONE, oldest: NONE, weight: 0 };
        Policy { chunks: Vec::new(), free: NONE, live: 0, queues: [queue; 2], ghost: Ghost::default() }
    }

    /// How many items are there.
    pub fn len(&self) -> usize {
        self.live
    }

    /// What they weigh together.
    pub fn weight(&self) -> u64 {
        self.queues.iter().map(|queue| queue.weight).sum()
    }

    /// Bytes of memory that all this takes besides the items.
    pub fn overhead(&self) -> u64 {
        let full = self.chunks.len().saturating_sub(1) * CHUNK;
        let entries = full + self.chunks.last().map_or(0, Vec::capacity);
        (entries * size_of::<Entry<T>>() + self.chunks.capacity() * size_of::<Vec<Entry<T>>>()) as u64
            + self.ghost.weight()
    }

    /// Adds an item with the hash of its name.
    pub fn insert(&mut self, hash: u32, item: T) -> u32 {
        let queue = if self.ghost.take(hash) { MAIN } else { SMALL };
        let entry = Entry { item: Some(item), hash, newer: NONE, older: NONE, credit: 0, in_main: false };
        let slot = self.place(entry);
        self.live += 1;
        self.link(slot, queue);
        slot
    }

    /// The item of a slot.
    pub fn get(&self, slot: u32) -> Option<&T> {
        self.entry(slot)?.item.as_ref()
    }

    /// The hash it came with.
    pub fn hash(&self, slot: u32) -> u32 {
        self.entry(slot).map_or(0, |entry| entry.hash)
    }

    /// Counts a use.
    pub fn used(&mut self, slot: u32) {
        if let Some(entry) = self.entry_mut(slot) {
            entry.credit = (entry.credit + USE).min(MOST_CREDIT);
        }
    }

    /// Puts another item in its place: the same thing, renewed.
    pub fn renew(&mut self, slot: u32, item: T) -> Option<T> {
        let weight = item.weight();
        let entry = self.entry_mut(slot)?;
        let queue = usize::from(entry.in_main);
        let old = entry.item.replace(item)?;
        self.queues[queue].weight = self.queues[queue].weight + weight - old.weight();
        Some(old)
    }

    /// Takes an item out that is no longer wanted.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        self.get(slot)?;
        self.unlink(slot);
        let free = self.free;
        let entry = self.entry_mut(slot)?;
        entry.older = free;
        let item = entry.item.take();
        self.free = slot;
        self.live -= 1;
        item
    }

    /// Which has to go next; to be followed by `remove`.
    pub fn victim(&mut self) -> Option<u32> {
        while self.live > 0 {
            let is_small_due = self.queues[SMALL].weight * SMALL_SHARE >= self.weight();
            let from = if is_small_due { SMALL } else { MAIN };
            let slot = self.queues[from].oldest;
            if slot == NONE {
                return Some(self.queues[1 - from].oldest);
            }
            let cost = self.cost(slot);
            let entry = self.entry_mut(slot)?;
            let hash = entry.hash;
            match (from, entry.credit) {
                (MAIN, credit) if credit >= cost => entry.credit -= cost,
                (MAIN, _) => return Some(slot),
                // A second use proves it; the first is often part of the visit that brought it.
                (_, credit) if credit >= 2 * cost => entry.credit = 0,
                _ => {
                    self.ghost.add(hash, self.live);
                    return Some(slot);
                }
            }
            self.unlink(slot);
            self.link(slot, MAIN);
        }
        None
    }

    /// What a turn costs the item of a slot.
    fn cost(&self, slot: u32) -> u8 {
        let average = self.weight() / self.live.max(1) as u64;
        let weight = self.get(slot).map_or(0, Weigh::weight);
        let cost = weight.saturating_mul(u64::from(USE)).div_ceil(average.max(1));
        u8::try_from(cost).unwrap_or(USE).clamp(LEAST_COST, USE)
    }

    fn entry(&self, slot: u32) -> Option<&Entry<T>> {
        self.chunks.get(slot as usize / CHUNK)?.get(slot as usize % CHUNK)
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry<T>> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }

    fn place(&mut self, entry: Entry<T>) -> u32 {
        let slot = self.free;
        if let Some(place) = self.entry_mut(slot) {
            let next = place.older;
            *place = entry;
            self.free = next;
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::new());
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = &mut self.chunks[before / CHUNK];
        if chunk.len() == chunk.capacity() {
            chunk.reserve_exact((chunk.len() + 8).min(CHUNK - chunk.len()));
        }
        chunk.push(entry);
        (before + chunk.len() - 1) as u32
    }

    fn link(&mut self, slot: u32, queue: usize) {
        let second = self.queues[queue].newest;
        let Some(entry) = self.entry_mut(slot) else { return };
        (entry.newer, entry.older, entry.in_main) = (NONE, second, queue == MAIN);
        let weight = entry.item.as_ref().map_or(0, Weigh::weight);
        if let Some(second) = self.entry_mut(second) {
            second.newer = slot;
        }
        let queue = &mut self.queues[queue];
        queue.newest = slot;
        queue.weight += weight;
        if queue.oldest == NONE {
            queue.oldest = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Some(entry) = self.entry(slot) else { return };
        let (newer, older, queue) = (entry.newer, entry.older, usize::from(entry.in_main));
        let weight = entry.item.as_ref().map_or(0, Weigh::weight);
        match self.entry_mut(newer) {
            Some(newer) => newer.older = older,
            None => self.queues[queue].newest = older,
        }
        match self.entry_mut(older) {
            Some(older) => older.newer = newer,
            None => self.queues[queue].oldest = newer,
        }
        self.queues[queue].weight -= weight;
    }
}

/// The hashes of what went lately: sets of a few, newest first, so that the oldest of a set makes room.
/// A hash of nothing, 0, is in all of them, and whose hash it is comes back early.
#[derive(Debug, Default)]
struct Ghost {
    hashes: Vec<u32>,
}

impl Ghost {
    /// Remembers one, while `live` items are there.
    fn add(&mut self, hash: u32, live: usize) {
        let wanted = live / ITEMS_PER_GHOST;
        if wanted > self.hashes.len() || 2 * (wanted + SET) < self.hashes.len() {
            let hashes = vec![0; (wanted + wanted / 4 + 1).next_multiple_of(SET)];
            let old = std::mem::replace(&mut self.hashes, hashes);
            // Backwards, so that the newest of each set is the last to come.
            old.into_iter().rev().filter(|hash| *hash != 0).for_each(|hash| self.put(hash));
        }
        self.put(hash);
    }

    fn put(&mut self, hash: u32) {
        if let Some(set) = self.set(hash) {
            set.copy_within(..SET - 1, 1);
            set[0] = hash;
        }
    }

    /// Was it remembered? It no longer is.
    fn take(&mut self, hash: u32) -> bool {
        let Some(set) = self.set(hash) else { return false };
        let Some(at) = set.iter().position(|own| *own == hash) else { return false };
        set.copy_within(at + 1.., at);
        set[SET - 1] = 0;
        true
    }

    fn set(&mut self, hash: u32) -> Option<&mut [u32]> {
        let sets = self.hashes.len() / SET;
        let at = ((u64::from(hash.wrapping_mul(0x9e37_79b1)) * sets as u64) >> 32) as usize;
        self.hashes.get_mut(at * SET..at * SET + SET)
    }

    fn weight(&self) -> u64 {
        size_of_val(&*self.hashes) as u64
    }
}
