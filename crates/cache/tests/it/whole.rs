//! All tiers together: what purges and unsafe requests make void stays void, however it races with storing.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cache::ledger::What;
use cache::memory::PIECE;
use cache::object::{Body, Facts, New};
use cache::{Cache, Object, Tell, vary};
use config::plan;

use crate::heads::fields;

const URL: &[u8] = b"http://h/";

fn object(requested_ms: u64, len: usize) -> Object {
    Object::new(New {
        facts: Facts { status: 200, requested_ms, ..Facts::default() },
        primary: URL,
        variant: b"",
        lines: b"ETag: \"a\"\r\n",
        tags: b"",
        body: Body::Whole(Bytes::from(vec![b'x'; len])),
    })
}

/// One with a disk tier in this folder.
fn deep(folder: &Path) -> Cache {
    let disk = plan::CacheDisk { path: folder.join("disk"), size: 64 << 20 };
    let (memory, largest) = (64 << 20, 8 << 20);
    let plan = plan::Cache { memory, disk: Some(disk), shared: None, largest, purge_from: Vec::new() };
    let background = tokio::runtime::Handle::current();
    let tell: Tell = Arc::new(|_| {});
    Cache::open(&plan, &folder.join("data"), &background, &tell).unwrap()
}

async fn is_anywhere(cache: &Cache) -> bool {
    if let Some(disk) = cache.disk() {
        disk.sync().await.unwrap();
    }
    cache.memory.peek(URL, |_| true).is_some() || cache.deeper(URL, |_| true).await.is_some()
}

#[tokio::test]
async fn what_was_asked_for_before_an_unsafe_request_is_not_kept_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let now = soon();
    let cache = deep(folder.path());
    cache.keep(&object(now, 1000));
    assert!(is_anywhere(&cache).await);
    let begun = cache.begin(&object(now, 0), Some(5)).unwrap();
    cache.forget(URL, now + 5).await;
    assert!(!is_anywhere(&cache).await);
    assert!(!cache.stands(&object(now + 5, 1)) && cache.stands(&object(now + 6, 1)));
    cache.keep(&object(now + 5, 1000));
    assert!(cache.begin(&object(now + 5, 0), None).is_none());
    cache.finish(begun, &object(now, 0)).await;
    assert!(!is_anywhere(&cache).await);
    drop(cache);
    let cache = deep(folder.path());
    assert!(!is_anywhere(&cache).await, "nor does a restart bring it back");
    cache.forget(URL, now + 5).await;
    cache.keep(&object(now + 6, 1000));
    assert!(is_anywhere(&cache).await, "what was asked for later is new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storing_and_forgetting_at_once_leave_nothing_old() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Arc::new(deep(folder.path()));
    let now = soon();
    for round in 0..100 {
        let asked = now + 10 * round;
        let keeping = tokio::spawn({
            let cache = cache.clone();
            async move {
                for _ in 0..20 {
                    cache.keep(&object(asked, 100));
                }
            }
        });
        cache.forget(URL, asked).await;
        keeping.await.unwrap();
        assert!(cache.memory.peek(URL, |_| true).is_none());
        cache.disk().unwrap().sync().await.unwrap();
        assert!(cache.disk().unwrap().get(URL, |_| true).await.is_none(), "round {round}");
    }
}

#[tokio::test]
async fn what_is_wanted_again_comes_back_from_disk_to_memory() {
    let folder = tempfile::tempdir().unwrap();
    let cache = deep(folder.path());
    let now = soon();
    for (at, len, comes_back) in [(1, 300_000, true), (3, 1 << 20, true), (5, (1 << 20) + 1, false)] {
        cache.keep(&object(now + at, len));
        cache.disk().unwrap().sync().await.unwrap();
        assert!(cache.memory.remove(&cache.memory.peek(URL, |_| true).unwrap()));
        let in_memory = || cache.memory.peek(URL, |_| true);
        // Looked at only, as for HEAD or a 304.
        for _ in 0..3 {
            let found = cache.deeper(URL, |_| true).await.unwrap();
            assert!(matches!(found.body(), Body::Disk(_)) && in_memory().is_none());
        }
        let found = cache.deeper(URL, |_| true).await.unwrap();
        let Body::Disk(stored) = found.body() else { panic!() };
        stored.read(0, 10).await.unwrap();
        let found = cache.deeper(URL, |_| true).await.unwrap();
        assert_eq!(in_memory().is_some(), comes_back, "{len}");
        assert!(found.body().is_whole() && found.body().total() == Some(len as u64));
        if let Body::Pieces(pieces) = found.body() {
            assert!(pieces.concat() == vec![b'x'; len]);
            assert!(pieces[1..].iter().all(|piece| piece.len() <= PIECE && pieces[0].len() == PIECE));
        }
        cache.forget(URL, now + at + 1).await;
    }
}

/// What an answer in one language to a request for either is.
fn in_language(language: &str, requested_ms: u64) -> Object {
    let request = fields(&[("Accept-Language", "de, en")]);
    let answer = fields(&[("Vary", "Accept-Language"), ("Content-Language", language)]);
    let mut variant = Vec::new();
    vary::variant(&mut variant, b"", &answer, &request).unwrap();
    Object::new(New {
        facts: Facts { status: 200, requested_ms, ..Facts::default() },
        primary: URL,
        variant: &variant,
        lines: format!("Content-Language: {language}\r\n").as_bytes(),
        tags: b"",
        body: Body::Whole(Bytes::from_static(b"text")),
    })
}

#[tokio::test]
async fn of_two_answers_to_one_request_the_newer_stays() {
    let folder = tempfile::tempdir().unwrap();
    let cache = deep(folder.path());
    let disk = cache.disk().unwrap();
    cache.keep(&in_language("de", soon()));
    disk.sync().await.unwrap();
    cache.retire(&in_language("en", soon())).await.unwrap();
    assert_eq!(disk.objects(), 0, "it is the same variant");
    cache.keep(&in_language("de", soon()));
    cache.keep(&in_language("en", soon()));
    disk.sync().await.unwrap();
    assert_eq!((cache.memory.objects(), disk.objects()), (1, 1));
    let german = |object: &Object| object.field("content-language") == Some(b"de");
    assert!(cache.memory.peek(URL, german).is_none() && disk.get(URL, german).await.is_none());
}

#[test]
fn a_copied_body_has_the_same_bytes_in_pieces_of_one_length() {
    for lens in [&[][..], &[0, 5], &[3; 7], &[PIECE], &[PIECE - 1, 2], &[1, 100_000, 7, PIECE, PIECE]] {
        let pieces: Vec<Bytes> = (1..).zip(lens).map(|(n, len)| vec![n; *len].into()).collect();
        let copied = match Body::copied(&pieces) {
            Body::Whole(bytes) => vec![bytes],
            Body::Pieces(pieces) => pieces.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(copied.concat(), pieces.concat());
        let (last, others) = copied.split_last().unwrap();
        assert!(others.iter().all(|piece| piece.len() == PIECE) && last.len() <= PIECE);
        assert!(others.is_empty() || !last.is_empty());
    }
}

#[tokio::test]
async fn a_url_is_tried_for_a_moment() {
    let cache = Cache::new(1 << 20, 1 << 20);
    assert!(!cache.was_tried(URL, 1000));
    cache.note_tried(URL, 1000);
    assert!(cache.was_tried(URL, 1001) && !cache.was_tried(URL, 1002));
}

#[tokio::test]
async fn a_purge_covers_what_comes_later() {
    let cache = Cache::new(1 << 20, 1 << 20);
    cache.keep(&object(50, 10));
    assert_eq!(cache.purge(What::All, false, 60).await.unwrap(), 1);
    cache.keep(&object(60, 10));
    assert!(!is_anywhere(&cache).await);
    cache.keep(&object(61, 10));
    assert!(is_anywhere(&cache).await);
}

/// A time that no ledger opened now covers.
fn soon() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64 + 60_000
}
