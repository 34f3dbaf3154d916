//! A disk that loses power, fills up, fails and hangs.
//!
//! What a process wrote is in the system's memory at once, and on the disk some time: of what was not synced,
//! a loss of power leaves any sectors, in any order. Of what was not synced in the folder, it leaves any of
//! the changes, each as a whole. A sync that fails leaves some, and the system forgets that there was more.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use engine::files::{File, Files};

const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub struct Disk(Arc<(Mutex<World>, Condvar)>);

#[derive(Default, Clone)]
struct World {
    names: BTreeMap<String, usize>,
    lasting_names: BTreeMap<String, usize>,
    unsynced: Vec<Naming>,
    nodes: Vec<Node>,
    locked: BTreeSet<usize>,
    /// Changes that still succeed.
    left: Option<u64>,
    failing: Failing,
    /// Bytes that files may have in all.
    room: Option<u64>,
    /// Nothing is read without waiting.
    cold: bool,
}

/// What fails from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Failing {
    #[default]
    Nothing,
    Writes(io::ErrorKind),
    /// All of files.
    Syncs,
    /// The next one of a file; those after it succeed, and keep nothing of what came before.
    OneSync,
    /// Those of the folder.
    FolderSyncs,
    /// They don't return until something else is set.
    SyncsNever,
}

#[derive(Clone)]
enum Naming {
    Make(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Default, Clone)]
struct Node {
    lasting: Vec<u8>,
    now: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Resize(usize),
    Write(usize, Vec<u8>),
}

/// Numbers that look random, the same for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % sides
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn shuffle<T>(&mut self, things: &mut [T]) {
        for index in (1..things.len()).rev() {
            things.swap(index, self.roll(index as u64 + 1) as usize);
        }
    }
}

impl World {
    fn operate(&self) -> io::Result<()> {
        if self.left == Some(0) { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn change(&mut self) -> io::Result<()> {
        self.operate()?;
        self.left = self.left.map(|left| left - 1);
        self.operate()?;
        match self.failing {
            Failing::Writes(kind) => Err(kind.into()),
            _ => Ok(()),
        }
    }

    fn taken(&self) -> u64 {
        self.names.values().map(|&node| self.nodes[node].now.len() as u64).sum()
    }
}

impl Disk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.0.lock().unwrap()
    }

    /// The power goes with the change after so many more.
    pub fn lose_power_after(&self, changes: u64) {
        self.world().left = Some(changes);
        self.0.1.notify_all();
    }

    pub fn is_dead(&self) -> bool {
        self.world().left == Some(0)
    }

    pub fn fail(&self, failing: Failing) {
        self.world().failing = failing;
        self.0.1.notify_all();
    }

    pub fn room(&self, bytes: Option<u64>) {
        self.world().room = bytes;
    }

    pub fn cold(&self, cold: bool) {
        self.world().cold = cold;
    }

    pub fn taken(&self) -> u64 {
        self.world().taken()
    }

    pub fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    /// What a file holds now.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let world = self.world();
        world.nodes[world.names[name]].now.clone()
    }

    /// Puts a file there, or changes it, behind everybody's back.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut world = self.world();
        let node = world.nodes.len();
        world.nodes.push(Node { lasting: bytes.clone(), now: bytes, unsynced: Vec::new() });
        world.names.insert(name.into(), node);
        world.lasting_names.insert(name.into(), node);
    }

    /// Removes a file behind everybody's back.
    pub fn take(&self, name: &str) {
        let mut world = self.world();
        world.names.remove(name);
        world.lasting_names.remove(name);
    }

    /// Another disk, on which the same was written; nothing fails there.
    pub fn copy(&self) -> Disk {
        let world = self.world().clone();
        let copy = World { locked: BTreeSet::new(), left: None, failing: Failing::Nothing, ..world };
        Disk(Arc::new((Mutex::new(copy), Condvar::new())))
    }

    /// What the next process finds after this one was killed. It can do nothing more.
    pub fn after_a_kill(&self) -> Disk {
        let mut world = self.world();
        world.left = Some(0);
        drop(world);
        self.copy()
    }

    /// What the next process finds after a loss of power.
    pub fn after_the_loss(&self, dice: &mut Dice) -> Disk {
        let mut world = self.world();
        world.left = Some(0);
        let mut after = World::default();
        for (name, node) in world.torn_names(dice) {
            after.names.insert(name, after.nodes.len());
            after.nodes.push(Node::synced(world.nodes[node].torn(dice)));
        }
        after.lasting_names = after.names.clone();
        Disk(Arc::new((Mutex::new(after), Condvar::new())))
    }
}

impl World {
    fn torn_names(&self, dice: &mut Dice) -> BTreeMap<String, usize> {
        let mut names = self.lasting_names.clone();
        let in_order = dice.one_in(2);
        for change in &self.unsynced {
            if dice.one_in(3) {
                if in_order {
                    break;
                }
                continue;
            }
            match change {
                Naming::Make(name, node) => drop(names.insert(name.clone(), *node)),
                Naming::Remove(name) => drop(names.remove(name)),
                Naming::Rename(from, to) => {
                    if let Some(node) = names.remove(from) {
                        names.insert(to.clone(), node);
                    }
                }
            }
        }
        names
    }
}

impl Node {
    fn synced(bytes: Vec<u8>) -> Node {
        Node { lasting: bytes.clone(), now: bytes, unsynced: Vec::new() }
    }

    /// A number that isn't the same each time.
    fn unwritten(&self) -> u64 {
        let bytes = |change: &Change| match change {
            Change::Resize(size) => *size as u64,
            Change::Write(at, written) => (at * 3 + written.len()) as u64,
        };
        self.unsynced.iter().map(bytes).sum()
    }

    /// All that was not synced is on the disk now.
    fn keep(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Resize(size) => self.lasting.resize(size, 0),
                Change::Write(at, written) => put(&mut self.lasting, at, &written),
            }
        }
    }

    /// What is on the disk if all stops now.
    fn torn(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.lasting.clone();
        let luck = [0, 50, 90, 100][dice.roll(4) as usize];
        let mut sectors: Vec<(usize, &[u8])> = Vec::new();
        for change in &self.unsynced {
            match change {
                Change::Resize(size) if dice.roll(100) < luck => bytes.resize(*size, 0),
                Change::Resize(_) => {}
                Change::Write(at, written) => sectors.extend(cut(*at, written)),
            }
        }
        if dice.one_in(2) {
            dice.shuffle(&mut sectors);
        }
        for (at, sector) in sectors {
            if dice.roll(100) < luck {
                put(&mut bytes, at, sector);
            }
        }
        bytes
    }
}

/// A sector is written as a whole or not at all.
fn cut(at: usize, written: &[u8]) -> Vec<(usize, &[u8])> {
    let mut sectors = Vec::new();
    let mut from = 0;
    while from < written.len() {
        let to = (((at + from) / SECTOR + 1) * SECTOR - at).min(written.len());
        sectors.push((at + from, &written[from..to]));
        from = to;
    }
    sectors
}

fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    if bytes.len() < at + written.len() {
        bytes.resize(at + written.len(), 0);
    }
    bytes[at..at + written.len()].copy_from_slice(written);
}

impl Files for Disk {
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
            world.unsynced.push(Naming::Make(name.into(), node));
        }
        Ok(Open::file(self, node))
    }

    fn reopen(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let world = self.world();
        world.operate()?;
        let node = *world.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Open::file(self, node))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let node = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.into(), node);
        world.unsynced.push(Naming::Rename(from.into(), to.into()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        world.unsynced.push(Naming::Remove(name.into()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        if world.failing == Failing::FolderSyncs {
            return Err(io::Error::other("the folder isn't kept"));
        }
        world.lasting_names = world.names.clone();
        world.unsynced.clear();
        Ok(())
    }
}

/// A file that is open. Locks end with the process, and here with the file.
struct Open {
    disk: Disk,
    node: usize,
    holds: AtomicBool,
}

impl Open {
    fn file(disk: &Disk, node: usize) -> Arc<dyn File> {
        Arc::new(Open { disk: disk.clone(), node, holds: AtomicBool::new(false) })
    }

    fn get(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        let world = self.disk.world();
        world.operate()?;
        let bytes = world.nodes[self.node].now.get(at as usize..).and_then(|bytes| bytes.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl File for Open {
    fn size(&self) -> io::Result<u64> {
        let world = self.disk.world();
        world.operate()?;
        Ok(world.nodes[self.node].now.len() as u64)
    }

    fn read(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.get(buf, at)
    }

    fn read_now(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        if self.disk.world().cold {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.get(buf, at)
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.operate()?;
        let whole = world.change();
        let node = &mut world.nodes[self.node];
        // A write that fails may have written its beginning.
        let bytes = if whole.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        put(&mut node.now, at as usize, bytes);
        node.unsynced.push(Change::Write(at as usize, bytes.to_vec()));
        whole
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        while world.failing == Failing::SyncsNever && world.left != Some(0) {
            world = self.disk.0.1.wait(world).unwrap();
        }
        world.change()?;
        let failing = matches!(world.failing, Failing::Syncs | Failing::OneSync);
        if world.failing == Failing::OneSync {
            world.failing = Failing::Nothing;
        }
        let node = &mut world.nodes[self.node];
        // What an earlier sync failed to write is not written by this one either.
        if failing {
            node.lasting = node.torn(&mut Dice(node.unwritten()));
            node.unsynced.clear();
        } else {
            node.keep();
        }
        if failing { Err(io::Error::other("the disk fails")) } else { Ok(()) }
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        let room = world.room.unwrap_or(u64::MAX).saturating_sub(world.taken());
        let node = &mut world.nodes[self.node];
        let more = size.saturating_sub(node.now.len() as u64);
        let size = node.now.len() + more.min(room) as usize;
        node.now.resize(size, 0);
        node.unsynced.push(Change::Resize(size));
        if more > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn lock(&self) -> io::Result<bool> {
        let locked = self.disk.world().locked.insert(self.node);
        self.holds.fetch_or(locked, Relaxed);
        Ok(locked)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.holds.load(Relaxed) {
            self.disk.world().locked.remove(&self.node);
        }
    }
}
