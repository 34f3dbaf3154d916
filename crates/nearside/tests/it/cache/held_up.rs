//! Clients that don't read, or slowly: they hold up nobody else, and cost the node no memory.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::{Scene, Setting, is_hit, pattern};
use crate::support::{Behaviour, Client, until};

const MIB: u64 = 1024 * 1024;
/// Bytes of a body that must not be in memory all at once.
const HUGE: u64 = 256 * MIB;
/// How much larger the node may become while it passes such a body on.
const GROWTH: u64 = 32 * MIB;

/// Sends this head and then the pattern again and again up to `HUGE` bytes, chunked or as they are,
/// and counts them.
fn pouring(head: &'static str, chunked: bool, poured: &Arc<AtomicU64>) -> Behaviour {
    let (poured, piece) = (poured.clone(), pattern(MIB as usize));
    Behaviour::script(move |_, mut stream: &TcpStream| {
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes())?;
        for _ in 0..HUGE / MIB {
            if chunked {
                stream.write_all(b"100000\r\n")?;
            }
            stream.write_all(&piece)?;
            if chunked {
                stream.write_all(b"\r\n")?;
            }
            poured.fetch_add(MIB, SeqCst);
        }
        if chunked { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
    })
}

/// Waits till the endpoint has sent nothing for a while.
#[track_caller]
fn until_held_up(poured: &AtomicU64) {
    const WHILE: Duration = Duration::from_millis(500);
    let (mut last, mut since) = (0, Instant::now());
    until("the endpoint is held up", || {
        let now = poured.load(SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        now > 0 && since.elapsed() > WHILE
    });
}

/// A client asks for a huge body and doesn't read: the endpoint is held up, and the node stays small.
/// When the client reads, it gets all of it.
#[track_caller]
fn assert_bounded(setting: &Setting<'_>, head: &'static str, chunked: bool) {
    let poured = Arc::<AtomicU64>::default();
    let scene = setting.before(pouring(head, chunked, &poured));
    let before = scene.node.memory();
    let mut client = scene.asking("/", "");
    until_held_up(&poured);
    let (sent, grown) = (poured.load(SeqCst), scene.node.memory().saturating_sub(before));
    assert!(sent < HUGE / 2, "{sent} bytes were taken for a client that doesn't read");
    assert!(grown < GROWTH, "it has grown by {grown} bytes");
    let answer = client.answer().unwrap();
    assert_eq!(answer.body.len() as u64, HUGE);
    let piece = pattern(MIB as usize);
    assert!(answer.body.chunks_exact(piece.len()).all(|came| came == piece));
    let grown = scene.node.memory().saturating_sub(before);
    assert!(grown < GROWTH, "it has grown by {grown} bytes in the end");
}

#[test]
fn a_huge_answer_that_is_not_stored_costs_no_memory() {
    let head = "Cache-Control: no-store\r\nContent-Length: 268435456\r\n";
    assert_bounded(&Setting::default(), head, false);
}

#[test]
fn a_huge_answer_that_is_too_large_to_be_stored_costs_no_memory() {
    let head = "Cache-Control: max-age=60\r\nContent-Length: 268435456\r\n";
    assert_bounded(&Setting { tiers: "memory = \"16MiB\"", ..Setting::default() }, head, false);
}

#[test]
fn a_huge_answer_of_unknown_length_costs_no_more_than_an_object_may() {
    let head = "Cache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n";
    assert_bounded(&Setting { tiers: "memory = \"16MiB\"", ..Setting::default() }, head, true);
}

/// One client doesn't read while another gets all of an object that is stored.
#[track_caller]
fn the_slow_hold_up_nobody(tiers: &str, length: usize) {
    let body = pattern(length);
    let whole = body.clone();
    let scene = Setting { tiers, ..Setting::default() }.before(Behaviour::script(move |request, stream| {
        super::reply(stream, request, "200 OK", "Cache-Control: max-age=60\r\n", &whole)
    }));
    let mut slow = scene.asking("/", "");
    until("the fetch is under way", || scene.hits() == 1);
    let mut fast: Vec<Client> = (0..3).map(|_| scene.asking("/", "")).collect();
    for client in &mut fast {
        assert!(client.answer().unwrap().body == body);
    }
    // By now it's all stored, and the slow one has read nothing.
    let later = scene.get("/");
    assert!(later.body == body && is_hit(&later));
    assert!(slow.answer().unwrap().body == body, "what the slow one got");
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_slow_client_holds_up_nobody_who_reads_along() {
    the_slow_hold_up_nobody("memory = \"256MiB\"", 12 * MIB as usize);
}

#[test]
fn a_slow_client_holds_up_nobody_when_the_object_goes_to_disk() {
    the_slow_hold_up_nobody("memory = \"8MiB\"\ndisk = { size = \"256MiB\" }", 24 * MIB as usize);
}

#[test]
fn an_object_of_unknown_length_that_outgrows_memory_is_found_on_disk() {
    let body = pattern(24 * MIB as usize);
    let whole = body.clone();
    let outgrowing = Behaviour::script(move |_, mut stream: &TcpStream| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        for piece in whole.chunks(0x10000) {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
            stream.write_all(piece)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")
    });
    let tiers = "memory = \"8MiB\"\ndisk = { size = \"256MiB\" }";
    let scene: Scene = Setting { tiers, ..Setting::default() }.before(outgrowing);
    assert!(scene.get("/").body == body);
    let again = scene.get("/");
    assert!(again.body == body);
    assert!(is_hit(&again), "{:?}", super::told(&again));
    assert_eq!(scene.hits(), 1);
}

#[test]
fn small_pieces_for_clients_that_do_not_read_cost_no_more_than_their_bytes() {
    const CLIENTS: usize = 12;
    const PIECE: usize = 1000;
    let poured = Arc::<AtomicU64>::default();
    let counted = poured.clone();
    let scene = Scene::before(Behaviour::script(move |_, mut stream: &TcpStream| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let piece = [format!("{PIECE:x}\r\n").as_bytes(), &[b'x'; PIECE], b"\r\n"].concat();
        loop {
            stream.write_all(&piece)?;
            counted.fetch_add(PIECE as u64, SeqCst);
            std::thread::sleep(Duration::from_micros(20)); // so that each piece comes by itself
        }
    }));
    let before = scene.node.memory();
    let _clients: Vec<Client> = (0..CLIENTS).map(|number| scene.asking(&format!("/{number}"), "")).collect();
    until_held_up(&poured);
    let grown = scene.node.memory().saturating_sub(before);
    assert!(grown < GROWTH, "it has grown by {grown} bytes");
}
