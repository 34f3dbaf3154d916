//! A queue whose members can leave from anywhere, for the reference policies.

const NONE: usize = usize::MAX;

/// A member's place.
pub type Slot = usize;

/// All members of all queues of one cache.
#[derive(Default)]
pub struct Slab {
    nodes: Vec<Node>,
    free: Vec<Slot>,
}

/// An object in a cache.
#[derive(Clone, Copy, Default)]
pub struct Node {
    pub id: u64,
    pub size: u32,
    pub uses: u8,
    pub queue: u8,
    newer: Slot,
    older: Slot,
}

/// Newest first, with the bytes of its members.
#[derive(Clone, Copy)]
pub struct List {
    newest: Slot,
    oldest: Slot,
    pub bytes: u64,
}

impl Default for List {
    fn default() -> Self {
        List { newest: NONE, oldest: NONE, bytes: 0 }
    }
}

impl Slab {
    pub fn add(&mut self, id: u64, size: u32) -> Slot {
        let node = Node { id, size, newer: NONE, older: NONE, ..Node::default() };
        if let Some(slot) = self.free.pop() {
            self.nodes[slot] = node;
            return slot;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub fn free(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    pub fn at(&mut self, slot: Slot) -> &mut Node {
        &mut self.nodes[slot]
    }
}

impl List {
    pub fn oldest(&self) -> Option<Slot> {
        Some(self.oldest).filter(|slot| *slot != NONE)
    }

    pub fn push(&mut self, slab: &mut Slab, slot: Slot) {
        let second = self.newest;
        (slab.nodes[slot].newer, slab.nodes[slot].older) = (NONE, second);
        if second == NONE {
            self.oldest = slot;
        } else {
            slab.nodes[second].newer = slot;
        }
        self.newest = slot;
        self.bytes += u64::from(slab.nodes[slot].size);
    }

    pub fn remove(&mut self, slab: &mut Slab, slot: Slot) {
        let Node { newer, older, size, .. } = slab.nodes[slot];
        if newer == NONE {
            self.newest = older;
        } else {
            slab.nodes[newer].older = older;
        }
        if older == NONE {
            self.oldest = newer;
        } else {
            slab.nodes[older].newer = newer;
        }
        self.bytes -= u64::from(size);
    }
}
