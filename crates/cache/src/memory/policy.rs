//! Which object has to go when room is needed: S3-FIFO. (experiment slot)
//!
//! Pure and without bodies, so that `cargo xtask sim` replays traces through this very file.

/// No slot.
const NONE: u32 = u32::MAX;

/// Entries in a full chunk of the slab. Chunks are never moved, so growth copies nothing.
const CHUNK: usize = 512;

/// Uses that are counted.
const MOST_USES: u8 = 3;

/// Items in one set of the ghost.
const SET: usize = 8;

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
    uses: u8,
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
        let entry = Entry { item: Some(item), hash, newer: NONE, older: NONE, uses: 0, in_main: false };
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
            entry.uses = (entry.uses + 1).min(MOST_USES);
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
            let from = if self.queues[SMALL].weight * 10 >= self.weight() { SMALL } else { MAIN };
            let slot = self.queues[from].oldest;
            if slot == NONE {
                return Some(self.queues[1 - from].oldest);
            }
            let entry = self.entry_mut(slot)?;
            let stays = if from == SMALL { entry.uses > 1 } else { entry.uses > 0 };
            if !stays {
                if from == SMALL {
                    let hash = entry.hash;
                    self.ghost.add(hash, self.live);
                }
                return Some(slot);
            }
            entry.uses = if from == SMALL { 0 } else { entry.uses - 1 };
            self.unlink(slot);
            self.link(slot, MAIN);
        }
        None
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

/// The hashes of what went lately.
#[derive(Debug, Default)]
struct Ghost {
    hashes: Vec<u32>,
}

impl Ghost {
    fn set(&mut self, hash: u32) -> Option<&mut [u32]> {
        let sets = self.hashes.len() / SET;
        let at = ((u64::from(hash.wrapping_mul(0x9e37_79b1)) * sets as u64) >> 32) as usize;
        self.hashes.get_mut(at * SET..at * SET + SET)
    }

    fn take(&mut self, hash: u32) -> bool {
        let Some(set) = self.set(hash) else { return false };
        let Some(at) = set.iter().position(|own| *own == hash) else { return false };
        set.copy_within(at + 1.., at);
        set[SET - 1] = 0;
        true
    }

    fn add(&mut self, hash: u32, live: usize) {
        if live > self.hashes.len() {
            let old = std::mem::replace(&mut self.hashes, vec![0; (live * 5 / 4).next_multiple_of(SET)]);
            for hash in old.into_iter().rev() {
                self.put(hash);
            }
        }
        self.put(hash);
    }

    fn put(&mut self, hash: u32) {
        if let Some(set) = self.set(hash) {
            set.copy_within(..SET - 1, 1);
            set[0] = hash;
        }
    }

    fn weight(&self) -> u64 {
        (self.hashes.capacity() * 4) as u64
    }
}
