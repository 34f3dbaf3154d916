//! The listening sockets of a node: one for each address and data thread, opened before anything is
//! promised, kept by reloads, and left to the node that takes over.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use config::plan::Listener;
use edge::listen;
use tokio::sync::watch;

use crate::data::{DataThread, Open};

/// Why a socket can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: {why}")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// What the system says.
    pub why: io::Error,
}

/// One address.
struct Door {
    plan: watch::Sender<Arc<Listener>>,
    stop: watch::Sender<bool>,
    /// Beside those that the threads hold; to be passed on.
    sockets: Vec<TcpListener>,
}

/// All addresses.
#[derive(Default)]
pub(crate) struct Doors {
    open: HashMap<SocketAddr, Door>,
}

/// Sockets that are bound and not yet used: a reload that fails later drops them.
pub(crate) struct Bound(Vec<Ready>);

/// A bound address.
struct Ready {
    plan: Arc<Listener>,
    sockets: Vec<TcpListener>,
    /// The same sockets for the threads to accept from, in turns.
    shares: Vec<TcpListener>,
}

impl Doors {
    /// Binds what `wanted` has and `self` has not; `inherited` sockets are used first.
    pub(crate) fn bind(
        &self,
        wanted: &[Arc<Listener>],
        threads: usize,
        inherited: &mut Vec<TcpListener>,
    ) -> Result<Bound, BindError> {
        let new = wanted.iter().filter(|l| !self.open.contains_key(&l.address));
        let bound = new.map(|plan| {
            ready(plan, threads, inherited).map_err(|why| BindError { address: plan.address, why })
        });
        bound.collect::<Result<_, _>>().map(Bound)
    }

    /// Opens what is bound, tells open doors what changed about them, and closes those that `wanted`
    /// doesn't have.
    pub(crate) fn follow(&mut self, wanted: &[Arc<Listener>], bound: Bound, threads: &[DataThread]) {
        self.open.retain(|address, door| {
            let plan = wanted.iter().find(|l| l.address == *address);
            match plan {
                Some(plan) => {
                    door.plan.send_replace(plan.clone());
                }
                None => {
                    door.stop.send_replace(true);
                }
            }
            plan.is_some()
        });
        for Ready { plan, sockets, shares } in bound.0 {
            let address = plan.address;
            let door = Door { plan: watch::channel(plan).0, stop: watch::channel(false).0, sockets };
            for (thread, listener) in threads.iter().cycle().zip(shares) {
                thread.open(Open { listener, door: door.plan.subscribe(), stop: door.stop.subscribe() });
            }
            self.open.insert(address, door);
        }
    }

    /// Takes no more connections. Who is in line is still let in; each of the senders is `closed` when
    /// that is done.
    pub(crate) fn close(&mut self) -> Vec<watch::Sender<bool>> {
        let stops: Vec<_> = self.open.drain().map(|(_, door)| door.stop).collect();
        for stop in &stops {
            stop.send_replace(true);
        }
        stops
    }

    /// All sockets, to be passed on.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &TcpListener> {
        self.open.values().flat_map(|door| &door.sockets)
    }

    /// Where clients can come in, as the system tells it.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let first = |door: &Door| door.sockets.first().and_then(|s| s.local_addr().ok());
        let mut addresses: Vec<SocketAddr> = self.open.values().filter_map(first).collect();
        addresses.sort_unstable();
        addresses
    }
}

fn ready(plan: &Arc<Listener>, threads: usize, inherited: &mut Vec<TcpListener>) -> io::Result<Ready> {
    let sockets = sockets(plan.address, threads, inherited)?;
    let shares = sockets.iter().cycle().take(sockets.len().max(threads)).map(TcpListener::try_clone);
    Ok(Ready { plan: plan.clone(), shares: shares.collect::<io::Result<_>>()?, sockets })
}

/// The sockets of one address: inherited ones, which any number of threads can share, or new ones.
fn sockets(
    address: SocketAddr,
    threads: usize,
    inherited: &mut Vec<TcpListener>,
) -> io::Result<Vec<TcpListener>> {
    let mine = |socket: &mut TcpListener| socket.local_addr().is_ok_and(|local| local == address);
    let found: Vec<TcpListener> = inherited.extract_if(.., mine).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let first = listen::bind_first(address)?;
    // With port 0 the system chose one, which the others share.
    let address = first.local_addr()?;
    let others = (1..threads).map(|_| listen::bind(address));
    std::iter::once(Ok(first)).chain(others).collect()
}
