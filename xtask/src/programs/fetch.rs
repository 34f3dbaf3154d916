//! Fetches many different objects, each once, so that a cache fills up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::on_this_thread;
use crate::failure::{Outcome, While};

const CONNECTIONS: usize = 32;
const BUFFER: usize = 64 << 10;
/// How long one object may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Different lengths between the least and the most.
const STEPS: u64 = 16;

/// Where the origin has object `number`, of a length from `least` to `most`.
pub fn path(number: u64, least: u64, most: u64) -> String {
    let length = least + (most - least) * (number % STEPS) / (STEPS - 1);
    format!("/o/{length}/{number}")
}

/// Fetches `count` objects from number `first` on from a port of loopback.
pub fn fetch(port: u16, first: u64, count: u64, least: u64, most: u64) -> Outcome<()> {
    on_this_thread(async move {
        let next = Arc::new(AtomicU64::new(first));
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let next = Arc::clone(&next);
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                    stream.set_nodelay(true)?;
                    let mut buffer = vec![0; BUFFER];
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= first + count {
                            return Ok(());
                        }
                        let path = path(number, least, most);
                        timeout(PATIENCE, one(&mut stream, &mut buffer, &path)).await??;
                    }
                })
            })
            .collect();
        for connection in connections {
            let ended: io::Result<()> = connection.await.unwrap_or_else(|error| Err(error.into()));
            ended.while_doing("fetching objects")?;
        }
        Ok(())
    })
}

async fn one(stream: &mut TcpStream, buffer: &mut [u8], path: &str) -> io::Result<()> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut filled = 0;
    let whole = loop {
        filled += some(stream, &mut buffer[filled..]).await?;
        if let Some((head, body)) = lengths(&buffer[..filled]) {
            break head + body;
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 200") {
        return Err(io::Error::other(format!("{path} was not answered 200")));
    }
    while filled < whole {
        filled += some(stream, buffer).await?;
    }
    Ok(())
}

/// Bytes of an answer's head, once that is there, and of the body that it announces, in whatever case.
pub fn lengths(answer: &[u8]) -> Option<(usize, usize)> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&answer[..head]);
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Some((head, length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)))
}

async fn some(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let read = stream.read(buffer).await?;
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::{lengths, path};

    #[test]
    fn lengths_are_known_with_the_whole_head_in_any_case() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12\r\n\r\n";
        assert_eq!(lengths(head), Some((head.len(), 12)));
        assert_eq!(lengths(&head[..head.len() - 1]), None);
        assert_eq!(lengths(b"HTTP/1.1 200 OK\r\n\r\n"), Some((19, 0)));
    }

    #[test]
    fn lengths_go_from_the_least_to_the_most() {
        assert_eq!([path(0, 64, 94), path(1, 64, 94), path(31, 64, 94)], ["/o/64/0", "/o/66/1", "/o/94/31"]);
        assert_eq!(path(7, 1024, 1024), "/o/1024/7");
    }
}
