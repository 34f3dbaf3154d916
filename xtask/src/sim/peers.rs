//! The policies that ours is held against, as their papers describe them, weighed by bytes: LRU,
//! S3-FIFO (Yang et al. 2023) and W-TinyLFU (Einziger et al. 2017).

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::sim::Policy;
use crate::sim::list::{List, Slab, Slot};
use crate::sim::trace::Request;

/// Ids are numbers already: a multiplication spreads them well enough for a simulation.
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, id: u64) {
        self.0 = mix(id);
    }
}

/// All bits of `id` in all bits.
pub fn mix(id: u64) -> u64 {
    let mixed = (id ^ (id >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(32)
}

/// Something for each object.
pub type Map<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

/// The least recently used goes.
#[derive(Default)]
pub struct Lru {
    limit: u64,
    map: Map<Slot>,
    slab: Slab,
    list: List,
}

impl Lru {
    pub fn new(limit: u64) -> Lru {
        Lru { limit, ..Lru::default() }
    }
}

impl Policy for Lru {
    fn request(&mut self, request: Request) -> bool {
        if let Some(slot) = self.map.get(&request.id) {
            self.list.remove(&mut self.slab, *slot);
            self.list.push(&mut self.slab, *slot);
            return true;
        }
        let slot = self.slab.add(request.id, request.size);
        self.map.insert(request.id, slot);
        self.list.push(&mut self.slab, slot);
        while self.list.bytes > self.limit {
            let Some(slot) = self.list.oldest() else { break };
            self.list.remove(&mut self.slab, slot);
            self.map.remove(&self.slab.at(slot).id);
            self.slab.free(slot);
        }
        false
    }
}

/// A small queue of a tenth, a main queue, and the names of as many bytes as the main queue holds.
#[derive(Default)]
pub struct S3Fifo {
    limit: u64,
    map: Map<Slot>,
    slab: Slab,
    small: List,
    main: List,
    ghost: VecDeque<(u64, u32)>,
    ghosts: Map<u32>,
    ghost_bytes: u64,
}

impl S3Fifo {
    pub fn new(limit: u64) -> S3Fifo {
        S3Fifo { limit, ..S3Fifo::default() }
    }

    fn evict(&mut self) {
        if self.small.bytes * 10 > self.limit || self.main.bytes == 0 {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    fn evict_small(&mut self) {
        let Some(slot) = self.small.oldest() else { return };
        self.small.remove(&mut self.slab, slot);
        let node = self.slab.at(slot);
        if node.uses > 1 {
            node.uses = 0;
            self.main.push(&mut self.slab, slot);
            return;
        }
        let (id, size) = (node.id, node.size);
        self.drop_slot(slot);
        self.ghost.push_back((id, size));
        *self.ghosts.entry(id).or_insert(0) += 1;
        self.ghost_bytes += u64::from(size);
        while self.ghost_bytes > self.limit / 10 * 9 {
            let Some((id, size)) = self.ghost.pop_front() else { break };
            self.ghost_bytes -= u64::from(size);
            if let Some(times) = self.ghosts.get_mut(&id) {
                *times -= 1;
                if *times == 0 {
                    self.ghosts.remove(&id);
                }
            }
        }
    }

    fn evict_main(&mut self) {
        let Some(slot) = self.main.oldest() else { return };
        self.main.remove(&mut self.slab, slot);
        let node = self.slab.at(slot);
        if node.uses > 0 {
            node.uses -= 1;
            self.main.push(&mut self.slab, slot);
        } else {
            self.drop_slot(slot);
        }
    }

    fn drop_slot(&mut self, slot: Slot) {
        self.map.remove(&self.slab.at(slot).id);
        self.slab.free(slot);
    }
}

impl Policy for S3Fifo {
    fn request(&mut self, request: Request) -> bool {
        if let Some(slot) = self.map.get(&request.id) {
            let node = self.slab.at(*slot);
            node.uses = (node.uses + 1).min(3);
            return true;
        }
        while self.small.bytes + self.main.bytes + u64::from(request.size) > self.limit {
            self.evict();
        }
        let slot = self.slab.add(request.id, request.size);
        self.map.insert(request.id, slot);
        let queue = if self.ghosts.contains_key(&request.id) { &mut self.main } else { &mut self.small };
        queue.push(&mut self.slab, slot);
        false
    }
}

const WINDOW: u8 = 0;
const PROBATION: u8 = 1;
const PROTECTED: u8 = 2;

/// A window of 1 %, a segmented main part of 20 and 80 %, and a sketch of what was asked for lately.
pub struct TinyLfu {
    limit: u64,
    map: Map<Slot>,
    slab: Slab,
    lists: [List; 3],
    sketch: Sketch,
}

impl TinyLfu {
    /// For about so many objects at a time.
    pub fn new(limit: u64, objects: u64) -> TinyLfu {
        let sketch = Sketch::new(objects.max(16) as usize);
        TinyLfu { limit, map: Map::default(), slab: Slab::default(), lists: [List::default(); 3], sketch }
    }

    fn shift(&mut self, slot: Slot, to: u8) {
        let from = std::mem::replace(&mut self.slab.at(slot).queue, to);
        self.lists[usize::from(from)].remove(&mut self.slab, slot);
        self.lists[usize::from(to)].push(&mut self.slab, slot);
    }

    fn hit(&mut self, slot: Slot) {
        let queue = self.slab.at(slot).queue;
        self.shift(slot, if queue == WINDOW { WINDOW } else { PROTECTED });
        while self.lists[usize::from(PROTECTED)].bytes > self.limit / 100 * 99 / 10 * 8 {
            let Some(slot) = self.lists[usize::from(PROTECTED)].oldest() else { break };
            self.shift(slot, PROBATION);
        }
    }

    fn drop_slot(&mut self, slot: Slot) {
        let node = *self.slab.at(slot);
        self.lists[usize::from(node.queue)].remove(&mut self.slab, slot);
        self.map.remove(&node.id);
        self.slab.free(slot);
    }

    /// What falls out of the window stays if it is asked for more than what would have to go for it.
    fn admit(&mut self, candidate: Slot) {
        self.shift(candidate, PROBATION);
        let main = self.limit - self.limit / 100;
        while self.lists[usize::from(PROBATION)].bytes + self.lists[usize::from(PROTECTED)].bytes > main {
            let Some(victim) = self.lists[usize::from(PROBATION)].oldest() else { break };
            let victim = if victim == candidate {
                self.lists[usize::from(PROTECTED)].oldest().unwrap_or(candidate)
            } else {
                victim
            };
            let wanted = self.sketch.estimate(self.slab.at(candidate).id);
            if victim == candidate || wanted <= self.sketch.estimate(self.slab.at(victim).id) {
                self.drop_slot(candidate);
                return;
            }
            self.drop_slot(victim);
        }
    }
}

impl Policy for TinyLfu {
    fn request(&mut self, request: Request) -> bool {
        self.sketch.count(request.id);
        if let Some(slot) = self.map.get(&request.id) {
            self.hit(*slot);
            return true;
        }
        let slot = self.slab.add(request.id, request.size);
        self.map.insert(request.id, slot);
        self.lists[usize::from(WINDOW)].push(&mut self.slab, slot);
        while self.lists[usize::from(WINDOW)].bytes > (self.limit / 100).max(1) {
            let Some(slot) = self.lists[usize::from(WINDOW)].oldest() else { break };
            self.admit(slot);
        }
        false
    }
}

/// A count-min sketch of four rows of 4-bit counters that are halved now and then, behind a filter that
/// keeps what was asked for once out of it.
struct Sketch {
    rows: [Vec<u8>; 4],
    doorkeeper: Vec<bool>,
    counted: usize,
    sample: usize,
}

impl Sketch {
    fn new(objects: usize) -> Sketch {
        let len = objects.next_power_of_two();
        let rows = std::array::from_fn(|_| vec![0; len]);
        Sketch { rows, doorkeeper: vec![false; 8 * len], counted: 0, sample: 10 * objects }
    }

    fn at(id: u64, row: usize, len: usize) -> usize {
        mix(id.wrapping_add(row as u64 * 0x1234_5678_9abc_def1)) as usize & (len - 1)
    }

    fn count(&mut self, id: u64) {
        self.counted += 1;
        if self.counted >= self.sample {
            self.counted /= 2;
            self.doorkeeper.fill(false);
            self.rows.iter_mut().flatten().for_each(|counter| *counter /= 2);
        }
        let len = self.doorkeeper.len();
        if !std::mem::replace(&mut self.doorkeeper[Self::at(id, 4, len)], true) {
            return;
        }
        // Conservative update: only the smallest counters grow.
        let least = self.least(id);
        for (index, row) in self.rows.iter_mut().enumerate() {
            let len = row.len();
            let counter = &mut row[Self::at(id, index, len)];
            if *counter == least && least < 15 {
                *counter += 1;
            }
        }
    }

    fn least(&self, id: u64) -> u8 {
        let counters = self.rows.iter().enumerate();
        counters.map(|(index, row)| row[Self::at(id, index, row.len())]).min().unwrap_or(0)
    }

    fn estimate(&self, id: u64) -> u8 {
        self.least(id) + u8::from(self.doorkeeper[Self::at(id, 4, self.doorkeeper.len())])
    }
}
