//! Parts of objects: from whole ones, wherever they are, and from parts that are stored and put
//! together (RFC 9110 §14, RFC 9111 §3.3, §3.4).

use std::io::Write;
use std::sync::Arc;

use super::{Scene, Setting, is_hit, pattern, reply, told};
use crate::support::{Behaviour, Gate, Message, until};

const MIB: usize = 1024 * 1024;
/// A tier on disk beside a memory that large objects don't fit into.
const DISK: &str = "memory = \"8MiB\"\ndisk = { size = \"256MiB\" }";

/// Answers with `body`, or the one range of it that is asked for.
fn ranged(body: Vec<u8>) -> Behaviour {
    const FIELDS: &str = "Cache-Control: max-age=600\r\nETag: \"a\"\r\nContent-Type: text/plain\r\n";
    Behaviour::script(move |request, stream| match range(request, body.len()) {
        Some((start, end)) => {
            let total = body.len();
            let fields = format!("{FIELDS}Content-Range: bytes {start}-{}/{total}\r\n", end - 1);
            reply(stream, request, "206 Partial Content", &fields, &body[start..end])
        }
        None => reply(stream, request, "200 OK", FIELDS, &body),
    })
}

/// Start and end of the range in a request, if it has one that can be satisfied.
fn range(request: &Message, total: usize) -> Option<(usize, usize)> {
    if request.field("if-range").is_some_and(|tag| tag != "\"a\"") {
        return None;
    }
    let (start, end) = request.field("range")?.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (start.parse::<usize>().ok(), end.parse::<usize>().ok()) {
        (None, Some(last)) => (total.saturating_sub(last), total),
        (Some(start), None) => (start, total),
        (start, end) => (start?, (end? + 1).min(total)),
    };
    (start < end).then_some((start, end))
}

/// The answer to GET of this range, which must come whole and in the right place.
#[track_caller]
fn get_range(scene: &Scene, range: &str, body: &[u8], start: usize, end: usize) -> Message {
    let answer = scene.get_with("/", &format!("Range: bytes={range}\r\n"));
    assert_eq!(answer.status(), 206, "{range}");
    let said = format!("bytes {start}-{}/{}", end - 1, body.len());
    assert_eq!(answer.field("content-range"), Some(said.as_str()), "{range}");
    assert!(answer.body == body[start..end], "{range}: other bytes");
    answer
}

/// Ranges of a body of this length, and where they begin and end.
fn some_ranges(length: usize) -> Vec<(String, usize, usize)> {
    let (half, end) = (length / 2, length);
    vec![
        ("0-0".to_owned(), 0, 1),
        (format!("0-{}", end - 1), 0, end),
        (format!("{half}-"), half, end),
        (format!("{}-{}", half - 1, half + 1), half - 1, half + 2),
        ("-1".to_owned(), end - 1, end),
        (format!("-{}", end * 2), 0, end),
        (format!("{}-{}", end - 2, end * 2), end - 2, end),
    ]
}

#[track_caller]
fn ranges_come_from_a_whole_object(tiers: &str, length: usize) {
    let body = pattern(length);
    let scene = Setting { tiers, ..Setting::default() }.before(ranged(body.clone()));
    assert!(scene.get("/").body == body);
    for (range, start, end) in some_ranges(length) {
        let answer = get_range(&scene, &range, &body, start, end);
        assert!(is_hit(&answer), "{range}");
        assert_eq!(answer.field("etag"), Some("\"a\""));
    }
    assert_eq!(scene.hits(), 1);
}

#[test]
fn ranges_come_from_memory() {
    ranges_come_from_a_whole_object("", 11);
    ranges_come_from_a_whole_object("", 3 * MIB);
}

#[test]
fn ranges_come_from_disk() {
    ranges_come_from_a_whole_object(DISK, 24 * MIB);
}

#[test]
fn several_ranges_come_in_one_answer() {
    for (tiers, length) in [("", 1000), (DISK, 24 * MIB)] {
        let body = pattern(length);
        let scene = Setting { tiers, ..Setting::default() }.before(ranged(body.clone()));
        assert_eq!(scene.get("/").status(), 200);
        let answer = scene.get_with("/", "Range: bytes=0-1, 500-599, -1\r\n");
        assert_eq!((answer.status(), answer.field("content-range")), (206, None));
        assert!(is_hit(&answer));
        let kind = answer.field("content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap().trim_matches('"');
        let mut expected = Vec::new();
        for (start, end) in [(0, 2), (500, 600), (length - 1, length)] {
            let head = format!("bytes {start}-{}/{length}", end - 1);
            expected.push((head, body[start..end].to_vec()));
        }
        assert_eq!(parts(&answer.body, boundary), expected);
    }
}

/// The parts of a multipart body: `Content-Range` and bytes.
#[track_caller]
fn parts(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let delimiter = format!("--{boundary}").into_bytes();
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let mut parts = Vec::new();
    let mut rest = &body[find(body, &delimiter).unwrap() + delimiter.len()..];
    while !rest.starts_with(b"--") {
        let next = find(rest, &delimiter).unwrap();
        let part = rest[..next].strip_prefix(b"\r\n").unwrap().strip_suffix(b"\r\n").unwrap();
        let end = find(part, b"\r\n\r\n").unwrap();
        let head = String::from_utf8(part[..end].to_vec()).unwrap().to_lowercase();
        assert!(head.contains("content-type: text/plain"), "{head}");
        let range = head.lines().find_map(|line| line.strip_prefix("content-range: ")).unwrap();
        parts.push((range.to_owned(), part[end + 4..].to_vec()));
        rest = &rest[next + delimiter.len()..];
    }
    parts
}

#[test]
fn a_range_beyond_the_end_is_refused_with_the_length() {
    let scene = Scene::before(ranged(pattern(11)));
    assert_eq!(scene.get("/").status(), 200);
    for range in ["bytes=11-", "bytes=20-30", "bytes=-0"] {
        let answer = scene.get_with("/", &format!("Range: {range}\r\n"));
        assert_eq!((answer.status(), answer.field("content-range")), (416, Some("bytes */11")), "{range}");
    }
    for range in ["bytes=5-1", "bytes=a-b", "lines=0-1", "bytes"] {
        let answer = scene.get_with("/", &format!("Range: {range}\r\n"));
        assert_eq!((answer.status(), answer.body.len()), (200, 11), "{range} means nothing");
    }
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_range_of_another_version_is_the_whole() {
    let body = pattern(11);
    let scene = Scene::before(ranged(body.clone()));
    assert_eq!(scene.get("/").status(), 200);
    let ask =
        |condition: &str| scene.get_with("/", &format!("Range: bytes=0-1\r\nIf-Range: {condition}\r\n"));
    assert_eq!(ask("\"a\"").body, body[..2]);
    for other in ["\"b\"", "W/\"a\"", "Tue, 01 Sep 2026 10:00:00 GMT", "rubbish"] {
        let answer = ask(other);
        assert_eq!((answer.status(), answer.body == body), (200, true), "{other}");
    }
    assert_eq!(scene.hits(), 1);
}

#[test]
fn a_part_is_stored_and_answers_for_what_lies_in_it() {
    let body = pattern(1000);
    let scene = Scene::before(ranged(body.clone()));
    let first = get_range(&scene, "100-199", &body, 100, 200);
    assert!(told(&first).contains("; stored"), "{}", told(&first));
    assert_eq!(scene.seen().field("range"), Some("bytes=100-199"));
    for (range, start, end) in [("100-199", 100, 200), ("150-160", 150, 161), ("199-199", 199, 200)] {
        assert!(is_hit(&get_range(&scene, range, &body, start, end)), "{range}");
    }
    assert_eq!(scene.hits(), 1);
    let beyond = get_range(&scene, "150-250", &body, 150, 251);
    assert!(told(&beyond).starts_with("fwd=partial"), "{}", told(&beyond));
    assert_eq!(scene.hits(), 2);
    assert!(is_hit(&get_range(&scene, "100-250", &body, 100, 251)), "both parts together");
}

#[test]
fn parts_make_a_whole() {
    let body = pattern(1000);
    let scene = Scene::before(ranged(body.clone()));
    for (range, start, end) in [("600-999", 600, 1000), ("0-300", 0, 301), ("250-650", 250, 651)] {
        get_range(&scene, range, &body, start, end);
    }
    let whole = scene.get("/");
    assert_eq!((whole.status(), is_hit(&whole)), (200, true), "{}", told(&whole));
    assert!(whole.body == body);
    assert_eq!((whole.field("content-length"), whole.field("content-range")), (Some("1000"), None));
    assert_eq!(scene.hits(), 3);
}

#[test]
fn of_an_object_that_begins_here_only_the_rest_is_fetched() {
    let body = pattern(100_000);
    let scene = Scene::before(ranged(body.clone()));
    get_range(&scene, "0-49999", &body, 0, 50_000);
    let whole = scene.get("/");
    assert_eq!((whole.status(), whole.body == body), (200, true));
    assert_eq!((whole.field("content-length"), whole.field("content-range")), (Some("100000"), None));
    let seen = scene.seen();
    assert_eq!((seen.field("range"), seen.field("if-range")), (Some("bytes=50000-"), Some("\"a\"")));
    let again = scene.get("/");
    assert_eq!((again.body == body, is_hit(&again)), (true, true));
    assert_eq!(scene.hits(), 2);
}

#[test]
fn when_the_rest_is_of_another_version_the_new_one_is_the_answer() {
    let body = pattern(1000);
    let scene = Scene::before(ranged(body.clone()));
    get_range(&scene, "0-499", &body, 0, 500);
    let new: Arc<[u8]> = vec![b'n'; 800].into();
    let whole = new.clone();
    scene.endpoint.behave(Behaviour::script(move |request, stream| {
        reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\nETag: \"b\"\r\n", &whole)
    }));
    for hit in [false, true] {
        let answer = scene.get("/");
        assert_eq!((answer.status(), answer.body == *new, is_hit(&answer)), (200, true, hit));
        assert_eq!(answer.field("etag"), Some("\"b\""));
    }
    assert_eq!(scene.get_with("/", "Range: bytes=0-1\r\n").text(), "nn");
}

#[test]
fn parts_of_different_versions_are_never_mixed() {
    let scene = Scene::before(Behaviour::script(|request, stream| {
        let (start, end) = range(request, 100).unwrap_or((0, 100));
        let tag = if start < 50 { "old" } else { "new" };
        let fields = format!(
            "Cache-Control: max-age=600\r\nETag: \"{tag}\"\r\nContent-Range: bytes {start}-{}/100\r\n",
            end - 1
        );
        let body = tag.as_bytes()[..1].repeat(end - start);
        reply(stream, request, "206 Partial Content", &fields, &body)
    }));
    assert_eq!(scene.get_with("/", "Range: bytes=0-49\r\n").text(), "o".repeat(50));
    assert_eq!(scene.get_with("/", "Range: bytes=50-99\r\n").text(), "n".repeat(50));
    let both = scene.get_with("/", "Range: bytes=40-59\r\n");
    assert_eq!(scene.hits(), 3, "{}", both.text());
}

#[test]
fn a_range_of_a_large_object_neither_fetches_nor_keeps_all_of_it() {
    let body = pattern(64 * MIB);
    let scene = Setting { tiers: DISK, ..Setting::default() }.before(ranged(body.clone()));
    let (start, end) = (30 * MIB, 32 * MIB);
    let range = format!("{start}-{}", end - 1);
    get_range(&scene, &range, &body, start, end);
    assert_eq!(scene.seen().field("range"), Some(format!("bytes={range}").as_str()));
    let again = get_range(&scene, &range, &body, start, end);
    assert!(is_hit(&again), "{}", told(&again));
    let (start, end) = (31 * MIB, 31 * MIB + 5);
    assert!(is_hit(&get_range(&scene, &format!("{start}-{}", end - 1), &body, start, end)));
    assert_eq!(scene.hits(), 1);
}

/// A node that has stored the first half of this body, and whose endpoint from then on answers so who
/// asks for the rest, and others with the whole of version `b`.
#[track_caller]
fn half_stored(body: &[u8], start: &'static str, fields: &'static str) -> Scene {
    let (half, scene) = (body.len() / 2, Scene::before(ranged(body.to_vec())));
    get_range(&scene, &format!("0-{}", half - 1), body, 0, half);
    let body = body.to_vec();
    scene.endpoint.behave(Behaviour::script(move |request, stream| match range(request, body.len()) {
        Some((from, _)) => reply(stream, request, start, fields, &body[from..]),
        None => reply(stream, request, "200 OK", "Cache-Control: max-age=600\r\nETag: \"b\"\r\n", &body),
    }));
    scene
}

#[test]
fn when_the_rest_does_not_belong_to_what_is_stored_all_is_fetched() {
    let table = [
        ("206 -", "Cache-Control: no-store\r\nETag: \"a\"\r\nContent-Range: bytes 500-999/1000\r\n"),
        ("206 -", "Cache-Control: max-age=600\r\nETag: \"c\"\r\nContent-Range: bytes 500-999/1000\r\n"),
        ("206 -", "Cache-Control: max-age=600\r\nETag: \"a\"\r\n"),
        ("416 -", "Content-Range: bytes */400\r\n"),
    ];
    let body = pattern(1000);
    for (start, fields) in table {
        let scene = half_stored(&body, start, fields);
        for hit in [false, true] {
            let answer = scene.get("/");
            assert_eq!((answer.status(), answer.body == body, is_hit(&answer)), (200, true, hit), "{fields}");
        }
        assert_eq!(scene.hits(), 3, "{fields}");
    }
}

#[test]
fn who_wants_nothing_stored_gets_the_whole_and_leaves_the_part() {
    let body = pattern(1000);
    for private in ["Cache-Control: no-store\r\n", "Authorization: x\r\n"] {
        let scene = half_stored(&body, "206 -", "");
        let answer = scene.get_with("/", private);
        assert_eq!((answer.status(), answer.body == body), (200, true), "{private}");
        assert_eq!(scene.seen().field("range"), None);
        assert!(is_hit(&get_range(&scene, "100-199", &body, 100, 200)), "{private}");
    }
}

#[test]
fn who_waits_while_a_part_is_confirmed_and_wants_more_gets_more() {
    let (body, gate) = (pattern(1000), Gate::default());
    let (whole, passing) = (body.clone(), gate.clone());
    let scene = Scene::before(Behaviour::script(move |request, stream| {
        const TAG: &str = "ETag: \"a\"\r\n";
        if request.field("if-none-match").is_some() {
            passing.pass()?;
            let fields = format!("Cache-Control: max-age=60\r\n{TAG}");
            return reply(stream, request, "304 Not Modified", &fields, b"");
        }
        let stale = format!("Cache-Control: max-age=10\r\nAge: 10\r\n{TAG}");
        let Some((start, end)) = range(request, whole.len()) else {
            return reply(stream, request, "200 OK", &stale, &whole);
        };
        let fields = format!("{stale}Content-Range: bytes {start}-{}/{}\r\n", end - 1, whole.len());
        reply(stream, request, "206 Partial Content", &fields, &whole[start..end])
    }));
    get_range(&scene, "0-99", &body, 0, 100);
    let mut part = scene.asking("/", "Range: bytes=0-49\r\n");
    until("it is being confirmed", || scene.hits() == 2);
    let mut all = scene.asking("/", "");
    until("both are there", || scene.node.counted("nearside_connections") == 2);
    gate.open();
    assert!(part.answer().unwrap().body == body[..50]);
    let answer = all.answer().unwrap();
    assert_eq!((answer.status(), answer.body == body), (200, true), "{}", told(&answer));
}

#[test]
fn what_a_part_has_beyond_what_it_says_is_not_stored() {
    let body = pattern(4 * MIB);
    let scene = Setting { tiers: DISK, ..Setting::default() }.before(Behaviour::script(|_, mut stream| {
        let head = "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=600\r\nETag: \"a\"\r\n\
                    Content-Range: bytes 0-99999/4194304\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        for _ in 0..12 {
            stream.write_all(b"10000\r\n")?;
            stream.write_all(&[b'?'; 0x10000])?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")
    }));
    let lie = scene.get_with("/", "Range: bytes=0-99999\r\n");
    assert_eq!((lie.status(), lie.body.len()), (206, 12 * 0x10000));
    scene.endpoint.behave(ranged(body.clone()));
    get_range(&scene, "300000-300099", &body, 300_000, 300_100);
    assert_eq!(scene.hits(), 2);
}
