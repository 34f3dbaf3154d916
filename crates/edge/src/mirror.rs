//! Copies of requests to a second service, whose answers nobody sees.
//!
//! A copy never delays the request it is of: it is sent when that is done, at most once, and not at
//! all while [`MOST`] copies are under way.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use upstream::balance::Tried;
use upstream::client::{Body, BodyError, Conn, Exchange, pool};
use upstream::{Ask, FailKind, Outcome, clock};
use wire::{Length, Method, ResponseHead};

use crate::live::Party;
use crate::tries::kind;

/// Copies under way at once, of the whole node.
pub const MOST: usize = 1024;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Sends a copy: `out` is the head as it was sent, `body` the body, `length` how the head tells of it.
pub(crate) fn send(party: &Party, out: &[u8], length: Length, body: &[u8]) {
    if UNDER_WAY.fetch_add(1, Ordering::Relaxed) >= MOST {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        return;
    }
    let (party, out) = (party.clone(), out.to_vec());
    let body = (length != Length::Exact(0)).then(|| Copy { length, whole: Bytes::copy_from_slice(body) });
    tokio::spawn(async move {
        run(&party, &out, body).await;
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    });
}

async fn run(party: &Party, out: &[u8], body: Option<Copy>) {
    party.service.count_request();
    let Some(_permit) = party.service.try_admit() else {
        return;
    };
    let ask = Ask {
        hash: fastrand::u64(..),
        sticky: None,
        tried: &Tried::default(),
        random: fastrand::u64(..),
        now: clock::now(),
    };
    let Ok(lease) = party.service.pick(&ask) else {
        return;
    };
    let (key, started) = (lease.endpoint().key(), clock::now());
    let times = &party.service.plan().timeout;
    let conn = match (pool::take_for(lease.endpoint()), lease.endpoint().address()) {
        (Some(conn), _) => conn,
        (None, Some(address)) => match Conn::open(address, times.connect).await {
            Ok(conn) => conn,
            Err(_) => return lease.finish(Outcome::Failed(FailKind::Connect), clock::now()),
        },
        (None, None) => return,
    };
    let mut exchange = Exchange::new(conn, out, body, times.response, times.idle);
    let mut head = ResponseHead::default();
    let result = async {
        while head.status < 200 {
            // A HEAD's answer read as a GET's would wait for a body; its connection isn't kept then.
            let method = if out.starts_with(b"HEAD ") { Method::Head } else { Method::Get };
            exchange.head(&mut head, method).await?;
            if head.status == 101 {
                return Ok(());
            }
        }
        while exchange.piece().await?.is_some() {}
        Ok(())
    };
    let outcome = match result.await {
        Ok(()) => {
            let latency_ns = clock::now().saturating_sub(started);
            Outcome::Answered { status: head.status, latency_ns }
        }
        // A kept connection that was closed meanwhile is nobody's fault.
        Err(_) if exchange.is_reused() && exchange.heard_nothing() => return,
        Err(failed) => Outcome::Failed(kind(&failed).unwrap_or(FailKind::Reset)),
    };
    lease.finish(outcome, clock::now());
    if head.status != 101 {
        exchange.release(key, clock::now());
    }
}

/// A remembered body.
struct Copy {
    length: Length,
    whole: Bytes,
}

impl Body for Copy {
    fn length(&self) -> Length {
        self.length
    }

    fn poll_piece(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<Option<Bytes>, BodyError>> {
        let whole = std::mem::take(&mut self.whole);
        std::task::Poll::Ready(Ok((!whole.is_empty()).then_some(whole)))
    }
}
