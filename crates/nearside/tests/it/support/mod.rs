//! A node as an operator starts it, endpoints that behave and misbehave, and a client.

mod client;
mod endpoint;
mod http;
mod node;

pub use client::{Client, get};
pub use endpoint::{Behaviour, Endpoint};
pub use http::Message;
pub use node::{Nearside, command};

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub const LIMIT: Duration = Duration::from_secs(20);

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
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(101);
    for _ in 0..PORTS {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Relaxed)) % PORTS;
        let port = u16::try_from(FIRST + offset).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("all ports are in use");
}
