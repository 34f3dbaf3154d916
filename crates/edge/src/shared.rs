//! What the data threads share, and what each has for itself.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use queue::Queues;
use tokio::sync::OnceCell;
use upstream::outside::Trust;

use crate::cached::Kept;
use crate::guard::Guard;
use crate::live::Live;
use crate::log::{AccessLog, Record, Sender};
use crate::stats::{Shard, Stats};

/// How far a node is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// At work.
    Running = 0,
    /// Still taking connections; each answer asks its client to connect anew, which finds another node.
    Leaving = 1,
    /// No new connections; what is under way is finished, what is idle is closed.
    Closing = 2,
}

/// Of all data threads.
pub struct Shared {
    phase: AtomicU8,
    /// Client connections open, tunnels included.
    pub connections: AtomicU32,
    /// Requests and tunnels under way.
    pub under_way: AtomicU32,
    /// Who may come in.
    pub guard: Arc<Guard>,
    /// What was counted.
    pub stats: Arc<Stats>,
    /// What is kept of answers.
    pub kept: Arc<Kept>,
    /// What may wait.
    pub queues: Arc<Queues>,
    /// Whose certificates are believed of plain URLs; read when the first one is asked.
    pub(crate) trust: OnceCell<Trust>,
}

impl Shared {
    /// Running, with nobody in.
    pub fn new(stats: Arc<Stats>, kept: Kept, queues: Arc<Queues>) -> Arc<Shared> {
        Arc::new(Shared {
            phase: AtomicU8::new(0),
            connections: AtomicU32::new(0),
            under_way: AtomicU32::new(0),
            guard: Guard::new(),
            stats,
            kept: Arc::new(kept),
            queues,
            trust: OnceCell::new(),
        })
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Running,
            1 => Phase::Leaving,
            _ => Phase::Closing,
        }
    }

    /// Goes on to `phase`, never back, and makes idle connections look.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
        upstream::client::deadline::wake_all();
    }
}

/// The plan that a thread follows: a reference of its own to the common one, so that what requests
/// count when they take and drop it is this thread's memory.
pub(crate) struct Current(Arc<Live>);

impl std::ops::Deref for Current {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.0
    }
}

/// One data thread: what its connections reach without touching another thread's memory.
pub struct Thread {
    /// Of all threads.
    pub shared: Arc<Shared>,
    live: ArcSwap<Current>,
    pub(crate) shard: Arc<Shard>,
    log: Mutex<Option<Sender>>,
}

impl Thread {
    /// Thread number `index` of a node.
    pub fn new(shared: &Arc<Shared>, index: usize, live: Arc<Live>, log: Option<&AccessLog>) -> Arc<Thread> {
        Arc::new(Thread {
            shared: shared.clone(),
            live: ArcSwap::from_pointee(Current(live)),
            shard: shared.stats.shard(index),
            log: Mutex::new(log.map(AccessLog::sender)),
        })
    }

    /// From the next request on, this plan holds.
    pub fn follow(&self, live: Arc<Live>) {
        self.live.store(Arc::new(Current(live)));
    }

    /// From the next request on, lines go here.
    pub fn log_to(&self, log: Option<&AccessLog>) {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = log.map(AccessLog::sender);
    }

    pub(crate) fn live(&self) -> Arc<Current> {
        self.live.load_full()
    }

    pub(crate) fn logs(&self) -> bool {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn log(&self, record: &Record<'_>) {
        if let Some(sender) = self.log.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            sender.write(record);
        }
    }

    /// Hands lines over that wait for more; called some times a second.
    pub fn flush_log(&self) {
        if let Some(sender) = self.log.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            sender.flush();
            self.shard.log_dropped(sender.take_dropped());
        }
    }
}
