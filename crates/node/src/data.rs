//! Data threads: each a runtime of its own, with its own sockets, connections and pools.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use config::plan::Listener;
use edge::{Thread, listen};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use upstream::client::pool;
use upstream::clock;

/// A socket for a thread to accept from.
pub(crate) struct Open {
    pub(crate) listener: TcpListener,
    pub(crate) door: watch::Receiver<Arc<Listener>>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// A running data thread; it ends when this is dropped.
pub(crate) struct DataThread {
    pub(crate) thread: Arc<Thread>,
    open: Option<mpsc::UnboundedSender<Open>>,
    handle: Option<JoinHandle<()>>,
}

impl DataThread {
    /// Starts thread number `index`.
    pub(crate) fn start(index: usize, thread: Arc<Thread>) -> io::Result<DataThread> {
        let (open, wanted) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let own = thread.clone();
        let handle = std::thread::Builder::new()
            .name(format!("data-{index}"))
            .spawn(move || runtime.block_on(run(own, index, wanted)))?;
        Ok(DataThread { thread, open: Some(open), handle: Some(handle) })
    }

    pub(crate) fn open(&self, open: Open) {
        if let Some(sender) = &self.open {
            // A thread that panicked took its connections with it; the others go on.
            let _ = sender.send(open);
        }
    }
}

impl Drop for DataThread {
    fn drop(&mut self) {
        self.open = None;
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

async fn run(thread: Arc<Thread>, index: usize, mut wanted: mpsc::UnboundedReceiver<Open>) {
    let mut flush = tokio::time::interval(edge::log::FLUSH_EVERY);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut swept = Instant::now();
    tokio::spawn(edge::queued::deliver::run(thread.clone(), index));
    loop {
        tokio::select! {
            open = wanted.recv() => match open {
                Some(open) => accept(&thread, open),
                None => break,
            },
            now = flush.tick() => {
                thread.flush_log();
                if now.duration_since(swept).as_secs() >= 1 {
                    pool::sweep(clock::now());
                    swept = now;
                }
            }
        }
    }
    thread.flush_log();
}

fn accept(thread: &Arc<Thread>, Open { listener, door, stop }: Open) {
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => {
            tokio::spawn(listen::accept(thread.clone(), listener, door, stop));
        }
        Err(error) => eprintln!("nearside: a listening socket can't be used: {error}"),
    }
}
