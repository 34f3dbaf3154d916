//! The small programs that a bench needs beside the proxies: who answers, the least that a relay can
//! be, clients that hold connections open, and those who send and receive messages.
//!
//! They are commands of this program and not of others, so that every bench measures against the
//! very same work.

mod delays;
mod fetch;
mod hold;
mod origin;
mod receive;
mod relay;
mod send;

use std::future::Future;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::failure::{Outcome, While};

pub use delays::Summary;
pub use fetch::{fetch, lengths, path};
pub use hold::hold;
pub use origin::origin;
pub use receive::{hang, receive};
pub use relay::relay;
pub use send::send;

/// Runs on this thread alone: each program has one core.
fn on_this_thread<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.while_doing("starting a runtime")?.block_on(work)
}

/// Serves each connection to a port of loopback in its own task, for ever.
async fn serve<F>(port: u16, connection: impl Fn(TcpStream) -> F) -> Outcome<()>
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.while_doing(format!("listening on port {port}"))?;
    loop {
        let (stream, _) = listener.accept().await.while_doing("accepting a connection")?;
        stream.set_nodelay(true).while_doing("setting TCP_NODELAY")?;
        // A connection that breaks ends its own task; the load generator counts it.
        tokio::spawn(connection(stream));
    }
}

/// Whether what was read ends with a whole head. Enough here: no request has a body, and no client
/// of a bench sends the next request before the answer.
fn is_whole_head(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\r\n\r\n")
}
