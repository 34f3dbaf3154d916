//! The memory tier's own policy: the very file that the cache is built with, not a copy of its ideas.

use crate::sim::Policy;
use crate::sim::peers::{Map, mix};
use crate::sim::trace::Request;

#[allow(dead_code)] // The tier itself asks more of it.
#[path = "../../../crates/cache/src/memory/policy.rs"]
mod policy;

use policy::Weigh;

impl Weigh for Request {
    fn weight(&self) -> u64 {
        u64::from(self.size)
    }
}

/// The tier's policy, of which the shard with the most objects gives one up.
pub struct Ours {
    limit: u64,
    map: Map<u32>,
    shards: Vec<policy::Policy<Request>>,
}

impl Ours {
    /// In as many shards as the tier would have.
    pub fn new(limit: u64) -> Ours {
        let shards = policy::shards(limit);
        Ours { limit, map: Map::default(), shards: (0..shards).map(|_| policy::Policy::new()).collect() }
    }

    fn shard(&self, hash: u64) -> usize {
        (hash >> 32) as usize % self.shards.len()
    }
}

impl Policy for Ours {
    fn request(&mut self, request: Request) -> bool {
        let hash = mix(request.id);
        let index = self.shard(hash);
        if let Some(slot) = self.map.get(&request.id) {
            self.shards[index].used(*slot);
            return true;
        }
        let slot = self.shards[index].insert(hash as u32, request);
        self.map.insert(request.id, slot);
        while self.shards.iter().map(|shard| shard.weight()).sum::<u64>() > self.limit {
            let Some(fullest) = self.shards.iter_mut().max_by_key(|shard| shard.len()) else { break };
            let Some(slot) = fullest.victim() else { break };
            if let Some(gone) = fullest.remove(slot) {
                self.map.remove(&gone.id);
            }
        }
        false
    }
}
