//! A node as an operator starts it, endpoints that behave and misbehave, and a client.

#![allow(unused_imports)] // As in `main.rs`.

mod client;
mod endpoint;
mod gate;
mod http;
mod little;
mod load;
mod node;
mod redis;
mod scripted;
mod watch;

pub use client::{Client, get};
pub use endpoint::{Behaviour, Endpoint};
pub use gate::Gate;
pub use http::Message;
pub use little::with_little_room;
pub use load::{Load, Tally};
pub use node::{Nearside, command};
pub use redis::Redis;
pub use scripted::{answer, request, scripted, websocket, websocket_echo};

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The file of a node with the service `shop` at these URLs, `more` of it said, and all requests go there.
pub fn shop(urls: &[String], more: &str) -> String {
    format!("[service.shop]\nendpoints = {urls:?}\n{more}\n\n[[route]]\npath = \"/\"\nservice = \"shop\"\n")
}

/// Waits until it holds; fails the test if it doesn't within [`LIMIT`].
#[track_caller]
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    assert!(comes_true(LIMIT, holds), "never: {what}");
}

/// Does it come to hold within this time?
pub fn comes_true(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A loopback address that nobody uses. Its port is below those that the system gives to clients, and
/// no two tests get the same, so it is still free when the node is there.
pub fn free_address() -> SocketAddr {
    free_listener().local_addr().unwrap()
}

/// A listener on such an address.
pub fn free_listener() -> TcpListener {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 20_000;
    /// Test programs that run at the same time begin so far apart.
    const APART: u32 = 997;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(APART);
    for _ in 0..PORTS {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Relaxed)) % PORTS;
        let port = u16::try_from(FIRST + offset).unwrap();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
    panic!("all ports are in use");
}
