//! A service's limit on requests in flight, and the line that waits before it.
//!
//! While there is room, entering and leaving is one atomic each. The lock of the line is taken only
//! at the limit, where a request waits anyway. A place is lost or kept for ever only if a leaver and
//! a joiner miss each other; so the leaver first frees its place and then looks whether somebody
//! waits, and the joiner first says that it waits and then looks for a free place. One of them sees
//! the other, since these steps are sequentially consistent.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::plan::Overload;
use tokio::sync::oneshot;

use crate::clock;
use crate::lock;
use crate::waiting::{Joined, Line};

/// The shortest time after which a refused client is asked to come again.
const SOONEST: Duration = Duration::from_secs(1);

/// The service has all that it may, and the line before it is full or didn't move in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service is at its limit of requests")]
pub struct Overloaded {
    /// When the client may try again.
    pub retry_after: Duration,
}

/// A place in the service, given back when dropped; with no limit it is nothing.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    gate: Option<Arc<Gate>>,
}

impl Permit {
    /// The place in a service without a limit.
    pub fn free() -> Self {
        Self { gate: None }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.taken.fetch_sub(1, SeqCst);
            if gate.waiting.load(SeqCst) > 0 {
                gate.hand_out(&mut lock(&gate.line));
            }
        }
    }
}

/// The limit of one service.
#[derive(Debug)]
pub struct Gate {
    taken: AtomicU32,
    most: AtomicU32,
    waiting: AtomicU32,
    refused: AtomicU64,
    line: Mutex<Waiters>,
}

#[derive(Debug)]
struct Waiters {
    plan: Overload,
    line: Line<oneshot::Sender<Permit>>,
}

impl Gate {
    /// An empty service with the limits of `plan`.
    pub fn new(plan: &Overload) -> Self {
        Self {
            taken: AtomicU32::new(0),
            most: AtomicU32::new(plan.in_flight),
            waiting: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            line: Mutex::new(Waiters { plan: plan.clone(), line: Line::default() }),
        }
    }

    /// Takes other limits, as after a reload. Who is in stays in.
    pub fn retune(self: &Arc<Self>, plan: &Overload) {
        let mut waiters = lock(&self.line);
        waiters.plan = plan.clone();
        self.most.store(plan.in_flight, SeqCst);
        self.hand_out(&mut waiters);
    }

    /// Requests inside now.
    pub fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }

    /// Requests in line now.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Requests refused so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Takes a place if one is free and nobody waits for it.
    pub fn try_enter(self: &Arc<Self>) -> Option<Permit> {
        (self.waiting.load(SeqCst) == 0 && self.take()).then(|| Permit { gate: Some(Arc::clone(self)) })
    }

    /// Takes a place or waits for one.
    ///
    /// # Errors
    /// [`Overloaded`] if the line is full, or the wait was too long, or under pressure a newer
    /// request was put in this one's place.
    pub async fn enter(self: &Arc<Self>) -> Result<Permit, Overloaded> {
        if let Some(permit) = self.try_enter() {
            return Ok(permit);
        }
        let (mut place, wait) = self.join()?;
        match tokio::time::timeout(wait, &mut place.given).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(self.refuse(wait)),
            Err(_) => {
                // After this nobody can give us a place, but somebody may just have done so.
                place.leave();
                place.given.try_recv().map_err(|_| self.refuse(wait))
            }
        }
    }

    fn join(self: &Arc<Self>) -> Result<(Place, Duration), Overloaded> {
        let (give, given) = oneshot::channel();
        let mut waiters = lock(&self.line);
        let (most, wait) = (waiters.plan.waiting as usize, waiters.plan.wait);
        let number = match waiters.line.join(give, clock::now(), most, wait) {
            Joined::Waits(number) | Joined::Instead(number, _) => number,
            Joined::Refused(_) => return Err(self.refuse(wait)),
        };
        self.count(&waiters);
        self.hand_out(&mut waiters);
        Ok((Place { gate: Arc::clone(self), number, given }, wait))
    }

    fn refuse(&self, wait: Duration) -> Overloaded {
        self.refused.fetch_add(1, Relaxed);
        Overloaded { retry_after: wait.max(SOONEST) }
    }

    fn take(&self) -> bool {
        let most = self.most.load(SeqCst);
        self.taken.fetch_update(SeqCst, SeqCst, |taken| (taken < most).then_some(taken + 1)).is_ok()
    }

    /// Gives free places to those who wait.
    fn hand_out(self: &Arc<Self>, waiters: &mut Waiters) {
        while !waiters.line.is_empty() && self.take() {
            let next = waiters.line.next(clock::now(), waiters.plan.wait);
            let refused = next.and_then(|next| next.send(Permit { gate: Some(Arc::clone(self)) }).err());
            if let Some(mut permit) = refused {
                // Its client has gone. Dropping the permit would take the lock that we hold.
                permit.gate = None;
                self.taken.fetch_sub(1, SeqCst);
            }
        }
        self.count(waiters);
    }

    fn count(&self, waiters: &Waiters) {
        self.waiting.store(u32::try_from(waiters.line.len()).unwrap_or(u32::MAX), SeqCst);
    }
}

/// A place in the line, left when dropped.
struct Place {
    gate: Arc<Gate>,
    number: u64,
    given: oneshot::Receiver<Permit>,
}

impl Place {
    fn leave(&self) {
        let mut waiters = lock(&self.gate.line);
        waiters.line.leave(self.number);
        self.gate.count(&waiters);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
