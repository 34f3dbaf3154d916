//! Delays and times.

use proptest::prelude::*;
use queue::when::{WrongTime, due};

/// 2024-02-29T12:00:00Z
const NOW: u64 = 1_709_208_000_000;
const DAY: u64 = 86_400_000;

fn delay(text: &str) -> Result<u64, WrongTime> {
    due(Some(text.as_bytes()), None, NOW).map(|due| due - NOW)
}

fn at(text: &str) -> Result<u64, WrongTime> {
    due(None, Some(text.as_bytes()), NOW).map(|due| due - NOW)
}

#[test]
fn delays() {
    assert_eq!(due(None, None, NOW), Ok(NOW));
    let good = [
        ("0", 0),
        ("30", 30_000),
        ("30s", 30_000),
        ("250ms", 250),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("365d", 365 * DAY),
        ("031536000", 365 * DAY),
    ];
    for (text, millis) in good {
        assert_eq!(delay(text), Ok(millis), "{text}");
    }
}

#[test]
fn delays_that_are_none() {
    for text in [
        "",
        " ",
        "s",
        "-1",
        "+1",
        "1.5s",
        "1 s",
        "30S",
        "1w",
        "1y",
        "tomorrow",
        "99999999999999999999",
        "99999999999999999999d",
        "3\u{0663}",
    ] {
        assert!(matches!(delay(text), Err(WrongTime::Delay(_))), "{text}: {:?}", delay(text));
    }
    assert_eq!(
        delay("soon").unwrap_err().to_string(),
        "Nearside-Delay must be a whole number and ms, s, m, h or d, such as 30s, not `soon`"
    );
    let bytes = due(Some(b"\xff\x00\x1b[2J`"), None, NOW).unwrap_err().to_string();
    assert!(bytes.ends_with("not `\\xff\\x00\\x1b[2J``"), "{bytes}");
    let long = due(Some(&[b'x'; 10_000]), None, NOW).unwrap_err().to_string();
    assert!(long.len() < 300, "{long}");
}

#[test]
fn a_year_is_the_most() {
    let wrong = "a message can be put off by 365 days at most, not till `366d`";
    assert_eq!(delay("366d").unwrap_err().to_string(), wrong);
    assert!(matches!(delay("365d1"), Err(WrongTime::Delay(_))));
    assert!(matches!(delay("31536001"), Err(WrongTime::TooFar(_))));
    assert!(matches!(delay("18446744073709551615"), Err(WrongTime::TooFar(_))));
    assert_eq!(at("2025-02-28T12:00:00Z"), Ok(365 * DAY));
    assert!(matches!(at("2025-02-28T12:00:00.001Z"), Err(WrongTime::TooFar(_))));
    assert!(matches!(at("9999-12-30T12:00:00Z"), Err(WrongTime::TooFar(_))));
    assert_eq!(due(Some(b"365d"), None, u64::MAX), Ok(u64::MAX));
}

#[test]
fn times() {
    let good = [
        ("2024-02-29T12:00:30Z", 30_000),
        ("2024-02-29t12:00:30z", 30_000),
        ("2024-02-29 12:00:30Z", 30_000),
        ("2024-02-29T13:00:30+01:00", 30_000),
        ("2024-02-29T07:30:30-04:30", 30_000),
        ("2024-02-29T12:00:30-00:00", 30_000),
        ("2024-02-29T12:00:30.25Z", 30_250),
        ("2024-02-29T12:00:30.000000001Z", 30_001),
        ("2024-06-30T23:59:60Z", 122 * DAY + DAY / 2 - 1000),
        ("2024-02-29T11:59:59Z", 0),
        ("1969-12-31T23:59:59Z", 0),
        ("0000-01-01T00:00:00Z", 0),
    ];
    for (text, millis) in good {
        assert_eq!(at(text), Ok(millis), "{text}");
    }
}

#[test]
fn times_that_are_none() {
    for text in [
        "",
        "2024-02-29",
        "2024-02-29T12:00:00",
        "2024-02-29T12:00Z",
        "2024-02-30T12:00:00Z",
        "2023-02-29T12:00:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T12:60:00Z",
        "2024-02-29T12:00:61Z",
        "2024-02-29T12:00:00+0100",
        "2024-02-29T12:00:00+01",
        "2024-02-29T12:00:00.Z",
        "2024-02-29T12:00:00,5Z",
        "2024-02-29T12:00:00Z[Europe/Paris]",
        "2024-02-29T12:00:00+01:00[Europe/Paris]",
        "+002024-02-29T12:00:00Z",
        "Thu, 29 Feb 2024 12:00:00 GMT",
        "1709208000",
        " 2024-02-29T12:00:00Z",
        "2024-02-29T12:00:00Z ",
        "2024\u{2010}02-29T12:00:00Z",
        "2024-02-29T12:00:00+01:60",
    ] {
        assert!(matches!(at(text), Err(WrongTime::At(_))), "{text}: {:?}", at(text));
    }
    assert_eq!(
        at("noon").unwrap_err().to_string(),
        "Nearside-At must be an RFC 3339 time with Z or an offset, such as 2030-01-31T09:00:00+01:00, not `noon`"
    );
}

#[test]
fn only_one_of_both() {
    let both = due(Some(b"1s"), Some(b"2024-02-29T12:00:30Z"), NOW);
    assert_eq!(both.unwrap_err().to_string(), "send either Nearside-Delay or Nearside-At, not both");
}

proptest! {
    #[test]
    fn any_bytes_are_a_time_or_none(
        field in prop_oneof![prop::collection::vec(any::<u8>(), 0..80), "[0-9TZ:+. -]{0,40}".prop_map(String::into_bytes), "[0-9]{1,22}(ms|s|m|h|d|us)?".prop_map(String::into_bytes)],
        now: u64,
    ) {
        for (delay, at) in [(Some(&*field), None), (None, Some(&*field))] {
            match due(delay, at, now) {
                Ok(due) => prop_assert!(due >= now && due - now <= 365 * DAY),
                Err(wrong) => prop_assert!(wrong.to_string().len() < 500),
            }
        }
    }

    /// A time that is written is the time that is read, wherever it is written.
    #[test]
    fn times_are_read_as_they_are_written(ahead in 0..365 * DAY, hours in -23..=23i64, minutes in 0..60i64) {
        let offset = (hours.abs() * 60 + minutes) * if hours < 0 { -1 } else { 1 };
        let local = jiff::Timestamp::from_millisecond(i64::try_from(NOW + ahead).unwrap() + offset * 60_000).unwrap();
        let sign = if hours < 0 { '-' } else { '+' };
        let text = format!("{}{sign}{:02}:{minutes:02}", local.to_string().trim_end_matches('Z'), hours.abs());
        prop_assert_eq!(at(&text), Ok(ahead), "{}", text);
    }
}
