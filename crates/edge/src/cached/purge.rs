//! The method PURGE, for clients that may: the URL that it asks for is gone from all tiers.

use cache::key::Key;
use cache::ledger::What;
use config::net::Cidr;

use super::Kept;
use crate::request::{After, Turn, send_own};
use crate::respond::Refusal;
use crate::stats::Why;

/// Purges what the request names.
///
/// # Errors
/// The client may not, or the purge could not be made to last.
pub(super) async fn answer(
    kept: &Kept,
    key: &Key,
    allowed: &[Cidr],
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    let address = turn.request.address;
    if !allowed.iter().any(|range| range.contains(address)) {
        let detail = "PURGE is for the clients that `purge_from` in [cache] names";
        return Err(Refusal::new(403, Some(Why::Method), detail));
    }
    let soft = turn.request.head.fields.get_named(b"soft-purge").is_some_and(|value| value == b"1");
    let what = What::Url(key.primary.as_slice().into());
    let removed = kept
        .purge(what, soft)
        .await
        .map_err(|error| Refusal::new(500, None, format!("the purge could not be made to last: {error}")))?;
    let answer = &mut turn.buffers.answer;
    answer.start(200);
    answer.fields.push(b"content-type", b"application/json");
    answer.fields.push(b"cache-control", b"no-store");
    let text = format!("{{\"removed\":{removed}}}\n");
    let answer = std::mem::take(answer);
    let after = send_own(turn.request, &answer, text.as_bytes(), turn.slot, turn.outgoing, turn.note).await;
    turn.buffers.answer = answer;
    Ok(after)
}
