//! What was purged, so that nothing purged comes back from any tier, a restart or a crash in between.
//!
//! A purge is not a walk through the tiers but a fact with a time: what it names and what was requested
//! up to then is gone, wherever it turns up later. A tier that forgets at once (memory) does so for the
//! room; the others are asked, and what they give is checked here.

mod book;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Tell;
use crate::disk::files::{Files, Folder};
use crate::disk::log::{self, Done, Found, Log};
use book::Book;

pub use book::{MOST_BYTES, MOST_ENTRIES};

/// Bytes of the longest name that can be purged.
pub const LONGEST_NAME: usize = log::LARGEST - 16;
/// Bytes that are appended at least before the file is written anew.
const SLACK: usize = 4 * 1024 * 1024;

/// Bytes that may be appended to a file that began so: some times as much, so that writing it anew costs
/// little.
fn slack(contents: &[u8]) -> usize {
    SLACK.max(3 * contents.len())
}

/// What a purge names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One primary key.
    Url(Box<[u8]>),
    /// All primary keys that begin with these bytes.
    Prefix(Box<[u8]>),
    /// All objects with exactly this tag.
    Tag(Box<[u8]>),
    /// Everything.
    All,
}

impl What {
    fn name(&self) -> &[u8] {
        match self {
            What::Url(name) | What::Prefix(name) | What::Tag(name) => name,
            What::All => b"",
        }
    }
}

/// What was named, when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// Which objects.
    pub what: What,
    /// They stay for stale use.
    pub soft: bool,
    /// Milliseconds since 1970: what was requested up to then is covered.
    pub at_ms: u64,
}

/// Was an object purged?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// It wasn't.
    No,
    /// It is stale, whatever its facts say.
    Soft,
    /// It may not be used.
    Hard,
}

/// All purges of this node.
pub struct Ledger {
    /// What was requested from then on is covered by nothing: the one look that most lookups take.
    newest: AtomicU64,
    pages: RwLock<Pages>,
    log: Option<Log>,
    tell: Tell,
}

struct Pages {
    book: Book,
    /// Bytes appended to the file since it was begun.
    written: usize,
    /// How many may be.
    slack: usize,
}

impl Ledger {
    /// One that forgets with the process. It knows nothing of earlier purges, so no tier that outlives
    /// the process may be used with it.
    pub fn new() -> Ledger {
        Ledger {
            newest: AtomicU64::new(0),
            pages: RwLock::new(Pages { book: Book::default(), written: 0, slack: 0 }),
            log: None,
            tell: Arc::new(|_| {}),
        }
    }

    /// Opens the one in this folder, or makes it. What was purged before it was made is unknown, so a new
    /// one counts everything requested before now as purged; and so does one that is damaged, which it
    /// says by `tell`. Two processes may have it open at once, and each then knows what the other had
    /// recorded when it opened it. Blocks.
    ///
    /// # Errors
    /// The folder can't be read or written; the error names it.
    pub fn open(path: &Path, tell: &Tell) -> io::Result<Ledger> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ledger::open_on(Arc::new(Folder::open(path)?), now.as_millis() as u64, tell)
    }

    /// The same on any files, at a given time (milliseconds since 1970).
    ///
    /// # Errors
    /// Those of the files.
    pub fn open_on(files: Arc<dyn Files>, now_ms: u64, tell: &Tell) -> io::Result<Ledger> {
        let (opened, Found { records, is_new, damaged }) = log::open(files, "purges")?;
        let mut book = Book::default();
        let mut unknown = false;
        for record in &records {
            match book::decode(record) {
                Some(purge) => book.note(&purge),
                None => std::mem::replace(&mut unknown, true),
            };
        }
        if damaged || unknown {
            tell("the ledger of purges is damaged: all that was stored before now counts as purged".into());
        }
        if is_new || damaged || unknown {
            book.note(&Purge { what: What::All, soft: false, at_ms: now_ms });
        }
        let contents = book.encode();
        let log = opened.start(&contents)?;
        Ok(Ledger {
            newest: AtomicU64::new(book.newest()),
            pages: RwLock::new(Pages { book, written: 0, slack: slack(&contents) }),
            log: Some(log),
            tell: tell.clone(),
        })
    }

    fn pages(&self) -> RwLockWriteGuard<'_, Pages> {
        self.pages.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a purge: it holds at once, and when this returns it lasts, if the ledger has a file. Needs a
    /// runtime with time then.
    ///
    /// # Errors
    /// It could not be made to last, or not in time (`TimedOut`), and may hold only as long as the process
    /// runs; or its name is longer
    /// than [`LONGEST_NAME`], and it doesn't hold at all.
    pub async fn record(&self, purge: &Purge) -> io::Result<()> {
        if purge.what.name().len() > LONGEST_NAME {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name is too long to be purged"));
        }
        match self.note(purge) {
            Some(done) => done.lasts().await,
            None => Ok(()),
        }
    }

    fn note(&self, purge: &Purge) -> Option<Done> {
        let mut pages = self.pages();
        if pages.book.note(purge) {
            (self.tell)(
                "the ledger of purges is full: the oldest of them now cover all that was stored".into(),
            );
        }
        self.newest.fetch_max(purge.at_ms.saturating_add(1), Ordering::Release);
        let log = self.log.as_ref()?;
        // Handed over under the lock, so that the file has them in the order in which they hold.
        if log.is_broken() || pages.written > pages.slack {
            let contents = pages.book.encode();
            (pages.written, pages.slack) = (0, slack(&contents));
            return Some(log.renew(contents));
        }
        let mut bytes = Vec::new();
        log::frame(&mut bytes, &book::encode(&purge.what, purge.soft, purge.at_ms));
        pages.written += bytes.len();
        Some(log.append(bytes))
    }

    /// Was an object purged that was requested then? `tags` as in [`Object::tags`](crate::Object::tags).
    pub fn covers(&self, primary: &[u8], tags: &[u8], requested_ms: u64) -> Covered {
        if requested_ms >= self.newest.load(Ordering::Acquire) {
            return Covered::No;
        }
        self.pages.read().unwrap_or_else(PoisonError::into_inner).book.covers(primary, tags, requested_ms)
    }

    /// How many names are remembered.
    pub fn len(&self) -> usize {
        self.pages.read().unwrap_or_else(PoisonError::into_inner).book.len()
    }

    /// Was nothing purged by name?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("names", &self.len()).finish_non_exhaustive()
    }
}
