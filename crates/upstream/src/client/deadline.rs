//! Time limits that cost one store to set: a coarse clock, and a slot for each thing that waits.
//!
//! A proxied request sets four or five limits and hardly ever reaches one. A timer wheel pays for each
//! when it is set and again when it is cleared; here one thread wakes every [`TICK`], looks through the
//! slots and wakes the few tasks whose time is over. A limit holds to within two ticks, never early.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often limits are looked at.
pub const TICK: Duration = Duration::from_millis(25);

/// Milliseconds that mean no limit.
const NEVER: u64 = u64::MAX;
/// A slot whose owner is gone.
const GONE: u64 = u64::MAX - 1;
/// A limit that is over, and whose task was told; it need not be told again at each tick.
const TOLD: u64 = 0;
/// Lists of slots, so that threads that open connections at once rarely meet.
const SHARDS: usize = 16;

struct Slot {
    /// Milliseconds of the coarse clock.
    at: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

struct Clock {
    now: AtomicU64,
    shards: [Mutex<Vec<Arc<Slot>>>; SHARDS],
    next: AtomicUsize,
    /// Every task that waits is to look around at the next tick.
    wake_all: AtomicBool,
}

/// Wakes all tasks with a limit, once, so that they see what changed: that the node is leaving, say.
pub fn wake_all() {
    clock().wake_all.store(true, Ordering::Relaxed);
}

fn clock() -> &'static Clock {
    static CLOCK: OnceLock<&'static Clock> = OnceLock::new();
    CLOCK.get_or_init(|| {
        static SHARED: OnceLock<Clock> = OnceLock::new();
        let clock = SHARED.get_or_init(|| Clock {
            now: AtomicU64::new(0),
            shards: Default::default(),
            next: AtomicUsize::new(0),
            wake_all: AtomicBool::new(false),
        });
        let started = std::thread::Builder::new().name("clock".into()).spawn(move || tick(clock));
        if let Err(error) = started {
            // Without it no limit would ever hold; a process that can't start a thread can't serve.
            eprintln!("nearside: the clock thread didn't start: {error}");
            std::process::abort();
        }
        clock
    })
}

fn tick(clock: &Clock) {
    let start = Instant::now();
    loop {
        std::thread::sleep(TICK);
        let now = u64::try_from(start.elapsed().as_millis()).unwrap_or(NEVER);
        clock.now.store(now, Ordering::Relaxed);
        let all = clock.wake_all.swap(false, Ordering::Relaxed);
        for shard in &clock.shards {
            let mut slots = shard.lock().unwrap_or_else(PoisonError::into_inner);
            slots.retain(|slot| {
                let at = slot.at.load(Ordering::Relaxed);
                if at <= now {
                    // Unless it was set anew just now, which is then looked at in the next tick.
                    let _ = slot.at.compare_exchange(at, TOLD, Ordering::Relaxed, Ordering::Relaxed);
                }
                if (at <= now && at != TOLD) || all {
                    let waker = slot.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
                at != GONE
            });
        }
    }
}

/// One limit, for one task at a time; set anew as often as wanted.
pub struct Deadline {
    slot: Arc<Slot>,
    /// What the slot holds, so that looking costs no lock.
    waker: Option<Waker>,
}

impl Default for Deadline {
    fn default() -> Self {
        Deadline::new()
    }
}

impl Deadline {
    /// One that isn't set.
    pub fn new() -> Deadline {
        let slot = Arc::new(Slot { at: AtomicU64::new(NEVER), waker: Mutex::new(None) });
        let clock = clock();
        let shard = clock.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        clock.shards[shard].lock().unwrap_or_else(PoisonError::into_inner).push(slot.clone());
        Deadline { slot, waker: None }
    }

    /// Ends `after` from now.
    pub fn set(&mut self, after: Duration) {
        let now = clock().now.load(Ordering::Relaxed);
        let tick = TICK.as_millis() as u64;
        let at = now.saturating_add(after.as_millis() as u64).saturating_add(tick);
        self.slot.at.store(at.min(GONE - 1), Ordering::Relaxed);
    }

    /// No limit any more.
    pub fn clear(&mut self) {
        self.slot.at.store(NEVER, Ordering::Relaxed);
    }

    /// Is it over? If not, the task is woken when it is.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waker.as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            *self.slot.waker.lock().unwrap_or_else(PoisonError::into_inner) = self.waker.clone();
        }
        if self.is_over() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Is it over?
    pub fn is_over(&self) -> bool {
        self.slot.at.load(Ordering::Relaxed) <= clock().now.load(Ordering::Relaxed)
    }

    /// `poll`, unless the limit set before is over while it is pending: then none.
    pub async fn limit<T>(&mut self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        std::future::poll_fn(|cx| match poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => self.poll_over(cx).map(|()| None),
        })
        .await
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.slot.at.store(GONE, Ordering::Relaxed);
        // Else the slot would keep the ended task's memory till the next tick.
        *self.slot.waker.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
