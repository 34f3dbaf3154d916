//! Receivers that do as a test says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A server on this machine.
pub struct Receiver {
    pub address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    requests: Mutex<Vec<String>>,
}

/// A connection that a receiver took.
pub struct Caller {
    pub io: Box<dyn Io>,
    /// How many came before.
    pub nth: u64,
    arrived: Vec<u8>,
    seen: Arc<Seen>,
}

impl Receiver {
    pub async fn start<F>(serve: impl Fn(Caller) -> F + Send + 'static) -> Receiver
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(None, serve).await
    }

    pub async fn with<F>(tls: Option<TlsAcceptor>, serve: impl Fn(Caller) -> F + Send + 'static) -> Receiver
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let receiver = Receiver { address, scheme, seen: seen.clone() };
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let nth = seen.connections.fetch_add(1, SeqCst);
                let io: Box<dyn Io> = match &tls {
                    None => Box::new(tcp),
                    Some(tls) => match tls.accept(tcp).await {
                        Ok(stream) => Box::new(stream),
                        Err(_) => continue,
                    },
                };
                tokio::spawn(serve(Caller { io, nth, arrived: Vec::new(), seen: seen.clone() }));
            }
        });
        receiver
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// At another name for this machine.
    pub fn named(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    pub fn connections(&self) -> u64 {
        self.seen.connections.load(SeqCst)
    }

    /// Those that came whole.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

impl Caller {
    /// Waits for a request, with its body if its length is known; false: there are no more.
    pub async fn request(&mut self) -> bool {
        loop {
            if let Some(length) = whole(&self.arrived) {
                let rest = self.arrived.split_off(length);
                let request = std::mem::replace(&mut self.arrived, rest);
                self.seen.requests.lock().unwrap().push(String::from_utf8(request).unwrap());
                return true;
            }
            let mut more = [0; 4096];
            match self.io.read(&mut more).await {
                Ok(n) if n > 0 => self.arrived.extend(&more[..n]),
                _ => return false,
            }
        }
    }

    /// The head of a request alone; what arrived of its body is passed over.
    pub async fn head(&mut self) {
        let mut byte = [0];
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            self.io.read_exact(&mut byte).await.unwrap();
            head.extend(byte);
        }
    }

    pub async fn answer(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
        self.io.flush().await.unwrap();
    }
}

/// How long the request at the front is, if it is whole.
fn whole(arrived: &[u8]) -> Option<usize> {
    let head = arrived.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&arrived[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let whole = head + length.map_or(0, |length| length.parse::<usize>().unwrap());
    (arrived.len() >= whole).then_some(whole)
}

/// Answers every request with these bytes.
pub fn always(
    answer: &'static [u8],
) -> impl Fn(Caller) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    move |mut caller| {
        Box::pin(async move {
            while caller.request().await {
                caller.answer(answer).await;
            }
        })
    }
}
