//! What time does to a node's queues: what is over is forgotten, and the clock sends what it is to send.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use upstream::clock::wall_ms;

use crate::accept::{New, NewBody};
use crate::queue::Queue;
use crate::queues::Queues;

/// How often it is looked whether there is anything to do.
const EVERY: Duration = Duration::from_millis(250);

/// Messages that are forgotten under one hold of a lock.
const FORGOTTEN: usize = 1_000;

/// Runs as long as the queues live.
pub(crate) async fn keep(queues: Weak<Queues>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(queues) = queues.upgrade() else { return };
        if queues.is_closed() {
            return;
        }
        for queue in &queues.all() {
            while expire(queue) {
                tokio::task::yield_now().await;
            }
            fire(&queues, queue).await;
            queue.write_receivers();
        }
    }
}

/// Forgets a portion of what is over; says whether there is more.
fn expire(queue: &Queue) -> bool {
    queue.lock().expire(wall_ms(), FORGOTTEN)
}

/// Sends what the clock sends, once for each time; of times that were slept through, the last one.
async fn fire(queues: &Queues, queue: &Arc<Queue>) {
    let plan = queue.plan();
    let Some(every) = plan.every.as_ref().filter(|_| queue.is_in_plan()) else { return };
    let now = wall_ms() / 1000;
    let given_up = queue.given_up.load(Ordering::Relaxed);
    let last = queue.lock().last_fired().unwrap_or(queue.since).max(given_up);
    let Some(mut due) = every.cron.next_after(last).filter(|due| *due <= now) else { return };
    // Jumps are rare and cron lines coarse, so a walk is short; its length is bounded all the same.
    for _ in 0..10_000 {
        match every.cron.next_after(due).filter(|next| *next <= now) {
            Some(next) => due = next,
            None => break,
        }
    }
    let mut fields = String::new();
    for (name, value) in &every.headers {
        fields.push_str(&format!("{name}: {value}\r\n"));
    }
    if !every.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        fields.push_str("Host: nearside\r\n");
    }
    let new = New {
        method: every.method.as_bytes(),
        target: every.path.as_bytes(),
        fields: fields.as_bytes(),
        body: NewBody::Whole(bytes::Bytes::copy_from_slice(every.body.as_bytes())),
        order: None,
        key: None,
        due: due * 1000,
        hops: &queue.hop(),
        event: None,
        fired: Some(due),
    };
    // What can't be kept now is tried again with the next tick.
    if let Err(refused) = queue.accept(new).await
        && !refused.may_pass()
    {
        queue.given_up.store(due, Ordering::Relaxed);
        queues.say(&format!("what the clock sends to the queue `{}` isn't accepted: {refused}", queue.name));
    }
}
