//! Heads of random bytes: they never panic, never depend on how they arrive, and are never seen
//! otherwise than by a simple reader.

use proptest::prelude::*;
use wire::head::may_be_whole;
use wire::{BadHead, RequestHead, ResponseHead};

use crate::{LIMITS, naive};

/// Text that is often nearly a head.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(&b"\r\n"[..]),
        1 => prop::sample::select(vec![&b"\r"[..], b"\n", b"\0", b" ", b"\t", b":", b"\xff", b"\x7f", b",", b"\r\n\r\n"]),
        6 => prop::sample::select(vec![
            &b"X: a"[..], b"Y:b", b"Z:\t c \t", b"Empty:", b"Content-Length: 5", b"Transfer-Encoding: chunked",
            b"Connection: close", b"Host: b.example", b"Cookie: \xc3\xa4", b"X : a", b" folded",
        ]),
    ];
    let first = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\nHost: a.example\r\n"[..],
        b"GET /a?b HTTP/1.1\r\nHost:a:80\r\n",
        b"\r\nPOST http://a.example/ HTTP/1.0\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 404\r\n",
        b"",
    ]);
    let end = prop::sample::select(vec![&b"\r\n"[..], b"\r\n\r\n", b"\r\n\r\nmore", b"\n", b""]);
    (first, prop::collection::vec(piece, 0..12), end)
        .prop_map(|(first, pieces, end)| [first, &pieces.concat(), end].concat())
}

fn any_input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => nearly_a_head(), 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn request(input: &[u8]) -> (RequestHead, Result<Option<usize>, BadHead>) {
    let mut head = RequestHead::default();
    let result = head.read(input, LIMITS);
    (head, result)
}

fn fields(fields: &wire::Fields) -> Vec<naive::Pair> {
    fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect()
}

fn first_line(head: &RequestHead) -> Vec<u8> {
    [head.method_text(), b" ", head.target(), b" HTTP/1.1\r\n"].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What a front of the input says, all of it says too.
    #[test]
    fn more_bytes_never_change_a_result(input in any_input()) {
        let whole = request(&input).1;
        let whole_answer = ResponseHead::default().read(&input, LIMITS);
        for end in 0..input.len() {
            let early = request(&input[..end]).1;
            prop_assert!(early == Ok(None) || early == whole, "{early:?} at {end}, then {whole:?}");
            let early = ResponseHead::default().read(&input[..end], LIMITS);
            prop_assert!(early == Ok(None) || early == whole_answer, "{early:?} at {end}, then {whole_answer:?}");
        }
    }

    /// Reading only when `may_be_whole` says so finds every head that reading always would.
    #[test]
    fn may_be_whole_is_never_wrongly_no(input in any_input(), steps in prop::collection::vec(1usize..40, 1..40)) {
        let whole = request(&input).1;
        let (mut seen, mut result) = (0, Ok(None));
        for step in steps.into_iter().chain([input.len()]) {
            let end = (seen + step).min(input.len());
            if may_be_whole(&input[..end], seen) {
                result = request(&input[..end]).1;
            }
            if result != Ok(None) {
                break;
            }
            seen = end;
        }
        prop_assert!(result == whole || (result == Ok(None) && whole.is_err()), "{result:?}, not {whole:?}");
    }

    /// A head that is taken has only one reading; written, it reads back equal.
    #[test]
    fn one_reading(input in any_input()) {
        let (head, result) = request(&input);
        let Ok(Some(len)) = result else { return Ok(()) };
        let (line, pairs) = naive::head(&input[..len]).expect("what is taken is plain");
        prop_assert_eq!(&line[..line.len() - 3], &first_line(&head)[..first_line(&head).len() - 5]);
        prop_assert_eq!(&pairs, &fields(&head.fields));
        let mut out = first_line(&head);
        head.fields.write_to(&mut out, |_| false);
        out.extend_from_slice(b"\r\n");
        let (again, result) = request(&out);
        // An HTTP/1.0 head without Host isn't one of HTTP/1.1.
        if result == Err(BadHead::Host) && head.fields.get(wire::Known::Host).is_none() {
            return Ok(());
        }
        prop_assert_eq!(result, Ok(Some(out.len())));
        prop_assert_eq!(first_line(&head), first_line(&again));
        prop_assert_eq!(pairs, fields(&again.fields));
        prop_assert_eq!(head.path_and_query(), again.path_and_query());
        prop_assert_eq!(head.authority(), again.authority());
    }

    /// The same for answers.
    #[test]
    fn one_reading_of_an_answer(input in any_input()) {
        let mut head = ResponseHead::default();
        let Ok(Some(len)) = head.read(&input, LIMITS) else { return Ok(()) };
        let (line, pairs) = naive::head(&input[..len]).expect("what is taken is plain");
        prop_assert!(line.ends_with(head.reason()));
        prop_assert_eq!(pairs, fields(&head.fields));
    }

    /// Whatever was read, good or bad, may be looked at.
    #[test]
    fn nothing_panics(inputs in prop::collection::vec(any_input(), 1..4)) {
        let (mut head, mut answer) = (RequestHead::default(), ResponseHead::default());
        for input in inputs {
            let _ = head.read(&input, LIMITS);
            let _ = (head.path(), head.query(), head.authority(), head.method_text(), head.form());
            let _ = (wire::framing::of_request(&head), wire::framing::expects_continue(&head));
            let _ = answer.read(&input, LIMITS);
            let _ = (answer.reason(), wire::framing::of_answer(&answer, head.method));
            let _ = (fields(&head.fields), fields(&answer.fields));
            let _ = (wire::target::host(&input), wire::target::has_dot_segment(&input));
        }
    }
}
