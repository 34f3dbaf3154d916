//! The way of a request: this file owns every branch of it, and the others each do one step.
//!
//! `limits → route → [respond | redirect | queued | cached | forward: admit → pick → send → retry/hedge
//! → relay] → account`. What happens in `queued` and `cached` is told there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cache::status::CacheStatus;
use config::Plan;
use config::plan::{Action, Redirect, Respond, Route};
use upstream::clock;
use wire::{Known, Length, Method, RequestHead, ResponseHead, Version, framing};

use crate::cached::{self, pass::Pass};
use crate::forward;
use crate::headers::{self, Client};
use crate::incoming::Incoming;
use crate::live::{Live, LiveRoute, Party};
use crate::log::Record;
use crate::outgoing::Outgoing;
use crate::policy;
use crate::queued;
use crate::replay::Replay;
use crate::respond::{self, Refusal};
use crate::route::{Ask, Found};
use crate::serve::{Buffers, Peer, Scratch};
use crate::shared::{Phase, Thread};
use crate::stats::{Sample, Why};
use crate::template;
use crate::tunnel::Tunnel;

/// What becomes of the client's connection.
pub(crate) enum After {
    Keep,
    Close,
    /// The answer is not whole, and the client must see that it isn't.
    Abort,
    Tunnel(Box<Tunnel>),
}

/// The request's body, maybe of no bytes; empty while an exchange has it.
pub(crate) type Slot<'a> = Option<Upload<'a>>;

/// A request's body on its way to an endpoint.
pub(crate) type Upload<'a> = Box<Replay<Incoming<'a>>>;

/// One request under way: what every step may look at.
pub(crate) struct Request<'a> {
    pub(crate) thread: &'a Arc<Thread>,
    pub(crate) head: &'a mut RequestHead,
    pub(crate) length: Length,
    pub(crate) address: IpAddr,
    pub(crate) client: Client<'a>,
    pub(crate) id: String,
    /// Nanoseconds of [`clock`].
    pub(crate) started: u64,
}

impl<'a> Request<'a> {
    fn new(
        thread: &'a Arc<Thread>,
        peer: &'a Peer,
        head: &'a mut RequestHead,
        length: Length,
    ) -> Request<'a> {
        let trusts = |ip| peer.door.trust.iter().any(|range| range.contains(ip));
        let address =
            if peer.trusted { headers::client_address(head, peer.address, trusts) } else { peer.address };
        let client = Client { address: &peer.text, trusted: peer.trusted, scheme: "http", said: &peer.said };
        let id = headers::request_id(head, &client, fastrand::u128(..));
        Request { thread, head, length, address, client, id, started: clock::now() }
    }
}

impl Request<'_> {
    /// Shall the client connect anew for its next request? To be asked as the answer begins: the node
    /// may have been told to leave since the request came.
    pub(crate) fn is_last(&self) -> bool {
        self.thread.shared.phase() != Phase::Running
    }
}

/// What became of the tries to have a service answer.
#[derive(Clone, Default)]
pub(crate) struct Trail {
    /// Who was asked; none: nobody needed to be.
    pub(crate) party: Option<Party>,
    /// The last one tried.
    pub(crate) endpoint: Option<Arc<str>>,
    pub(crate) upstream_nanos: Option<u64>,
    pub(crate) tries: u32,
    pub(crate) hedged: bool,
    /// What the last endpoint that failed did.
    pub(crate) error: Option<String>,
}

/// A request's turn: what each step on its way works on.
pub(crate) struct Turn<'t, 'r, 'o> {
    pub(crate) request: &'t mut Request<'r>,
    pub(crate) buffers: &'t mut Buffers,
    pub(crate) slot: &'t mut Slot<'r>,
    pub(crate) outgoing: &'t mut Outgoing<'o>,
    pub(crate) note: &'t mut Note,
    /// What is to be done in the cache when the answer comes, if the route has one.
    pub(crate) pass: Option<Pass>,
}

/// What is told of a request when it has ended.
#[derive(Default)]
pub(crate) struct Note {
    pub(crate) trail: Trail,
    pub(crate) status: u16,
    pub(crate) aborted: bool,
    /// What the cache did, if the route has one.
    pub(crate) cache: Option<CacheStatus<'static>>,
    /// Nanoseconds of [`clock`], if it was looked at then.
    pub(crate) ended: u64,
}

/// Answers one request, whatever comes: nothing returns without an answer, a tunnel, or a
/// connection that visibly breaks.
pub(crate) async fn answer(
    thread: &Arc<Thread>,
    live: &Live,
    peer: &Peer,
    scratch: &mut Scratch,
    length: Length,
    incoming: Incoming<'_>,
    outgoing: &mut Outgoing<'_>,
) -> After {
    let mut request = Request::new(thread, peer, &mut scratch.head, length);
    let mut note = Note::default();
    let mut slot = Some(Box::new(Replay::new(incoming)));
    let found = find(live, &request);
    let route = match found {
        Ok(Way::Route(at)) => Some(&live.routes[at]),
        _ => None,
    };
    let done = match found {
        Ok(_) => {
            let mut turn = Turn {
                request: &mut request,
                buffers: &mut scratch.buffers,
                slot: &mut slot,
                outgoing,
                note: &mut note,
                pass: None,
            };
            match route {
                Some(route) => act(route, &live.plan, &mut turn).await,
                None => queued::message_status(&mut turn).await,
            }
        }
        Err(refusal) => Err(refusal),
    };
    let after = match done {
        Ok(after) => after,
        Err(refusal) => {
            refuse(&request, &refusal, &mut scratch.buffers.answer, &slot, outgoing, &mut note).await
        }
    };
    account(&request, route, &note, &slot, outgoing);
    match (after, &mut slot) {
        (After::Keep, _) if outgoing.close => After::Close,
        (After::Keep, Some(body)) if !body.inner.is_done() => {
            if body.inner.drain().await {
                After::Keep
            } else {
                After::Close
            }
        }
        (after, _) => after,
    }
}

/// Who answers.
enum Way {
    /// A route of the plan; its index.
    Route(usize),
    /// This node itself, of a message that it keeps.
    Message,
}

fn find(live: &Live, request: &Request<'_>) -> Result<Way, Refusal> {
    framing::expects_continue(request.head)?;
    if headers::nominates_too_many(request.head) {
        return Err(Refusal::new(400, Some(Why::Malformed), "Connection nominates too many fields"));
    }
    if let Length::Exact(n) = request.length
        && n > live.plan.limits.body
    {
        return Err(Refusal::body_too_large(live.plan.limits.body));
    }
    let head = &*request.head;
    if !live.plan.queues.is_empty() && head.path().starts_with(queued::PREFIX.as_bytes()) {
        return Ok(Way::Message);
    }
    let host = head.host();
    let lower;
    let host = if host.iter().any(u8::is_ascii_uppercase) {
        lower = host.to_ascii_lowercase();
        &lower
    } else {
        host
    };
    let header = |name: &str| head.fields.get_named(name.as_bytes());
    let decoded;
    let path = match memchr::memchr(b'%', head.path()) {
        Some(_) => {
            decoded = wire::target::decode_unreserved(head.path());
            &decoded
        }
        None => head.path(),
    };
    let ask = Ask { host, path, method: head.method_text(), header: &header };
    match live.router.find(&ask) {
        Found::Route(index) => Ok(Way::Route(index)),
        Found::OtherMethods(allowed) => Err(Refusal::other_methods(&allowed)),
        Found::None => Err(Refusal::no_route()),
    }
}

/// Does what the route says.
async fn act(route: &LiveRoute, plan: &Plan, turn: &mut Turn<'_, '_, '_>) -> Result<After, Refusal> {
    match &route.plan.action {
        Action::Forward(forward) => {
            headers::apply(&route.plan.request_headers, &mut turn.request.head.fields);
            if let Some(queue) = &forward.later
                && queued::may_wait(turn.request.head)
            {
                return queued::later(queue, turn).await;
            }
            match &route.plan.cache {
                Some(rules) => cached::answer(route, rules, &plan.cache.purge_from, turn).await,
                None => forward::forward(route, party(route)?, turn).await,
            }
        }
        Action::Enqueue(queue) => {
            headers::apply(&route.plan.request_headers, &mut turn.request.head.fields);
            queued::answer(queue, turn).await
        }
        Action::Redirect(redirect) => {
            begin_redirect(redirect, &route.plan, turn.request.head, &mut turn.buffers.answer)?;
            Ok(own_answer(&route.plan, b"", turn).await)
        }
        Action::Respond(Respond { status, body: text, content_type }) => {
            let answer = &mut turn.buffers.answer;
            answer.start(*status);
            if !text.is_empty() {
                answer.fields.push(b"content-type", content_type.as_bytes());
            }
            Ok(own_answer(&route.plan, text.as_bytes(), turn).await)
        }
    }
}

/// The one that a route's request goes to.
pub(crate) fn party(route: &LiveRoute) -> Result<&Party, Refusal> {
    policy::split(&route.to, fastrand::u64(..)).ok_or_else(Refusal::no_route)
}

fn begin_redirect(
    redirect: &Redirect,
    route: &Route,
    head: &RequestHead,
    answer: &mut ResponseHead,
) -> Result<(), Refusal> {
    let values = template::Values {
        host: head.host(),
        path: head.path(),
        query: head.query().unwrap_or_default(),
        rest: template::rest(&route.path, head.path()),
    };
    let Some(to) = template::fill(&redirect.to, &values) else {
        return Err(Refusal::new(400, None, "no safe redirect can be made of this host and path"));
    };
    answer.start(redirect.status);
    answer.fields.push(b"location", to.as_bytes());
    Ok(())
}

/// Sends an answer that the route itself holds.
async fn own_answer(route: &Route, body: &[u8], turn: &mut Turn<'_, '_, '_>) -> After {
    let answer = &mut turn.buffers.answer;
    headers::apply(&route.response_headers, &mut answer.fields);
    send_own(turn.request, answer, body, turn.slot, turn.outgoing, turn.note).await
}

/// Tells the client why it gets no other answer.
async fn refuse(
    request: &Request<'_>,
    refusal: &Refusal,
    answer: &mut ResponseHead,
    slot: &Slot<'_>,
    outgoing: &mut Outgoing<'_>,
    note: &mut Note,
) -> After {
    if let Some(why) = refusal.why {
        request.thread.shard.refused(why);
    }
    note.status = refusal.status;
    if outgoing.begun || refusal.mute {
        note.aborted = true;
        return After::Abort;
    }
    outgoing.close |= refusal.close;
    let mut text = Vec::new();
    respond::refusal(refusal, &request.id, respond::wants_page(request.head), answer, &mut text);
    if let Some(status) = &note.cache {
        cached::tell(&mut answer.fields, status);
    }
    send_own(request, answer, &text, slot, outgoing, note).await
}

pub(crate) async fn send_own(
    request: &Request<'_>,
    answer: &ResponseHead,
    body: &[u8],
    slot: &Slot<'_>,
    outgoing: &mut Outgoing<'_>,
    note: &mut Note,
) -> After {
    note.status = answer.status;
    outgoing.close |= !is_small(slot) || request.is_last();
    let mut out = Vec::with_capacity(512 + body.len());
    headers::answer(&mut out, answer, &request.id, false);
    let bodiless = matches!(answer.status, 204 | 304);
    outgoing.end_head(&mut out, (!bodiless).then_some(Length::Exact(body.len() as u64)));
    if outgoing.method != Method::Head && !bodiless {
        out.extend_from_slice(body);
        outgoing.body_bytes += body.len() as u64;
    }
    match outgoing.send(&out, b"", |_| {}).await {
        Ok(()) => After::Keep,
        Err(_) => {
            note.aborted = true;
            After::Close
        }
    }
}

/// Counts the request, and writes its line if lines are written.
fn account(
    request: &Request<'_>,
    route: Option<&LiveRoute>,
    note: &Note,
    slot: &Slot<'_>,
    outgoing: &Outgoing<'_>,
) {
    let thread = request.thread;
    if let (true, Some(party)) = (note.trail.hedged, &note.trail.party) {
        thread.shard.hedge(party.id);
    }
    let ended = if note.ended > 0 { note.ended } else { clock::now() };
    let nanos = ended.saturating_sub(request.started);
    thread.shard.request(&Sample {
        route: route.map(|r| r.id),
        service: note.trail.party.as_ref().map(|p| p.id),
        status: note.status,
        nanos,
        upstream_nanos: note.trail.upstream_nanos,
        bytes_in: slot.as_ref().map_or(0, |body| body.inner.taken),
        bytes_out: outgoing.body_bytes,
    });
    if !thread.logs() {
        return;
    }
    let duration = Duration::from_nanos(nanos);
    let head = &*request.head;
    thread.log(&Record {
        at: SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH),
        peer: request.address,
        method: head.method_text(),
        target: head.target(),
        version: if head.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" },
        host: head.authority(),
        status: note.status,
        bytes_out: outgoing.body_bytes,
        duration,
        upstream: note.trail.upstream_nanos.map(Duration::from_nanos),
        route: route.map(|r| &*r.plan.name),
        service: note.trail.party.as_ref().map(|p| &**p.service.name()),
        endpoint: note.trail.endpoint.as_deref(),
        request_id: &request.id,
        user_agent: head.fields.get(Known::UserAgent),
        referer: head.fields.get(Known::Referer),
        tries: note.trail.tries,
        cache: note.cache.as_ref().map(cached::word),
        aborted: note.aborted,
        error: note.trail.error.as_deref(),
    });
}

/// Can the connection be kept although some of the request's body is unread?
fn is_small(slot: &Slot<'_>) -> bool {
    slot.as_ref().is_some_and(|body| body.inner.is_small())
}
