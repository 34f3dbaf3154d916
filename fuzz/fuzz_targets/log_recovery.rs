//! Whatever lies in a log's folder: it opens or says why not, and shows nothing that was not written. The
//! first byte says whether the rest is a segment, a snapshot, or what to do to the bytes of a real log.
#![no_main]

use std::io::Read;
use std::sync::{Arc, OnceLock};

use disk::Disk;
use engine::embedded::{Embedded, OpenError, Options};
use engine::{Append, Log, Position, Room, snapshot};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Handle, Runtime};

#[path = "../../crates/engine/tests/it/disk.rs"]
#[allow(dead_code)] // the tests need more of it
mod disk;

/// The smallest, so that few bytes are many segments.
const SEGMENT: u64 = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((&kind, input)) = input.split_first() else { return };
    let disk = Disk::default();
    match kind % 4 {
        0 => {
            disk.put("segment-0000000000", input.to_vec());
            let _ = open(&disk, None);
        }
        1 => {
            disk.put("snapshot", input.to_vec());
            if let Ok(Some((_, mut reader))) = snapshot::read(&disk, "snapshot") {
                let mut bytes = Vec::new();
                let whole = reader.read_to_end(&mut bytes);
                assert!(whole.is_err() || bytes.len() <= input.len());
            }
        }
        _ => changed(&disk, input),
    }
});

/// Writes records, changes bytes, and looks at what is left.
fn changed(disk: &Disk, input: &[u8]) {
    let Some((&count, input)) = input.split_first() else { return };
    let (lens, changes) = input.split_at(input.len().min(usize::from(count % 24)));
    let (log, _) = open(disk, None).expect("nothing was changed");
    let written: Vec<Vec<u8>> = lens.iter().map(|len| vec![*len; usize::from(*len) * 12]).collect();
    let at: Vec<Position> = written.iter().map(|record| append(&log, record)).collect();
    drop(log);
    for change in changes.chunks_exact(6) {
        change_file(disk, change);
    }
    let from = changes.first().and_then(|byte| at.get(usize::from(*byte))).copied();
    let Ok((log, held)) = open(disk, from) else { return };
    // Of all, what is asked for, up to where it was cut off.
    let asked = from.map_or(0, |from| at.iter().position(|at| *at == from).unwrap_or_default());
    assert!(held.len() <= written.len() - asked);
    assert!(held.iter().eq(written[asked..].iter().take(held.len())));
    append(&log, b"more");
    drop(log);
    let (_, again) = open(disk, from).expect("it was open just now");
    assert!(again.iter().rev().skip(1).rev().eq(&held) && again.last().is_some_and(|last| last == b"more"));
}

/// Copies some bytes of a file to another place in it, or makes one byte another.
fn change_file(disk: &Disk, change: &[u8]) {
    let names: Vec<String> = disk.names().into_iter().filter(|name| name.starts_with("segment-")).collect();
    let name = &names[usize::from(change[0]) % names.len()];
    let mut bytes = disk.bytes(name);
    let place = |low: u8, high: u8| usize::from(u16::from_le_bytes([low, high])) % SEGMENT as usize;
    let (to, from) = (place(change[1], change[2]), place(change[3], change[4]));
    if from == to {
        bytes[to] ^= change[5];
    } else {
        let len = usize::from(change[5]).min(bytes.len() - from.max(to));
        bytes.copy_within(from..from + len, to);
    }
    disk.put(name, bytes);
}

fn open(disk: &Disk, from: Option<Position>) -> Result<(Embedded, Vec<Vec<u8>>), OpenError> {
    let mut held = Vec::new();
    let options = Options { segment: SEGMENT, ..Options::new(runtime()) };
    let log =
        Embedded::open(Arc::new(disk.clone()), options, from, &mut |_, record| held.push(record.to_vec()))?;
    Ok((log, held))
}

fn append(log: &Embedded, record: &[u8]) -> Position {
    let (tell, told) = std::sync::mpsc::channel();
    let done = Box::new(move |what| tell.send(what).expect("it is waited for"));
    log.append(vec![Append { record: record.to_vec().into(), room: Room::Ordinary, done }]);
    told.recv().expect("somebody is always told").expect("nothing fails")
}

fn runtime() -> Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let make = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    RUNTIME.get_or_init(make).handle().clone()
}
