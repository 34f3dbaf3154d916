//! Endpoints of which a test writes every byte itself.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use tokio_tungstenite::tungstenite;

use super::{LIMIT, Message};

/// Serves each connection in a thread of its own, as long as the test's process lives. If the other
/// side breaks off, `serve` may return its error.
pub fn scripted(serve: impl Fn(&TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || {
                let _broken = serve(&stream);
            });
        }
    });
    address
}

/// Reads the head of one request. What follows the head is lost unless it is read from the reader.
pub fn request(stream: &TcpStream) -> io::Result<(Message, BufReader<&TcpStream>)> {
    let mut reader = BufReader::new(stream);
    let head = Message::read_head(&mut reader)?;
    Ok((head.ok_or(io::ErrorKind::UnexpectedEof)?, reader))
}

/// Writes these bytes.
pub fn answer(mut stream: &TcpStream, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    stream.write_all(bytes.as_ref())
}

/// An endpoint that sends each WebSocket message back.
pub fn websocket_echo() -> SocketAddr {
    scripted(|stream| {
        let socket = tungstenite::accept(stream.try_clone()?);
        let mut socket = socket.map_err(io::Error::other)?;
        while let Ok(message) = socket.read() {
            if socket.send(message).is_err() {
                break;
            }
        }
        Ok(())
    })
}

/// A WebSocket that is open.
pub fn websocket(to: SocketAddr) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let (socket, answer) = tungstenite::client(format!("ws://{to}/"), stream).unwrap();
    assert_eq!(answer.status(), 101);
    socket
}
