//! Bodies that are larger than what is kept in memory of them.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest;

use super::{Receiver, Scene, file, id};
use crate::support::{Client, Message, Nearside, answer, request, scripted, until};

const MIB: usize = 1 << 20;
/// By how much a node may grow, whatever passes through.
const GROWTH: u64 = 48 * MIB as u64;

/// Sends so many MiB of which each begins with `first` and its number; the answer, and the hash of all.
fn send(to: SocketAddr, first: u8, mib: usize) -> (Message, Vec<u8>) {
    let mut client = Client::connect(to).unwrap();
    let length = mib * MIB;
    client.send(format!("POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).unwrap();
    let mut hash = digest::Context::new(&digest::SHA256);
    for number in 0..mib {
        let mut piece = vec![first; MIB];
        piece[1..9].copy_from_slice(&(number as u64).to_le_bytes());
        hash.update(&piece);
        client.send(&piece).unwrap();
    }
    (client.answer().unwrap(), hash.finish().as_ref().to_vec())
}

/// What came: the message's id and the hash of its body.
type Came = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A receiver that keeps no bodies.
fn hashing() -> (SocketAddr, Came) {
    let came = Came::default();
    let noted = came.clone();
    let address = scripted(move |stream| {
        let (head, mut reader) = request(stream)?;
        let mut left: usize = head.field("content-length").unwrap().parse().unwrap();
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let most = left.min(buffer.len());
            let read = reader.read(&mut buffer[..most])?;
            if read == 0 {
                return Ok(());
            }
            hash.update(&buffer[..read]);
            left -= read;
        }
        let id = head.field("webhook-id").unwrap().to_owned();
        noted.lock().unwrap().push((id, hash.finish().as_ref().to_vec()));
        answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    (address, came)
}

/// The most memory that it ever had, in bytes.
pub(super) fn peak(node: &Nearside) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn large_bodies_arrive_byte_for_byte_and_do_not_go_through_memory() {
    let (receiver, came) = hashing();
    let node = Nearside::start(&format!(
        "[service.shop]\nendpoints = [\"http://{receiver}\"]\n\n[queue.hooks]\ndeliver = [\"shop\"]\n\
         sign = \"a secret of plain text\"\n\n[[route]]\npath = \"/\"\nqueue = \"hooks\"\n"
    ));
    send(node.listen, b'0', 1);
    until("the first is delivered", || came.lock().unwrap().len() == 1);
    let before = node.memory();
    let (accepted, whole) = send(node.listen, b'a', 64);
    let mut wanted = vec![(id(&accepted), whole)];
    let several: Vec<_> = (0..4_u8)
        .map(|number| {
            let to = node.listen;
            std::thread::spawn(move || send(to, b'b' + number, 8))
        })
        .collect();
    wanted.extend(several.into_iter().map(|sending| {
        let (accepted, whole) = sending.join().unwrap();
        (id(&accepted), whole)
    }));
    until("all are delivered", || came.lock().unwrap().len() >= 6);
    let mut came = came.lock().unwrap()[1..].to_vec();
    wanted.sort();
    came.sort();
    assert!(came == wanted, "the same bytes under the same ids");
    let growth = peak(&node).saturating_sub(before);
    assert!(growth < GROWTH, "it grew by {} MiB", growth / MIB as u64);
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    let scene = Scene::start("", Receiver::well());
    for sent in [1, 100 * 1024, 3 * MIB] {
        let mut client = scene.node.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 8 * MIB)).unwrap();
        client.send(vec![b'x'; sent]).unwrap();
        if sent > MIB {
            until("some of it is kept", || scene.queue()["bytes"].as_u64() > Some(MIB as u64));
        }
    }
    until("nothing of it is left", || scene.queue()["bytes"] == 0);
    let id = scene.accepted("", "after");
    scene.until_state(&id, "done");
    assert_eq!((scene.shop.count(), scene.queue()["counters"]["accepted"].as_u64()), (1, Some(1)));
}

#[test]
fn a_large_message_outlives_a_crash() {
    let (receiver, came) = hashing();
    let elsewhere = Receiver::well();
    let services = file(&[("shop", &elsewhere.endpoint)], &super::quick(100));
    let mut node =
        Nearside::start(&services.replace(&elsewhere.endpoint.url(), &format!("http://{receiver}")));
    let mut wanted = Vec::new();
    for number in 0..3 {
        let (accepted, whole) = send(node.listen, b'a' + number, 4);
        wanted.push((id(&accepted), whole));
    }
    node.kill();
    node.start_again();
    until("all are delivered", || {
        let came = came.lock().unwrap();
        wanted.iter().all(|one| came.contains(one))
    });
    let came = came.lock().unwrap();
    assert!(came.iter().all(|one| wanted.contains(one)), "and nothing else");
}
