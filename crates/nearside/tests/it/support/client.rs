//! A client that keeps its connection, sends any bytes, and reads answers.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::http::Message;
use super::{LIMIT, until};

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; waiting for answers is limited.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// What comes, to be read in other ways than as answers.
    pub fn reader(&mut self) -> &mut impl Read {
        &mut self.stream
    }

    /// Sends these bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends no more.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream().shutdown(Shutdown::Write)
    }

    /// The next answer; an interim one too. An end before it is an error.
    pub fn answer(&mut self) -> io::Result<Message> {
        let mut answer = self.answer_head()?;
        answer.read_body(&mut self.stream)?;
        Ok(answer)
    }

    /// The head of the next answer, as for HEAD.
    pub fn answer_head(&mut self) -> io::Result<Message> {
        Message::read_head(&mut self.stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends a request with a body if there is one, and waits for its answer.
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Message> {
        let length = match body {
            [] => String::new(),
            body => format!("Content-Length: {}\r\n", body.len()),
        };
        let host = self.stream().peer_addr()?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}\r\n");
        self.send([head.as_bytes(), body].concat())?;
        if method == "HEAD" { self.answer_head() } else { self.answer() }
    }

    /// The answer to GET with these further fields, each with its line's end; `Host` is `shop.test`.
    pub fn get_with(&mut self, target: &str, fields: &str) -> io::Result<Message> {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n"))?;
        self.answer()
    }

    /// The answer to GET.
    pub fn get(&mut self, path: &str) -> io::Result<Message> {
        self.ask("GET", path, b"")
    }

    /// All that comes before the connection ends, be it closed or reset.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _reset = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// The answer to GET on a connection of its own; waits for the listener if it isn't there yet.
#[track_caller]
pub fn get(to: SocketAddr, path: &str) -> Message {
    let mut client = None;
    until("a connection", || {
        client = Client::connect(to).ok();
        client.is_some()
    });
    client.unwrap().get(path).unwrap()
}
