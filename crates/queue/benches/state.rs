//! What a message costs while it waits, in memory and in time: the process's resident bytes with the
//! release's allocator for a million of them, and how long each step takes. Fails beyond its marks.
//!
//! Keys are in trees, not in hash tables: those took half the time and 16 bytes more, and halt everybody
//! while they grow.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use config::plan::Redelivery;
use engine::Position;
// In place of the system's `malloc`.
use mimalloc as _;
use queue::record::{Accepted, Body, History, What};
use queue::state::{Admit, Cursor, Outcome, Rules, State};

/// Messages that wait.
const MESSAGES: u64 = 1_000_000;

/// Bytes of memory that each may take, all told.
const MARK_BYTES: u64 = 100;

/// Nanoseconds on a processor that each step may take: a microsecond, and as much again for neighbours that
/// share its caches.
const MARK_NANOS: u64 = 2_000;

/// Time is virtual.
const NOW: u64 = 1_700_000_000_000;

/// What is written down and read again.
const SNAPSHOT: &str = "snapshot";

/// What they are: whether each has a key of its own, and a time of its own.
const KINDS: [(&str, bool, bool); 4] =
    [("plain", false, false), ("keys", true, false), ("delayed", false, true), ("delayed keys", true, true)];

fn main() -> ExitCode {
    // Each in a process of its own: what one leaves behind would hide what the other takes.
    let asked = std::env::args().nth(1).unwrap_or_default();
    let holds = match KINDS.iter().find(|(name, ..)| *name == asked) {
        Some((name, keys, delayed)) => measure(name, *keys, *delayed),
        None if asked == SNAPSHOT => snapshot(),
        None => {
            let kinds = KINDS.iter().map(|(name, ..)| *name).chain([SNAPSHOT]);
            kinds.map(again).filter(|holds| !holds).count() == 0
        }
    };
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn again(what: &str) -> bool {
    let program = std::env::current_exe();
    let status = program.and_then(|program| Command::new(program).arg(what).status());
    status.is_ok_and(|status| status.success())
}

fn rules() -> Rules {
    Rules {
        receivers: vec![Arc::from("shop")],
        retry: Redelivery { attempts: 12, first: Duration::from_secs(1), longest: Duration::from_secs(3600) },
        rate: None,
        concurrency: 1024,
        keep_done: 1000,
        keep_dead: 1000,
        full: u64::MAX,
    }
}

fn new() -> State {
    let mut state = State::new(rules());
    for (index, text) in state.missing_receivers() {
        state.apply(Position(1), &What::Receiver { index, text: &text }, NOW);
    }
    state
}

fn measure(name: &str, keys: bool, delayed: bool) -> bool {
    let before = resident();
    let mut state = new();
    let accept = accept(&mut state, keys, delayed);
    let each = resident().saturating_sub(before) / MESSAGES;
    println!("{name}: {MESSAGES} messages, {each} bytes each");
    let [take, settle, end] = deliver(&mut state, if delayed { NOW + 100_000_000 } else { NOW });
    let forget = timed(|| while state.expire(NOW * 2, 1000) {});
    println!("  accept {accept} ns, take {take} ns, settle {settle} ns, end {end} ns, forget {forget} ns");
    given_back(before);
    let slow = [accept, take, settle, end, forget].iter().any(|time| *time > MARK_NANOS);
    each <= MARK_BYTES && !slow
}

/// The allocator gives memory back when it is used a little later.
fn given_back(before: u64) {
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(10));
        drop(std::hint::black_box((0..1000).map(|n| vec![0_u8; n]).collect::<Vec<_>>()));
    }
    println!("  {} KiB left when all were forgotten", resident().saturating_sub(before) / 1024);
}

/// This thread's time on a processor, in nanoseconds: others may be busy too.
fn clock() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
}

/// Nanoseconds for each message.
fn timed(mut work: impl FnMut()) -> u64 {
    let began = clock();
    work();
    (clock() - began) / MESSAGES
}

/// Spreads numbers as a hash does.
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn accept(state: &mut State, keys: bool, delayed: bool) -> u64 {
    let body = [b'x'; 1024];
    timed(|| {
        for n in 1..=MESSAGES {
            let at = NOW - MESSAGES / 10 + n / 10;
            let accepted = Accepted {
                number: n,
                at,
                due: if delayed { NOW + mixed(n) % 86_400_000 } else { at },
                receivers: vec![0],
                order: keys.then(|| mixed(n)),
                method: "POST",
                target: "/hooks/orders",
                body: Body::Whole(&body),
                ..Accepted::default()
            };
            let _ = state.admit(&Admit { bytes: accepted.bytes(), ..Admit::default() }, NOW);
            state.apply(Position(n * 1200), &What::Accepted(Box::new(accepted)), NOW);
        }
    })
}

fn snapshot() -> bool {
    let mut state = new();
    accept(&mut state, true, false);
    let (mut cursor, mut slices, mut bytes) = (Cursor::default(), Vec::new(), 0);
    let save = timed(|| {
        loop {
            let mut slice = Vec::new();
            let more = state.save(&mut cursor, &mut slice, 8192);
            bytes += slice.len() as u64;
            slices.push(slice);
            if !more {
                break;
            }
        }
    });
    let mut restored = State::new(rules());
    let mut good = true;
    let restore = timed(|| good = slices.iter().all(|slice| restored.restore(slice, NOW).is_ok()));
    println!("snapshot: {} bytes each, written in {save} ns, read in {restore} ns each", bytes / MESSAGES);
    good && restored.counts(NOW) == state.counts(NOW)
}

fn deliver(state: &mut State, now: u64) -> [u64; 3] {
    let mut position = MESSAGES * 1200;
    let mut spent = [0; 3];
    loop {
        let began = clock();
        let works: Vec<_> = std::iter::from_fn(|| state.take(now)).collect();
        let taken = clock();
        let outcome = Outcome { status: 200, began: now, took: 5, ..Outcome::default() };
        let mut settle = |work| state.settle(work, &outcome, History::default(), b"", now, 1);
        let settled: Vec<_> = works.iter().filter_map(&mut settle).collect();
        let written = clock();
        for what in &settled {
            position += 100;
            state.apply(Position(position), what, now);
        }
        let phases = [taken - began, written - taken, clock() - written];
        spent.iter_mut().zip(phases).for_each(|(spent, phase)| *spent += phase);
        if works.is_empty() {
            return spent.map(|time| time / MESSAGES);
        }
    }
}

/// The process's resident bytes.
fn resident() -> u64 {
    // In pages, of 4 KiB on the machines this is measured on.
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
