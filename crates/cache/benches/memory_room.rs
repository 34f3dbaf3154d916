//! What the memory tier really takes: the process's resident memory with the release's allocator, for
//! millions of small objects, and for a small limit under objects of all sizes. Fails beyond its marks.

use std::process::{Command, ExitCode};

use bytes::Bytes;
use cache::memory::{Memory, PIECE};
use cache::object::New;
use cache::{Body, Facts, Object};
// In place of the system's `malloc`.
use mimalloc as _;

const MIB: u64 = 1024 * 1024;

/// Bytes that each of four million objects with 1 KiB of body may take, all told.
const MARK_EACH: u64 = 1280;

/// Bytes by which the process may grow with a tier of 64 MiB.
const MARK_GROWTH: u64 = 96 * MIB;

fn main() -> ExitCode {
    // Each in a process of its own: what one leaves behind would hide what the other takes.
    let holds = match std::env::args().nth(1).as_deref() {
        Some("limit") => small_limit() <= MARK_GROWTH,
        Some("small") => small_objects() <= MARK_EACH,
        _ => ["limit", "small"].map(again).iter().all(|holds| *holds),
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn again(what: &str) -> bool {
    let program = std::env::current_exe();
    let status = program.and_then(|program| Command::new(program).arg(what).status());
    status.is_ok_and(|status| status.success())
}

/// 300 MB and more of objects of 1 KiB to 1 MiB through 64 MiB, from two threads, some of them used.
fn small_limit() -> u64 {
    let before = resident();
    let memory = Memory::new(64 * MIB);
    let mut most = 0;
    for round in 0..4u64 {
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let memory = &memory;
                scope.spawn(move || {
                    let mut left = 300 * MIB / 2;
                    for n in (0u64..).map(|n| n * 2 + thread) {
                        // Each doubling of sizes is as frequent as the others.
                        let mixed = (n + 1_000_003 * round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
                        let len = (1024 + mixed % 1024) << ((mixed >> 16) % 10);
                        memory.insert(object(n + round * 1_000_000, len as usize));
                        memory.get(url(n.saturating_sub(mixed % 64)).as_bytes(), |_| true);
                        left = left.saturating_sub(len);
                        if left == 0 {
                            break;
                        }
                    }
                });
            }
        });
        let growth = resident() - before;
        most = most.max(growth);
        println!(
            "64 MiB, {} MB through it: {} objects, {} KiB counted, {} KiB grown",
            300 * (round + 1),
            memory.objects(),
            memory.bytes() / 1024,
            growth / 1024
        );
    }
    most
}

/// Four million objects of 1 KiB.
fn small_objects() -> u64 {
    const OBJECTS: u64 = 4_000_000;
    let before = resident();
    let memory = Memory::new(8 << 30);
    for n in 0..OBJECTS {
        memory.insert(object(n, 1024));
    }
    let each = (resident() - before) / OBJECTS;
    println!(
        "{} objects of 1 KiB: {each} bytes each, {} counted",
        memory.objects(),
        memory.bytes() / OBJECTS
    );
    each
}

fn url(n: u64) -> String {
    format!("http://www.example.com/img/{n:010}.jpg")
}

/// Typical fields; those with a time are of the second in which 10,000 came.
fn object(n: u64, len: usize) -> Object {
    let (second, minute) = (n / 10_000 % 60, n / 600_000 % 60);
    let lines = format!(
        "Date: Sun, 06 Nov 1994 08:{minute:02}:{second:02} GMT\r\nContent-Type: image/jpeg\r\n\
         Server: nginx\r\nLast-Modified: Sat, 05 Nov 1994 {:02}:{:02}:{:02} GMT\r\n\
         ETag: \"{:016x}\"\r\nCache-Control: public, max-age=3600\r\nAccept-Ranges: bytes\r\n\
         Vary: Accept-Encoding\r\n",
        n / 3600 % 24,
        n / 60 % 60,
        n % 60,
        n * 7
    );
    let facts = Facts {
        status: 200,
        requested_ms: n,
        received: (n / 10_000) as u32,
        lifetime: 3600,
        ..Facts::default()
    };
    let body = body(len);
    Object::new(New {
        facts,
        primary: url(n).as_bytes(),
        variant: b"",
        lines: lines.as_bytes(),
        tags: b"",
        body,
    })
}

/// As the flight makes them: exact, and in pieces of equal size if large.
fn body(len: usize) -> Body {
    if len <= PIECE {
        return Body::Whole(Bytes::from(vec![b'x'; len]));
    }
    let starts = (0..len).step_by(PIECE);
    Body::Pieces(starts.map(|start| Bytes::from(vec![b'x'; PIECE.min(len - start)])).collect())
}

/// The process's resident bytes.
fn resident() -> u64 {
    // In pages, of 4 KiB on the machines this is measured on.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
