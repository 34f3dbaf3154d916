//! Requests that the cache does not answer: they go to the service, and what their answers say of stored
//! objects is done (RFC 9111 §4.3.5, §4.4).

use cache::control;
use cache::freshness::Times;
use cache::key::Key;
use cache::object::New;
use cache::status::{CacheStatus, Fwd};
use cache::update::{self, HeadSays};
use cache::{Body, Object, storing, tags, vary};
use config::plan::CacheRules;
use upstream::clock::wall_ms;
use wire::{Known, Method, RequestHead, ResponseHead};

use super::Kept;
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
    facts: cache::Facts,
    lines: Vec<u8>,
    variant: Vec<u8>,
    tags: Vec<u8>,
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
    turn.pass = Some(Pass { key, status, sent_ms: wall_ms(), pending: None });
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
        let tags = tags::of(&head.fields).ok();
        head.fields.remove(Known::CacheTag);
        head.fields.remove(Known::SurrogateKey);
        if !request.method.is_safe() {
            for primary in update::invalidated(request, head, scheme, &rules.key) {
                kept.flights.doom(&primary);
                kept.cache.forget(&primary).await;
            }
        }
        match request.method {
            Method::Head => self.learn(kept, request, head),
            Method::Post => self.pending = self.post(rules, request, head, tags),
            _ => {}
        }
        self.status.stored = self.pending.is_some();
        super::tell(&mut head.fields, &self.status);
    }

    /// An answer to HEAD freshens a stored object, or shows that it is another one by now.
    fn learn(&self, kept: &Kept, request: &RequestHead, head: &ResponseHead) {
        let fits = |object: &Object| vary::fits(object.variant(), &self.key.rule, &request.fields);
        let Some(object) = kept.cache.memory.peek(&self.key.primary, fits) else { return };
        match update::head_agrees(&object, head, object.body().total(), wall_ms() / 1000) {
            HeadSays::Nothing => {}
            HeadSays::Invalidate => object.soften(),
            HeadSays::Update => {
                let times = Times { requested_ms: self.sent_ms, received_ms: wall_ms() };
                // What it says of freshness is what GET's answer would say.
                let mut request = request.clone();
                request.method = Method::Get;
                if let Some(object) =
                    super::fetch::freshened(&object, &request, head, &Default::default(), times)
                {
                    kept.cache.memory.insert(object);
                }
            }
        }
    }

    /// An answer to POST that says how long it is fresh and that it is what GET would give.
    fn post(
        &self,
        rules: &CacheRules,
        request: &RequestHead,
        head: &ResponseHead,
        tags: Option<Vec<u8>>,
    ) -> Option<Pending> {
        let times = Times { requested_ms: self.sent_ms, received_ms: wall_ms() };
        let facts = storing::judge(request, head, rules, times).ok()?;
        let control = control::of_answer(&head.fields);
        let mut lines = Vec::new();
        update::stored_lines(&mut lines, head, times.received(), storing::unstored_fields(&control));
        let mut variant = Vec::new();
        vary::variant(&mut variant, &self.key.rule, &head.fields, &request.fields).ok()?;
        Some(Pending { facts, lines, variant, tags: tags?, body: Vec::new() })
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
        if let Some(Pending { facts, lines, variant, tags, body }) = self.pending.take() {
            let object = Object::new(New {
                facts,
                primary: &self.key.primary,
                variant: &variant,
                lines: &lines,
                tags: &tags,
                body: Body::Whole(body.into_boxed_slice().into()),
            });
            kept.cache.keep(&object);
        }
    }
}
