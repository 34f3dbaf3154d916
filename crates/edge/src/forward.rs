//! A client's request on its way to a service: a place under its limit, an endpoint, and its answer.

use std::net::IpAddr;
use std::task::Context;

use config::plan::{HashBy, Service};
use upstream::{Lease, balance, sticky};
use wire::{Length, RequestHead, Version};

use crate::headers;
use crate::live::{LiveRoute, Party};
use crate::mirror;
use crate::outgoing::Outgoing;
use crate::policy;
use crate::relay::{self, Relay};
use crate::request::{After, Turn, Upload};
use crate::respond::Refusal;
use crate::tries::{self, Asking, Interim, Sender, Terms, while_there};

impl Sender for Upload<'_> {
    fn is_left(&self, cx: &mut Context<'_>) -> bool {
        self.inner.is_left(cx)
    }
}

impl Interim for Outgoing<'_> {
    async fn pass(&mut self, head: &[u8]) {
        // A client that is gone shows when the answer itself is sent.
        let _ = self.raw(head).await;
    }

    fn takes(&self) -> bool {
        self.version == Version::Http11
    }
}

/// Forwards the request and passes the answer on.
///
/// # Errors
/// [`Refusal`] if no endpoint gave an answer that could be begun.
pub(crate) async fn forward(
    route: &LiveRoute,
    party: &Party,
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    turn.note.trail.party = Some(party.clone());
    let service = &party.service;
    service.count_request();
    let permit = match service.try_admit() {
        Some(permit) => permit,
        None => while_there(turn.slot, service.admit()).await??,
    };
    let mut out = std::mem::take(&mut turn.buffers.sent);
    out.clear();
    let request = &*turn.request;
    let length = request.length;
    let (id, random) = (&request.id, fastrand::u128(..));
    headers::request(&mut out, request.head, &request.client, length, id, service.name(), random);
    let ask = Asking {
        hash: hash(party.hash_by.as_ref(), request.head, request.address),
        sticky: sticky_key(service.plan(), request.head),
    };
    let idempotent = request.head.method.is_idempotent();
    let terms = Terms {
        party,
        shard: &request.thread.shard,
        out: &out,
        method: request.head.method,
        started: request.started,
        has_body: length != Length::Exact(0),
        idempotent,
        upgrade: headers::upgrade(request.head, length).is_some(),
        hold: idempotent && service.plan().retry.attempts > 0,
        ask,
    };
    let Turn { buffers, slot, outgoing, note, .. } = &mut *turn;
    let answered = tries::tries(&terms, &mut buffers.answer, slot, *outgoing, &mut note.trail).await?;
    note.trail.endpoint = Some(answered.lease.endpoint().url().clone());
    note.trail.upstream_nanos = Some(answered.latency_ns);
    note.trail.error = None;
    note.status = answered.head.status;
    let set_cookie = set_cookie(party, ask.sticky, &answered.lease);
    let text = std::mem::take(&mut buffers.out);
    let relay = Relay { route, set_cookie, permit, text };
    let passed = relay::relay(relay, answered, turn).await;
    turn.buffers.answer = passed.head;
    turn.buffers.out = passed.text;
    if let Some((party, plan)) = &route.mirror
        && policy::mirrored(plan.share, fastrand::u64(..))
        && let Some(body) = turn.slot.as_ref().and_then(|body| body.whole())
    {
        mirror::send(party, &out, length, body);
    }
    turn.buffers.sent = out;
    passed.after
}

/// What balancing `by` this hashes of a request; a request without it hashes its client.
pub fn hash(by: Option<&HashBy>, head: &RequestHead, client: IpAddr) -> u64 {
    by.map_or(0, |by| hashed(by, head, client).unwrap_or_else(|| hash_of_client(client)))
}

/// The hash of what `by` names of a request, if the request has it.
pub fn hashed(by: &HashBy, head: &RequestHead, client: IpAddr) -> Option<u64> {
    let value = match by {
        HashBy::Client => return Some(hash_of_client(client)),
        HashBy::Header(name) => head.fields.get_named(name.as_bytes()),
        HashBy::Cookie(name) => headers::cookie(head, name),
        HashBy::Query(name) => headers::query(head, name),
        HashBy::Path => Some(head.path()),
    };
    value.map(balance::hash)
}

fn hash_of_client(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(ip) => balance::hash(&ip.octets()),
        IpAddr::V6(ip) => balance::hash(&ip.octets()),
    }
}

/// The key of the endpoint that the client's cookie names, if the service is sticky.
pub fn sticky_key(plan: &Service, head: &RequestHead) -> Option<u64> {
    headers::cookie(head, &plan.sticky.as_ref()?.cookie).and_then(sticky::key)
}

/// The `Set-Cookie` that brings a client back, if it isn't already told so.
fn set_cookie(party: &Party, held: Option<u64>, lease: &Lease) -> Option<String> {
    let plan = party.service.plan().sticky.as_ref()?;
    let key = lease.endpoint().key();
    let cookie = || format!("{}={}; Path=/; HttpOnly; SameSite=Lax", plan.cookie, sticky::value(key));
    (held != Some(key)).then(cookie)
}
