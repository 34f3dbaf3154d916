//! Sends messages and waits until each is accepted: over HTTP to a node, and over their own wires to the
//! logs that it is compared with, all by the same loop.
//!
//! Each connection has one message on its way. The time of sending stands at the beginning of each body,
//! so that a receiver knows how long it took.

mod wire;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use super::delays::{Delays, now};
use super::on_this_thread;
use crate::failure::{Failure, Outcome, While};
use crate::number;
use wire::{Answer, Wire};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
const BUFFER: usize = 16 << 10;
/// Of the time of sending and of a key's number, in decimal.
const DIGITS: usize = 16;

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    wire: Wire,
    port: u16,
    /// A path, a stream or a subject.
    name: String,
    connections: usize,
    /// Of each body, in bytes.
    length: usize,
    seconds: u64,
    count: u64,
    /// Messages a second over all connections; 0: as fast as they are accepted.
    pace: u64,
    key: Option<Key>,
}

/// What the field `X-Key` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// Another value for each message.
    Each,
    /// The same value for all.
    Same,
}

/// A message as bytes; the time and the key are written anew for each.
struct Template {
    bytes: Vec<u8>,
    /// Where the body begins, with the time.
    stamp: usize,
    /// Where the key stands, if there is one.
    key: Option<usize>,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    accepted: Delays,
    refused: u64,
}

/// Sends as the arguments say, and prints how many were refused, how many microseconds it took in all, and
/// the [`Summary`](super::Summary) of how long those took that were accepted.
pub fn send(arguments: &[&str]) -> Outcome<()> {
    let order: &'static Order = Box::leak(Box::new(parse(arguments)?));
    on_this_thread(async move {
        let next: &'static AtomicU64 = Box::leak(Box::default());
        let start = Instant::now();
        let connections: Vec<_> = (0..order.connections)
            .map(|number| tokio::spawn(connection(order, number, next, start)))
            .collect();
        let mut all = Seen::default();
        for connection in connections {
            let ended: io::Result<Seen> = connection.await.unwrap_or_else(|error| Err(error.into()));
            let seen = ended.while_doing(format!("sending to port {}", order.port))?;
            all.accepted.append(&seen.accepted);
            all.refused += seen.refused;
        }
        println!("{} {} {}", all.refused, start.elapsed().as_micros(), all.accepted.summary());
        Ok(())
    })
}

fn parse(arguments: &[&str]) -> Outcome<Order> {
    let wrong = || Failure::Usage(format!("send: `{}` is not understood", arguments.join(" ")));
    let [wire, port, name, options @ ..] = arguments else { return Err(wrong()) };
    let mut order = Order {
        wire: Wire::named(wire).ok_or_else(wrong)?,
        port: number(port)?,
        name: (*name).to_owned(),
        connections: 64,
        length: 1 << 10,
        seconds: u64::from(u32::MAX),
        count: u64::MAX,
        pace: 0,
        key: None,
    };
    for pair in options.chunks(2) {
        let [option, value] = pair else { return Err(wrong()) };
        match *option {
            "--connections" => order.connections = number(value)?,
            "--length" => order.length = number::<usize>(value)?.max(DIGITS),
            "--seconds" => order.seconds = number(value)?,
            "--count" => order.count = number(value)?,
            "--pace" => order.pace = number(value)?,
            "--key" if *value == "each" => order.key = Some(Key::Each),
            "--key" if *value == "same" => order.key = Some(Key::Same),
            _ => return Err(wrong()),
        }
    }
    Ok(order)
}

async fn connection(order: &Order, number: usize, next: &AtomicU64, start: Instant) -> io::Result<Seen> {
    let mut stream = TcpStream::connect(("127.0.0.1", order.port)).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut seen = Seen::default();
    if let Some(greeting) = order.wire.greeting(number) {
        stream.write_all(greeting.as_bytes()).await?;
        while !matches!(answer(&mut stream, order.wire, &mut buffer).await?, Answer::Ready) {}
    }
    let mut template = order.wire.template(order, number);
    let mut ticks = (order.pace > 0).then(|| {
        let period =
            Duration::from_secs(order.connections as u64) / u32::try_from(order.pace).unwrap_or(u32::MAX);
        let first = start + period.mul_f64(number as f64 / order.connections as f64);
        let mut ticks = interval_at(first.into(), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    });
    let end = start + Duration::from_secs(order.seconds);
    loop {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        // The time first: a number that is taken is sent.
        let sent = Instant::now();
        let message = if sent < end { next.fetch_add(1, Ordering::Relaxed) } else { order.count };
        if message >= order.count {
            return Ok(seen);
        }
        // No message's own key is the one that others have in common.
        template.fill(now(), if order.key == Some(Key::Each) { message + 1 } else { 0 });
        stream.write_all(&template.bytes).await?;
        match timeout(PATIENCE, verdict(&mut stream, order.wire, &mut buffer)).await?? {
            true => seen.accepted.add_time(sent.elapsed()),
            false => seen.refused += 1,
        }
    }
}

/// Whether the message was accepted, past what else the other side says.
async fn verdict(stream: &mut TcpStream, wire: Wire, buffer: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        match answer(stream, wire, buffer).await? {
            Answer::Accepted => return Ok(true),
            Answer::Refused => return Ok(false),
            Answer::Ping => stream.write_all(wire::PONG).await?,
            Answer::Ready | Answer::Other => {}
        }
    }
}

/// The next thing that the other side says.
async fn answer(stream: &mut TcpStream, wire: Wire, buffer: &mut Vec<u8>) -> io::Result<Answer> {
    loop {
        if let Some((length, answer)) = wire.answer(buffer) {
            buffer.drain(..length);
            return Ok(answer);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

impl Template {
    fn fill(&mut self, time: u64, key: u64) {
        digits(&mut self.bytes[self.stamp..], time);
        if let Some(at) = self.key {
            digits(&mut self.bytes[at..], key);
        }
    }
}

/// Writes a number over the first [`DIGITS`] bytes.
fn digits(bytes: &mut [u8], mut number: u64) {
    for byte in bytes.iter_mut().take(DIGITS).rev() {
        *byte = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// When a message with this body was sent, in microseconds since 1970.
pub fn stamp_of(body: &[u8]) -> Option<u64> {
    str::from_utf8(body.get(..DIGITS)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read() {
        let order = parse(&["http", "80", "/q/a", "--pace", "5", "--key", "each", "--length", "1"]).unwrap();
        assert_eq!((order.wire, order.port, order.name.as_str()), (Wire::Http, 80, "/q/a"));
        assert_eq!(
            (order.pace, order.key, order.length, order.count),
            (5, Some(Key::Each), DIGITS, u64::MAX)
        );
        for bad in
            [&["smtp", "80", "q"][..], &["http", "80", "/q", "--pace"], &["http", "80", "/q", "--x", "1"]]
        {
            assert_eq!(parse(bad).unwrap_err().exit_status(), 2);
        }
    }

    #[test]
    fn the_time_and_the_key_are_written_anew_and_can_be_read() {
        let order = parse(&["http", "80", "/q/a", "--key", "each", "--length", "20"]).unwrap();
        let mut template = order.wire.template(&order, 0);
        template.fill(1_700_000_000_000_001, 7);
        template.fill(1_700_000_000_000_002, 42);
        let text = String::from_utf8(template.bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nX-Key: 0000000000000042\r\n"), "{head}");
        assert_eq!((body, stamp_of(body.as_bytes())), ("1700000000000002nnnn", Some(1_700_000_000_000_002)));
        assert_eq!(stamp_of(b"nnnnnnnnnnnnnnnnnnnn"), None);
    }
}
