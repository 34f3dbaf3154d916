//! Messages that wait for their time, and those that the clock sends.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use admin::queue::Moment;

use super::{Receiver, Scene, assert_no_more};

const YEAR: u64 = 365 * 24 * 60 * 60 * 1000;

/// RFC 3339, so many milliseconds from now.
fn at(ahead: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    Moment(u64::try_from(now + ahead).unwrap()).to_string()
}

#[test]
fn a_message_waits_for_its_delay_or_its_time() {
    let scene = Scene::start("", Receiver::well());
    let sent = Instant::now();
    let fields = [
        ("Nearside-Delay: 700ms\r\n".to_owned(), 700),
        (format!("Nearside-At: {}\r\n", at(1500)), 1450),
        (format!("Nearside-At: {}\r\n", at(-5000)), 0),
        ("Nearside-Delay: 0s\r\n".to_owned(), 0),
    ];
    for (index, (field, _)) in fields.iter().enumerate() {
        scene.accepted(field, index.to_string());
    }
    let far = scene.accepted("Nearside-Delay: 364d\r\n", "far");
    scene.shop.until_count(4);
    for delivery in scene.shop.deliveries() {
        let (field, least) = &fields[delivery.body().parse::<usize>().unwrap()];
        let after = delivery.at - sent;
        assert!(after >= Duration::from_millis(*least), "{field}: after {after:?}");
        assert_eq!(
            (delivery.request.field("nearside-delay"), delivery.request.field("nearside-at")),
            (None, None)
        );
    }
    let told = scene.told(&far).1;
    assert_eq!((&told["state"], scene.queue()["delayed"].as_u64()), (&"waiting".into(), Some(1)));
    let next: Moment = told["deliveries"][0]["next"].as_str().unwrap().parse().unwrap();
    let days = (next.0 - at(0).parse::<Moment>().unwrap().0) as f64 / 86_400_000.0;
    assert!((363.9..364.1).contains(&days), "{days}");
}

#[test]
fn a_delay_goes_on_over_a_crash() {
    let mut scene = Scene::start("", Receiver::well());
    let sent = Instant::now();
    scene.accepted("Nearside-Delay: 2s\r\n", "late");
    scene.node.kill();
    scene.node.start_again();
    scene.shop.until_count(1);
    let after = scene.shop.deliveries()[0].at - sent;
    assert!(after >= Duration::from_secs(2), "{after:?}");
}

#[test]
fn what_is_no_time_is_refused_in_words() {
    let scene = Scene::start("", Receiver::well());
    let over = at((YEAR + 86_400_000) as i64);
    for (fields, words) in [
        ("Nearside-Delay: soon\r\n".to_owned(), "Nearside-Delay"),
        ("Nearside-Delay: -5s\r\n".to_owned(), "Nearside-Delay"),
        ("Nearside-Delay:\r\n".to_owned(), "Nearside-Delay"),
        ("Nearside-Delay: \u{ff}\r\n".to_owned(), "Nearside-Delay"),
        ("Nearside-Delay: 366d\r\n".to_owned(), "365 days"),
        ("Nearside-Delay: 99999999999999999999\r\n".to_owned(), "Nearside-Delay"),
        ("Nearside-At: tomorrow\r\n".to_owned(), "Nearside-At"),
        ("Nearside-At: 2030-02-30T00:00:00Z\r\n".to_owned(), "Nearside-At"),
        ("Nearside-At: 2030-01-01T00:00:00\r\n".to_owned(), "Nearside-At"),
        (format!("Nearside-At: {over}\r\n"), "365 days"),
        ("Nearside-At: 9999-12-31T23:59:59Z\r\n".to_owned(), "365 days"),
        (format!("Nearside-Delay: 1s\r\nNearside-At: {}\r\n", at(1000)), "not both"),
    ] {
        let answer = scene.send(&fields, "x");
        assert_eq!(answer.status(), 400, "{fields}: {}", answer.text());
        assert!(answer.has("content-type", "application/problem+json"));
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{fields}: {detail}");
    }
    assert_eq!(scene.queue()["counters"]["accepted"], 0);
    assert_no_more(&scene.shop, 0);
}

const CLOCK: &str = "every = \"* * * * *\"\nrequest = { method = \"PUT\", path = \"/tick?a=b\", body = \"tick\", \
                     headers = { X-Clock = \"yes\" } }";

#[test]
fn the_clock_s_next_time_is_shown() {
    let scene = Scene::start(CLOCK, Receiver::well());
    let every = scene.queue()["every"].clone();
    assert_eq!(every["cron"], "* * * * *");
    let next: Moment = every["next"].as_str().unwrap().parse().unwrap();
    let now = at(0).parse::<Moment>().unwrap();
    assert!(
        next.0.is_multiple_of(60_000) && next.0 + 1000 > now.0 && next.0 <= now.0 + 60_000,
        "{next}, it is {now}"
    );
}

/// Long form only: it waits for minutes to pass.
#[test]
fn the_clock_sends_and_what_was_missed_is_sent_once() {
    const MINUTES: Duration = Duration::from_secs(130);
    if super::rounds(0, 1) == 0 {
        return;
    }
    let mut scene = Scene::start(CLOCK, Receiver::well());
    assert!(crate::support::comes_true(MINUTES, || scene.shop.count() == 1));
    let came = scene.shop.deliveries().remove(0);
    assert_eq!((came.request.start.as_str(), came.body().as_str()), ("PUT /tick?a=b HTTP/1.1", "tick"));
    assert_eq!(came.request.field("x-clock"), Some("yes"));
    scene.until_quiet();
    scene.node.kill();
    // Two times pass while nobody is there, and the next one is not near when the node is back.
    std::thread::sleep(MINUTES);
    let second = || at(0).parse::<Moment>().unwrap().0 / 1000 % 60;
    assert!(crate::support::comes_true(MINUTES, || (2..40).contains(&second())));
    scene.node.start_again();
    scene.shop.until_count(2);
    let more = crate::support::comes_true(Duration::from_secs(5), || scene.shop.count() > 2);
    assert!(!more, "what was missed is sent once");
}
