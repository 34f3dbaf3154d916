//! Kept connections, a stack for each endpoint, of one thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::task::{Context, Waker};
use std::time::Duration;

use super::conn::Conn;
use crate::clock;
use crate::endpoint::EndpointState;

/// Connections kept to one endpoint by one thread; one more is closed.
pub const KEPT: usize = 1024;

struct Kept {
    conn: Conn,
    /// Of the [`clock`].
    until: u64,
}

thread_local! {
    static POOL: RefCell<HashMap<u64, Vec<Kept>, foldhash::fast::FixedState>> =
        RefCell::new(HashMap::with_hasher(foldhash::fast::FixedState::default()));
}

/// The most recently used connection to `endpoint` that is still good. Those to addresses that its name
/// no longer has are closed: whoever moves a name wants its requests to follow.
pub fn take_for(endpoint: &EndpointState) -> Option<Conn> {
    POOL.with_borrow_mut(|pool| {
        let stack = pool.get_mut(&endpoint.key())?;
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(mut kept) = stack.pop() {
            if endpoint.has_address(kept.conn.address()) && kept.conn.is_quiet(&mut cx) {
                return Some(kept.conn);
            }
        }
        None
    })
}

/// Keeps a connection for at most `idle` after `now`.
pub fn put(key: u64, conn: Conn, now: u64, idle: Duration) {
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let stack = pool.entry(key).or_default();
        if stack.len() < KEPT {
            stack.push(Kept { conn, until: now.saturating_add(clock::nanos(idle)) });
        }
    });
}

/// Closes what was kept long enough; called about once a second by each thread that asks endpoints.
pub fn sweep(now: u64) {
    POOL.with_borrow_mut(|pool| {
        pool.retain(|_, stack| {
            stack.retain(|kept| kept.until > now);
            !stack.is_empty()
        });
    });
}

/// Connections that this thread keeps.
pub fn len() -> usize {
    POOL.with_borrow(|pool| pool.values().map(Vec::len).sum())
}
