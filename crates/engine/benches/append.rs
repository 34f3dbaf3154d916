//! What the log costs beyond what the disk costs: producers that each wait for their record, against a bare
//! loop that writes and syncs the same batches to the same disk in the same run. And how long it takes to open
//! a log of a million records. Fails beyond its marks.
//!
//! The folder is `NEARSIDE_BENCH_DIR`, or one beside this program; it must be on a real disk.

#![allow(clippy::expect_used)] // A bench that meets the unexpected ends.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::embedded::{Embedded, Options};
use engine::files::{File, Files, Folder};
use engine::{Append, Log, Position, Room};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Those who append, each one record at a time.
const PRODUCERS: usize = 64;
/// Bytes of a record.
const RECORD: usize = 1024;
/// Bytes of it on disk.
const ON_DISK: usize = RECORD + 8;
/// The log may take so many times as long as the bare loop.
const MARK: f64 = 1.3;
/// Rounds of both in turns. They are many and short, and the median counts, since others use the disk too.
const ROUNDS: usize = 60;
const ROUND: Duration = Duration::from_millis(100);
/// Records of the log that is opened.
const MANY: u64 = 1_000_000;
/// How long that may take.
const OPENING: Duration = Duration::from_secs(1);

/// One round of both.
struct Round {
    records: f64,
    /// Seconds of the log.
    log: f64,
    /// Seconds of the bare loop.
    bare: f64,
    /// Seconds of processors that the log took, and those who append.
    cpu: f64,
    batches: f64,
}

fn main() -> ExitCode {
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let folder = std::env::var_os("NEARSIDE_BENCH_DIR").map(PathBuf::from).or(beside).unwrap_or_default();
    let folder = tempfile::tempdir_in(folder).expect("a folder on a real disk");
    println!("{PRODUCERS} producers of records of {RECORD} bytes, in {}", folder.path().display());
    println!("segments   appends/s   each batch   CPU µs each   bare loop/s   ratio");
    let fresh = compare("new", folder.path(), false);
    let recycled = compare("recycled", folder.path(), true);
    let opened = opening(folder.path());
    println!("opened with {MANY} records in {:.2} s", opened.as_secs_f64());
    if fresh <= MARK && recycled <= MARK && opened <= OPENING { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The median of how many times as long the log took.
fn compare(name: &str, folder: &Path, recycle: bool) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let own = tempfile::tempdir_in(folder).expect("a folder");
    let (log, _) = open(own.path(), &runtime);
    let mut bare = Bare::new(own.path(), recycle);
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(&runtime, &log, &mut bare, recycle)).collect();
    let median = |value: &dyn Fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let ratio = median(&|round| round.log / round.bare);
    println!(
        "{name:8} {:11.0} {:12.1} {:13.2} {:13.0} {ratio:7.2}",
        median(&|round| round.records / round.log),
        median(&|round| round.records / round.batches),
        rounds.iter().map(|round| round.cpu).sum::<f64>() * 1e6
            / rounds.iter().map(|round| round.records).sum::<f64>(),
        median(&|round| round.records / round.bare),
    );
    ratio
}

fn open(folder: &Path, runtime: &Runtime) -> (Arc<Embedded>, u64) {
    let mut records = 0;
    let files = Arc::new(Folder::open(folder).expect("a folder"));
    let options = Options::new(runtime.handle().clone());
    let log = Embedded::open(files, options, None, &mut |_, _| records += 1).expect("a log");
    (Arc::new(log), records)
}

fn round(runtime: &Runtime, log: &Arc<Embedded>, bare: &mut Bare, recycle: bool) -> Round {
    let (begin, cpu_before) = (Instant::now(), cpu());
    let mut at: Vec<Position> = runtime.block_on(async {
        let produce = |_| tokio::spawn(produce(log.clone(), begin + ROUND, recycle));
        let producers: Vec<_> = (0..PRODUCERS).map(produce).collect();
        let mut all = Vec::new();
        for producer in producers {
            all.extend(producer.await.expect("no panic"));
        }
        all
    });
    let (took, cpu) = (begin.elapsed(), cpu() - cpu_before);
    at.sort_unstable();
    // Records of one batch lie side by side.
    let batches: Vec<usize> =
        at.chunk_by(|a, b| b.0 - a.0 == ON_DISK as u64).map(<[Position]>::len).collect();
    Round {
        records: at.len() as f64,
        log: took.as_secs_f64(),
        bare: bare.write(&batches).as_secs_f64(),
        cpu: cpu.as_secs_f64(),
        batches: batches.len() as f64,
    }
}

async fn produce(log: Arc<Embedded>, until: Instant, recycle: bool) -> Vec<Position> {
    let record = Bytes::from(vec![b'r'; RECORD]);
    let mut told = Vec::new();
    while Instant::now() < until {
        let (tell, done) = oneshot::channel();
        let done_now = Box::new(move |what| drop(tell.send(what)));
        log.append(vec![Append { record: record.clone(), room: Room::Ordinary, done: done_now }]);
        told.push(done.await.expect("told").expect("there is space"));
        // As rarely as a queue does it.
        if recycle
            && told.len() % 16 == 0
            && let Some(oldest) = log.oldest()
        {
            log.trim(oldest);
        }
    }
    told
}

/// Writes and syncs, one batch after the other, over room that is reserved or was written before.
struct Bare {
    file: Arc<dyn File>,
    batch: Vec<u8>,
    at: u64,
    room: u64,
}

impl Bare {
    fn new(folder: &Path, recycle: bool) -> Bare {
        let file = Folder::open(&folder.join("bare")).and_then(|folder| folder.open("file")).expect("a file");
        let batch = vec![b'r'; PRODUCERS * ON_DISK + 32];
        let room = if recycle { 16 << 20 } else { 4 << 30 };
        file.reserve(room).expect("room");
        if recycle {
            let places = 0..room / batch.len() as u64;
            places.for_each(|place| file.write(&batch, place * batch.len() as u64).expect("room"));
        }
        file.sync().expect("a disk");
        Bare { file, batch, at: 0, room }
    }

    fn write(&mut self, batches: &[usize]) -> Duration {
        let begin = Instant::now();
        for records in batches {
            let batch = &self.batch[..records * ON_DISK + 32];
            if self.at + batch.len() as u64 > self.room {
                self.at = 0;
            }
            self.file.write(batch, self.at).expect("room");
            self.file.sync().expect("a disk");
            self.at += batch.len() as u64;
        }
        begin.elapsed()
    }
}

/// How long it takes to open a log of [`MANY`] records.
fn opening(folder: &Path) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (log, _) = open(&folder.join("many"), &runtime);
    let record = Bytes::from(vec![b'r'; RECORD]);
    for _ in 0..MANY / 1000 {
        let (tell, told) = std::sync::mpsc::channel();
        let append = |_| {
            let tell = tell.clone();
            Append {
                record: record.clone(),
                room: Room::Ordinary,
                done: Box::new(move |what| drop(tell.send(what))),
            }
        };
        log.append((0..1000).map(append).collect());
        drop(tell);
        assert!(told.iter().all(|told| told.is_ok()));
    }
    drop(log);
    let begin = Instant::now();
    let (_log, records) = open(&folder.join("many"), &runtime);
    assert_eq!(records, MANY);
    begin.elapsed()
}

/// Time of processors that this process has taken, in the ticks of `/proc`: 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
