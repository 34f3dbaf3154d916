//! Connections to receivers that wait for their next use.

use std::sync::Mutex;
use std::time::Duration;

use super::Target;
use super::exchange::Conn;
use crate::{clock, lock};

/// Connections kept in all; for one more the oldest is closed.
const KEPT: usize = 64;
/// How long each is kept.
const IDLE: Duration = Duration::from_secs(90);

/// Kept connections, the latest last. So few are looked through faster than hashed.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<Kept>>);

struct Kept {
    target: Target,
    conn: Conn,
    /// Of the [`clock`].
    until: u64,
}

impl Pool {
    /// The latest connection that leads there and is still good. One to an address that isn't public
    /// is not for those who may not go there.
    pub fn take(&self, target: &Target, allow_private: bool) -> Option<Conn> {
        let mut kept = lock(&self.0);
        loop {
            let at = kept
                .iter()
                .rposition(|one| one.target.has_origin_of(target) && (allow_private || !one.conn.private))?;
            let mut one = kept.remove(at);
            if one.until > clock::now() && one.conn.is_idle() {
                return Some(one.conn);
            }
        }
    }

    /// Keeps a connection that is idle.
    pub fn put(&self, target: &Target, conn: Conn) {
        let mut kept = lock(&self.0);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept {
            target: target.clone(),
            conn,
            until: clock::now().saturating_add(clock::nanos(IDLE)),
        });
    }

    /// Closes those that were kept long enough.
    pub fn sweep(&self, now: u64) {
        lock(&self.0).retain(|one| one.until > now);
    }

    pub fn len(&self) -> usize {
        lock(&self.0).len()
    }
}
