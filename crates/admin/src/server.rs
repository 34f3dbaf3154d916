//! Connections to the API: how many, and for how long.
//!
//! The API is served by hyper, not by the data path: it must answer when the data path is in trouble,
//! and it is asked too rarely for its cost to matter.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use config::plan::Secret;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::api;
use crate::guard::Guard;
use crate::operations::Operations;

/// Connections at a time; further ones wait in the listener's backlog.
const CONNECTIONS: usize = 256;
/// Time for a request's head to arrive, and for a kept connection to be silent.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// How long requests under way may take once the API is told to stop.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait when the system gives no connection, most often for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the API on `listener` until `stop`, then finishes what is under way, for at most 2 s.
/// With a `token`, only who knows it may ask; without one, only who asks by a loopback name.
///
/// # Errors
/// If the listener has no address.
pub async fn serve(
    listener: TcpListener,
    operations: Arc<dyn Operations>,
    token: Option<Secret>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let guard = Guard::new(listener.local_addr()?.ip(), token);
    let router = api::router(operations, guard);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (leave, leaving) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            (stream, place) = accept(&listener, &places) => {
                connections.spawn(connection(stream, router.clone(), leaving.clone(), place));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
    drop(listener);
    leave.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    // What is over the grace is cut off as the set is dropped.
    let _ = timeout(GRACE, finished).await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // It fails only if the semaphore is closed, which nobody does.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return (stream, place),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut leaving: watch::Receiver<bool>,
    _place: Option<OwnedSemaphorePermit>,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    tokio::select! {
        // A connection that breaks concerns only its client.
        _ended = served.as_mut() => return,
        _ = leaving.wait_for(|leaving| *leaving) => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}
