//! The access log, written off the request path.
//!
//! A data thread formats a line into its own buffer and hands full buffers to one writing thread over
//! a bounded channel. It never waits: while the writer is behind, a buffer grows to its limit, and then
//! its lines are dropped and counted. So a slow disk or a stuck pipe costs lines and never a request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use config::plan::LogFormat;

mod line;
mod time;

pub use line::Record;
use time::Clock;

/// Bytes that a data thread gathers before it hands them over.
pub const BATCH: usize = 64 * 1024;
/// Batches that may wait for the writer: 4 MiB.
pub const WAITING: usize = 64;
/// How often a data thread must call [`Sender::flush`], so that a line is soon seen.
pub const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// The open log. Dropped without [`AccessLog::close`], its writer ends once all senders are gone.
#[derive(Debug)]
pub struct AccessLog {
    format: LogFormat,
    /// None: standard output.
    path: Option<PathBuf>,
    batches: SyncSender<Batch>,
    shared: Arc<Shared>,
    /// Says nothing, and is disconnected when the writer has ended.
    ended: Mutex<Receiver<()>>,
}

/// A data thread's way into the log.
#[derive(Debug)]
pub struct Sender {
    format: LogFormat,
    clock: Clock,
    batch: Batch,
    batches: SyncSender<Batch>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Lines lost since somebody last asked.
    dropped: AtomicU64,
    /// A new file for the writer to go on with.
    reopened: Mutex<Option<File>>,
    closing: AtomicBool,
}

/// Whole lines.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

impl AccessLog {
    /// Opens the file, to which lines are added, and starts the writer.
    ///
    /// # Errors
    /// When the file can't be opened or the thread can't be started.
    pub fn open(plan: &config::plan::AccessLog) -> io::Result<AccessLog> {
        let out: Box<dyn Write + Send> = match &plan.path {
            Some(path) => Box::new(append(path)?),
            None => Box::new(io::stdout()),
        };
        let (batches, waiting) = sync_channel(WAITING);
        let (end, ended) = sync_channel(0);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer { out, torn: false, shared: Arc::clone(&shared) };
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            writer.run(&waiting);
            // Senders must find the channel closed before anybody is told that this has ended.
            drop(waiting);
            drop(end);
        })?;
        let path = plan.path.clone();
        Ok(AccessLog { format: plan.format, path, batches, shared, ended: Mutex::new(ended) })
    }

    /// A data thread's own way in.
    pub fn sender(&self) -> Sender {
        Sender {
            format: self.format,
            clock: Clock::default(),
            batch: Batch::default(),
            batches: self.batches.clone(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Opens the file anew after it was moved away; lines handed over before may still go to the old
    /// one. Does nothing for standard output.
    ///
    /// # Errors
    /// When the file can't be opened; the log then goes on with the old one.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &self.path {
            let file = append(path)?;
            *self.shared.reopened.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
            self.wake();
        }
        Ok(())
    }

    /// Lines lost since this or [`Sender::take_dropped`] was last called.
    pub fn take_dropped(&self) -> u64 {
        self.shared.dropped.swap(0, Ordering::Relaxed)
    }

    /// Ends the writer when it has written all that was handed over; what senders hand over later is
    /// dropped. False: it was not done within `limit`.
    pub fn close(&self, limit: Duration) -> bool {
        self.shared.closing.store(true, Ordering::Release);
        self.wake();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout)
    }

    /// An empty batch makes the writer look around; if there's no room for one, it is awake.
    fn wake(&self) {
        let _awake = self.batches.try_send(Batch::default());
    }
}

impl Sender {
    /// Adds a line. Never waits.
    pub fn write(&mut self, record: &Record<'_>) {
        if self.batch.bytes.capacity() == 0 {
            self.batch.bytes.reserve(BATCH);
        }
        let at = self.clock.at(record.at);
        match self.format {
            LogFormat::Json => line::json(&mut self.batch.bytes, record, at),
            LogFormat::Common => line::common(&mut self.batch.bytes, record, at),
        }
        self.batch.lines += 1;
        if self.batch.bytes.len() >= BATCH {
            self.flush();
        }
    }

    /// Hands over what was gathered. To be called each [`FLUSH_EVERY`].
    pub fn flush(&mut self) {
        if self.batch.lines == 0 {
            return;
        }
        match self.batches.try_send(std::mem::take(&mut self.batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(batch)) if batch.bytes.len() < BATCH => self.batch = batch,
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.shared.lose(batch.lines);
            }
        }
    }

    /// Lines lost, by any sender or by the writer, since anybody last asked.
    pub fn take_dropped(&self) -> u64 {
        self.shared.dropped.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.flush();
        self.shared.lose(self.batch.lines);
    }
}

impl Shared {
    fn lose(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

struct Writer {
    out: Box<dyn Write + Send>,
    /// The last write failed, perhaps in the middle of a line.
    torn: bool,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(&mut self, batches: &Receiver<Batch>) {
        while let Ok(batch) = batches.recv() {
            let reopened = self.shared.reopened.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(file) = reopened {
                self.out = Box::new(file);
                self.torn = false;
            }
            self.write(&batch);
            if self.shared.closing.load(Ordering::Acquire) {
                batches.try_iter().for_each(|batch| self.write(&batch));
                return;
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        let begin: &[u8] = if self.torn { b"\n" } else { b"" };
        let written = self.out.write_all(begin).and_then(|()| self.out.write_all(&batch.bytes));
        self.torn = written.and_then(|()| self.out.flush()).is_err();
        if self.torn {
            self.shared.lose(batch.lines);
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(room: usize) -> (Sender, Receiver<Batch>) {
        let (batches, waiting) = sync_channel(room);
        let sender = Sender {
            format: LogFormat::Common,
            clock: Clock::default(),
            batch: Batch::default(),
            batches,
            shared: Arc::default(),
        };
        (sender, waiting)
    }

    /// Writes lines until the buffer has been handed over or dropped; says how many.
    fn fill(sender: &mut Sender) -> u64 {
        let mut lines = 0;
        loop {
            sender.write(&line::tests::RECORD);
            lines += 1;
            if sender.batch.lines == 0 {
                return lines;
            }
        }
    }

    #[test]
    fn a_full_buffer_is_handed_over_as_it_is() {
        let (mut sender, waiting) = sender(1);
        let lines = fill(&mut sender);
        let batch = waiting.try_recv().unwrap();
        assert_eq!(batch.lines, lines);
        assert_eq!(batch.bytes.iter().filter(|&&byte| byte == b'\n').count() as u64, lines);
        assert!((BATCH..BATCH + 1024).contains(&batch.bytes.len()));
        assert_eq!(sender.take_dropped(), 0);
    }

    #[test]
    fn while_the_writer_is_behind_lines_are_kept_and_then_dropped_and_counted() {
        let (mut sender, waiting) = sender(1);
        fill(&mut sender);
        sender.write(&line::tests::RECORD);
        sender.flush();
        assert_eq!(sender.batch.lines, 1, "there is still room in the buffer");
        assert_eq!(sender.take_dropped(), 0);
        let more = fill(&mut sender);
        assert_eq!(sender.take_dropped(), more + 1);
        assert_eq!(sender.take_dropped(), 0, "each is told once");
        waiting.try_recv().unwrap();
        sender.write(&line::tests::RECORD);
        sender.flush();
        assert_eq!(waiting.try_recv().unwrap().lines, 1, "it goes on");
    }

    #[test]
    fn without_a_writer_lines_are_counted_as_dropped() {
        let (mut sender, waiting) = sender(1);
        drop(waiting);
        let shared = Arc::clone(&sender.shared);
        sender.write(&line::tests::RECORD);
        drop(sender);
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 1);
    }

    /// Takes half of what it is given first, fails at the rest, and then takes all.
    #[derive(Clone, Default)]
    struct Failing(Arc<Mutex<(u32, Vec<u8>)>>);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (calls, held) = &mut *self.0.lock().unwrap();
            *calls += 1;
            let taken = match *calls {
                1 => bytes.len() / 2,
                2 => return Err(io::ErrorKind::StorageFull.into()),
                _ => bytes.len(),
            };
            held.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_failed_write_a_new_line_is_begun() {
        let failing = Failing::default();
        let shared = Arc::<Shared>::default();
        let out = Box::new(failing.clone());
        let mut writer = Writer { out, torn: false, shared: Arc::clone(&shared) };
        for text in ["one\ntwo\n", "three\nfour\n", "five\nsix\n"] {
            writer.write(&Batch { bytes: text.into(), lines: 2 });
        }
        let written = failing.0.lock().unwrap().1.clone();
        assert_eq!(str::from_utf8(&written).unwrap(), "one\n\nthree\nfour\nfive\nsix\n");
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 2);
    }
}
