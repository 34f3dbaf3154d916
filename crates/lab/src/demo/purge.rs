//! A purge, as an operator's tool asks for it: over the admin API, answered once it holds.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;
use wire::Method;

use super::connection::Connection;

/// How long an acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a node said to a purge.
#[derive(Debug, Deserialize)]
pub struct Acknowledged {
    /// The node.
    pub node: String,
    /// Does the purge hold there?
    pub done: bool,
    /// Objects that went.
    pub removed: u64,
}

#[derive(Deserialize)]
struct Answer {
    nodes: Vec<Acknowledged>,
}

/// Purges all that has this tag.
///
/// # Errors
/// There is no answer, or not the one that the API promises.
pub async fn by_tag(admin: SocketAddr, tag: &str) -> io::Result<Vec<Acknowledged>> {
    let body = serde_json::json!({ "tags": [tag] }).to_string();
    let request = format!(
        "POST /api/v1/purge HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    let ask = async {
        let mut connection = Connection::to(admin).await?;
        let body = connection.exchange(Method::Post, request.as_bytes()).await?;
        let answer: Answer = serde_json::from_slice(body)?;
        Ok(answer.nodes)
    };
    timeout(PATIENCE, ask).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
