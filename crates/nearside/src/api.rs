//! Talks to a node's admin API: one request, one answer, then the connection ends.
//!
//! That is so little of HTTP that the house's own reader and the standard library do it. Time and size
//! are limited, because what answers at an address need not be a node.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use thiserror::Error;
use wire::head::{Limits, Method, ResponseHead};
use wire::{Chunked, Length, framing};

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// For a whole answer; a reload may take a while.
const ANSWER: Duration = Duration::from_secs(60);
/// The largest answer: a node with very many endpoints tells some hundred bytes of each.
const LARGEST: usize = 64 << 20;
const HEAD: Limits = Limits { bytes: 32 << 10, fields: 100 };

/// Where an admin API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    authority: String,
}

impl Place {
    /// Where a node's admin API is if nothing else was said.
    pub const DEFAULT: &str = "http://127.0.0.1:9900";

    /// `host:port`
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        if url.starts_with("https://") {
            return Err("the admin API speaks plain http; write it as http://127.0.0.1:9900");
        }
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let port = authority
            .rsplit_once(':')
            .filter(|(host, _)| wire::target::host(authority.as_bytes()) == Some(host.as_bytes()));
        match port.map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => Ok(Self { authority: authority.to_owned() }),
            _ => Err("it is not an address with a port; write it as http://127.0.0.1:9900"),
        }
    }
}

/// Why a node could not be asked, or what it refused.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Nothing takes connections there.
    #[error("no node answers at {place}: {cause}")]
    NoNode {
        /// Where.
        place: Place,
        /// Why not.
        cause: io::Error,
    },
    /// What is there doesn't talk as a node does.
    #[error("what answers at {place} is not the admin API of a node: {why}")]
    NotANode {
        /// Where.
        place: Place,
        /// How that shows.
        why: String,
    },
    /// It wants a token, or another one.
    #[error("the node at {place} wants its token")]
    Token {
        /// Where.
        place: Place,
    },
    /// It doesn't do that.
    #[error("the node at {place} refuses: {why}")]
    Refused {
        /// Where.
        place: Place,
        /// In its own words.
        why: String,
    },
}

impl ApiError {
    /// What to do instead.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoNode { .. } | Self::NotANode { .. } => Some(
                "start a node with `nearside run`, or say where its [admin] listens with --admin URL or NEARSIDE_ADMIN",
            ),
            Self::Token { .. } => Some("put the `token` of its [admin] into NEARSIDE_ADMIN_TOKEN"),
            Self::Refused { .. } => None,
        }
    }
}

/// An admin API.
pub struct Api<'a> {
    place: &'a Place,
    token: Option<String>,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// Null if the body is empty.
    pub body: Json,
}

impl<'a> Api<'a> {
    /// The one at `place`, with the token from the environment.
    pub fn at(place: &'a Place) -> Self {
        let token = std::env::var("NEARSIDE_ADMIN_TOKEN").ok();
        Self { place, token: token.filter(|token| !token.is_empty()) }
    }

    /// The body of the answer to `GET /api/v1/PATH`.
    ///
    /// # Errors
    /// Also when the status is not 200 to 299.
    pub fn get(&self, path: &str) -> Result<Json, ApiError> {
        let answer = self.ask("GET", path, None)?;
        self.granted(answer)
    }

    /// The body of the answer, if it grants what was asked for.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with the problem that the node tells.
    pub fn granted(&self, answer: Answer) -> Result<Json, ApiError> {
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let told = ["detail", "title"].iter().find_map(|key| answer.body.get(key)?.as_str());
        Err(ApiError::Refused {
            place: self.place.clone(),
            why: told.map_or_else(|| format!("status {}", answer.status), str::to_owned),
        })
    }

    /// Asks, with this body if any, whatever the status of the answer.
    ///
    /// # Errors
    /// When there is no node, or it wants a token.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Answer, ApiError> {
        let place = || self.place.clone();
        let stream =
            connect(self.place.authority()).map_err(|cause| ApiError::NoNode { place: place(), cause })?;
        let not_a_node = |why: String| ApiError::NotANode { place: place(), why };
        let (status, body) = self
            .send(method, path, body, &stream)
            .and_then(|()| receive(&stream))
            .map_err(|error| error.to_string())
            .and_then(|bytes| decode(&bytes).map_err(str::to_owned))
            .map_err(not_a_node)?;
        if status == 401 {
            return Err(ApiError::Token { place: place() });
        }
        let body = match body.as_slice() {
            [] => Json::Null,
            text => serde_json::from_slice(text)
                .map_err(|_| not_a_node(format!("status {status}, and its body is not JSON")))?,
        };
        Ok(Answer { status, body })
    }

    fn send(&self, method: &str, path: &str, body: Option<&Json>, mut stream: &TcpStream) -> io::Result<()> {
        let token = match &self.token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        let (kind, body) = match body {
            Some(json) => ("Content-Type: application/json\r\n", json.to_string()),
            None => ("", String::new()),
        };
        let request = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nHost: {}\r\n{token}Accept: application/json\r\n{kind}\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.place.authority(),
            body.len(),
        );
        stream.set_write_timeout(Some(ANSWER))?;
        stream.write_all(request.as_bytes())
    }
}

/// Percent-encodes all that is not unreserved (RFC 3986 §2.3).
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Connects to the first address that takes it.
fn connect(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = authority.to_socket_addrs()?.collect();
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// All that comes until the connection is closed.
fn receive(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let end = Instant::now() + ANSWER;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(_) if bytes.len() > LARGEST => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(length) => bytes.extend_from_slice(piece.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The status and the body of a whole answer.
fn decode(bytes: &[u8]) -> Result<(u16, Vec<u8>), &'static str> {
    const NOT_HTTP: &str = "its answer is not HTTP/1.1";
    const CUT: &str = "its answer is cut off";
    let mut head = ResponseHead::default();
    let length = match head.read(bytes, HEAD) {
        Ok(Some(length)) => length,
        Ok(None) => return Err(CUT),
        Err(_) => return Err(NOT_HTTP),
    };
    let rest = bytes.get(length..).unwrap_or_default();
    let body = match framing::of_answer(&head, Method::Get).map_err(|_| NOT_HTTP)? {
        Length::UntilClose => rest.to_vec(),
        Length::Exact(length) => {
            let length = usize::try_from(length).map_err(|_| CUT)?;
            rest.get(..length).ok_or(CUT)?.to_vec()
        }
        Length::Chunked => unchunked(rest).ok_or(CUT)?,
    };
    Ok((head.status, body))
}

fn unchunked(mut input: &[u8]) -> Option<Vec<u8>> {
    use wire::chunked::Step;
    let mut chunks = Chunked::default();
    let mut body = Vec::new();
    loop {
        match chunks.step(input).ok()? {
            Step::Data { skip, take } => {
                body.extend_from_slice(input.get(skip..skip + take)?);
                input = input.get(skip + take..)?;
            }
            Step::More => return None,
            Step::End(_) => return Some(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_with_a_port() {
        for url in ["http://127.0.0.1:9900", "http://127.0.0.1:9900/", "127.0.0.1:9900"] {
            assert_eq!(url.parse::<Place>().unwrap().to_string(), Place::DEFAULT);
        }
        assert_eq!("[::1]:99".parse::<Place>().unwrap().authority(), "[::1]:99");
        for url in ["", "http://", "localhost", "::1", "a:b", "a:99999", "https://a:1", "a:1/b"] {
            assert!(url.parse::<Place>().is_err(), "{url}");
        }
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escape("http://a/b?c=d e&f"), "http%3A%2F%2Fa%2Fb%3Fc%3Dd%20e%26f");
    }

    #[test]
    fn whole_answers_are_decoded_and_others_refused() {
        let ok = |text: &str| decode(text.as_bytes());
        assert_eq!(ok("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), Ok((200, b"hi".to_vec())));
        assert_eq!(
            ok("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"),
            Ok((404, b"hi".to_vec()))
        );
        assert_eq!(ok("HTTP/1.1 200 OK\r\n\r\nall"), Ok((200, b"all".to_vec())));
        assert!(ok("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi").is_err());
        assert!(ok("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n").is_err());
        assert!(ok("HTTP/1.1 200 OK\r\n").is_err());
        assert!(ok("SSH-2.0-x\r\n\r\n").is_err());
    }
}
