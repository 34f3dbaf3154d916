//! All tiers together: where an object is looked for, where it is kept, and how it is purged from all.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{self, Disk};
use crate::ledger::{Covered, Ledger, Purge, What};
use crate::memory::Memory;
use crate::noted::Noted;
use crate::object::{Body, Object};
use crate::shared::Shared;

/// Seconds for which a URL counts as not worth waiting for.
const PASSES: u64 = 30;
/// Seconds for which a URL's service counts as failing.
const TROUBLED: u64 = 30;
/// Seconds for which a URL counts as tried; one could be over in a few milliseconds.
const TRIED: u64 = 2;
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
    gone: Arc<Gone>,
    disk: Option<Disk>,
    shared: Option<Shared>,
    largest: AtomicU64,
    passing: Noted,
    /// Whose service answered with an error, and whose didn't answer.
    failing: Noted,
    silent: Noted,
    /// Whose fetch failed a moment ago.
    tried: Noted,
}

/// What may not come back from any tier.
struct Gone {
    ledger: Ledger,
    /// URLs that unsafe requests changed; what was requested before the time of one is void.
    forgotten: Noted,
}

impl Gone {
    /// Was the object not purged since it was asked for? One that was softly is marked so.
    fn stands(&self, object: &Object) -> bool {
        let (primary, requested_ms) = (object.primary(), object.facts().requested_ms);
        if self.forgotten.has(primary, requested_ms) {
            return false;
        }
        match self.ledger.covers(primary, object.tags(), requested_ms) {
            Covered::No => true,
            Covered::Soft => {
                object.soften();
                true
            }
            Covered::Hard => false,
        }
    }
}

impl Cache {
    /// One with a memory tier only, whose purges are forgotten with it.
    pub fn new(memory: u64, largest: u64) -> Cache {
        Cache::of(memory, largest, Ledger::new())
    }

    fn of(memory: u64, largest: u64, ledger: Ledger) -> Cache {
        Cache {
            memory: Memory::new(memory),
            gone: Arc::new(Gone { ledger, forgotten: Noted::new() }),
            disk: None,
            shared: None,
            largest: AtomicU64::new(largest),
            passing: Noted::new(),
            failing: Noted::new(),
            silent: Noted::new(),
            tried: Noted::new(),
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
        let is_deep = plan.disk.is_some() || plan.shared.is_some();
        let ledger = match is_deep {
            true => Ledger::open(&data.join("purges"), tell)?,
            false => Ledger::new(),
        };
        let mut cache = Cache::of(plan.memory, plan.largest, ledger);
        if let Some(disk) = &plan.disk {
            cache.disk = Some(Disk::open(&disk.path, disk.size, tell.clone())?);
        }
        if let Some(url) = &plan.shared {
            let gone = cache.gone.clone();
            let stands = Arc::new(move |object: &Object| gone.stands(object));
            let shared = Shared::new(&url.0, background.clone(), stands, tell.clone());
            cache.shared = Some(shared.map_err(io::Error::other)?);
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
            return Some(self.promoted(object).await);
        }
        let shared = self.shared.as_ref()?;
        let object = shared.get(primary, &fits).await.filter(|object| self.stands(object))?;
        Some(self.promoted(object).await)
    }

    /// The object, which is in memory from then on if it is small. What must be read for that is read when
    /// it is wanted a second time: so a first hit doesn't wait for it, and a scan doesn't sweep memory out.
    async fn promoted(&self, object: Object) -> Object {
        let may_be = |length| length <= PROMOTED && self.memory.room_for(length);
        if !object.body().is_whole() || !object.body().total().is_some_and(may_be) {
            return object;
        }
        let object = match object.body() {
            Body::Disk(stored) if stored.was_read() => match stored.all().await {
                Ok(pieces) => object.with_body(Body::copied(&pieces)),
                Err(_) => return object,
            },
            Body::Disk(_) => return object,
            _ => object,
        };
        self.insert(&object);
        object
    }

    /// Was it not purged since it was asked for? One that was softly is marked so.
    pub fn stands(&self, object: &Object) -> bool {
        self.gone.stands(object)
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
            disk.keep_if(object, || self.stands(object));
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
        let writer = self.disk.as_ref()?.begin(object, total)?;
        // A purge from here on finds it; one before is found here.
        if !self.stands(object) {
            writer.discard();
            return None;
        }
        Some(writer)
    }

    /// All of it came.
    pub async fn finish(&self, writer: disk::Writer, object: &Object) {
        if self.stands(object) {
            writer.finish().await;
        } else {
            writer.discard();
        }
    }

    /// An unsafe request has changed what this URL stands for (RFC 9111 §4.4): it goes from all tiers, and
    /// what was requested up to then (milliseconds since 1970) and is still on its way is not kept either.
    pub async fn forget(&self, primary: &[u8], at_ms: u64) {
        // Noted before the tiers are cleaned: who stores looks here after storing.
        self.gone.forgotten.extend(primary, at_ms.saturating_add(1));
        let what = What::Url(primary.into());
        self.memory.purge(&what, false);
        self.purge_deeper(&Purge { what, soft: false, at_ms }).await.ok();
    }

    /// Purges; when this returns, it holds, for good. Says how many objects went.
    ///
    /// # Errors
    /// It could not be made to last: it holds as long as this process runs.
    pub async fn purge(&self, what: What, soft: bool, at_ms: u64) -> io::Result<u64> {
        let purge = Purge { what, soft, at_ms };
        let recorded = self.gone.ledger.record(&purge).await;
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

    /// Did a fetch of this URL fail within the last second or two? Then it needn't be tried again already.
    pub fn was_tried(&self, primary: &[u8], now: u64) -> bool {
        self.tried.has(primary, now)
    }

    /// A fetch of it failed now.
    pub fn note_tried(&self, primary: &[u8], now: u64) {
        self.tried.note(primary, now + TRIED);
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
