//! Active checks: a small GET to each endpoint, again and again.
//!
//! Only the status line is read; the connection is closed after it, so that a check also shows
//! whether the endpoint still takes connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use config::plan::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::endpoint::EndpointState;
use crate::service::Service;
use crate::{health, lock};

/// Bytes in which a status line must end.
const STATUS_LINE: usize = 1024;

/// Why a check was bad.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The connection failed or broke.
    #[error("the check failed: {0}")]
    Io(#[from] io::Error),
    /// It took longer than it may.
    #[error("the check had no answer in time")]
    Timeout,
    /// The answer was not HTTP/1.
    #[error("the check was not answered with HTTP/1")]
    NotHttp,
    /// The answer's status is not a good one.
    #[error("the check was answered with {0}")]
    Status(u16),
}

/// Checks `endpoint` for as long as it is not stopped.
pub(crate) async fn watch(service: Arc<Service>, endpoint: Arc<EndpointState>, at_once: Arc<Semaphore>) {
    let Some(plan) = &service.plan().health else {
        return;
    };
    loop {
        let Some(address) = endpoint.address() else {
            endpoint.resolved.notified().await;
            continue;
        };
        let outcome = {
            let Ok(_one_of_few) = at_once.acquire().await else {
                return;
            };
            check(address, &host(&endpoint, plan), plan).await
        };
        if let Err(CheckError::Io(_)) = outcome {
            endpoint.turn_from(address);
        }
        if note(&endpoint, plan, outcome) {
            service.look_again();
        }
        tokio::time::sleep(health::pause(plan.every, fastrand::u64(..))).await;
    }
}

/// Takes a check's outcome; true if the endpoint's state changed.
fn note(endpoint: &EndpointState, plan: &Health, outcome: Result<(), CheckError>) -> bool {
    let mut vitals = lock(&endpoint.vitals);
    let good = outcome.is_ok();
    vitals.last_check = outcome.err().map(|why| why.to_string()).unwrap_or_default();
    vitals.health.note(plan, good)
}

/// The `Host` of a check.
fn host(endpoint: &EndpointState, plan: &Health) -> String {
    match (&plan.host, endpoint.host().contains(':')) {
        (Some(host), _) => host.to_string(),
        (None, true) => format!("[{}]:{}", endpoint.host(), endpoint.port()),
        (None, false) => format!("{}:{}", endpoint.host(), endpoint.port()),
    }
}

/// Asks once.
///
/// # Errors
/// [`CheckError`] if the answer is not a good one.
pub async fn check(address: SocketAddr, host: &str, plan: &Health) -> Result<(), CheckError> {
    let status = tokio::time::timeout(plan.timeout, ask(address, host, &plan.path));
    let status = status.await.map_err(|_| CheckError::Timeout)??;
    if (plan.status.0..=plan.status.1).contains(&status) { Ok(()) } else { Err(CheckError::Status(status)) }
}

async fn ask(address: SocketAddr, host: &str, path: &str) -> Result<u16, CheckError> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: nearside-check\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut line = Vec::with_capacity(STATUS_LINE);
    while !line.contains(&b'\n') && line.len() < STATUS_LINE {
        let room = (STATUS_LINE - line.len()) as u64;
        if (&mut stream).take(room).read_buf(&mut line).await? == 0 {
            break;
        }
    }
    status(&line).ok_or(CheckError::NotHttp)
}

/// The status of an answer that begins with `bytes` (RFC 9112, section 4).
fn status(bytes: &[u8]) -> Option<u16> {
    let line = bytes.split(|&b| b == b'\n').next().filter(|line| line.len() < bytes.len())?;
    let digits = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..=599).contains(&code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::status;
    use proptest::prelude::*;

    #[test]
    fn a_status_line_is_read_strictly() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503\r\nX"), Some(503));
        for bad in
            ["", "HTTP/1.1 200 OK", "HTTP/2 200\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 999\r\n", "SSH-2.0\r\n\n"]
        {
            assert_eq!(status(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            status(&bytes);
        }
    }
}
