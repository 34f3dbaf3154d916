//! Connections as they come in to one data thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::plan::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::headers;
use crate::serve::{self, Peer, Scratch};
use crate::shared::Thread;

/// How long to wait when the process has no file left for another connection.
const SHORT_OF_FILES: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted.
pub const BACKLOG: i32 = 4096;

/// Binds a listening socket that other threads, and a new process beside the old one, may bind too.
///
/// # Errors
/// The system's: the address is in use by another program, or not this machine's, or not allowed.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds an address that nobody listens on yet. Without the look before, a second node started by
/// mistake would share the port, and get half of the connections.
///
/// # Errors
/// As [`bind`].
pub fn bind_first(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    if address.port() != 0 {
        let look = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        look.set_reuse_address(true)?;
        look.bind(&address.into())?;
        look.listen(1)?;
    }
    bind(address)
}

/// Accepts connections for `door` till `stop` says true, and serves each in a task of its own.
/// `door` is followed: a reload may change whom it trusts.
pub async fn accept(
    thread: Arc<Thread>,
    listener: TcpListener,
    door: watch::Receiver<Arc<Listener>>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => enter(&thread, stream, peer, door.borrow().clone()),
            // The client was gone before it was let in.
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => tokio::time::sleep(SHORT_OF_FILES).await,
        }
    }
    // Clients that are already connected, as far as they know, are let in.
    while let Ok(Some(Ok((stream, peer)))) =
        tokio::time::timeout(Duration::ZERO, async { Some(listener.accept().await) }).await
    {
        enter(&thread, stream, peer, door.borrow().clone());
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn enter(thread: &Arc<Thread>, mut stream: TcpStream, peer: SocketAddr, door: Arc<Listener>) {
    let address = peer.ip().to_canonical();
    let _ = stream.set_nodelay(true);
    let thread = thread.clone();
    match thread.shared.guard.enter(address, &thread.live().plan.limits) {
        Ok(ticket) => {
            let trusted = door.trust.iter().any(|range| range.contains(address));
            let text = address.to_string();
            let said = headers::said_of(&text, "http");
            let peer = Peer { address, text, said, trusted, door };
            tokio::spawn(serve::connection(thread, peer, stream, ticket));
        }
        Err(refused) => {
            tokio::spawn(async move {
                serve::refuse(&thread, &mut stream, &refused.into(), &mut Scratch::default()).await;
            });
        }
    }
}
