//! Hops: what came through a queue goes through it no more.

use proptest::prelude::*;
use queue::hops::{Loop, check, tag};

const OWN: &str = "hooks@1a2b3c4d";

#[test]
fn queues_are_added_in_their_order() {
    assert_eq!(check(None, OWN).unwrap(), OWN);
    assert_eq!(check(Some(b""), OWN).unwrap(), OWN);
    assert_eq!(check(Some(b"a@0 ,b@1,, c@2 "), OWN).unwrap(), format!("a@0, b@1, c@2, {OWN}"));
}

#[test]
fn a_queue_sees_its_own_messages() {
    assert_eq!(check(Some(b"a@0, hooks@1a2b3c4d ,b@1"), OWN), Err(Loop::Again(OWN.to_owned())));
    for other in ["hooks@1a2b3c4e", "hook@1a2b3c4d", "Hooks@1a2b3c4d", "hooks@1a2b3c4d0", "hooks"] {
        assert!(check(Some(other.as_bytes()), OWN).is_ok(), "{other}");
    }
    let said = Loop::Again(OWN.to_owned()).to_string();
    assert_eq!(
        said,
        "this message already came through `hooks@1a2b3c4d`: let no receiver send it there again"
    );
}

#[test]
fn eight_queues_in_512_bytes_are_the_most() {
    let seven = ["a@0"; 7].join(",");
    assert_eq!(check(Some(seven.as_bytes()), OWN).unwrap().matches('@').count(), 8);
    assert_eq!(check(Some(["a@0"; 8].join(",").as_bytes()), OWN), Err(Loop::Far));
    let long = |length| check(Some(&vec![b'a'; length]), OWN);
    assert_eq!(long(512 - OWN.len() - 2).unwrap().len(), 512);
    assert_eq!(long(512 - OWN.len() - 1), Err(Loop::Far));
    assert_eq!(long(100_000), Err(Loop::Far));
}

#[test]
fn what_no_node_wrote() {
    for list in [&b"a b"[..], b"a@\xff", b"a\x1b[2J", "ü@1".as_bytes()] {
        assert_eq!(check(Some(list), OWN), Err(Loop::Unreadable));
    }
}

#[test]
fn tags_tell_logs_apart() {
    let one = tag(&[1; 32]);
    assert_eq!(one, "dbe5a4cb", "as Python's `hmac` has it");
    assert_ne!(one, tag(&[2; 32]));
}

proptest! {
    /// What is stored is sent on as a field's value; there it can be read again, and is a loop.
    #[test]
    fn what_comes_back_is_seen(list in prop_oneof![prop::collection::vec(any::<u8>(), 0..600), "([a-z]{1,9}@[0-9a-f]{8}[, ]{1,3}){0,9}".prop_map(String::into_bytes)]) {
        if let Ok(stored) = check(Some(&list), OWN) {
            prop_assert!(wire::token::is_value(stored.as_bytes()) && stored.len() <= 512);
            prop_assert_eq!(check(Some(stored.as_bytes()), OWN), Err(Loop::Again(OWN.to_owned())));
            let next = check(Some(stored.as_bytes()), "mail@00000000");
            prop_assert!(matches!(next, Ok(_) | Err(Loop::Far | Loop::Again(_))));
        }
    }
}
