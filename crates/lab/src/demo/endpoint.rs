//! An example endpoint: a small HTTP server that can be killed and brought back.
//!
//! Killed, it is as a process that died: connections are reset and new ones refused. Its port stays
//! bound all the time, without listening, so that nobody else gets it in between, and no connection
//! to it can meet itself.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Connections that may wait to be accepted.
const WAITING: u32 = 1024;

/// What an endpoint answers, in all its lives.
pub trait Desk: Clone + Send + Sync + 'static {
    /// Answers a request. If the endpoint dies meanwhile, this is dropped and nothing is answered.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<String>> + Send;
}

/// An example endpoint.
pub struct Endpoint<D> {
    desk: D,
    address: SocketAddr,
    /// Keeps the port.
    _bound: TcpSocket,
    /// While this is there, it lives.
    life: Option<watch::Sender<()>>,
    /// Takes connections; ends soon after its life.
    accepting: Option<JoinHandle<()>>,
}

impl<D: Desk> Endpoint<D> {
    /// One on a free port of the loopback address, alive. To be called in a runtime.
    ///
    /// # Errors
    /// When the system gives no port.
    pub fn start(desk: D) -> io::Result<Self> {
        let bound = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = bound.local_addr()?;
        let mut endpoint = Endpoint { desk, address, _bound: bound, life: None, accepting: None };
        endpoint.revive()?;
        Ok(endpoint)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What answers there.
    pub fn desk(&self) -> &D {
        &self.desk
    }

    /// Does it take requests?
    pub fn alive(&self) -> bool {
        self.life.is_some()
    }

    /// Kills it or brings it back, unless it is so already. To be called in a runtime.
    ///
    /// # Errors
    /// When the system doesn't let it listen.
    pub fn live_or_die(&mut self, dead: bool) -> io::Result<()> {
        match (dead, self.alive()) {
            (true, true) => self.life = None,
            (false, false) => self.revive()?,
            _ => {}
        }
        Ok(())
    }

    /// Brings it back at the same address, unless its last life is not quite over: then it is as dead as
    /// before.
    fn revive(&mut self) -> io::Result<()> {
        if self.accepting.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(());
        }
        let listener = bind(self.address)?.listen(WAITING)?;
        let (life, alive) = watch::channel(());
        self.accepting = Some(tokio::spawn(accept(listener, self.desk.clone(), alive)));
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

async fn accept<D: Desk>(listener: TcpListener, desk: D, mut alive: watch::Receiver<()>) {
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                tokio::spawn(serve(stream, desk.clone(), alive.clone()));
            },
            _ = alive.changed() => return,
        }
    }
}

async fn serve<D: Desk>(stream: TcpStream, desk: D, mut alive: watch::Receiver<()>) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
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
