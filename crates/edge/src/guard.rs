//! How many connections are open: those of the whole node and those of each client.
//!
//! Touched only when a connection is accepted and when it ends, never for a request. An IPv6 client
//! is its /64, because one customer is given at least that many addresses; an IPv4-mapped address is
//! its IPv4 address. The map holds only clients with open connections, so the node's own limit
//! bounds it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::plan::Limits;

/// Parts of the map with a lock each: enough that threads which accept seldom meet.
const SHARDS: usize = 16;

/// The count of open connections; one for a node, shared by its threads, and kept by a reload.
#[derive(Debug, Default)]
pub struct Guard {
    open: AtomicU32,
    clients: [Mutex<HashMap<Client, u32>>; SHARDS],
    /// Other keys than the maps' own, so that a shard's clients are spread evenly in its map.
    hasher: RandomState,
}

/// Why a connection may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// 503 and close.
    #[error("the node has as many connections as it may have")]
    Connections,
    /// 429 and close.
    #[error("this client has as many connections as it may have")]
    PerClient,
}

/// The right to one connection; dropped, it is given back.
#[derive(Debug)]
#[must_use = "a ticket that is dropped is given back"]
pub struct Ticket {
    guard: Arc<Guard>,
    client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl Guard {
    /// Nobody is in.
    pub fn new() -> Arc<Guard> {
        Arc::default()
    }

    /// Lets a client's new connection in.
    ///
    /// # Errors
    /// [`Refused::Connections`] and [`Refused::PerClient`] when the limit of that name is reached.
    pub fn enter(self: &Arc<Guard>, ip: IpAddr, limits: &Limits) -> Result<Ticket, Refused> {
        let free = |open: u32| (open < limits.connections).then_some(open + 1);
        if self.open.fetch_update(Relaxed, Relaxed, free).is_err() {
            return Err(Refused::Connections);
        }
        let client = Client::of(ip);
        let mut clients = self.shard(client);
        let held = clients.get(&client).copied().unwrap_or(0);
        if held >= limits.connections_per_client {
            self.open.fetch_sub(1, Relaxed);
            return Err(Refused::PerClient);
        }
        clients.insert(client, held + 1);
        Ok(Ticket { guard: Arc::clone(self), client })
    }

    /// Connections that are open now.
    pub fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// Clients that have a connection open now.
    pub fn clients(&self) -> usize {
        self.clients.iter().map(|shard| lock(shard).len()).sum()
    }

    fn shard(&self, client: Client) -> MutexGuard<'_, HashMap<Client, u32>> {
        let hash = self.hasher.hash_one(client);
        lock(&self.clients[(hash % SHARDS as u64) as usize])
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut clients = self.guard.shard(self.client);
        match clients.get_mut(&self.client) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                clients.remove(&self.client);
            }
        }
        drop(clients);
        self.guard.open.fetch_sub(1, Relaxed);
    }
}

impl Client {
    fn of(ip: IpAddr) -> Client {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Client::V4(ip.to_bits()),
            IpAddr::V6(ip) => Client::V6((ip.to_bits() >> 64) as u64),
        }
    }
}

/// No count is left half changed where a thread could panic, so a poisoned lock is as good as another.
fn lock(shard: &Mutex<HashMap<Client, u32>>) -> MutexGuard<'_, HashMap<Client, u32>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
