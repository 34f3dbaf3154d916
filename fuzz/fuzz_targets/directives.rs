//! What fields say of caching: lines of an answer, each with one letter before it for its name.
#![no_main]

use cache::control::{AnswerControl, RequestControl, of_answer, of_request};
use cache::freshness::{Times, age, ttl};
use cache::storing::judge;
use libfuzzer_sys::fuzz_target;
use wire::{Fields, Limits, RequestHead, ResponseHead, token};

const NOW: u64 = 1_782_864_000;

fuzz_target!(|input: &[u8]| {
    let mut lines: Vec<(&[u8], &[u8])> = input.split(|&b| b == b'\n').filter_map(line).collect();
    let told = of_answer(&fields(&lines, false));
    let wished = of_request(&fields(&lines, false));
    stored(&lines, &told, wished);

    assert_eq!(calm(told.clone()), calm(of_answer(&fields(&lines, true))));
    assert_eq!(wished, of_request(&fields(&lines, true)));

    let is_targeted = told.targeted;
    if !is_targeted {
        for more in [
            "no-store",
            "no-cache",
            "private",
            "must-revalidate",
            "s-maxage=0",
        ] {
            let mut more_lines = lines.clone();
            more_lines.insert(lines.len() / 2, (b"Cache-Control", more.as_bytes()));
            let stricter = of_answer(&fields(&more_lines, false));
            assert!(at_least_as_strict(&stricter, &told) && stricter != AnswerControl::default());
        }
        lines.reverse();
        let reversed = of_answer(&fields(&lines, false));
        if !reversed.targeted {
            assert_eq!(calm(told), calm(reversed));
        }
        assert_eq!(wished, of_request(&fields(&lines, false)));
    }
});

fn line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_first()?;
    let name: &[u8] = match name {
        b'c' => b"Cache-Control",
        b't' => b"CDN-Cache-Control",
        b'p' => b"Pragma",
        b'e' => b"Expires",
        b'd' => b"Date",
        b'a' => b"Age",
        b'l' => b"Last-Modified",
        b'v' => b"Vary",
        b'k' => b"Set-Cookie",
        b'g' => b"ETag",
        _ => return None,
    };
    token::is_value(value).then_some((name, token::trim(value)))
}

/// The lines as fields; `loud`: letters of what ignores their case are all large.
fn fields(lines: &[(&[u8], &[u8])], loud: bool) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        if loud && *name != b"CDN-Cache-Control" {
            fields.push(name, &value.to_ascii_uppercase());
        } else {
            fields.push(name, value);
        }
    }
    fields
}

/// Neither order nor case of names says anything.
fn calm(mut control: AnswerControl) -> AnswerControl {
    for list in [&mut control.no_cache_fields, &mut control.private_fields] {
        list.iter_mut().for_each(|name| name.make_ascii_lowercase());
        list.sort();
    }
    control
}

fn at_least_as_strict(strict: &AnswerControl, than: &AnswerControl) -> bool {
    let lower = |strict: Option<u32>, than: Option<u32>| {
        than.is_none_or(|n| strict.is_some_and(|s| s <= n))
    };
    strict.no_store >= than.no_store
        && strict.no_cache >= than.no_cache
        && strict.private >= than.private
        && strict.must_revalidate >= than.must_revalidate
        && lower(strict.s_maxage, than.s_maxage)
        && lower(strict.max_age, than.max_age)
}

/// Nothing is stored that mustn't be, and its age never wraps.
fn stored(lines: &[(&[u8], &[u8])], told: &AnswerControl, wished: RequestControl) {
    let mut request = RequestHead::default();
    let limits = Limits {
        bytes: 1000,
        fields: 4,
    };
    request
        .read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", limits)
        .expect("it is plain");
    let mut answer = ResponseHead::default();
    answer.start(200);
    for (name, value) in lines {
        answer.fields.push(name, value);
    }
    let times = Times {
        requested_ms: (NOW - 1) * 1000,
        received_ms: NOW * 1000,
    };
    let Ok(facts) = judge(&request, &answer, &Default::default(), times) else {
        return;
    };
    assert!(!told.private && (told.must_understand || !told.no_store));
    assert!(
        facts.initial_age >= 1
            && age(&facts, NOW + 5) >= age(&facts, NOW)
            && ttl(&facts, u64::MAX) < 0
    );
    assert!(
        told.max_age.or(told.s_maxage).is_none()
            || Some(facts.lifetime) == told.s_maxage.or(told.max_age)
    );
    let _ = wished;
}
