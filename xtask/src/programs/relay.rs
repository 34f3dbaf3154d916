//! The bare relay: the least that a proxy on this runtime can do, as the limit to compare with.
//!
//! It finds where heads end and how long bodies are, and nothing else: no parsing of fields, no
//! routes, no limits. Each client connection keeps one connection to the origin.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{is_whole_head, on_this_thread, serve};
use crate::failure::Outcome;

/// One buffer a connection: the cheapest of 32 to 256 KiB for all lengths of a bench.
const BUFFER: usize = 256 << 10;

/// Relays `port` of loopback to the origin on another one until it is ended.
pub fn relay(port: u16, origin: u16) -> Outcome<()> {
    on_this_thread(serve(port, move |client| connection(client, origin)))
}

async fn connection(mut client: TcpStream, origin: u16) -> io::Result<()> {
    let mut origin = TcpStream::connect(("127.0.0.1", origin)).await?;
    origin.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        let read = client.read(&mut buffer[filled..]).await?;
        filled += read;
        if read == 0 {
            return Ok(());
        }
        if is_whole_head(&buffer[..filled]) {
            origin.write_all(&buffer[..filled]).await?;
            answer(&mut client, &mut origin, &mut buffer).await?;
            filled = 0;
        }
    }
}

async fn answer(client: &mut TcpStream, origin: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    let mut left = loop {
        let read = origin.read(&mut buffer[filled..]).await?;
        filled += read;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(whole) = answer_length(&buffer[..filled]) {
            break whole.saturating_sub(filled);
        }
    };
    client.write_all(&buffer[..filled]).await?;
    while left > 0 {
        let read = origin.read(buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        client.write_all(&buffer[..read]).await?;
        left = left.saturating_sub(read);
    }
    Ok(())
}

/// Bytes of the answer in all, head and body, once its head is there.
fn answer_length(bytes: &[u8]) -> Option<usize> {
    const FIELD: &[u8] = b"Content-Length: ";
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let field = bytes[..head].windows(FIELD.len()).position(|name| name == FIELD)?;
    let digits = bytes[field + FIELD.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    let body = digits.fold(0, |value: usize, digit| value * 10 + usize::from(digit - b'0'));
    Some(head + 4 + body)
}

#[cfg(test)]
mod tests {
    use super::answer_length;

    #[test]
    fn the_length_is_known_with_the_whole_head() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\nA: b\r\n\r\n";
        assert_eq!(answer_length(head), Some(head.len() + 1024));
        assert_eq!(answer_length(&head[..head.len() - 1]), None);
    }
}
