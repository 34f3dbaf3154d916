//! A node at work: it follows signals and systemd till it is told to end.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use admin::Operations;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::leave::{self, Doors, leave};
use crate::start::{Inner, Node};
use crate::takeover;
use crate::tell::say;

/// The signals that a node follows.
struct Signals {
    hup: Signal,
    term: Signal,
    int: Signal,
    usr2: Signal,
}

/// What a node is told.
enum Word {
    Reload,
    TakeOver,
    Leave,
    /// Systemd wants a sign of life.
    Watchdog,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn end(&mut self) {
        while !matches!(self.next().await, Word::Leave) {}
    }

    async fn next(&mut self) -> Word {
        tokio::select! {
            _ = self.hup.recv() => Word::Reload,
            _ = self.usr2.recv() => Word::TakeOver,
            _ = self.term.recv() => Word::Leave,
            _ = self.int.recv() => Word::Leave,
        }
    }
}

/// Tells systemd, if it asked to be told.
fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

impl Node {
    /// Runs till it is told to end, and returns the process's exit status. A second signal to end,
    /// while it is leaving, ends it at once.
    pub fn run(mut self) -> i32 {
        let background = self.background.handle().clone();
        let status = background.block_on(self.follow());
        background.block_on(self.inner.shared.queues.close());
        leave::finish_log(&self.inner);
        self.shut();
        status
    }

    /// Ends it at once but in order: what is under way is finished. For nodes inside another program.
    pub fn stop(self) {
        let background = self.background.handle().clone();
        background.block_on(leave(&self.inner, Duration::ZERO, Doors::AtOnce));
        background.block_on(self.inner.shared.queues.close());
        leave::finish_log(&self.inner);
        self.shut();
    }

    fn shut(self) {
        self.stop_admin.send_replace(true);
        self.background.shutdown_timeout(Duration::from_millis(500));
    }

    async fn follow(&mut self) -> i32 {
        let mut signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => {
                say(&format!("signals can't be followed: {error}"));
                return 1;
            }
        };
        self.say_ready();
        let doors = loop {
            match self.next(&mut signals).await {
                Word::Watchdog => notify(&[NotifyState::Watchdog]),
                Word::Reload => reload(&self.inner).await,
                Word::TakeOver => {
                    if take_over(&self.inner).await {
                        break Doors::AtOnce;
                    }
                }
                Word::Leave => break Doors::AfterGrace,
            }
        };
        if doors == Doors::AtOnce {
            // The new process answers for the service from now on, to systemd too.
            self.stop_admin.send_replace(true);
        } else {
            notify(&[NotifyState::Stopping]);
        }
        say("leaving: finishing what is under way");
        tokio::select! {
            () = leave(&self.inner, self.grace, doors) => 0,
            () = signals.end() => 0,
        }
    }

    async fn next(&mut self, signals: &mut Signals) -> Word {
        let watchdog = async {
            match sd_notify::watchdog_enabled() {
                Some(every) => tokio::time::sleep(every / 2).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            word = signals.next() => word,
            _ = self.leave.recv() => Word::Leave,
            () = watchdog => Word::Watchdog,
        }
    }

    fn say_ready(&mut self) {
        if let Some(mut before) = self.ready.take() {
            let _ = before.write_all(b"1");
        }
        notify(&[NotifyState::Ready]);
    }
}

async fn reload(inner: &Arc<Inner>) {
    let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Status(""));
    notify(&[NotifyState::Reloading, now]);
    let inner = inner.clone();
    // What went wrong was said and counted where it happened.
    let _ = tokio::task::spawn_blocking(move || inner.reload().map(|_| ())).await;
    notify(&[NotifyState::Ready]);
}

async fn take_over(inner: &Arc<Inner>) -> bool {
    let old = inner.clone();
    match tokio::task::spawn_blocking(move || takeover::start(&old)).await {
        Ok(Ok(pid)) => {
            say(&format!("process {pid} has taken over"));
            notify(&[NotifyState::MainPid(pid)]);
            true
        }
        Ok(Err(error)) => {
            say(&format!("no process took over, this one goes on: {error}"));
            false
        }
        Err(_) => false,
    }
}
