//! An example endpoint: a small HTTP server of a given speed that can be killed and brought back, and
//! counts what it is asked.
//!
//! Killed, it is as a process that died: connections are reset and new ones refused. Its port stays
//! bound all the time, without listening, so that nobody else gets it in between, and no connection
//! to it can meet itself.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::body::Incoming;
use hyper::header::{HeaderValue, IF_NONE_MATCH};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::network::{Character, HEALTH_PATH, RANDOM_PATH};
use super::{chance, content};

/// The header field in which an endpoint says who it is.
pub const SERVED_BY: &str = "served-by";
/// Connections that may wait to be accepted.
const WAITING: u32 = 1024;

/// What an endpoint had to do.
#[derive(Debug, Default)]
pub struct Work {
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Work {
    /// Requests that it answered, checks of its health left out, and the bytes of their bodies.
    pub fn done(&self) -> (u64, u64) {
        (self.requests.load(Relaxed), self.bytes.load(Relaxed))
    }
}

/// An example endpoint.
pub struct Endpoint {
    character: &'static Character,
    address: SocketAddr,
    work: Arc<Work>,
    /// Keeps the port.
    _bound: TcpSocket,
    /// While this is there, it lives.
    life: Option<watch::Sender<()>>,
    /// Takes connections; ends soon after its life.
    accepting: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// One on a free port of the loopback address, alive. To be called in a runtime.
    ///
    /// # Errors
    /// When the system gives no port.
    pub fn start(character: &'static Character) -> io::Result<Endpoint> {
        let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = bound.local_addr()?;
        let work = Arc::default();
        let mut endpoint = Endpoint { character, address, work, _bound: bound, life: None, accepting: None };
        endpoint.revive()?;
        Ok(endpoint)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did in all its lives.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Does it take requests?
    pub fn alive(&self) -> bool {
        self.life.is_some()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.life = None;
    }

    /// Brings it back at the same address, unless its last life is not quite over: then it is as dead as
    /// before. To be called in a runtime.
    ///
    /// # Errors
    /// When the system doesn't let it listen.
    pub fn revive(&mut self) -> io::Result<()> {
        if self.accepting.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(());
        }
        let listener = bind(self.address)?.listen(WAITING)?;
        let (life, alive) = watch::channel(());
        let desk = Desk {
            character: self.character,
            workers: Arc::new(Semaphore::new(self.character.workers)),
            work: self.work.clone(),
        };
        self.accepting = Some(tokio::spawn(accept(listener, desk, alive)));
        self.life = Some(life);
        Ok(())
    }
}

/// Sockets that don't listen may share an address if all of them allow it.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Where a living endpoint answers.
#[derive(Clone)]
struct Desk {
    character: &'static Character,
    workers: Arc<Semaphore>,
    work: Arc<Work>,
}

async fn accept(listener: TcpListener, desk: Desk, mut alive: watch::Receiver<()>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(serve(stream, desk.clone(), alive.clone()));
            },
            _ = alive.changed() => return,
        }
    }
}

async fn serve(stream: TcpStream, desk: Desk, mut alive: watch::Receiver<()>) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(&request).await) }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = &mut connection => {}
        _ = alive.changed() => {
            let stream = connection.into_parts().io.into_inner();
            // If this fails, the connection is closed instead of reset: dead all the same.
            let _ = stream.set_zero_linger();
        }
    }
}

impl Desk {
    async fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        let worker = self.workers.acquire().await;
        tokio::time::sleep(chance::work(self.character.typical, fastrand::f64())).await;
        drop(worker);
        let path = request.uri().path();
        let asked = request.headers().get(IF_NONE_MATCH).map(HeaderValue::as_bytes);
        let response = answer(self.character.name, path, asked);
        if path != HEALTH_PATH {
            self.work.requests.fetch_add(1, Relaxed);
            self.work.bytes.fetch_add(response.body().len() as u64, Relaxed);
        }
        response
    }
}

/// What an endpoint answers, to one who may have it already.
fn answer(name: &'static str, path: &str, has: Option<&[u8]>) -> Response<String> {
    let mut response = Response::new(format!("endpoint {name} answers {path}\n"));
    let mut say = vec![(SERVED_BY, name)];
    if let Some(kind) = content::find(path.strip_prefix(RANDOM_PATH).unwrap_or(path)) {
        say.push(("cache-control", kind.cache_control));
        say.extend(kind.tag.map(|tag| ("cache-tag", tag)));
        say.extend(kind.etag.map(|etag| ("etag", etag)));
        if kind.etag.is_some_and(|etag| has == Some(etag.as_bytes())) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.body_mut().clear();
        } else {
            fill(response.body_mut(), kind.bytes);
        }
    }
    for (field, value) in say {
        response.headers_mut().insert(field, HeaderValue::from_static(value));
    }
    response
}

/// Lengthens a text to so many bytes, in lines that a terminal can show.
fn fill(text: &mut String, bytes: usize) {
    const LINE: &str = "........................................................................\n";
    while text.len() < bytes {
        let left = bytes - text.len();
        text.push_str(&LINE[LINE.len().saturating_sub(left)..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::content::KINDS;

    #[test]
    fn each_kind_is_as_long_and_as_cacheable_as_it_says_on_both_sides() {
        for kind in &KINDS {
            for path in [kind.item(0), format!("{RANDOM_PATH}{}", kind.item(0))] {
                let response = answer("a", &path, None);
                assert_eq!(response.body().len(), kind.bytes, "{path}");
                assert_eq!(response.headers()["cache-control"], kind.cache_control, "{path}");
            }
        }
    }

    #[test]
    fn who_has_it_gets_no_body() {
        let etag = content::PICTURES.etag.map(str::as_bytes);
        let response = answer("e", "/pictures/1", etag);
        assert_eq!((response.status().as_u16(), response.body().len()), (304, 0));
        assert_eq!(answer("e", "/pictures/1", Some(b"\"2\"")).status(), 200);
    }
}
