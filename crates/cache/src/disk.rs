//! The disk tier: objects of any size in segments that are written one after the other.
//!
//! A data thread never waits for the disk: what it stores goes through a bounded queue to one thread that
//! writes, and what it reads comes from the system's memory or from threads that read. Bodies stand in
//! runs of 256 KiB, each with its checksum, so a range of a large object is stored and read alone. The
//! index is in memory and small; a start rebuilds it from the segments' footers.
//!
//! What was retired or purged is written to a log that lasts before it is acknowledged (`segments` says
//! why it stays gone). Objects themselves are not synced: a loss of power may lose some, and what is found
//! after it is checked before it is used.

pub mod files;
pub mod format;

mod core;
mod index;
mod load;
pub(crate) mod log;
mod queue;
mod reads;
mod runs;
mod segments;
mod stored;
mod work;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::ledger::{Purge, What};
use crate::object::{Body, Object};
use crate::{Tell, record};
use files::{Files, Folder};
use format::Kind;
use queue::Job;
use writer::SMALL;

pub use stored::Stored;
pub use writer::Writer;

/// Bytes of the smallest tier.
pub const SMALLEST: u64 = 8 * 1024 * 1024;
/// The share of the tier that one object may take.
const SHARE: u64 = 4;

/// How the tier is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// It reads and writes.
    Well,
    /// Another process has the folder, and will leave it: nothing is found or kept yet.
    #[default]
    Starting,
    /// The disk has less room than the tier may take; it holds what it can.
    Full,
    /// It can't be written, and why. What it holds is still found; it is tried again.
    Failing(String),
}

/// The disk tier. Dropped, it writes what waits and frees the folder.
pub struct Disk {
    core: Arc<core::Core>,
    thread: Option<JoinHandle<()>>,
}

impl Disk {
    /// Opens a tier of `size` bytes in a folder, which is made if need be. If another process has it, the
    /// tier starts when that one leaves. Blocks while the index is read.
    ///
    /// # Errors
    /// The folder can't be read or written, or the size is less than [`SMALLEST`]; it names the folder.
    pub fn open(path: &Path, size: u64, tell: Tell) -> io::Result<Disk> {
        let folder = Folder::open(path)?;
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Disk::open_on(Arc::new(folder), size, tell).map_err(named)
    }

    /// The same on any files.
    ///
    /// # Errors
    /// Those of the files, or the size is too small.
    pub fn open_on(files: Arc<dyn Files>, size: u64, tell: Tell) -> io::Result<Disk> {
        if size < SMALLEST {
            let why = format!("a disk tier takes at least {} MiB", SMALLEST / 1024 / 1024);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let core = Arc::new(core::Core::new(files, size, tell)?);
        let begun = work::begin(&core)?;
        let thread = std::thread::Builder::new().name("disk-write".into()).spawn({
            let core = core.clone();
            move || work::run(&core, begun)
        })?;
        Ok(Disk { core, thread: Some(thread) })
    }

    /// The newest object of this URL that fits. Small ones come with their body, others as
    /// [`Body::Disk`], whole or in part. Whether it was purged meanwhile is for `fits` or the caller to
    /// say. Needs a runtime with time.
    pub async fn get(&self, primary: &[u8], mut fits: impl FnMut(&Object) -> bool) -> Option<Object> {
        let hash = format::hash(*self.core.seed.get()?, primary);
        let found = self.core.tables().index.candidates(hash);
        for candidate in found {
            let Some(object) = self.core.load(&candidate, primary).await else { continue };
            if fits(&object) {
                self.core.tables().index.use_it(candidate.ticket);
                return Some(object);
            }
        }
        None
    }

    /// Bytes of the largest object.
    fn largest(&self) -> u64 {
        self.core.size / SHARE
    }

    /// The seed and the head of an object that may be written now.
    fn prepare(&self, object: &Object, total: Option<u64>) -> Option<(u64, Vec<u8>)> {
        if total.is_some_and(|total| total > self.largest()) || !self.core.is_open() {
            return None;
        }
        Some((*self.core.seed.get()?, record::encode_head(object)?))
    }

    /// Begins to write an object whose body of `total` bytes will come; `object`'s own is ignored. None:
    /// there is no room for it, or the tier is failing. The object that it replaces must have been retired
    /// before this call.
    pub fn begin(&self, object: &Object, total: Option<u64>) -> Option<Writer> {
        let (seed, head) = self.prepare(object, total)?;
        let stored = self.core.enter(seed, object, Some(total)).1?;
        Some(Writer::new(self.core.clone(), stored, head, self.largest()))
    }

    /// Writes more of an object that is there in part. None: it is gone, or the tier is failing.
    pub fn extend(&self, stored: &Arc<Stored>) -> Option<Writer> {
        let there = self.core.is_open() && !stored.is_dead() && stored.total().is_some();
        there.then(|| Writer::more(self.core.clone(), stored.clone(), self.largest()))
    }

    /// Keeps an object whose body is in memory, whole or in parts whose total is known. It is given up if
    /// the disk is behind.
    pub fn keep(&self, object: &Object) {
        self.keep_if(object, || true);
    }

    /// The same if `stands` says yes when a purge from then on would find it: so a purge that is noted
    /// before this tier is asked to remove what it names misses nothing.
    pub fn keep_if(&self, object: &Object, stands: impl FnOnce() -> bool) {
        let parts: Vec<(u64, Bytes)> = match object.body() {
            Body::Whole(bytes) => vec![(0, bytes.clone())],
            Body::Pieces(pieces) => in_a_row(pieces),
            Body::Parts { total: Some(_), parts } => parts.to_vec(),
            Body::Parts { total: None, .. } | Body::Disk(_) => return,
        };
        let total = object.body().total();
        let Some((seed, head)) = self.prepare(object, total) else { return };
        let bytes = head.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>();
        let Some(room) = self.core.queue.room_now(bytes) else { return };
        let small = object.body().is_whole() && total.is_some_and(|total| total <= SMALL);
        let (ticket, large) = self.core.enter(seed, object, (!small).then_some(total));
        let job = Job::Object { ticket, head, parts, large };
        if !(stands() && self.core.queue.push(job, Some(room))) {
            self.core.tables().index.remove(ticket);
        }
    }

    /// Keeps the new head of an object whose body is here: it was confirmed. Others are kept again as a
    /// whole.
    pub async fn refresh(&self, object: &Object) {
        let Body::Disk(stored) = object.body() else { return self.keep(object) };
        let Some(head) = record::encode_head(object) else { return };
        if let Some(room) = self.core.queue.room(head.len()).await {
            self.core.queue.push(Job::Head { stored: stored.clone(), head }, Some(room));
        }
    }

    /// Makes the objects of this URL and variant that were begun before this call void, for good when it
    /// returns: no restart or crash brings them back. Costs nothing if there are none. Needs a runtime with
    /// time.
    ///
    /// # Errors
    /// They are gone as long as this process runs, but may come back after. `TimedOut`: the disk needs
    /// longer for it than anybody should wait.
    pub async fn retire(&self, primary: &[u8], variant: &[u8]) -> io::Result<()> {
        if self.core.kill_early(primary, Some(variant)) {
            return Ok(());
        }
        let Some(seed) = self.core.seed.get() else { return Ok(()) };
        let (hash, key) = core::hashes(*seed, primary, variant);
        self.kill(Kind::Kill, hash, key).await.map(|_| ())
    }

    async fn kill(&self, kind: Kind, hash: u64, key: u32) -> io::Result<usize> {
        let Some((count, done)) = self.core.kill(kind, hash, key) else { return Ok(0) };
        let lasts = done.lasts().await;
        if lasts.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) && self.core.is_open() {
            self.core.fail("it is too slow"); // so that nothing is begun that would have to be retired
        }
        lasts.map(|()| count)
    }

    /// Drops what a hard purge of a URL or of everything names, for good when it returns, and says how
    /// many objects that were. Others (soft, by prefix, by tag) are the ledger's: what this tier gives is
    /// held against it.
    ///
    /// # Errors
    /// As [`Disk::retire`].
    pub async fn purge(&self, purge: &Purge) -> io::Result<usize> {
        let url = match &purge.what {
            _ if purge.soft => return Ok(0),
            What::Url(url) => Some(url),
            What::All => None,
            What::Prefix(_) | What::Tag(_) => return Ok(0),
        };
        let Some(url) = url else {
            self.core.kill_all_early();
            return self.kill(Kind::KillAll, 0, 0).await;
        };
        if self.core.kill_early(url, None) {
            return Ok(0);
        }
        let Some(seed) = self.core.seed.get() else { return Ok(0) };
        self.kill(Kind::KillUrl, format::hash(*seed, url), 0).await
    }

    /// Waits till all that was given to the tier is on the disk.
    ///
    /// # Errors
    /// Those of the file system; or the tier hasn't started.
    pub async fn sync(&self) -> io::Result<()> {
        if self.core.seed.get().is_none() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let (done, wait) = oneshot::channel();
        self.core.queue.push(Job::Sync(done), None);
        wait.await.map_err(io::Error::other)?
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.core.state()
    }

    /// Bytes that it takes, those of objects that are gone and not yet overwritten among them.
    pub fn bytes(&self) -> u64 {
        self.core.bytes.load(Ordering::Relaxed)
    }

    /// Objects in it.
    pub fn objects(&self) -> u64 {
        self.core.tables().index.len() as u64
    }

    /// Objects that made room for others.
    pub fn evicted(&self) -> u64 {
        self.core.evicted.load(Ordering::Relaxed)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.core.queue.close();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// Pieces with where each begins.
fn in_a_row(pieces: &[Bytes]) -> Vec<(u64, Bytes)> {
    let mut at = 0;
    let place = |piece: &Bytes| {
        at += piece.len() as u64;
        (at - piece.len() as u64, piece.clone())
    };
    pieces.iter().map(place).collect()
}
