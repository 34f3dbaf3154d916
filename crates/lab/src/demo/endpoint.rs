//! An example endpoint: a small HTTP server of a given speed that can be killed and brought back.
//!
//! Killed, it is as a process that died: connections are reset and new ones refused. Its port stays
//! bound all the time, without listening, so that nobody else gets it in between, and no connection
//! to it can meet itself.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::chance;
use super::network::Character;

/// The header field in which an endpoint says who it is.
pub const SERVED_BY: &str = "served-by";
/// Connections that may wait to be accepted.
const WAITING: u32 = 1024;

/// An example endpoint.
pub struct Endpoint {
    character: &'static Character,
    address: SocketAddr,
    /// Keeps the port.
    _bound: TcpSocket,
    /// While this is there, it lives.
    life: Option<watch::Sender<()>>,
}

impl Endpoint {
    /// One on a free port of the loopback address, alive. To be called in a runtime.
    ///
    /// # Errors
    /// When the system gives no port.
    pub fn start(character: &'static Character) -> io::Result<Endpoint> {
        let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = bound.local_addr()?;
        let mut endpoint = Endpoint { character, address, _bound: bound, life: None };
        endpoint.revive()?;
        Ok(endpoint)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does it take requests?
    pub fn alive(&self) -> bool {
        self.life.is_some()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.life = None;
    }

    /// Brings it back at the same address. To be called in a runtime.
    ///
    /// # Errors
    /// When the system doesn't let it listen.
    pub fn revive(&mut self) -> io::Result<()> {
        let listener = bind(self.address)?.listen(WAITING)?;
        let (life, alive) = watch::channel(());
        tokio::spawn(accept(listener, self.character, alive));
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

async fn accept(listener: TcpListener, character: &'static Character, mut alive: watch::Receiver<()>) {
    let workers = Arc::new(Semaphore::new(character.workers));
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(serve(stream, character, workers.clone(), alive.clone()));
            },
            _ = alive.changed() => return,
        }
    }
}

async fn serve(
    stream: TcpStream,
    character: &'static Character,
    workers: Arc<Semaphore>,
    mut alive: watch::Receiver<()>,
) {
    let service = service_fn(move |request| answer(request, character, workers.clone()));
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

async fn answer(
    request: Request<Incoming>,
    character: &'static Character,
    workers: Arc<Semaphore>,
) -> Result<Response<String>, Infallible> {
    let worker = workers.acquire().await;
    tokio::time::sleep(chance::work(character.typical, fastrand::f64())).await;
    drop(worker);
    let text = format!("endpoint {} answers {}\n", character.name, request.uri().path());
    let mut response = Response::new(text);
    let name = hyper::header::HeaderValue::from_static(character.name);
    response.headers_mut().insert(SERVED_BY, name);
    Ok(response)
}
