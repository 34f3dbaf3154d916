//! Appending and waiting, with limits.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::embedded::{Embedded, OpenError, Options};
use engine::files::Files;
use engine::{Append, AppendError, Follow, Log, Position, Room};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;

/// Nothing in these tests takes so long unless it never ends.
const LIMIT: Duration = Duration::from_secs(30);

/// Records with their positions.
pub type Held = Vec<(Position, Vec<u8>)>;

pub type Told = Result<Position, AppendError>;

/// A runtime that all tests share.
pub fn runtime() -> Handle {
    static RUNTIME: std::sync::OnceLock<Runtime> = std::sync::OnceLock::new();
    let make = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    RUNTIME.get_or_init(make).handle().clone()
}

/// Runs a test; it fails if it takes too long.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(LIMIT, test).await.expect("it takes too long") })
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn options(segment: u64) -> Options {
    Options { segment, ..Options::new(runtime()) }
}

/// Opens a log and says what it holds.
pub fn open(
    files: Arc<dyn Files>,
    options: Options,
    from: Option<Position>,
) -> Result<(Arc<Embedded>, Held), OpenError> {
    let mut held = Vec::new();
    let mut visit = |at: Position, record: &[u8]| held.push((at, record.to_vec()));
    let log = Embedded::open(files, options, from, &mut visit)?;
    Ok((Arc::new(log), held))
}

/// Appends records together; what is told comes by and by.
pub fn begin(log: &dyn Log, room: Room, records: Vec<Bytes>) -> Vec<oneshot::Receiver<Told>> {
    let (appends, told) = records
        .into_iter()
        .map(|record| {
            let (tell, told) = oneshot::channel();
            let done = Box::new(move |what| drop(tell.send(what)));
            (Append { record, room, done }, told)
        })
        .unzip();
    log.append(appends);
    told
}

/// Appends one record and waits.
pub fn append(log: &dyn Log, room: Room, record: impl Into<Bytes>) -> Told {
    let told = begin(log, room, vec![record.into()]).remove(0);
    run(told).expect("somebody is always told")
}

/// Appends an ordinary record that must be taken.
pub fn put(log: &dyn Log, record: impl Into<Bytes>) -> Position {
    append(log, Room::Ordinary, record).unwrap()
}

/// The next so many records.
pub fn next(follow: &mut dyn Follow, count: usize) -> Held {
    (0..count)
        .map(|_| {
            let (at, record) = run(follow.next()).unwrap();
            (at, record.to_vec())
        })
        .collect()
}

/// A record that tells which it is, of this length, or 8 bytes if that is less.
pub fn record(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    let mut noise = number;
    while bytes.len() < len {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend(noise.to_be_bytes());
    }
    bytes.truncate(len.max(8));
    bytes
}

/// Which it is; fails if one byte is another.
pub fn number(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == record(number, bytes.len()), "a wrong byte in record {number}");
    number
}
