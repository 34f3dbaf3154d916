//! Tests of `memory`: against a plain map, under threads, and its accounts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use cache::ledger::What;
use cache::memory::Memory;
use cache::object::New;
use cache::{Body, Facts, Object};
use proptest::prelude::*;

const MIB: u64 = 1024 * 1024;

fn object(primary: &str, variant: &str, tags: &str, received: u32, body: usize) -> Object {
    Object::new(New {
        facts: Facts { status: 200, received, ..Facts::default() },
        primary: primary.as_bytes(),
        variant: variant.as_bytes(),
        lines: b"Content-Type: text/plain\r\nETag: \"a\"\r\n",
        tags: tags.as_bytes(),
        body: Body::Whole(Bytes::from(vec![received as u8; body])),
    })
}

fn received(memory: &Memory, primary: &str, variant: &str) -> Option<u32> {
    let found = memory.get(primary.as_bytes(), |o| o.variant() == variant.as_bytes())?;
    assert_eq!((found.primary(), found.variant()), (primary.as_bytes(), variant.as_bytes()));
    Some(found.facts().received)
}

fn prefix(text: &str) -> What {
    What::Prefix(text.as_bytes().into())
}

fn tag(text: &str) -> What {
    What::Tag(text.as_bytes().into())
}

#[test]
fn the_newest_that_fits_is_found() {
    let memory = Memory::new(MIB);
    for (variant, received) in [("a", 5), ("b", 9), ("c", 7)] {
        assert!(memory.insert(object("http://h/", variant, "", received, 10)));
    }
    let not_b = memory.get(b"http://h/", |o| o.variant() != b"b").unwrap();
    assert_eq!(not_b.variant(), b"c");
    assert_eq!(memory.peek(b"http://h/", |_| true).unwrap().variant(), b"b");
    assert!(memory.get(b"http://h/", |_| false).is_none());
    assert!(memory.get(b"http://h", |_| true).is_none());
}

#[test]
fn a_namesake_is_replaced_and_only_the_very_object_removed() {
    let memory = Memory::new(MIB);
    let (old, new) = (object("u", "v", "t\n", 1, 10), object("u", "v", "s\n", 2, 2000));
    memory.insert(old.clone());
    memory.insert(new.clone());
    assert_eq!(memory.objects(), 1);
    assert_eq!(received(&memory, "u", "v"), Some(2));
    assert!(!memory.remove(&old));
    assert_eq!(memory.purge(&tag("t"), false), 0);
    assert!(memory.remove(&new));
    assert!(!memory.remove(&new));
    assert_eq!(memory.objects(), 0);
}

#[test]
fn what_is_too_large_is_refused_and_takes_its_namesake_with_it() {
    let memory = Memory::new(8 * MIB);
    assert!(memory.insert(object("u", "", "", 1, 100)));
    assert!(!memory.insert(object("u", "", "", 2, MIB as usize + 1)));
    assert_eq!(received(&memory, "u", ""), None);
    assert!(memory.room_for(MIB) && !memory.room_for(MIB + 1));
    assert_eq!(memory.objects(), 0);
}

#[test]
fn purges_are_exact() {
    let memory = Memory::new(MIB);
    let objects = [
        ("http://h/a/b", "one\ntwo\n"),
        ("http://h/a/bc?q=/x/", "twofold\n"),
        ("http://h/a?b", "Two\n"),
        ("http://h/ab", "two\n"),
        ("http://hh/a/b", "tw\no\n"),
    ];
    for (primary, tags) in objects {
        memory.insert(object(primary, "", tags, 1, 10));
        memory.insert(object(primary, "v", "", 1, 10));
    }
    assert_eq!(memory.purge(&tag("two"), false), 2);
    assert_eq!(memory.objects(), 8);
    assert_eq!(memory.purge(&tag(""), false), 0);
    assert_eq!(memory.purge(&What::Url(b"http://h/a"[..].into()), false), 0);
    assert_eq!(memory.purge(&What::Url(b"http://h/a?b"[..].into()), false), 2);
    assert_eq!(memory.purge(&prefix("http://h/a/"), false), 3);
    assert_eq!(memory.purge(&prefix("http://h/"), false), 1);
    assert_eq!(memory.purge(&What::All, true), 2);
    assert!(memory.get(b"http://hh/a/b", |_| true).unwrap().is_soft());
    assert_eq!(memory.purge(&What::All, false), 2);
    assert_eq!((memory.objects(), memory.bytes()), (0, 0));
}

#[test]
fn large_purges_end_and_leave_the_rest() {
    let memory = Memory::new(64 * MIB);
    for n in 0..20_000 {
        let tags = if n % 2 == 0 { "even\nall\n" } else { "odd\nall\n" };
        memory.insert(object(&format!("http://h/{}/{n}", n % 10), "", tags, 1, 10));
    }
    assert_eq!(memory.purge(&tag("odd"), true), 10_000);
    assert_eq!(memory.purge(&tag("even"), false), 10_000);
    assert_eq!(memory.purge(&prefix("http://h/3/"), false), 2000);
    assert_eq!(memory.objects(), 8000);
    assert!(memory.get(b"http://h/5/5", |_| true).unwrap().is_soft());
    assert_eq!(memory.purge(&tag("all"), false), 8000);
    assert_eq!(memory.bytes(), 0);
}

#[test]
fn a_smaller_limit_holds_at_once() {
    let memory = Memory::new(16 * MIB);
    for n in 0..10_000 {
        memory.insert(object(&format!("http://h/{n}"), "", "", 1, 1024));
    }
    assert_eq!(memory.evicted(), 0);
    memory.resize(4 * MIB);
    assert!(memory.bytes() <= 4 * MIB);
    assert_eq!(memory.objects() + memory.evicted(), 10_000);
    assert!(memory.objects() > 2500);
}

#[test]
fn used_objects_outlive_a_scan() {
    let memory = Memory::new(4 * MIB);
    for n in 0..300 {
        memory.insert(object(&format!("hot {n}"), "", "", 1, 1024));
    }
    for _ in 0..3 {
        for n in 0..300 {
            memory.get(format!("hot {n}").as_bytes(), |_| true);
        }
    }
    for n in 0..30_000 {
        memory.insert(object(&format!("cold {n}"), "", "", 1, 1024));
    }
    let left = (0..300).filter(|n| memory.peek(format!("hot {n}").as_bytes(), |_| true).is_some()).count();
    assert_eq!(left, 300);
}

/// One thing to do to the tier.
#[derive(Debug, Clone, Copy)]
enum Step {
    Insert { url: u8, variant: u8, tags: u8, body: usize },
    Get { url: u8, variant: u8 },
    Remove { url: u8, variant: u8 },
    Url { url: u8, soft: bool },
    Prefix { url: u8, len: usize, soft: bool },
    Tag { tag: u8, soft: bool },
    All { soft: bool },
    Resize { bytes: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..60u8, 0..3u8, 0..32u8, 0..3000usize)
            .prop_map(|(url, variant, tags, body)| Step::Insert { url, variant, tags, body }),
        10 => (0..60u8, 0..3u8).prop_map(|(url, variant)| Step::Get { url, variant }),
        2 => (0..60u8, 0..3u8).prop_map(|(url, variant)| Step::Remove { url, variant }),
        1 => (0..60u8, any::<bool>()).prop_map(|(url, soft)| Step::Url { url, soft }),
        1 => (0..60u8, 8..14usize, any::<bool>()).prop_map(|(url, len, soft)| Step::Prefix { url, len, soft }),
        1 => (0..6u8, any::<bool>()).prop_map(|(tag, soft)| Step::Tag { tag, soft }),
        1 => any::<bool>().prop_map(|soft| Step::All { soft }),
        1 => (20_000..200_000u64).prop_map(|bytes| Step::Resize { bytes }),
    ];
    prop::collection::vec(step, 1..300)
}

fn url(n: u8) -> String {
    format!("http://h/{}/{}", n % 7, n)
}

fn names(tags: u8) -> Vec<String> {
    (0..5).filter(|bit| tags >> bit & 1 == 1).map(|bit| "t".repeat(bit + 1)).collect()
}

/// What was inserted last under a URL and variant, if no purge named it since: it, or nothing, is there.
#[derive(Default)]
struct Model {
    limit: u64,
    objects: BTreeMap<(u8, u8), (Object, u8, bool)>,
}

impl Model {
    /// The purge must hit all that the model has and the tier still holds, and nothing else.
    fn purge(&mut self, memory: &Memory, what: &What, soft: bool, is_named: impl Fn(u8, u8) -> bool) {
        let is_there = |u: u8, v: u8| memory.peek(url(u).as_bytes(), |o| o.variant() == [v]).is_some();
        let expected =
            self.objects.iter().filter(|((u, v), o)| is_named(*u, o.1) && is_there(*u, *v)).count();
        assert_eq!(memory.purge(what, soft), expected, "{what:?}");
        if soft {
            for ((u, _), object) in &mut self.objects {
                object.2 |= is_named(*u, object.1);
            }
        } else {
            self.objects.retain(|(u, _), o| !is_named(*u, o.1));
        }
    }

    fn step(&mut self, memory: &Memory, received: u32, step: Step) {
        match step {
            Step::Insert { url: u, variant, tags, body } => {
                let lines: String = names(tags).iter().flat_map(|tag| [tag, "\n"]).collect();
                let object = object(&url(u), &char::from(variant).to_string(), &lines, received, body);
                if memory.insert(object.clone()) {
                    self.objects.insert((u, variant), (object, tags, false));
                } else {
                    self.objects.remove(&(u, variant));
                }
            }
            Step::Get { url: u, variant } => {
                memory.get(url(u).as_bytes(), |o| o.variant() == [variant]);
            }
            Step::Remove { url: u, variant } => {
                if let Some((object, ..)) = self.objects.remove(&(u, variant)) {
                    memory.remove(&object);
                }
            }
            Step::Url { url: u, soft } => {
                let what = What::Url(url(u).into_bytes().into());
                self.purge(memory, &what, soft, |other, _| other == u);
            }
            Step::Prefix { url: u, len, soft } => {
                let text: String = url(u).chars().take(len).collect();
                self.purge(memory, &prefix(&text), soft, |other, _| url(other).starts_with(&text));
            }
            Step::Tag { tag: t, soft } => {
                let name = "t".repeat(usize::from(t));
                self.purge(memory, &tag(&name), soft, |_, tags| names(tags).contains(&name));
            }
            Step::All { soft } => self.purge(memory, &What::All, soft, |_, _| true),
            Step::Resize { bytes } => {
                self.limit = bytes;
                memory.resize(bytes);
            }
        }
    }

    fn check(&self, memory: &Memory) {
        assert!(memory.bytes() <= self.limit);
        let mut there = 0;
        for u in 0..60 {
            for v in 0..3 {
                let Some(found) = memory.peek(url(u).as_bytes(), |o| o.variant() == [v]) else { continue };
                let expected = self.objects.get(&(u, v)).map(|(o, _, soft)| (o.facts(), o.tags(), *soft));
                assert_eq!(Some((found.facts(), found.tags(), found.is_soft())), expected);
                there += 1;
            }
        }
        assert_eq!(memory.objects(), there);
        if there == 0 {
            assert_eq!(memory.purge(&What::All, false), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_is_a_map_that_forgets(steps in steps()) {
        let mut model = Model { limit: 100_000, ..Model::default() };
        let memory = Memory::new(model.limit);
        for (n, step) in steps.into_iter().enumerate() {
            model.step(&memory, n as u32, step);
            model.check(&memory);
        }
        memory.purge(&What::All, false);
        prop_assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn an_object_gives_back_what_it_was_made_of(
        primary in prop::collection::vec(any::<u8>(), 0..600),
        variant in prop::collection::vec(any::<u8>(), 0..300),
        tags in prop::collection::vec(any::<u8>(), 0..300),
        numbers in any::<(u16, u16, u64, [u32; 5])>(),
        age in prop_oneof![0..3u32, any::<u32>()],
        fields in prop::collection::vec(("(ETag|Date|Vary|Server|X-Id|Expires)", "[ -~]{0,20}"), 0..9),
    ) {
        let (status, flags, requested_ms, [received, lifetime, swr, sie, _]) = numbers;
        let facts = Facts {
            status,
            flags: cache::Flags(flags),
            requested_ms,
            received,
            initial_age: age,
            lifetime,
            stale_while_revalidate: swr,
            stale_if_error: sie,
        };
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (primary, variant, tags) = (&primary[..], &variant[..], &tags[..]);
        let body = Body::Whole(Bytes::from_static(b"body"));
        let object = Object::new(New { facts, primary, variant, lines: lines.as_bytes(), tags, body });
        prop_assert_eq!(object.facts(), facts);
        prop_assert_eq!((object.primary(), object.variant(), object.tags()), (primary, variant, tags));
        let got = object.lines().concat();
        for (name, _) in &fields {
            let of = |lines: &[u8]| -> Vec<Vec<u8>> {
                let lines = lines.split_inclusive(|byte| *byte == b'\n');
                lines.filter(|line| line.starts_with(format!("{name}:").as_bytes())).map(<[u8]>::to_vec).collect()
            };
            prop_assert_eq!(of(&got), of(lines.as_bytes()));
            let value = fields.iter().find(|(other, _)| other == name).unwrap().1.trim();
            prop_assert_eq!(object.field(&name.to_lowercase()).unwrap(), value.as_bytes());
        }
        prop_assert_eq!(got.len(), lines.len());
        prop_assert_eq!(object.field("etagg"), None);
    }
}

#[test]
fn threads_see_whole_objects_and_the_accounts_hold() {
    let memory = Memory::new(4 * MIB);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3u32)
            .map(|thread| {
                let memory = &memory;
                scope.spawn(move || {
                    for n in 0..20_000u32 {
                        let mixed = n.wrapping_mul(2_654_435_761) ^ thread;
                        let name = mixed % 5000;
                        match n % 200 {
                            0 => drop(memory.purge(&tag(&format!("t{}", name % 50)), false)),
                            1 => drop(memory.purge(&prefix(&format!("http://h/{}", name % 10)), false)),
                            _ => {
                                let tags = format!("t{}\n", name % 50);
                                let size = (mixed >> 8) as usize % 4000;
                                memory.insert(object(&format!("http://h/{name}"), "", &tags, name, size));
                            }
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut hits = 0u32;
            for n in (0..5000u32).cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let Some(found) = memory.get(format!("http://h/{n}").as_bytes(), |_| true) else { continue };
                let Body::Whole(body) = found.body() else { panic!() };
                assert_eq!(found.facts().received, n);
                assert!(body.iter().all(|byte| *byte == n as u8));
                hits += 1;
            }
            hits
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert!(memory.bytes() <= 4 * MIB && memory.objects() > 500);
    let left = memory.objects() as usize;
    assert_eq!(memory.purge(&prefix("http://h/"), false), left);
    assert_eq!((memory.objects(), memory.bytes()), (0, 0));
}
