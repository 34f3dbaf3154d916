//! The access log with real files.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use config::plan::{AccessLog as Plan, LogFormat};
use edge::log::{AccessLog, Record};

const LIMIT: Duration = Duration::from_secs(10);

fn open(path: &Path) -> AccessLog {
    AccessLog::open(&Plan { path: Some(path.to_owned()), format: LogFormat::Json }).unwrap()
}

fn record(target: &str) -> Record<'_> {
    Record {
        at: SystemTime::now(),
        peer: IpAddr::from([192, 0, 2, 1]),
        method: b"GET",
        target: target.as_bytes(),
        version: "HTTP/1.1",
        host: b"h",
        status: 200,
        bytes_out: 1,
        duration: Duration::from_millis(1),
        upstream: None,
        route: None,
        service: None,
        endpoint: None,
        request_id: "1",
        user_agent: None,
        referer: None,
        tries: 0,
        cache: None,
        aborted: false,
        error: None,
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "{what} did not come");
        thread::yield_now();
    }
}

#[test]
fn every_line_is_written_whole_by_the_time_it_is_closed() {
    const LINES: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path);
    thread::scope(|scope| {
        for thread in 0..3 {
            let mut sender = log.sender();
            scope.spawn(move || {
                (0..LINES).for_each(|line| sender.write(&record(&format!("/{thread}/{line}"))));
            });
        }
    });
    assert!(log.close(LIMIT));
    assert_eq!(log.take_dropped(), 0);
    let mut next = [0; 3];
    for line in fs::read_to_string(&path).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (thread, number) = line["target"].as_str().unwrap()[1..].split_once('/').unwrap();
        let expected = &mut next[thread.parse::<usize>().unwrap()];
        assert_eq!(number.parse(), Ok(*expected));
        *expected += 1;
    }
    assert_eq!(next, [LINES; 3]);
}

#[test]
fn a_flushed_line_is_soon_there_and_a_moved_file_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    fs::write(&path, "before\n").unwrap();
    let log = open(&path);
    let mut sender = log.sender();
    let holds = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|all| all.contains(text));

    sender.write(&record("/one"));
    sender.flush();
    wait_for("the first line", || holds(&path, "/one"));
    fs::rename(&path, &moved).unwrap();
    log.reopen().unwrap();
    sender.write(&record("/two"));
    sender.flush();
    wait_for("the second line", || holds(&path, "/two"));
    let old = fs::read_to_string(&moved).unwrap();
    assert!(old.starts_with("before\n{") && old.contains("/one") && !old.contains("/two"));

    fs::remove_dir_all(folder.path()).unwrap();
    assert!(log.reopen().is_err(), "the folder is gone");
    sender.write(&record("/three"));
    drop(sender);
    assert!(log.close(LIMIT));
    assert_eq!(log.take_dropped(), 0, "it went on with the old file");
}

#[test]
fn lines_that_can_not_be_written_are_counted() {
    let log = open(Path::new("/dev/full"));
    let mut sender = log.sender();
    sender.write(&record("/"));
    sender.write(&record("/"));
    sender.flush();
    let mut dropped = 0;
    wait_for("the count", || {
        dropped += sender.take_dropped();
        dropped == 2
    });
    assert!(log.close(LIMIT));
    sender.write(&record("/late"));
    drop(sender);
    assert_eq!(log.take_dropped(), 1);
}

#[test]
fn a_file_that_can_not_be_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = Some(folder.path().to_owned());
    assert!(AccessLog::open(&Plan { path, format: LogFormat::Common }).is_err());
}
