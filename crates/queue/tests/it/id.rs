//! Ids: they lead back to their message, and to nothing else.

use proptest::prelude::*;
use queue::id::Ids;

const QUEUES: [&str; 3] = ["hooks", "mail", "nightly"];

fn ids() -> Ids {
    Ids::new([7; 32])
}

#[test]
fn an_id_is_the_same_after_a_restart() {
    // Also made with Python's `hmac`.
    let id = ids().text("hooks", 1);
    assert_eq!(id, "msg_00000000000027gcvah7vcktnv6n98l48h1us2im");
    assert_eq!(ids().text("hooks", 1), id);
    assert_eq!(ids().read(&id, QUEUES), Some(("hooks", 1)));
    assert_eq!(format!("{:?}", ids()), "Ids");
}

#[test]
fn ids_of_others_are_none() {
    let id = ids().text("hooks", 1);
    assert_eq!(ids().read(&id, ["mail"]), None, "its queue is gone");
    assert_eq!(ids().read(&id, []), None);
    assert_eq!(Ids::new([8; 32]).read(&id, QUEUES), None, "another log");
    for wrong in
        ["", "msg_", &id[4..], &id.to_uppercase(), &format!("{id}0"), &id[..43], &id.replace("msg_", "evt_")]
    {
        assert_eq!(ids().read(wrong, QUEUES), None, "{wrong}");
    }
}

/// The names differ and their hash doesn't: the MAC tells them apart.
#[test]
fn two_queues_with_the_same_hash() {
    let mut seen = std::collections::HashMap::new();
    let names = (0..400_000u64).map(|n| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let (one, other) = names
        .filter_map(|name| {
            seen.insert(crc32c::crc32c(name.as_bytes()), name.clone()).map(|other| (name, other))
        })
        .next()
        .unwrap();
    for name in [&one, &other] {
        let id = ids().text(name, 7);
        assert_eq!(ids().read(&id, [&*one, &*other]), Some((&**name, 7)));
    }
}

proptest! {
    #[test]
    fn ids_lead_back_and_sort_by_number(one: u64, other: u64, queue in 0..3usize) {
        let (name, ids) = (QUEUES[queue], ids());
        let texts = (ids.text(name, one), ids.text(name, other));
        prop_assert_eq!(ids.read(&texts.0, QUEUES), Some((name, one)));
        prop_assert_eq!(one.cmp(&other), texts.0.cmp(&texts.1));
        prop_assert!(texts.0.len() == 44 && !texts.0.contains('.'));
    }

    /// Whatever is changed, it is an id no more.
    #[test]
    fn an_id_that_is_changed_is_none(number: u64, at in 4..44usize, letter in "[0-9a-vw-z.A-Z]") {
        let id = ids().text("hooks", number);
        let mut changed = id.clone();
        changed.replace_range(at..=at, &letter);
        prop_assert_eq!(ids().read(&changed, QUEUES).is_some(), changed == id);
    }

    #[test]
    fn any_text_is_none(text in "(msg_)?([0-9a-v]{40}|\\PC{0,60})") {
        prop_assert_eq!(ids().read(&text, QUEUES), None);
    }
}
