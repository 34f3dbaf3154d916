//! What tells answers apart: the URL, what a route's `key` names, and `Vary`; what passes the cache by;
//! and how large an object may be.

use super::{Scene, Setting, is_hit, numbered, reply, told};
use crate::support::Behaviour;

const FRESH: &str = "Cache-Control: max-age=600\r\n";

/// Which of these requests, given as target and fields, get the first one's answer.
#[track_caller]
fn shared_with_first(rules: &str, asks: &[(&str, &str)]) -> Vec<bool> {
    let scene = Setting { rules, ..Setting::default() }.before(numbered(FRESH));
    let bodies: Vec<String> =
        asks.iter().map(|(target, fields)| scene.get_with(target, fields).text()).collect();
    bodies.iter().map(|body| *body == bodies[0]).collect()
}

#[track_caller]
fn assert_same(rules: &str, asks: &[(&str, &str)]) {
    assert!(shared_with_first(rules, asks).iter().all(|same| *same), "{asks:?}");
}

#[track_caller]
fn assert_all_differ_from_first(rules: &str, asks: &[(&str, &str)]) {
    assert!(shared_with_first(rules, asks)[1..].iter().all(|same| !*same), "{asks:?}");
}

#[test]
fn the_whole_query_tells_answers_apart() {
    assert_all_differ_from_first("", &[("/?a=1&b=2", ""), ("/?b=2&a=1", ""), ("/?a=1", ""), ("/", "")]);
    assert_all_differ_from_first("", &[("/a", ""), ("/A", ""), ("/a/", ""), ("/a%2Fb", "")]);
}

#[test]
fn urls_that_mean_the_same_are_the_same() {
    assert_same("", &[("/a~b", ""), ("/a%7Eb", ""), ("/%61%7eb", ""), ("http://SHOP.test:80/a~b", "")]);
}

#[test]
fn hosts_are_told_apart_and_their_case_is_not() {
    let scene = Scene::before(numbered(FRESH));
    let mut client = scene.node.client();
    let mut ask = |host: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap();
        client.answer().unwrap().text()
    };
    let bodies = ["shop.test", "SHOP.TEST", "shop.test:80", "other.test", "shop.test:8080"].map(&mut ask);
    assert_eq!(bodies, ["1", "1", "1", "2", "3"]);
}

#[test]
fn a_query_may_count_in_any_order() {
    let rules = "key = { query = \"sorted\" }";
    assert_same(rules, &[("/?a=1&b=2", ""), ("/?b=2&a=1", ""), ("/?b=2&&a=1", "")]);
    assert_all_differ_from_first(rules, &[("/?a=1&a=2", ""), ("/?a=2&a=1", ""), ("/?a=1", ""), ("/", "")]);
}

#[test]
fn a_query_may_not_count_at_all() {
    assert_same("key = { query = \"none\" }", &[("/?a=1", ""), ("/", ""), ("/?b", ""), ("/?", "")]);
}

#[test]
fn only_named_parameters_may_count() {
    let rules = "vary_query = [\"v\", \"w\"]";
    let same = [("/?v=1&w=2", ""), ("/?w=2&v=1", ""), ("/?x=9&v=1&w=2", ""), ("/?%76=1&w=2&y", "")];
    assert_eq!(shared_with_first(rules, &same)[..3], [true, true, true]);
    assert_all_differ_from_first(
        rules,
        &[("/?v=1", ""), ("/?v=2", ""), ("/", ""), ("/?v=1&w=1", ""), ("/?%76=2", "")],
    );
}

#[test]
fn headers_and_cookies_may_count() {
    let rules = "key = { headers = [\"X-Currency\"], cookies = [\"language\"] }";
    let first = ("/", "X-Currency: EUR\r\nCookie: a=b; language=de\r\n");
    assert_same(
        rules,
        &[first, ("/", "X-CURRENCY: EUR\r\nCookie: language=de; session=9\r\nX-Other: 1\r\n")],
    );
    let others = [
        first,
        ("/", "X-Currency: USD\r\nCookie: language=de\r\n"),
        ("/", "X-Currency: EUR\r\nCookie: language=en\r\n"),
        ("/", "X-Currency: EUR\r\nCookie: languages=de\r\n"),
        ("/", "X-Currency: EUR\r\n"),
        ("/", "Cookie: language=de\r\n"),
        ("/", ""),
    ];
    assert_all_differ_from_first(rules, &others);
}

#[test]
fn what_a_route_names_passes_the_cache_by_and_is_not_kept() {
    let rules = "bypass = [\"cookie:session\", \"header:X-Preview\", \"query:nocache\"]";
    let scene = Setting { rules, ..Setting::default() }.before(numbered(FRESH));
    assert_eq!(scene.get("/").text(), "1");
    let asks = [("/", "Cookie: a=b; session=1\r\n"), ("/", "X-Preview: 0\r\n"), ("/?nocache", "")];
    for (number, (target, fields)) in (2..).zip(asks) {
        let answer = scene.get_with(target, fields);
        assert_eq!(answer.text(), number.to_string());
        assert!(told(&answer).starts_with("fwd=bypass"), "{}", told(&answer));
    }
    assert_eq!(scene.get_with("/", "Cookie: sessions=1\r\n").text(), "1");
    let again = scene.get("/");
    assert_eq!((again.text().as_str(), is_hit(&again)), ("1", true));
    assert_eq!(scene.node.results("bypass"), 3);
}

/// Answers with what the client asked for in these fields, which `Vary` names as the target says.
fn varying() -> Behaviour {
    Behaviour::script(|request, stream| {
        let vary =
            if request.target() == "/lines" { "Vary: X-A\r\nVary: x-b\r\n" } else { "Vary: X-A, X-B\r\n" };
        let fields = format!("{FRESH}{vary}");
        let value = |name| request.all(name).collect::<Vec<_>>().join(",");
        reply(stream, request, "200 OK", &fields, format!("{}+{}", value("x-a"), value("x-b")).as_bytes())
    })
}

#[test]
fn variants_are_kept_side_by_side() {
    let scene = Scene::before(varying());
    let asks = ["X-A: 1\r\n", "X-A: 2\r\n", "X-A: 1\r\nX-B: 1\r\n", ""];
    for target in ["/", "/lines"] {
        for ask in asks {
            assert!(!is_hit(&scene.get_with(target, ask)), "{ask}");
        }
        let bodies = asks.map(|ask| {
            let answer = scene.get_with(target, ask);
            assert!(is_hit(&answer), "{ask}: {}", told(&answer));
            answer.text()
        });
        assert_eq!(bodies, ["1+", "2+", "1+1", "+"]);
    }
    let miss = scene.get_with("/", "X-A: 3\r\n");
    assert!(told(&miss).starts_with("fwd=vary-miss"), "{}", told(&miss));
}

#[test]
fn what_is_larger_than_the_route_keeps_is_passed_on() {
    let body = vec![b'x'; 10_000];
    let large = body.clone();
    let rules = "largest = \"8KiB\"";
    let scene =
        Setting { rules, ..Setting::default() }.before(Behaviour::script(
            move |request, stream| match request.target() {
                "/small" => reply(stream, request, "200 OK", FRESH, &large[..8192]),
                "/large" => reply(stream, request, "200 OK", FRESH, &large),
                _ => {
                    let head =
                        format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n2710\r\n");
                    crate::support::answer(stream, [head.as_bytes(), &large, b"\r\n0\r\n\r\n"].concat())
                }
            },
        ));
    for target in ["/large", "/unknown"] {
        for _ in 0..2 {
            let answer = scene.get(target);
            assert_eq!((answer.body == body, is_hit(&answer)), (true, false), "{target}");
        }
    }
    let told_large = scene.get("/large");
    assert!(told(&told_large).contains("detail=too-large"), "{}", told(&told_large));
    scene.get("/small");
    assert!(is_hit(&scene.get("/small")));
}

/// Answers with what it gets in these fields, and that the answer varies with the last two.
fn echoing() -> Behaviour {
    Behaviour::script(|request, stream| {
        let value = |name| request.field(name).unwrap_or("none");
        let body = ["x-currency", "x-language", "x-forwarded-proto"].map(value).join(" ");
        let fields = format!("{FRESH}Vary: X-Language, X-Forwarded-Proto\r\n");
        reply(stream, request, "200 OK", &fields, body.as_bytes())
    })
}

#[test]
fn what_the_endpoint_does_not_get_tells_nothing_apart() {
    let rules = "key = { headers = [\"X-Currency\"] }";
    let scene = Setting { rules, ..Setting::default() }.before(echoing());
    // Fields that `Connection` names end here, and so does what only a trusted client may say.
    let tricks = [
        "X-Currency: USD\r\nConnection: X-Currency\r\n",
        "X-Language: de\r\nConnection: x-language\r\n",
        "X-Forwarded-Proto: https\r\n",
    ];
    for trick in tricks {
        assert_eq!(scene.get_with("/", trick).text(), "none none http", "{trick}");
    }
    assert_eq!(scene.hits(), 1, "all are the same");
    assert_eq!(scene.get_with("/", "X-Currency: USD\r\n").text(), "USD none http");
    assert_eq!(scene.get_with("/", "X-Language: de\r\n").text(), "none de http");
    assert!(is_hit(&scene.get("/")));
}

#[test]
fn what_varies_with_a_field_that_is_new_for_each_request_is_for_one_only() {
    for name in ["X-Forwarded-For", "x-request-id", "traceparent", "Via", "Forwarded"] {
        let scene = Scene::before(numbered(&format!("{FRESH}Vary: Accept, {name}\r\n")));
        for number in ["1", "2"] {
            let answer = scene.get("/");
            assert_eq!(answer.text(), number, "{name}");
            assert!(told(&answer).contains("detail=vary-star"), "{name}: {}", told(&answer));
        }
    }
}
