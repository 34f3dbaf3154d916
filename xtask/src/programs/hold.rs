//! Clients that open many connections, ask once on each, and then hold them idle.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::on_this_thread;
use crate::failure::{Failure, Outcome, While};

/// Holds `count` connections to `address`, each from the address `source`.
///
/// Prints `held N` once all have been asked on, waits for a line on its input, asks on each once
/// more, prints `alive N`, and ends.
pub fn hold(address: &str, count: usize, source: &str) -> Outcome<()> {
    let wrong = |text: &str| Failure::Usage(format!("`{text}` is not an address"));
    let address: SocketAddr = address.parse().map_err(|_| wrong(address))?;
    let source: IpAddr = source.parse().map_err(|_| wrong(source))?;
    on_this_thread(hold_all(address, count, source))
}

async fn hold_all(address: SocketAddr, count: usize, source: IpAddr) -> Outcome<()> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        if let Ok(stream) = open(address, source).await {
            held.push(stream);
        }
    }
    say(&format!("held {}", held.len()))?;
    io::stdin().lock().read_line(&mut String::new()).while_doing("waiting for a line")?;
    let mut alive = 0;
    for stream in &mut held {
        alive += usize::from(ask(stream, address).await.is_ok());
    }
    say(&format!("alive {alive}"))
}

fn say(line: &str) -> Outcome<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).while_doing("printing")
}

async fn open(address: SocketAddr, source: IpAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source, 0))?;
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    ask(&mut stream, address).await?;
    Ok(stream)
}

/// One request for `/0`, whose answer is a head alone.
async fn ask(stream: &mut TcpStream, address: SocketAddr) -> io::Result<()> {
    stream.write_all(format!("GET /0 HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::with_capacity(1024);
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
