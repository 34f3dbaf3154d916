//! What the writer, those who append and those who read have in common, and reading.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::Options;
use super::format::{self, RECORD_HEAD};
use super::inbox::Inbox;
use super::store;
use super::table::{Spot, Table};
use crate::files::{File, Files};
use crate::log::{AppendError, Position, ReadError};

/// Bytes of a record that are read before its length is known; most records are smaller.
const GUESS: u64 = 4096;

/// One log.
pub struct Shared {
    /// Its random number.
    pub log: u64,
    /// Where it lies.
    pub files: Arc<dyn Files>,
    /// What waits for the writer.
    pub inbox: Inbox,
    /// Says that there are new stable records; true: no more will come.
    pub news: watch::Sender<bool>,
    table: Mutex<Table>,
    health: Mutex<Health>,
    patience: Duration,
}

/// How the writer is.
#[derive(Default)]
struct Health {
    /// Why there's no space.
    short: Option<Arc<str>>,
    /// Since when it is busy with the disk.
    busy: Option<Instant>,
}

impl Shared {
    /// A log with these segments.
    pub fn new(log: u64, files: Arc<dyn Files>, table: Table, options: &Options) -> Shared {
        Shared {
            log,
            files,
            inbox: Inbox::new(options.waiting),
            news: watch::Sender::new(false),
            table: Mutex::new(table),
            health: Mutex::default(),
            patience: options.patience,
        }
    }

    /// The segments. To be held shortly.
    pub fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer begins or ends something for which it waits on the disk.
    pub fn busy(&self, busy: bool) {
        self.health().busy = busy.then(Instant::now);
    }

    /// There's no space, or there is.
    pub fn short(&self, why: Option<Arc<str>>) {
        self.health().short = why;
    }

    /// Why nothing is appended, if nothing is.
    pub fn trouble(&self) -> Option<AppendError> {
        if let Some(over) = self.inbox.over() {
            return Some(over);
        }
        let health = self.health();
        if let Some(busy) = health.busy.map(|since| since.elapsed()).filter(|busy| *busy > self.patience) {
            let text = format!("the disk has not answered for {} s", busy.as_secs());
            return Some(AppendError::Full(text.into()));
        }
        health.short.clone().map(AppendError::Full)
    }

    /// The record at a position; none: it can't be had without waiting for the disk, and `wait` is false.
    pub fn record(&self, at: u64, wait: bool) -> Option<Result<Bytes, ReadError>> {
        let Some(spot) = self.table().spot(at) else { return Some(Err(ReadError::NotThere(Position(at)))) };
        match self.read_record(&spot, wait) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            read => Some(read.map_err(|error| self.explain(at, &error))),
        }
    }

    fn read_record(&self, spot: &Spot, wait: bool) -> io::Result<Bytes> {
        let file = self.file(spot, wait)?;
        let mut bytes = vec![0; spot.len.min(GUESS) as usize];
        read(&*file, &mut bytes, spot.offset, wait)?;
        let length = format::record_length(&bytes).filter(|length| *length as u64 <= spot.len);
        let length = length.ok_or_else(|| damaged("its length can't be"))?;
        let known = bytes.len().min(length);
        bytes.resize(length, 0);
        read(&*file, &mut bytes[known..], spot.offset + known as u64, wait)?;
        if !format::is_record(self.log, spot.at, &bytes) {
            return Err(damaged("its checksum is wrong"));
        }
        Ok(Bytes::from(bytes).slice(RECORD_HEAD..))
    }

    /// The file with this spot.
    ///
    /// # Errors
    /// `WouldBlock` if it isn't open and `wait` is false; those of the file system.
    pub fn file(&self, spot: &Spot, wait: bool) -> io::Result<Arc<dyn File>> {
        if let Some(file) = &spot.file {
            return Ok(file.clone());
        }
        if !wait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let file = self.files.reopen(&store::name(spot.number))?;
        self.table().opened(spot.number, file.clone());
        Ok(file)
    }

    /// Why a stable record could not be read. A segment that was trimmed meanwhile may be gone already, or
    /// be written anew.
    pub fn explain(&self, at: u64, error: &io::Error) -> ReadError {
        if at < self.table().first() {
            return ReadError::NotThere(Position(at));
        }
        match error.kind() {
            io::ErrorKind::InvalidData => {
                ReadError::Damaged { at: Position(at), why: error.to_string().into() }
            }
            _ => ReadError::Io(error.to_string().into()),
        }
    }
}

/// Bytes that aren't what was written.
pub fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Fills `bytes`; `WouldBlock` if that takes the disk and `wait` is false.
pub fn read(file: &dyn File, bytes: &mut [u8], offset: u64, wait: bool) -> io::Result<()> {
    match (bytes.is_empty(), wait) {
        (true, _) => Ok(()),
        (false, true) => file.read(bytes, offset),
        (false, false) => file.read_now(bytes, offset),
    }
}
