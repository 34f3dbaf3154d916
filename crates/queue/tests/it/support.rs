//! What tests of queues in a folder share.

use std::future::poll_fn;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use config::Plan;
use queue::accept::{New, NewBody};
use queue::state::Outcome;
use queue::{Pieces, Task};
use upstream::clock::wall_ms;

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What a file says, behind a listener that it must have.
pub fn plan(rest: &str) -> Plan {
    let text = format!("[[listen]]\naddress = \"127.0.0.1:1\"\n{rest}");
    let parsed = config::parse(&text, "file", Path::new("/"), &|_| None);
    parsed.unwrap_or_else(|report| panic!("{report}")).plan
}

pub fn message(body: NewBody) -> New<'static> {
    New {
        method: b"POST",
        target: b"/",
        fields: b"Host: a\r\n",
        body,
        order: None,
        key: None,
        due: 0,
        hops: "",
        event: None,
        fired: None,
    }
}

/// A message whose body is in its record.
pub fn whole(body: &[u8]) -> New<'static> {
    message(NewBody::Whole(Bytes::copy_from_slice(body)))
}

/// The receiver takes it.
pub async fn done(task: Task) {
    let message = task.message().await.unwrap();
    let outcome = Outcome { status: 200, began: wall_ms(), ..Outcome::default() };
    task.settle(&message, &outcome, b"");
}

/// All pieces that weren't read yet.
pub async fn rest(pieces: &mut Pieces) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = poll_fn(|cx| pieces.poll_next(cx)).await {
        all.extend_from_slice(&piece.unwrap());
    }
    all
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let all = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, all).await.unwrap_or_else(|_| panic!("never: {what}"));
}
