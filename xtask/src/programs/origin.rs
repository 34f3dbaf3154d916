//! The origin: answers made before the first request, so that it takes as little as it can of the
//! core that it shares with the load generator; and objects for caches, whose heads alone are made
//! when they are asked for.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{is_whole_head, on_this_thread, serve};
use crate::failure::Outcome;

/// The last segment of a path, and the length of its answer's body.
const SIZES: &[(&str, usize)] = &[("0", 0), ("1k", 1 << 10), ("100k", 100 << 10), ("1m", LONGEST_BODY)];
const LONGEST_BODY: usize = 1 << 20;
const LONGEST_HEAD: usize = 16 << 10;

/// Whole answers, head and body, each made once.
struct Answers {
    sizes: Vec<(&'static str, Vec<u8>)>,
    not_found: Vec<u8>,
    /// What the bodies of objects are cut from.
    body: Vec<u8>,
    /// Objects asked for so far.
    objects: AtomicU64,
}

/// Answers on `port` of loopback until it is ended.
pub fn origin(port: u16) -> Outcome<()> {
    let sizes = SIZES.iter().map(|(name, length)| (*name, answer("200 OK", "", *length))).collect();
    let not_found = answer("404 Not Found", "", 0);
    let answers = Answers { sizes, not_found, body: vec![b'n'; LONGEST_BODY], objects: AtomicU64::new(0) };
    let answers: &'static Answers = Box::leak(Box::new(answers));
    on_this_thread(serve(port, |stream| connection(stream, answers)))
}

fn answer(status: &str, fields: &str, length: usize) -> Vec<u8> {
    [head(status, fields, length).as_bytes(), &vec![b'n'; length]].concat()
}

fn head(status: &str, fields: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\nServer: origin\r\nContent-Type: application/octet-stream\r\n{fields}\
         Content-Length: {length}\r\n\r\n"
    )
}

async fn connection(mut stream: TcpStream, answers: &'static Answers) -> io::Result<()> {
    let mut request = vec![0; LONGEST_HEAD];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut request[filled..]).await?;
        filled += read;
        if read == 0 {
            return Ok(());
        }
        if !is_whole_head(&request[..filled]) {
            continue;
        }
        let path = path(&request[..filled]);
        if let Some((head, length)) = answers.object(path) {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&answers.body[..length]).await?;
        } else if path == b"/count" {
            let count = answers.objects.load(Ordering::Relaxed).to_string();
            stream.write_all((head("200 OK", "", count.len()) + &count).as_bytes()).await?;
        } else {
            stream.write_all(answers.to(path)).await?;
        }
        filled = 0;
    }
}

fn path(request: &[u8]) -> &[u8] {
    request.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

impl Answers {
    /// The answer to a request by the last segment of its path: `/any/thing/1k` is `1k`.
    fn to(&self, path: &[u8]) -> &[u8] {
        let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let found = self.sizes.iter().find(|(name, _)| name.as_bytes() == last);
        found.map_or(&self.not_found, |(_, answer)| answer)
    }

    /// The head and the body's length of `/o/LENGTH/NAME`: what an origin says of a file that may be
    /// kept for a day.
    fn object(&self, path: &[u8]) -> Option<(String, usize)> {
        let (length, name) = str::from_utf8(path).ok()?.strip_prefix("/o/")?.split_once('/')?;
        let length = length.parse().ok().filter(|length| *length <= LONGEST_BODY)?;
        self.objects.fetch_add(1, Ordering::Relaxed);
        let fields = format!(
            "Cache-Control: public, max-age=86400\r\nETag: \"{name}\"\r\n\
             Last-Modified: Tue, 01 Jul 2025 10:00:00 GMT\r\n"
        );
        Some((head("200 OK", &fields, length), length))
    }
}
