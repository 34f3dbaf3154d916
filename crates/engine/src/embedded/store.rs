//! The files of a log: segments are made from spares, and become spares again.
//!
//! A segment's name is given last, when its head is stable. So what has such a name has a good head, and
//! one that hasn't is damaged. Segments go one by one, each surely before the next, so that those which are
//! there after a loss of power always follow one another.

use std::io;
use std::sync::Arc;

use super::format::SegmentHead;
use crate::files::{File, Files};

/// Spares that are kept for the next segments.
const SPARES: usize = 2;
/// The first letters of their names.
const SEGMENT: &str = "segment-";
const SPARE: &str = "spare-";

/// What went wrong.
#[derive(Debug)]
pub enum Trouble {
    /// Nothing was changed; it may be better later.
    Full(Arc<str>),
    /// What is on disk is not known any more.
    Stopped(Arc<str>),
}

#[allow(clippy::needless_pass_by_value)] // so that `map_err` takes them
impl Trouble {
    /// Of a failed write.
    pub fn full(error: io::Error) -> Trouble {
        Trouble::Full(error.to_string().into())
    }

    /// Of a failed sync. It isn't tried again: the pages that weren't written may count as written now.
    pub fn stopped(error: io::Error) -> Trouble {
        Trouble::Stopped(format!("the disk did not keep what was written: {error}").into())
    }
}

/// The name of a segment's file.
pub fn name(number: u64) -> String {
    format!("{SEGMENT}{number:010}")
}

/// The number of the segment with this file name.
pub fn number(name: &str) -> Option<u64> {
    let number = name.strip_prefix(SEGMENT)?.parse().ok()?;
    (self::name(number) == name).then_some(number)
}

/// A log's folder.
pub struct Store {
    files: Arc<dyn Files>,
    /// Bytes of the segments that are made.
    length: u64,
    spares: Vec<String>,
    /// The number in the name of the next spare.
    next: u64,
}

impl Store {
    /// Of a folder with these names. Keeps what can be a spare, and removes what can't.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(files: Arc<dyn Files>, length: u64, names: &[String]) -> io::Result<Store> {
        let mut store = Store { files, length, spares: Vec::new(), next: 0 };
        for name in names {
            let Some(number) = name.strip_prefix(SPARE) else { continue };
            store.next = store.next.max(number.parse().map_or(0, |number: u64| number.saturating_add(1)));
            let fits = store.files.reopen(name)?.size()? == length;
            if fits && store.spares.len() < SPARES {
                store.spares.push(name.clone());
            } else {
                store.files.remove(name)?;
            }
        }
        // What the process before this one renamed or removed may not last yet; then its names are free.
        store.files.sync()?;
        Ok(store)
    }

    /// Spares that are there.
    pub fn spares(&self) -> usize {
        self.spares.len()
    }

    /// Bytes of the segments that are made.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Makes spares until there are so many.
    ///
    /// # Errors
    /// There's no space.
    pub fn stock(&mut self, spares: usize) -> Result<(), Trouble> {
        while self.spares.len() < spares {
            let name = format!("{SPARE}{}", self.next);
            // A name that was tried isn't used again: after a loss of power it may be the failed file's.
            self.next += 1;
            let made = self.files.open(&name).and_then(|file| file.reserve(self.length));
            if let Err(error) = made {
                // What it took already is given back; if that fails too, the next start does it.
                let _ = self.files.remove(&name);
                return Err(Trouble::full(error));
            }
            self.spares.push(name);
        }
        Ok(())
    }

    /// Makes a spare the segment with this head.
    ///
    /// # Errors
    /// There's no space, or the disk keeps nothing.
    pub fn begin(&mut self, head: &SegmentHead) -> Result<Arc<dyn File>, Trouble> {
        self.stock(1)?;
        let Some(spare) = self.spares.last() else { return Err(Trouble::Full("no spare segment".into())) };
        let file = self.files.reopen(spare).map_err(Trouble::full)?;
        file.write(&head.encode(), 0).map_err(Trouble::full)?;
        if let Err(error) = file.sync() {
            // Nobody knows what lasts of it, so nobody may use it; the next start could.
            let _ = self.files.remove(spare);
            return Err(Trouble::stopped(error));
        }
        self.files.rename(spare, &name(head.number)).map_err(Trouble::full)?;
        self.spares.pop();
        self.files.sync().map_err(Trouble::stopped)?;
        Ok(file)
    }

    /// Makes a segment a spare, or removes it.
    ///
    /// # Errors
    /// It is still there, or the disk keeps nothing.
    pub fn retire(&mut self, number: u64, length: u64) -> Result<(), Trouble> {
        let name = name(number);
        let spare = format!("{SPARE}{}", self.next);
        let fits = length == self.length && self.spares.len() < SPARES;
        // A folder may have no room for another name.
        if fits && self.files.rename(&name, &spare).is_ok() {
            self.next += 1;
            self.spares.push(spare);
        } else {
            self.files.remove(&name).map_err(Trouble::full)?;
        }
        self.files.sync().map_err(Trouble::stopped)
    }
}
