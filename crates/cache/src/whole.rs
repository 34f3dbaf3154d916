//! All tiers together: where an object is looked for, where it is kept, and how it is purged from all.

use std::hash::BuildHasher;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{self, Disk};
use crate::ledger::{Covered, Ledger, Purge, What};
use crate::memory::Memory;
use crate::object::{Body, Object};
use crate::shared::Shared;

/// Seconds for which a URL counts as not worth waiting for.
const PASSES: u64 = 30;
/// Seconds for which a URL's service counts as failing.
const TROUBLED: u64 = 30;
/// Bytes of the largest object that the shared tier takes.
const SHARED: u64 = 1024 * 1024;
/// Bytes of the largest object that is brought from a farther tier into memory.
const PROMOTED: u64 = 1024 * 1024;

/// What is told of a tier as the node runs.
pub type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// The cache of a node.
pub struct Cache {
    /// The memory tier.
    pub memory: Memory,
    /// What was purged.
    pub ledger: Ledger,
    disk: Option<Disk>,
    shared: Option<Shared>,
    largest: AtomicU64,
    passing: Noted,
    /// Whose service answered with an error, and whose didn't answer.
    failing: Noted,
    silent: Noted,
}

impl Cache {
    /// One with a memory tier only, whose purges are forgotten with it.
    pub fn new(memory: u64, largest: u64) -> Cache {
        Cache {
            memory: Memory::new(memory),
            ledger: Ledger::new(),
            disk: None,
            shared: None,
            largest: AtomicU64::new(largest),
            passing: Noted::new(),
            failing: Noted::new(),
            silent: Noted::new(),
        }
    }

    /// As `plan` says. `data` is where purges are kept if a tier outlives the process.
    ///
    /// # Errors
    /// A folder can't be used.
    pub fn open(
        plan: &config::plan::Cache,
        data: &Path,
        background: &tokio::runtime::Handle,
        tell: &Tell,
    ) -> io::Result<Cache> {
        let mut cache = Cache::new(plan.memory, plan.largest);
        if let Some(disk) = &plan.disk {
            cache.disk = Some(Disk::open(&disk.path, disk.size, tell.clone())?);
        }
        if let Some(url) = &plan.shared {
            let shared = Shared::new(&url.0, background.clone(), tell.clone());
            cache.shared = Some(shared.map_err(io::Error::other)?);
        }
        if cache.is_deep() {
            std::fs::create_dir_all(data)?;
            cache.ledger = Ledger::open(&data.join("purges"), tell)?;
        }
        Ok(cache)
    }

    /// Takes what a reload may change.
    pub fn follow(&self, plan: &config::plan::Cache) {
        self.memory.resize(plan.memory);
        self.largest.store(plan.largest, Ordering::Relaxed);
    }

    /// Bytes of the largest object worth keeping.
    pub fn largest(&self) -> u64 {
        self.largest.load(Ordering::Relaxed)
    }

    /// The disk tier.
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// The shared tier.
    pub fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    /// Are there tiers behind memory?
    pub fn is_deep(&self) -> bool {
        self.disk.is_some() || self.shared.is_some()
    }

    /// Looks into the tiers behind memory; what is found and small comes into memory.
    pub async fn deeper(&self, primary: &[u8], fits: impl Fn(&Object) -> bool) -> Option<Object> {
        if let Some(disk) = &self.disk
            && let Some(object) = disk.get(primary, &fits).await
            && self.stands(&object)
        {
            self.promote(&object);
            return Some(object);
        }
        let shared = self.shared.as_ref()?;
        let object = shared.get(primary, &fits).await.filter(|object| self.stands(object))?;
        self.promote(&object);
        Some(object)
    }

    fn promote(&self, object: &Object) {
        if object.body().total().is_some_and(|length| length <= PROMOTED)
            && !matches!(object.body(), Body::Disk(_))
        {
            self.insert(object);
        }
    }

    /// Was it not purged since it was asked for? One that was softly is marked so.
    pub fn stands(&self, object: &Object) -> bool {
        match self.ledger.covers(object.primary(), object.tags(), object.facts().requested_ms) {
            Covered::No => true,
            Covered::Soft => {
                object.soften();
                true
            }
            Covered::Hard => false,
        }
    }

    /// Into memory, unless it was purged while it came.
    fn insert(&self, object: &Object) -> bool {
        if !self.memory.insert(object.clone()) {
            return false;
        }
        // A purge is noted before memory is cleaned: looked at in this order, neither misses the other.
        let stands = self.stands(object);
        if !stands {
            self.memory.remove(object);
        }
        stands
    }

    /// Keeps a whole object, or parts of one, whose body is in memory, in all tiers.
    pub fn keep(&self, object: &Object) {
        if !self.stands(object) {
            return;
        }
        self.insert(object);
        if let Some(disk) = &self.disk {
            disk.keep(object);
        }
        self.share(object);
    }

    fn share(&self, object: &Object) {
        if let Some(shared) = &self.shared
            && matches!(object.body(), Body::Whole(_) | Body::Pieces(_))
            && object.body().total().is_some_and(|length| length <= SHARED)
        {
            shared.put(object);
        }
    }

    /// Keeps a stored object's new head: it was confirmed.
    pub async fn confirm(&self, object: &Object) {
        match object.body() {
            Body::Disk(_) => {
                if let Some(disk) = &self.disk {
                    disk.refresh(object).await;
                }
            }
            _ => self.keep(object),
        }
    }

    /// Before an object is replaced by another one: what a restart could bring back of the old one is
    /// made void first.
    ///
    /// # Errors
    /// Why the new one may not be stored, as a word for `Cache-Status`.
    pub async fn retire(&self, object: &Object) -> Result<(), &'static str> {
        match &self.disk {
            Some(disk) => disk.retire(object.primary(), object.variant()).await.map_err(|_| "disk-failed"),
            None => Ok(()),
        }
    }

    /// Begins to write an object that memory has no room for.
    pub fn begin(&self, object: &Object, total: Option<u64>) -> Option<disk::Writer> {
        self.disk.as_ref().filter(|_| self.stands(object))?.begin(object, total)
    }

    /// All of it came.
    pub async fn finish(&self, writer: disk::Writer, object: &Object) {
        if self.stands(object) {
            writer.finish().await;
        }
    }

    /// An unsafe request has changed what this URL stands for (RFC 9111 §4.4): it goes from all tiers.
    pub async fn forget(&self, primary: &[u8]) {
        let what = What::Url(primary.into());
        self.memory.purge(&what, false);
        self.purge_deeper(&Purge { what, soft: false, at_ms: 0 }).await.ok();
    }

    /// Purges; when this returns, it holds, for good. Says how many objects went.
    ///
    /// # Errors
    /// It could not be made to last: it holds as long as this process runs.
    pub async fn purge(&self, what: What, soft: bool, at_ms: u64) -> io::Result<u64> {
        let purge = Purge { what, soft, at_ms };
        let recorded = self.ledger.record(&purge).await;
        let removed = self.memory.purge(&purge.what, soft) as u64;
        let deeper = self.purge_deeper(&purge).await;
        recorded?;
        Ok(removed.max(deeper?))
    }

    async fn purge_deeper(&self, purge: &Purge) -> io::Result<u64> {
        let mut removed = 0;
        if let Some(disk) = &self.disk {
            removed = disk.purge(purge).await? as u64;
        }
        if let Some(shared) = &self.shared {
            shared.purge(purge).await;
        }
        Ok(removed)
    }

    /// Was what this URL gave of no use to others lately? Then nobody waits for another's fetch of it.
    pub fn is_passing(&self, primary: &[u8], now: u64) -> bool {
        self.passing.has(primary, now)
    }

    /// What this URL gives is of no use to others.
    pub fn pass_for_a_while(&self, primary: &[u8], now: u64) {
        self.passing.note(primary, now + PASSES);
    }

    /// Has the service of this URL failed lately; and if so, by not answering at all?
    pub fn trouble(&self, primary: &[u8], now: u64) -> Option<bool> {
        let silent = self.silent.has(primary, now);
        (silent || self.failing.has(primary, now)).then_some(silent)
    }

    /// It failed now.
    pub fn note_trouble(&self, primary: &[u8], silent: bool, now: u64) {
        let noted = if silent { &self.silent } else { &self.failing };
        noted.note(primary, now + TROUBLED);
    }

    /// It answers again.
    pub fn note_well(&self, primary: &[u8]) {
        for noted in [&self.silent, &self.failing] {
            if noted.has(primary, 0) {
                noted.note(primary, 0);
            }
        }
    }
}

/// Places of a [`Noted`]; a power of two.
const PLACES: usize = 16 * 1024;

/// A small forgetful set of URLs: each place holds half a hash and a time in one atomic, so looking and
/// noting take no lock. Two URLs in one place forget each other, which costs a wait and nothing else.
struct Noted {
    places: Box<[AtomicU64]>,
    hasher: foldhash::fast::RandomState,
}

impl Noted {
    fn new() -> Noted {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Noted { places, hasher: foldhash::fast::RandomState::default() }
    }

    fn place(&self, primary: &[u8]) -> (&AtomicU64, u64) {
        let hash = self.hasher.hash_one(primary);
        (&self.places[hash as usize % PLACES], hash >> 32 << 32)
    }

    fn has(&self, primary: &[u8], now: u64) -> bool {
        let (place, half) = self.place(primary);
        let noted = place.load(Ordering::Relaxed);
        noted >> 32 << 32 == half && noted & u64::from(u32::MAX) > now
    }

    fn note(&self, primary: &[u8], until: u64) {
        let (place, half) = self.place(primary);
        place.store(half | until & u64::from(u32::MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_holds_till_its_time_and_for_its_url() {
        let noted = Noted::new();
        noted.note(b"http://h/a", 100);
        assert!(noted.has(b"http://h/a", 99));
        assert!(!noted.has(b"http://h/a", 100));
        assert!(!noted.has(b"http://h/b", 99));
        noted.note(b"http://h/a", 0);
        assert!(!noted.has(b"http://h/a", 0));
    }
}
