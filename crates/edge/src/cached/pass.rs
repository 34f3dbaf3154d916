//! Requests that the cache does not answer: they go to the service, and what their answers say of stored
//! objects is done (RFC 9111 §4.3.5, §4.4).

use bytes::Bytes;
use cache::freshness::Times;
use cache::key::{self, Key};
use cache::status::{CacheStatus, Fwd};
use cache::update::{self, HeadSays};
use cache::{Body, Object, vary};
use config::plan::CacheRules;
use upstream::clock::wall_ms;
use wire::{Known, Method, RequestHead, ResponseHead};

use super::Kept;
use super::entry::{self, Entry};
use crate::forward;
use crate::live::LiveRoute;
use crate::request::{After, Request, Turn};
use crate::respond::Refusal;

/// Bytes of a POST's answer that are stored at most.
const CAPTURED: usize = 1024 * 1024;

/// What a request that passes the cache leaves behind in it.
pub(crate) struct Pass {
    key: Key,
    status: CacheStatus<'static>,
    sent_ms: u64,
    /// What is stored once the body is whole.
    pending: Option<Pending>,
}

struct Pending {
    entry: Entry,
    body: Vec<u8>,
}

/// Forwards a request.
///
/// # Errors
/// As [`forward::forward`].
pub(super) async fn forward(
    route: &LiveRoute,
    key: Key,
    fwd: Fwd,
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    let status = CacheStatus { fwd: Some(fwd), ..CacheStatus::default() };
    turn.note.cache = Some(status);
    let sent_ms = turn.request.thread.shared.kept.asked_ms();
    turn.pass = Some(Pass { key, status, sent_ms, pending: None });
    let done = forward::forward(route, crate::request::party(route)?, turn).await;
    if let Some(pass) = turn.pass.take() {
        turn.buffers.key = pass.key;
    }
    done
}

impl Pass {
    /// Sees the head of the answer before the client does.
    pub(crate) async fn answered(
        &mut self,
        kept: &Kept,
        rules: &CacheRules,
        request: &Request<'_>,
        head: &mut ResponseHead,
    ) {
        let (scheme, request) = (request.client.scheme, &*request.head);
        match request.method {
            _ if key::bypasses(request, &rules.bypass) => {} // what it brings is not for others
            Method::Head => self.learn(kept, rules, request, head),
            Method::Post => self.pending = self.post(kept, rules, request, head),
            _ => {}
        }
        head.fields.remove(Known::CacheTag);
        head.fields.remove(Known::SurrogateKey);
        for primary in update::invalidated(request, head, scheme, &rules.key) {
            kept.forget(&primary).await;
        }
        if let Some(pending) = &mut self.pending {
            pending.entry.facts.requested_ms = kept.asked_ms(); // it tells of its own change already
        }
        self.status.stored = self.pending.is_some();
        super::tell(&mut head.fields, &self.status);
    }

    fn times(&self) -> Times {
        Times { requested_ms: self.sent_ms, received_ms: wall_ms() }
    }

    /// An answer to HEAD freshens a stored object, or shows that it is another one by now.
    fn learn(&self, kept: &Kept, rules: &CacheRules, request: &RequestHead, head: &ResponseHead) {
        let fits = |object: &Object| vary::fits(object.variant(), &self.key.rule, &request.fields);
        let found = kept.cache.memory.peek(&self.key.primary, fits);
        let Some(object) = found.filter(|object| kept.cache.stands(object)) else { return };
        let times = self.times();
        match update::head_agrees(&object, head, object.body().total(), times.received()) {
            HeadSays::Nothing => {}
            HeadSays::Invalidate => object.soften(),
            HeadSays::Update => {
                // What it says of freshness is what GET's answer would say.
                let mut request = request.clone();
                request.method = Method::Get;
                if let Some(object) = entry::freshened(&object, &request, head, rules, times) {
                    kept.cache.keep(&object);
                }
            }
        }
    }

    /// An answer to POST that says how long it is fresh and that it is what GET would give.
    fn post(
        &self,
        kept: &Kept,
        rules: &CacheRules,
        request: &RequestHead,
        head: &ResponseHead,
    ) -> Option<Pending> {
        let entry = Entry::of(&self.key, request, head, rules, self.times()).ok()?;
        let stands = kept.cache.stands(&entry.object(&self.key.primary, Body::Whole(Bytes::new())));
        stands.then(|| Pending { entry, body: Vec::new() })
    }

    /// Sees each piece of the body; `last`: none follows.
    pub(crate) fn piece(&mut self, piece: &[u8], last: bool, kept: &Kept) {
        if let Some(pending) = &mut self.pending {
            if pending.body.len() + piece.len() > CAPTURED {
                self.pending = None;
            } else {
                pending.body.extend_from_slice(piece);
            }
        }
        if last {
            self.whole(kept);
        }
    }

    /// The body was whole.
    fn whole(&mut self, kept: &Kept) {
        if let Some(Pending { entry, body }) = self.pending.take() {
            let body = Body::Whole(body.into_boxed_slice().into());
            kept.cache.keep(&entry.object(&self.key.primary, body));
        }
    }
}
