//! Endpoints that answer, and that fail in each way that endpoints do. One thread for each connection.

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::http::Message;
use super::{free_listener, until};

/// What an endpoint does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Behaviour {
    /// Answers with the request as JSON: `method`, `target`, `fields`, `body`, `trailers`, and the
    /// endpoint's own `port`.
    Echo,
    /// Answers 200 with this.
    Body(Vec<u8>),
    /// Answers with this status and an empty body.
    Status(u16),
    /// Answers 200 after a while.
    Slow(Duration),
    /// Takes the request and never answers.
    Hang,
    /// Resets the connection without an answer.
    Reset,
    /// Resets the connection in the middle of its answer's body.
    ResetMidAnswer,
    /// Closes the connection without an answer.
    Close,
    /// Says 100 bytes, sends 10 and closes.
    TooShort,
    /// Says 10 bytes and sends 100.
    TooLong,
    /// Sends these bytes and closes.
    Raw(Vec<u8>),
    /// Answers as this function writes.
    Script(Script),
}

/// Writes the answer to a request; an error ends the connection.
#[derive(Clone)]
pub struct Script(Arc<Writes>);

type Writes = dyn Fn(&Message, &TcpStream) -> io::Result<()> + Send + Sync;

impl Behaviour {
    /// Answers as `write` does.
    pub fn script(write: impl Fn(&Message, &TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::Script(Script(Arc::new(write)))
    }
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl PartialEq for Script {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// One endpoint; gone when it is dropped.
pub struct Endpoint {
    shared: Arc<Shared>,
}

struct Shared {
    address: SocketAddr,
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Message>>,
    connections: AtomicU64,
    /// By their numbers.
    open: Mutex<HashMap<u64, TcpStream>>,
    stopped: AtomicBool,
}

impl Endpoint {
    /// One on a port of its own.
    pub fn start(behaviour: Behaviour) -> Self {
        Self::listen(free_listener(), behaviour)
    }

    /// One at this address, such as one that was stopped.
    pub fn start_at(address: SocketAddr, behaviour: Behaviour) -> Self {
        Self::listen(TcpListener::bind(address).unwrap(), behaviour)
    }

    fn listen(listener: TcpListener, behaviour: Behaviour) -> Self {
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            behaviour: Mutex::new(behaviour),
            seen: Mutex::default(),
            connections: AtomicU64::new(0),
            open: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accepting.accept(&listener));
        Self { shared }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// From the next request on, it does this.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// The requests it took, as they came.
    pub fn seen(&self) -> MutexGuard<'_, Vec<Message>> {
        self.shared.seen.lock().unwrap()
    }

    /// How many requests it took.
    pub fn hits(&self) -> usize {
        self.seen().len()
    }

    /// How many connections it took.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    /// Ends all its connections and takes no more, as when its process is killed.
    pub fn stop(&self) {
        if self.shared.stopped.swap(true, SeqCst) {
            return;
        }
        until("an endpoint that is gone", || TcpStream::connect(self.address()).is_err());
        for stream in self.shared.open.lock().unwrap().values() {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Ends with the connection that `stop` makes.
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopped.load(SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let Ok(again) = stream.try_clone() else {
                continue;
            };
            let number = self.connections.fetch_add(1, SeqCst);
            self.open.lock().unwrap().insert(number, again);
            let shared = self.clone();
            std::thread::spawn(move || {
                // If the client is gone, the connection ends; that is all.
                let _gone = shared.serve(&stream);
                shared.open.lock().unwrap().remove(&number);
            });
        }
    }

    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(mut request) = Message::read_head(&mut reader)? {
            if request.has("expect", "100-continue") {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            request.read_body(&mut reader)?;
            self.seen.lock().unwrap().push(request.clone());
            let behaviour = self.behaviour.lock().unwrap().clone();
            let keep = self.answer(&request, behaviour, stream)?;
            if !keep || request.has("connection", "close") {
                break;
            }
        }
        Ok(())
    }

    /// Answers; is the connection kept?
    fn answer(&self, request: &Message, behaviour: Behaviour, mut stream: &TcpStream) -> io::Result<bool> {
        let bytes = match behaviour {
            Behaviour::Echo => whole(200, &self.echo(request), request),
            Behaviour::Body(body) => whole(200, &body, request),
            Behaviour::Status(status) => whole(status, b"", request),
            Behaviour::Slow(time) => {
                std::thread::sleep(time);
                whole(200, b"slow", request)
            }
            Behaviour::Hang => {
                io::copy(&mut stream, &mut io::sink())?;
                return Ok(false);
            }
            Behaviour::Reset => return reset(stream),
            Behaviour::ResetMidAnswer => {
                stream.write_all(&head(200, 1000))?;
                stream.write_all(&[b'x'; 100])?;
                return reset(stream);
            }
            Behaviour::Close => return Ok(false),
            Behaviour::TooShort => {
                stream.write_all(&[head(200, 100), vec![b'x'; 10]].concat())?;
                return Ok(false);
            }
            Behaviour::TooLong => [head(200, 10), vec![b'x'; 100]].concat(),
            Behaviour::Raw(bytes) => {
                stream.write_all(&bytes)?;
                return Ok(false);
            }
            Behaviour::Script(Script(writes)) => return writes(request, stream).map(|()| true),
        };
        stream.write_all(&bytes)?;
        Ok(true)
    }

    fn echo(&self, request: &Message) -> Vec<u8> {
        let echo = serde_json::json!({
            "port": self.address.port(),
            "method": request.method(),
            "target": request.target(),
            "fields": request.fields,
            "body": request.text(),
            "trailers": request.trailers,
        });
        echo.to_string().into_bytes()
    }
}

fn head(status: u16, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn whole(status: u16, body: &[u8], request: &Message) -> Vec<u8> {
    let mut bytes = match status {
        204 | 304 => format!("HTTP/1.1 {status} -\r\n\r\n").into_bytes(),
        _ => head(status, body.len()),
    };
    if request.method() != "HEAD" {
        bytes.extend_from_slice(body);
    }
    bytes
}

/// Has the connection end with RST instead of FIN.
fn reset(stream: &TcpStream) -> io::Result<bool> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    Ok(false)
}
