//! A request becomes a message: it is read, written, and answered once it is on stable storage.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use queue::accept::{Accepted, INLINE, New, NewBody, Refused};
use queue::{Queue, cloud_event, hops, when};
use upstream::client::Body;
use upstream::clock::wall_ms;
use wire::{Length, ResponseHead};

use super::status;
use crate::forward;
use crate::headers;
use crate::request::{After, Slot, Turn, send_own};
use crate::respond::Refusal;
use crate::stats::Why;

/// Fields that are for this node alone, or that it writes itself when it delivers.
const OWN: [&[u8]; 9] = [
    b"nearside-delay",
    b"nearside-at",
    b"nearside-hops",
    b"nearside-attempt",
    b"prefer",
    b"webhook-id",
    b"webhook-timestamp",
    b"webhook-signature",
    b"expect",
];

/// Of an `Idempotency-Key`.
const KEY: usize = 256;

/// Keeps the request and answers 202.
pub(super) async fn answer(
    queue: &Arc<Queue>,
    preferred: bool,
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    let asked = Asked::of(queue, turn)?;
    let fields = fields(turn);
    let body = take_body(queue, turn).await?;
    let head = &*turn.request.head;
    let start: &[u8] = match &body {
        Taken::Whole(whole) => whole,
        Taken::Uploaded(_) => b"",
    };
    let get = |name: &str| head.fields.get_named(name.as_bytes());
    let event = cloud_event::recognise(&get, start);
    let new = New {
        method: head.method_text(),
        target: head.path_and_query(),
        fields: &fields,
        body: match body {
            Taken::Whole(whole) => NewBody::Whole(whole),
            Taken::Uploaded(upload) => NewBody::Uploaded(upload),
        },
        order: asked.order,
        key: asked.key.as_deref(),
        due: asked.due,
        hops: &asked.hops,
        event: event.as_ref(),
        fired: None,
    };
    let accepted = queue.accept(new).await.map_err(Refusal::from)?;
    say_accepted(queue, &accepted, preferred, turn).await
}

/// What the request's fields say of its delivery.
struct Asked {
    due: u64,
    hops: String,
    key: Option<Vec<u8>>,
    order: Option<u64>,
}

impl Asked {
    fn of(queue: &Queue, turn: &Turn<'_, '_, '_>) -> Result<Asked, Refusal> {
        let request = &*turn.request;
        let fields = &request.head.fields;
        let bad = |detail: String| Refusal::new(400, Some(Why::Malformed), detail);
        let get = |name: &[u8]| fields.get_named(name);
        let due = when::due(get(b"nearside-delay"), get(b"nearside-at"), wall_ms());
        let due = due.map_err(|wrong| bad(wrong.to_string()))?;
        let hops = hops::check(get(b"nearside-hops"), &queue.hop())
            .map_err(|looped| Refusal::new(508, Some(Why::Loop), looped.to_string()))?;
        let key = match get(b"idempotency-key") {
            Some(key) if key.is_empty() || key.len() > KEY => {
                return Err(bad(format!("an Idempotency-Key has 1 to {KEY} bytes")));
            }
            key => key.map(<[u8]>::to_vec),
        };
        let order = queue.order_by().and_then(|by| forward::hashed(&by, request.head, request.address));
        Ok(Asked { due, hops, key, order })
    }
}

/// The field lines that receivers get, with what this node adds to all that it forwards.
fn fields(turn: &mut Turn<'_, '_, '_>) -> Vec<u8> {
    let request = &mut *turn.request;
    for name in OWN {
        request.head.fields.remove_named(name);
    }
    let mut out = Vec::with_capacity(512);
    headers::forwarded(&mut out, request.head, &request.client, &request.id, "", fastrand::u128(..));
    out
}

/// A body as it was taken from the client.
enum Taken {
    Whole(Bytes),
    Uploaded(queue::accept::Upload),
}

/// Reads the body: small ones into memory, large ones piece by piece into the log.
async fn take_body(queue: &Arc<Queue>, turn: &mut Turn<'_, '_, '_>) -> Result<Taken, Refusal> {
    let length = turn.request.length;
    let expected = match length {
        Length::Exact(n) => Some(n),
        _ => None,
    };
    queue.has_room(expected.unwrap_or(0)).map_err(Refusal::from)?;
    let Some(body) = turn.slot.as_mut() else { return Ok(Taken::Whole(Bytes::new())) };
    if body.inner.awaits_continue {
        // Whether the client gets it shows when its body comes.
        let _ = turn.outgoing.raw(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    }
    let mut whole: Vec<u8> = Vec::new();
    while let Some(piece) = next(turn.slot).await? {
        if whole.is_empty() && expected == Some(piece.len() as u64) && piece.len() <= INLINE {
            return Ok(Taken::Whole(piece));
        }
        whole.extend_from_slice(&piece);
        if whole.len() > INLINE {
            return upload(queue, expected, whole, turn.slot).await;
        }
    }
    Ok(Taken::Whole(whole.into()))
}

async fn upload(
    queue: &Arc<Queue>,
    expected: Option<u64>,
    begun: Vec<u8>,
    slot: &mut Slot<'_>,
) -> Result<Taken, Refusal> {
    let mut upload = queue.upload(expected)?;
    upload.push(&begun).await?;
    drop(begun);
    while let Some(piece) = next(slot).await? {
        upload.push(&piece).await?;
    }
    upload.finish().await?;
    Ok(Taken::Uploaded(upload))
}

async fn next(slot: &mut Slot<'_>) -> Result<Option<Bytes>, Refusal> {
    let Some(body) = slot.as_mut() else { return Ok(None) };
    // Not through the replay, which would remember what nobody sends again.
    Ok(poll_fn(|cx| body.inner.poll_piece(cx)).await?)
}

async fn say_accepted(
    queue: &Queue,
    accepted: &Accepted,
    preferred: bool,
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    let answer: &mut ResponseHead = &mut turn.buffers.answer;
    answer.start(202);
    let location = format!("{}{}", status::PREFIX, accepted.id);
    answer.fields.push(b"location", location.as_bytes());
    answer.fields.push(b"content-type", b"application/json");
    if preferred {
        answer.fields.push(b"preference-applied", b"respond-async");
    }
    let body = format!("{{\"id\":\"{}\",\"queue\":\"{}\"}}\n", accepted.id, queue.name());
    Ok(send_own(turn.request, answer, body.as_bytes(), turn.slot, turn.outgoing, turn.note).await)
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let detail = refused.to_string();
        match refused {
            Refused::Full { .. } | Refused::TooMany => {
                let refusal = Refusal::new(507, Some(Why::QueueFull), detail);
                Refusal { retry_after: Some(Duration::from_secs(10)), ..refusal }
            }
            Refused::OtherContent => Refusal::new(422, Some(Why::OtherContent), detail),
            Refused::TooLarge { .. } => Refusal::new(413, Some(Why::Body), detail),
            Refused::Stopped(_) | Refused::Busy | Refused::Left | Refused::Closed => {
                Refusal::again(503, detail)
            }
        }
    }
}
