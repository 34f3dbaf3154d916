//! A stored object on its way to a client: conditions and ranges are answered here (RFC 9110 §13, §14),
//! and the body goes out from the memory that the tier holds.

use std::ops::Range;

use bytes::Bytes;
use cache::conditional::{self, Held, Outcome};
use cache::range::{self, ContentRange, Multipart, Wanted};
use cache::status::CacheStatus;
use cache::{Body, Object, freshness};
use wire::{Known, Length, Method, write};

use super::{How, Visit};
use crate::headers;
use crate::outgoing::Outgoing;
use crate::relay::COPIED;
use crate::request::{After, Request, Turn};
use crate::respond::Refusal;
use crate::stats::CacheResult;

/// Bytes that are read from disk at once.
pub(super) const READ: usize = 256 * 1024;

/// Is all of it stored that this request asks for?
pub(super) fn covers(object: &Object, request: &Request<'_>, now: u64) -> bool {
    let body = object.body();
    let Some(total) = body.total() else { return false };
    body.is_whole()
        || match wanted(object, total, request, now) {
            Wanted::All => false,
            Wanted::One(one) => body.has(&one),
            Wanted::Several(several) => several.iter().all(|one| body.has(one)),
            Wanted::Unsatisfiable => true,
        }
}

/// Which part of it the request asks for.
fn wanted(object: &Object, total: u64, request: &Request<'_>, now: u64) -> Wanted {
    let fields = &request.head.fields;
    if fields.get(Known::Range).is_none()
        || object.facts().status != 200
        || request.head.method != Method::Get
        || !conditional::if_range_holds(fields, &Held::of(object), now)
    {
        return Wanted::All;
    }
    range::asked(fields).map_or(Wanted::All, |ranges| range::resolve(&ranges, total))
}

/// Answers with a stored object.
pub(super) async fn object(
    object: &Object,
    how: How,
    status: Option<CacheStatus<'static>>,
    visit: &Visit<'_>,
    turn: &mut Turn<'_, '_, '_>,
) -> Result<After, Refusal> {
    let facts = object.facts();
    let result = match how {
        How::Fresh => CacheResult::Hit,
        How::Refreshing | How::Stale | How::OnError => CacheResult::Stale,
        How::Revalidated => CacheResult::Revalidated,
    };
    turn.request.thread.shard.cache(result);
    let mut told = status.unwrap_or_default();
    told.ttl = Some(freshness::ttl(&facts, visit.now()));
    turn.note.cache = Some(told);
    turn.outgoing.close |= turn.request.is_last();
    let Some(total) = object.body().total() else {
        return Err(Refusal::new(500, None, "a part was stored without its place"));
    };
    let fields = &turn.request.head.fields;
    let holds_already = conditional::is_conditional(fields)
        && conditional::evaluate(fields, &Held::of(object), visit.now()) == Outcome::NotModified;
    let wanted = wanted(object, total, turn.request, visit.now());
    let mut out = std::mem::take(&mut turn.buffers.out);
    out.clear();
    let sent = match wanted {
        _ if holds_already => not_modified(&mut out, object, visit, turn).await,
        Wanted::All => whole(&mut out, object, total, visit, turn).await,
        Wanted::One(one) => part(&mut out, object, one, total, visit, turn).await,
        Wanted::Several(several) => parts(&mut out, object, &several, total, visit, turn).await,
        Wanted::Unsatisfiable => unsatisfiable(&mut out, total, turn).await,
    };
    Ok(finish(out, sent, turn))
}

fn begin(out: &mut Vec<u8>, status: u16, turn: &mut Turn<'_, '_, '_>) {
    turn.note.status = status;
    write::status_line(out, status, write::reason(status).as_bytes());
}

/// The lines that this node adds to an object's own.
fn own_lines(out: &mut Vec<u8>, object: &Object, visit: &Visit<'_>, turn: &Turn<'_, '_, '_>) {
    out.extend_from_slice(b"age: ");
    write::decimal(out, freshness::age(&object.facts(), visit.now()));
    out.extend_from_slice(b"\r\n");
    if let Some(status) = &turn.note.cache {
        status.line(out);
    }
    headers::own(out, &turn.request.id);
}

async fn whole(
    out: &mut Vec<u8>,
    object: &Object,
    total: u64,
    visit: &Visit<'_>,
    turn: &mut Turn<'_, '_, '_>,
) -> bool {
    let status = object.facts().status;
    begin(out, status, turn);
    object.lines().iter().for_each(|lines| out.extend_from_slice(lines));
    own_lines(out, object, visit, turn);
    let bodiless = status == 204;
    turn.outgoing.end_head(out, (!bodiless).then_some(Length::Exact(total)));
    let end = if turn.outgoing.method == Method::Head || bodiless { 0 } else { total };
    send(out, object, 0, end, turn.outgoing).await
}

async fn part(
    out: &mut Vec<u8>,
    object: &Object,
    one: Range<u64>,
    total: u64,
    visit: &Visit<'_>,
    turn: &mut Turn<'_, '_, '_>,
) -> bool {
    begin(out, 206, turn);
    object.lines().iter().for_each(|lines| out.extend_from_slice(lines));
    own_lines(out, object, visit, turn);
    ContentRange { range: one.clone(), total: Some(total) }.line(out);
    turn.outgoing.end_head(out, Some(Length::Exact(one.end - one.start)));
    send(out, object, one.start, one.end, turn.outgoing).await
}

/// Several ranges as multipart/byteranges (RFC 9110 §14.6).
async fn parts(
    out: &mut Vec<u8>,
    object: &Object,
    several: &[Range<u64>],
    total: u64,
    visit: &Visit<'_>,
    turn: &mut Turn<'_, '_, '_>,
) -> bool {
    let boundary = headers::new_id(fastrand::u128(..));
    let content_type = object.field("content-type");
    let multipart = Multipart { boundary: &boundary, content_type, ranges: several, total };
    begin(out, 206, turn);
    copy_lines(out, object, |name| !name.eq_ignore_ascii_case(b"content-type"));
    multipart.line(out);
    own_lines(out, object, visit, turn);
    turn.outgoing.end_head(out, Some(Length::Exact(multipart.length())));
    for one in several {
        let before = out.len();
        multipart.head(out, one);
        turn.outgoing.body_bytes += (out.len() - before) as u64;
        if !send(out, object, one.start, one.end, turn.outgoing).await {
            return false;
        }
        out.clear();
    }
    multipart.tail(out);
    turn.outgoing.body_bytes += out.len() as u64;
    turn.outgoing.send(out, b"", |_| {}).await.is_ok()
}

async fn unsatisfiable(out: &mut Vec<u8>, total: u64, turn: &mut Turn<'_, '_, '_>) -> bool {
    begin(out, 416, turn);
    range::unsatisfied_line(out, total);
    if let Some(status) = &turn.note.cache {
        status.line(out);
    }
    headers::own(out, &turn.request.id);
    turn.outgoing.end_head(out, Some(Length::Exact(0)));
    turn.outgoing.send(out, b"", |_| {}).await.is_ok()
}

/// 304 with the fields that it should have (RFC 9110 §15.4.5).
async fn not_modified(
    out: &mut Vec<u8>,
    object: &Object,
    visit: &Visit<'_>,
    turn: &mut Turn<'_, '_, '_>,
) -> bool {
    begin(out, 304, turn);
    copy_lines(out, object, goes_with_304);
    own_lines(out, object, visit, turn);
    turn.outgoing.end_head(out, None);
    turn.outgoing.send(out, b"", |_| {}).await.is_ok()
}

/// Copies those lines of an object whose names are `wanted`.
fn copy_lines(out: &mut Vec<u8>, object: &Object, wanted: impl Fn(&[u8]) -> bool) {
    for line in object.lines().into_iter().flat_map(|lines| lines.split_inclusive(|&b| b == b'\n')) {
        let name = memchr::memchr(b':', line).map_or(line, |at| &line[..at]);
        if wanted(name) {
            out.extend_from_slice(line);
        }
    }
}

/// Does a field go with a 304? What only describes the body that isn't sent does not.
pub(super) fn goes_with_304(name: &[u8]) -> bool {
    const OF_BODY: [&[u8]; 6] = [
        b"content-type",
        b"content-encoding",
        b"content-language",
        b"content-range",
        b"content-length",
        b"content-md5",
    ];
    !OF_BODY.iter().any(|of_body| name.eq_ignore_ascii_case(of_body))
}

pub(super) fn finish(out: Vec<u8>, sent: bool, turn: &mut Turn<'_, '_, '_>) -> After {
    turn.buffers.out = out;
    turn.note.aborted = !sent;
    if sent { After::Keep } else { After::Abort }
}

/// Sends `out` and the bytes `start..end` of a stored body; false: the client is gone, or the disk failed.
pub(super) async fn send(
    out: &mut Vec<u8>,
    object: &Object,
    start: u64,
    end: u64,
    outgoing: &mut Outgoing<'_>,
) -> bool {
    let mut at = start;
    match object.body() {
        Body::Whole(bytes) => {
            let bytes = cut(bytes, 0, start, end);
            return send_piece(out, bytes, outgoing).await;
        }
        Body::Pieces(pieces) => {
            let mut begin = 0;
            let mut cuts = pieces.iter().map(|piece| {
                let bytes = cut(piece, begin, start, end);
                begin += piece.len() as u64;
                bytes
            });
            while at < end {
                match outgoing.send_many(out, &mut cuts).await {
                    Ok(sent @ 1..) => at += sent,
                    _ => return false,
                }
                out.clear();
            }
        }
        Body::Parts { parts, .. } => {
            for (begin, piece) in parts.iter() {
                let bytes = cut(piece, *begin, start, end);
                if !bytes.is_empty() {
                    if !send_piece(out, bytes, outgoing).await {
                        return false;
                    }
                    at += bytes.len() as u64;
                    out.clear();
                }
            }
        }
        Body::Disk(stored) => {
            while at < end {
                let most = usize::try_from(end - at).unwrap_or(READ).min(READ);
                let Ok(bytes) = stored.read(at, most).await else { return false };
                let bytes: Bytes = bytes;
                if bytes.is_empty() || !send_piece(out, &bytes, outgoing).await {
                    return false;
                }
                at += bytes.len() as u64;
                out.clear();
            }
        }
    }
    at == end && (out.is_empty() || outgoing.send(out, b"", |_| {}).await.is_ok())
}

async fn send_piece(out: &mut Vec<u8>, bytes: &[u8], outgoing: &mut Outgoing<'_>) -> bool {
    if bytes.len() <= COPIED && !out.is_empty() {
        out.extend_from_slice(bytes);
        outgoing.body_bytes += bytes.len() as u64;
        return outgoing.send(out, b"", |_| {}).await.is_ok();
    }
    outgoing.send(out, bytes, |_| {}).await.is_ok()
}

/// What a piece that begins at `begin` has of `start..end`.
fn cut(piece: &[u8], begin: u64, start: u64, end: u64) -> &[u8] {
    let from = start.saturating_sub(begin).min(piece.len() as u64) as usize;
    let to = end.saturating_sub(begin).min(piece.len() as u64) as usize;
    piece.get(from..to).unwrap_or_default()
}
