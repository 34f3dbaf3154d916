//! What the log costs beyond what the disk costs: producers that each wait for their record, against a bare
//! loop that writes and syncs the same batches to the same disk in the same run. Fails beyond its mark.
//!
//! The folder is `NEARSIDE_BENCH_DIR`, or one beside this program; it must be on a real disk.

#![allow(clippy::expect_used)] // A bench that meets the unexpected ends.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::embedded::{Embedded, Options};
use engine::files::{Files, Folder};
use engine::{Append, Log, Position, Room};
use tokio::sync::oneshot;

/// Those who append, each one record at a time.
const PRODUCERS: usize = 64;
/// Bytes of a record.
const RECORD: usize = 1024;
/// The log may take so many times as long as the bare loop.
const MARK: f64 = 1.3;
/// Rounds; the median counts, since others use the disk too.
const ROUNDS: usize = 15;
/// How long a round of the log takes.
const ROUND: Duration = Duration::from_millis(400);

/// What a round came to.
struct Round {
    records: usize,
    took: Duration,
    /// Of processors.
    cpu: Duration,
    /// Records of each batch.
    batches: Vec<usize>,
}

fn main() -> ExitCode {
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let folder = std::env::var_os("NEARSIDE_BENCH_DIR").map(PathBuf::from).or(beside).unwrap_or_default();
    let folder = tempfile::tempdir_in(folder).expect("a folder on a real disk");
    println!("{PRODUCERS} producers of records of {RECORD} bytes, in {}", folder.path().display());
    println!("segments   appends/s   each batch   CPU µs each   bare loop/s   ratio");
    let fresh = compare("new", folder.path(), false);
    let recycled = compare("recycled", folder.path(), true);
    if fresh <= MARK && recycled <= MARK { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Rounds of both in turns; the median of how many times as long the log took.
fn compare(name: &str, folder: &Path, recycle: bool) -> f64 {
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let log = log(folder, recycle);
            let bare = bare(folder, &log.batches, recycle);
            let ratio = log.took.as_secs_f64() / bare.as_secs_f64();
            println!(
                "{name:8} {:11.0} {:12.1} {:13.2} {:13.0} {ratio:7.2}",
                log.records as f64 / log.took.as_secs_f64(),
                log.records as f64 / log.batches.len() as f64,
                log.cpu.as_secs_f64() * 1e6 / log.records as f64,
                log.records as f64 / bare.as_secs_f64(),
            );
            ratio
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}

fn log(folder: &Path, recycle: bool) -> Round {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let files = Arc::new(Folder::open(folder.path()).expect("a folder"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let options = Options::new(runtime.handle().clone());
    let log = Arc::new(Embedded::open(files, options, None, &mut |_, _| {}).expect("a log"));
    let begin = (Instant::now(), cpu());
    let mut at: Vec<Position> = runtime.block_on(async {
        let producers: Vec<_> =
            (0..PRODUCERS).map(|_| tokio::spawn(produce(log.clone(), begin.0 + ROUND, recycle))).collect();
        let mut all = Vec::new();
        for producer in producers {
            all.extend(producer.await.expect("no panic"));
        }
        all
    });
    let (took, cpu) = (begin.0.elapsed(), cpu() - begin.1);
    at.sort_unstable();
    // Records of one batch lie side by side.
    let batches = at.chunk_by(|a, b| b.0 - a.0 == RECORD as u64 + 8).map(<[Position]>::len).collect();
    Round { records: at.len(), took, cpu, batches }
}

async fn produce(log: Arc<Embedded>, until: Instant, recycle: bool) -> Vec<Position> {
    let record = Bytes::from(vec![b'r'; RECORD]);
    let mut told = Vec::new();
    while Instant::now() < until {
        let (tell, done) = oneshot::channel();
        let done_now = Box::new(move |what| drop(tell.send(what)));
        log.append(vec![Append { record: record.clone(), room: Room::Ordinary, done: done_now }]);
        told.push(done.await.expect("told").expect("there is space"));
        if recycle && let Some(oldest) = log.oldest() {
            log.trim(oldest);
        }
    }
    told
}

/// How long the disk takes for such batches, one after the other, over room that is reserved or was written
/// before.
fn bare(folder: &Path, batches: &[usize], recycle: bool) -> Duration {
    let folder = Folder::open(&folder.join("bare")).expect("a folder");
    let file = folder.open("file").expect("a file");
    let bytes = vec![b'r'; PRODUCERS * (RECORD + 8) + 32];
    let all = batches.iter().map(|records| records * (RECORD + 8) + 32).sum::<usize>() as u64;
    let room = if recycle { all.min(16 << 20) } else { all };
    file.reserve(room + bytes.len() as u64).expect("room");
    if recycle {
        (0..=room / bytes.len() as u64)
            .for_each(|n| file.write(&bytes, n * bytes.len() as u64).expect("room"));
    }
    file.sync().expect("a disk");
    let begin = Instant::now();
    let mut at = 0;
    for records in batches {
        let batch = &bytes[..records * (RECORD + 8) + 32];
        file.write(batch, at % room).expect("room");
        file.sync().expect("a disk");
        at += batch.len() as u64;
    }
    let took = begin.elapsed();
    folder.remove("file").expect("it is there");
    took
}

/// Time of processors that this process has taken.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
