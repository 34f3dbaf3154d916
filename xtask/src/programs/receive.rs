//! Receivers of messages: a fast one that also counts them and how long they were on their way, and one
//! that takes them and never answers.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::delays::{Delays, now};
use super::send::stamp_of;
use super::{lengths, on_this_thread, serve};
use crate::failure::Outcome;

const BUFFER: usize = 64 << 10;
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// How long messages were on their way, by the last segment of their paths. One thread uses it, so that
/// nobody ever waits for the lock.
type Tallies = Mutex<HashMap<String, Delays>>;

/// Answers 200 on `port` of loopback to whatever comes. `GET /count/NAME` tells how many came whose path
/// ends in NAME, `GET /report/NAME` how long they took since they were sent.
pub fn receive(port: u16) -> Outcome<()> {
    let tallies: &'static Tallies = Box::leak(Box::default());
    on_this_thread(serve(port, |stream| connection(stream, tallies)))
}

/// Takes what comes on `port` of loopback and never answers.
pub fn hang(port: u16) -> Outcome<()> {
    on_this_thread(serve(port, |mut stream| async move {
        let mut buffer = vec![0; BUFFER];
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    }))
}

async fn connection(mut stream: TcpStream, tallies: &'static Tallies) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        filled += read;
        if read == 0 {
            return Ok(());
        }
        let Some((head, body)) = lengths(&buffer[..filled]).filter(|(head, body)| head + body <= filled)
        else {
            continue;
        };
        match answer(&buffer[..head], &buffer[head..head + body], tallies) {
            Some(text) => {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
                stream.write_all(answer.as_bytes()).await?;
            }
            None => stream.write_all(TAKEN).await?,
        }
        buffer.copy_within(head + body..filled, 0);
        filled -= head + body;
    }
}

/// What is told, if this asks for something; else it is counted.
fn answer(head: &[u8], body: &[u8], tallies: &Tallies) -> Option<String> {
    let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let path = str::from_utf8(path).unwrap_or_default();
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
    match folder {
        "/count" => Some(tallies.get(name).map_or(0, Delays::count).to_string()),
        "/report" => Some(tallies.get(name).map(Delays::summary).unwrap_or_default().to_string()),
        _ => {
            let delay = stamp_of(body).map_or(0, |sent| now().saturating_sub(sent));
            match tallies.get_mut(name) {
                Some(tally) => tally.add(delay),
                None => tallies.entry(name.to_owned()).or_default().add(delay),
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_the_end_of_their_path() {
        let tallies = Tallies::default();
        let body = format!("{:016}nnnn", now() - 5000);
        assert_eq!(answer(b"POST /q/a HTTP/1.1\r\n\r\n", body.as_bytes(), &tallies), None);
        assert_eq!(answer(b"POST /q/a HTTP/1.1\r\n\r\n", b"", &tallies), None);
        assert_eq!(answer(b"POST /q/b HTTP/1.1\r\n\r\n", b"", &tallies), None);
        assert_eq!(answer(b"GET /count/a HTTP/1.1\r\n\r\n", b"", &tallies).as_deref(), Some("2"));
        assert_eq!(answer(b"GET /count/c HTTP/1.1\r\n\r\n", b"", &tallies).as_deref(), Some("0"));
        let report = answer(b"GET /report/a HTTP/1.1\r\n\r\n", b"", &tallies).unwrap();
        assert!(report.starts_with("2 0 0 "), "{report}");
        assert!(tallies.into_inner().unwrap()["a"].summary().longest >= 5000);
    }
}
