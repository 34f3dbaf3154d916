//! A disk that loses power: what was not synced is dropped, torn or written out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use cache::disk::files::{File, Files};

use super::world::Dice;

const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub struct Sim {
    world: Arc<Mutex<World>>,
    /// What was hanging goes on.
    goes_on: Arc<Condvar>,
}

#[derive(Default)]
struct World {
    names: BTreeMap<String, usize>,
    lasting_names: BTreeMap<String, usize>,
    nodes: Vec<Node>,
    /// Changes that still succeed.
    left: Option<u64>,
    /// What writing answers now.
    trouble: Option<io::ErrorKind>,
    /// Syncs don't come back.
    hangs: bool,
    /// Bytes that may be reserved.
    room: Option<u64>,
}

#[derive(Default, Clone)]
struct Node {
    lasting: Vec<u8>,
    now: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

impl World {
    fn operate(&self) -> io::Result<()> {
        match self.left {
            Some(0) => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    fn change(&mut self) -> io::Result<()> {
        self.operate()?;
        self.left = self.left.map(|left| left - 1);
        self.trouble.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Sim {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The power goes after so many more changes.
    pub fn lose_power_after(&self, changes: u64) {
        self.world().left = Some(changes);
    }

    pub fn is_dead(&self) -> bool {
        self.world().left == Some(0)
    }

    /// Writing fails so from now on; or no longer.
    pub fn trouble(&self, kind: Option<io::ErrorKind>) {
        self.world().trouble = kind;
    }

    /// Syncs don't come back until what this gives is dropped.
    pub fn hang(&self) -> Hanging {
        self.world().hangs = true;
        Hanging(self.clone())
    }

    /// So many bytes may be reserved in all.
    pub fn room(&self, bytes: Option<u64>) {
        self.world().room = bytes;
    }

    pub fn bytes(&self) -> u64 {
        let world = self.world();
        world.names.values().map(|&node| world.nodes[node].now.len() as u64).sum()
    }

    pub fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    /// Changes a byte behind everybody's back.
    pub fn spoil(&self, name: &str, at: usize) {
        let mut world = self.world();
        let node = world.names[name];
        world.nodes[node].now[at] ^= 0x40;
        world.nodes[node].lasting = world.nodes[node].now.clone();
    }

    /// The first place of these bytes.
    pub fn find(&self, name: &str, bytes: &[u8]) -> Option<usize> {
        let world = self.world();
        world.nodes[world.names[name]].now.windows(bytes.len()).position(|window| window == bytes)
    }

    /// What is there when the power comes back.
    pub fn after_the_loss(&self, dice: &mut Dice) -> Sim {
        let world = self.world();
        let mut after = World::default();
        let names: BTreeSet<&String> = world.names.keys().chain(world.lasting_names.keys()).collect();
        for name in names {
            let node = match (world.names.get(name), world.lasting_names.get(name)) {
                (Some(now), Some(lasting)) if now == lasting => *now,
                (Some(now), Some(lasting)) => *if dice.roll(2) == 0 { now } else { lasting },
                (Some(one), None) | (None, Some(one)) if dice.roll(2) == 0 => *one,
                _ => continue,
            };
            let bytes = world.nodes[node].torn(dice);
            after.names.insert(name.clone(), after.nodes.len());
            after.nodes.push(Node { lasting: bytes.clone(), now: bytes, unsynced: Vec::new() });
        }
        after.lasting_names = after.names.clone();
        Sim { world: Arc::new(Mutex::new(after)), goes_on: Arc::default() }
    }
}

pub struct Hanging(Sim);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.world().hangs = false;
        self.0.goes_on.notify_all();
    }
}

impl Node {
    fn torn(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.lasting.clone();
        let luck = [0, 50, 90, 100][dice.roll(4) as usize];
        for (at, written) in &self.unsynced {
            let mut from = 0;
            while from < written.len() {
                // A sector is written as a whole or not at all.
                let to = ((at + from) / SECTOR + 1) * SECTOR - at;
                let to = to.min(written.len());
                if dice.roll(100) < luck {
                    if bytes.len() < at + to {
                        bytes.resize(at + to, 0);
                    }
                    bytes[at + from..at + to].copy_from_slice(&written[from..to]);
                }
                from = to;
            }
        }
        bytes
    }
}

impl Files for Sim {
    fn list(&self) -> io::Result<Vec<String>> {
        self.world().operate()?;
        Ok(self.names())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut world = self.world();
        world.operate()?;
        let next = world.nodes.len();
        let node = *world.names.entry(name.into()).or_insert(next);
        if node == next {
            world.nodes.push(Node::default());
        }
        Ok(Arc::new(SimFile { sim: self.clone(), node }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.names.remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.lasting_names = world.names.clone();
        Ok(())
    }
}

struct SimFile {
    sim: Sim,
    node: usize,
}

impl File for SimFile {
    fn size(&self) -> io::Result<u64> {
        let world = self.sim.world();
        world.operate()?;
        Ok(world.nodes[self.node].now.len() as u64)
    }

    fn read(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        let world = self.sim.world();
        world.operate()?;
        let bytes = world.nodes[self.node].now.get(at as usize..).and_then(|bytes| bytes.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn read_now(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut world = self.sim.world();
        let whole = world.change();
        let node = &mut world.nodes[self.node];
        // A write that fails may have written its beginning.
        let bytes = if whole.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let at = at as usize;
        if node.now.len() < at + bytes.len() {
            node.now.resize(at + bytes.len(), 0);
        }
        node.now[at..at + bytes.len()].copy_from_slice(bytes);
        node.unsynced.push((at, bytes.to_vec()));
        whole
    }

    fn sync(&self) -> io::Result<()> {
        let world = self.sim.world();
        let mut world = self.sim.goes_on.wait_while(world, |world| world.hangs).unwrap();
        world.change()?;
        let node = &mut world.nodes[self.node];
        node.lasting = node.now.clone();
        node.unsynced.clear();
        Ok(())
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        let mut world = self.sim.world();
        world.change()?;
        let taken: u64 = world.names.values().map(|&node| world.nodes[node].now.len() as u64).sum();
        if world.room.is_some_and(|room| taken + size > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = &mut world.nodes[self.node];
        node.now.resize(size as usize, 0);
        node.lasting.resize(size as usize, 0);
        Ok(())
    }

    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
