//! The origin: answers made before the first request, so that it takes as little as it can of the
//! core that it shares with the load generator.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{is_whole_head, on_this_thread, serve};
use crate::failure::Outcome;

/// The last segment of a path, and the length of its answer's body.
const SIZES: &[(&str, usize)] = &[("0", 0), ("1k", 1 << 10), ("100k", 100 << 10), ("1m", 1 << 20)];
const LONGEST_HEAD: usize = 16 << 10;

/// Whole answers, head and body, each made once.
struct Answers {
    sizes: Vec<(&'static str, Vec<u8>)>,
    not_found: Vec<u8>,
}

/// Answers on `port` of loopback until it is ended.
pub fn origin(port: u16) -> Outcome<()> {
    let sizes = SIZES.iter().map(|(name, length)| (*name, answer("200 OK", *length))).collect();
    let answers = Answers { sizes, not_found: answer("404 Not Found", 0) };
    let answers: &'static Answers = Box::leak(Box::new(answers));
    on_this_thread(serve(port, |stream| connection(stream, answers)))
}

fn answer(status: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nServer: origin\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &vec![b'n'; length]].concat()
}

async fn connection(mut stream: TcpStream, answers: &'static Answers) -> io::Result<()> {
    let mut head = vec![0; LONGEST_HEAD];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut head[filled..]).await?;
        filled += read;
        if read == 0 {
            return Ok(());
        }
        if is_whole_head(&head[..filled]) {
            stream.write_all(answers.to(&head[..filled])).await?;
            filled = 0;
        }
    }
}

impl Answers {
    /// The answer to a request by the last segment of its path: `/any/thing/1k` is `1k`.
    fn to(&self, head: &[u8]) -> &[u8] {
        let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let found = self.sizes.iter().find(|(name, _)| name.as_bytes() == last);
        found.map_or(&self.not_found, |(_, answer)| answer)
    }
}
