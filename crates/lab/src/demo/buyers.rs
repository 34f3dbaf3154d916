//! Users who post orders: when they like, whether or not the warehouse is well.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wire::Method;

use super::connection::Connections;
use super::lock;
use super::network::ORDERS_PATH;
use super::orders::Ledger;

/// Orders that may be on their way to the node; more count as refused.
const MOST: u32 = 100;
/// How long a user waits for a 202; then the order counts as refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// Those who order.
pub struct Buyers {
    node: SocketAddr,
    connections: Connections,
    room: Arc<Semaphore>,
    ledger: Arc<Mutex<Ledger>>,
}

/// The body of a 202.
#[derive(Deserialize)]
struct Accepted {
    id: String,
}

impl Buyers {
    /// Users who order from the node, and write down here what they were promised.
    pub fn new(node: SocketAddr, ledger: Arc<Mutex<Ledger>>) -> Arc<Buyers> {
        let room = Arc::new(Semaphore::new(MOST as usize));
        Arc::new(Buyers { node, connections: Connections::to(node), room, ledger })
    }

    /// Waits for what is under way, and closes their connections.
    pub async fn leave(&self) {
        let _ = self.room.acquire_many(MOST).await;
        self.connections.close();
    }

    /// Posts an order.
    pub fn send(self: &Arc<Self>, number: u64, runtime: &Handle) {
        let Ok(place) = self.room.clone().try_acquire_owned() else {
            return lock(&self.ledger).refuse();
        };
        let buyers = self.clone();
        runtime.spawn(async move {
            let answer = timeout(PATIENCE, buyers.post(number)).await;
            match answer.ok().and_then(Result::ok).flatten() {
                Some(id) => lock(&buyers.ledger).accept(&id, Instant::now()),
                None => lock(&buyers.ledger).refuse(),
            }
            drop(place);
        });
    }

    /// The id, if it was accepted.
    async fn post(&self, number: u64) -> io::Result<Option<String>> {
        let body = format!("{{\"order\": {number}}}");
        let request = format!(
            "POST {ORDERS_PATH} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.node,
            body.len(),
        );
        self.connections
            .exchange(Method::Post, request.as_bytes(), |head, body| {
                let accepted: Option<Accepted> = serde_json::from_slice(body).ok();
                accepted.filter(|_| head.status == 202).map(|accepted| accepted.id)
            })
            .await
    }
}
