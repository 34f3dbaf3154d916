//! What became of a message, for whoever has its id: the `Location` of each 202.

use wire::Method;

use crate::request::{After, Turn, send_own};
use crate::respond::Refusal;

/// Where messages are told of. An id can't be guessed, so who has one may know.
pub(crate) const PREFIX: &str = "/.well-known/nearside/messages/";

/// Tells of the message that the path names.
///
/// # Errors
/// It is not known here, or not any more.
pub(crate) async fn answer(turn: &mut Turn<'_, '_, '_>) -> Result<After, Refusal> {
    let head = &*turn.request.head;
    if !matches!(head.method, Method::Get | Method::Head) {
        return Err(Refusal::other_methods(&["GET".into(), "HEAD".into()]));
    }
    let id = head.path().strip_prefix(PREFIX.as_bytes()).unwrap_or_default();
    let id = std::str::from_utf8(id).unwrap_or_default();
    let queues = &turn.request.thread.shared.queues;
    let status = queues.status(id).await;
    let status =
        status.ok_or_else(|| Refusal::new(404, None, "there is no such message here, or not any more"))?;
    let answer = &mut turn.buffers.answer;
    answer.start(200);
    answer.fields.push(b"content-type", b"application/json");
    answer.fields.push(b"cache-control", b"no-store");
    let mut body = serde_json::to_vec(&status).unwrap_or_default();
    body.push(b'\n');
    Ok(send_own(turn.request, answer, &body, turn.slot, turn.outgoing, turn.note).await)
}
