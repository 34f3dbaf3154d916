//! A node on its way out: nothing under way is cut short, and it ends all the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use edge::Phase;
use queue::Queues;
use tokio::time::{Instant, sleep, timeout};

use crate::start::Inner;
use crate::tell::say;

/// How long what is under way may take to finish.
const FINISH: Duration = Duration::from_secs(30);
/// How long deliveries may take when another process takes over: less than the requests wait there that are
/// to be kept in a queue.
const HAND_OVER: Duration = Duration::from_secs(10);
/// How long clients who stood in line may take to be let in: under a flood the line doesn't end.
const LINE: Duration = Duration::from_secs(1);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long the access log may take to be written.
const LOG: Duration = Duration::from_secs(2);

/// How the doors are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doors {
    /// After the grace: whoever balances over this node first sees that it isn't ready.
    AfterGrace,
    /// At once: another process accepts on the same sockets. Kept connections have the grace to send
    /// one more request, whose answer asks them to connect anew.
    AtOnce,
}

/// Leaves. Returns when nothing is under way any more, or [`FINISH`] after the doors closed.
pub(crate) async fn leave(inner: &Inner, grace: Duration, doors: Doors) {
    inner.shared.advance(Phase::Leaving);
    let queues = &inner.shared.queues;
    if doors == Doors::AtOnce {
        tokio::spawn(hand_over(queues.clone()));
        close_doors(inner).await;
    }
    let over = Instant::now() + grace;
    while Instant::now() < over && (doors == Doors::AfterGrace || connections(inner) > 0) {
        sleep(LOOK.min(grace)).await;
    }
    close_doors(inner).await;
    inner.shared.advance(Phase::Closing);
    queues.stop();
    let finished = timeout(FINISH, async {
        while connections(inner) > 0 || queues.running() > 0 {
            sleep(LOOK).await;
        }
    });
    if finished.await.is_err() {
        let requests = inner.shared.under_way.load(Ordering::Relaxed);
        let (deliveries, limit) = (queues.running(), FINISH.as_secs());
        say(&format!(
            "{requests} requests and tunnels, and {deliveries} deliveries, were still under way after {limit} s"
        ));
    }
}

/// Lets the queues' log go, for which the process that takes over waits.
async fn hand_over(queues: Arc<Queues>) {
    queues.stop();
    let ended = async {
        while queues.running() > 0 {
            sleep(LOOK).await;
        }
    };
    // The other one makes those again that took longer.
    let _ = timeout(HAND_OVER, ended).await;
    queues.close().await;
}

/// Closes the doors and waits till the last who stood in line are counted, or for [`LINE`].
async fn close_doors(inner: &Inner) {
    let stops = inner.changing().doors.close();
    let closed = async {
        for stop in &stops {
            stop.closed().await;
        }
    };
    let _ = timeout(LINE, closed).await;
}

/// Those whose task has yet to begin are among them.
fn connections(inner: &Inner) -> u32 {
    inner.shared.guard.open()
}

/// Writes what the access log still has.
pub(crate) fn finish_log(inner: &Inner) {
    for thread in &inner.threads {
        thread.thread.flush_log();
        thread.thread.log_to(None);
    }
    if let Some(log) = inner.changing().log.take()
        && !log.close(LOG)
    {
        say("the access log's last lines could not be written");
    }
}
