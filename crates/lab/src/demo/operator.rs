//! What an operator's tool asks of the node, over the admin API: a purge, answered once it holds, and how a
//! queue is.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use wire::Method;

use super::connection::Connection;
use super::orders::Told;

/// How long an answer may take.
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
struct Purged {
    nodes: Vec<Acknowledged>,
}

/// Purges all that has this tag.
///
/// # Errors
/// There is no answer, or not the one that the API promises.
pub async fn purge(admin: SocketAddr, tag: &str) -> io::Result<Vec<Acknowledged>> {
    let body = serde_json::json!({ "tags": [tag] }).to_string();
    let purged: Purged = ask(admin, Method::Post, "purge", &body).await?;
    Ok(purged.nodes)
}

/// How a queue is.
///
/// # Errors
/// As for [`purge`].
pub async fn queue(admin: SocketAddr, name: &str) -> io::Result<Told> {
    ask(admin, Method::Get, &format!("queues/{name}"), "").await
}

async fn ask<T: DeserializeOwned>(
    admin: SocketAddr,
    method: Method,
    what: &str,
    body: &str,
) -> io::Result<T> {
    let name = if method == Method::Post { "POST" } else { "GET" };
    let request = format!(
        "{name} /api/v1/{what} HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    let answer = async {
        let mut connection = Connection::to(admin).await?;
        let (_, body) = connection.exchange(method, request.as_bytes()).await?;
        Ok(serde_json::from_slice(body)?)
    };
    timeout(PATIENCE, answer).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
