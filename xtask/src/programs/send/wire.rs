//! How each of them wants a message written, and how it says that it is accepted.

use super::{DIGITS, Order, Template};
use crate::programs::lengths;

/// What a NATS server wants to hear when it says `PING`.
pub const PONG: &[u8] = b"PONG\r\n";
const LINE_END: &[u8] = b"\r\n";

/// A way to hand in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `POST`, answered with 202.
    Http,
    /// `XADD` to a stream, answered with the entry's id.
    Redis,
    /// A publication to a subject of a JetStream stream, which acknowledges it.
    Nats,
}

/// What the other side said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It has the message.
    Accepted,
    /// It won't have the message.
    Refused,
    /// It has heard the greeting.
    Ready,
    /// It wants a [`PONG`].
    Ping,
    /// Nothing that matters here.
    Other,
}

impl Wire {
    /// The wire with this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "http" => Some(Self::Http),
            "redis" => Some(Self::Redis),
            "nats" => Some(Self::Nats),
            _ => None,
        }
    }

    /// What is to be said before the first message, until the other side is [`Answer::Ready`].
    pub fn greeting(self, connection: usize) -> Option<String> {
        let connect = r#"CONNECT {"verbose":false,"pedantic":false,"protocol":1}"#;
        (self == Self::Nats).then(|| format!("{connect}\r\nSUB {} 1\r\nPING\r\n", inbox(connection)))
    }

    /// A message as this connection sends it.
    pub fn template(self, order: &Order, connection: usize) -> Template {
        let Order { name, length, key, .. } = order;
        let head = match self {
            Self::Http => {
                let key = key.map(|_| format!("X-Key: {}\r\n", "0".repeat(DIGITS))).unwrap_or_default();
                format!("POST {name} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Length: {length}\r\n\r\n")
            }
            Self::Redis => {
                let stream = format!("*5\r\n$4\r\nXADD\r\n${}\r\n{name}\r\n", name.len());
                format!("{stream}$1\r\n*\r\n$1\r\nb\r\n${length}\r\n")
            }
            Self::Nats => format!("PUB {name} {} {length}\r\n", inbox(connection)),
        };
        let end = if self == Self::Http { &[][..] } else { LINE_END };
        let bytes = [head.as_bytes(), &vec![b'n'; *length], end].concat();
        Template { bytes, stamp: head.len(), key: head.find("X-Key: ").map(|at| at + "X-Key: ".len()) }
    }

    /// The first whole thing that was said, and its length.
    pub fn answer(self, bytes: &[u8]) -> Option<(usize, Answer)> {
        match self {
            Self::Http => http(bytes),
            Self::Redis => redis(bytes),
            Self::Nats => nats(bytes),
        }
    }
}

/// Where acknowledgements go: to each connection its own.
fn inbox(connection: usize) -> String {
    format!("_INBOX.{connection}")
}

fn http(bytes: &[u8]) -> Option<(usize, Answer)> {
    let (head, body) = lengths(bytes).filter(|(head, body)| head + body <= bytes.len())?;
    let accepted = bytes.starts_with(b"HTTP/1.1 202 ");
    Some((head + body, if accepted { Answer::Accepted } else { Answer::Refused }))
}

/// `$15\r\nID\r\n`, or `-ERR …\r\n`.
fn redis(bytes: &[u8]) -> Option<(usize, Answer)> {
    let (line, rest) = line(bytes)?;
    match line.strip_prefix('$') {
        Some(length) => Some((rest + whole(bytes, rest, length)?, Answer::Accepted)),
        None => Some((rest, Answer::Refused)),
    }
}

/// `MSG SUBJECT SID LENGTH\r\n{…}\r\n`, or a line.
fn nats(bytes: &[u8]) -> Option<(usize, Answer)> {
    let (line, rest) = line(bytes)?;
    match line.split_ascii_whitespace().next().unwrap_or_default() {
        "MSG" => {
            let payload = whole(bytes, rest, line.rsplit(' ').next().unwrap_or_default())?;
            let text = String::from_utf8_lossy(&bytes[rest..rest + payload]);
            let accepted = text.contains("\"seq\":") && !text.contains("\"error\":");
            Some((rest + payload, if accepted { Answer::Accepted } else { Answer::Refused }))
        }
        "PONG" => Some((rest, Answer::Ready)),
        "PING" => Some((rest, Answer::Ping)),
        "-ERR" => Some((rest, Answer::Refused)),
        _ => Some((rest, Answer::Other)),
    }
}

/// The first line without its end, and where the next one begins.
fn line(bytes: &[u8]) -> Option<(&str, usize)> {
    let end = bytes.windows(2).position(|two| two == LINE_END)?;
    Some((str::from_utf8(&bytes[..end]).unwrap_or_default(), end + LINE_END.len()))
}

/// How many bytes a payload of this length and its line end take, once they are there.
fn whole(bytes: &[u8], from: usize, length: &str) -> Option<usize> {
    let length = length.parse().unwrap_or(0) + LINE_END.len();
    (bytes.len() >= from + length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each wire makes of the text, and that it waits for all of it.
    fn first(wire: Wire, text: &str) -> Answer {
        let (length, answer) = wire.answer(text.as_bytes()).unwrap();
        assert_eq!(length, text.len(), "{text}");
        assert_eq!(wire.answer(&text.as_bytes()[..text.len() - 1]), None, "{text}");
        answer
    }

    #[test]
    fn answers_are_told_apart() {
        let accepted = "HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(first(Wire::Http, accepted), Answer::Accepted);
        assert_eq!(first(Wire::Http, "HTTP/1.1 507 Full\r\ncontent-length: 0\r\n\r\n"), Answer::Refused);
        assert_eq!(first(Wire::Redis, "$3\r\n1-0\r\n"), Answer::Accepted);
        assert_eq!(first(Wire::Redis, "-ERR no\r\n"), Answer::Refused);
        assert_eq!(first(Wire::Nats, "MSG _INBOX.1 1 9\r\n{\"seq\":1}\r\n"), Answer::Accepted);
        assert_eq!(first(Wire::Nats, "MSG _INBOX.1 1 12\r\n{\"error\":{}}\r\n"), Answer::Refused);
        for (line, answer) in [
            ("PONG", Answer::Ready),
            ("PING", Answer::Ping),
            ("-ERR 'x'", Answer::Refused),
            ("INFO {}", Answer::Other),
        ] {
            assert_eq!(first(Wire::Nats, &format!("{line}\r\n")), answer);
        }
    }

    #[test]
    fn messages_are_as_the_wire_wants_them() {
        let order = super::super::parse(&["nats", "80", "q", "--length", "16"]).unwrap();
        let text = |wire: Wire| String::from_utf8(wire.template(&order, 3).bytes).unwrap();
        let body = "n".repeat(16);
        assert_eq!(text(Wire::Nats), format!("PUB q _INBOX.3 16\r\n{body}\r\n"));
        let redis = format!("*5\r\n$4\r\nXADD\r\n$1\r\nq\r\n$1\r\n*\r\n$1\r\nb\r\n$16\r\n{body}\r\n");
        assert_eq!(text(Wire::Redis), redis);
        assert_eq!(
            text(Wire::Http),
            format!("POST q HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n{body}")
        );
    }
}
