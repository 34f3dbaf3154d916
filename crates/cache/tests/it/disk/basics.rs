//! Without failures.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache::Object;
use cache::disk::{Disk, SMALLEST, State, Stored};
use cache::ledger::{Purge, What};
use cache::object::Body;

use super::super::buffer::Buffers;
use super::world::{MIB, bytes, check, get, object, primary, quiet, version, whole, write};

fn open(path: &std::path::Path, size: u64) -> Disk {
    Disk::open(path, size, quiet()).unwrap()
}

fn ranges(stored: &Stored) -> Vec<(u64, u64)> {
    stored.parts().into_iter().map(|part| (part.start, part.end)).collect()
}

#[tokio::test]
async fn what_was_kept_is_found_and_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    let lengths = [0, 1, 1000, 65_536, 65_537, 262_144, 262_145, 1_000_000];
    for (key, len) in (0..).zip(lengths) {
        disk.keep(&whole(key, 1, 5, len));
        assert!(write(&disk, key + 10, 1, 5, len, true).await);
        assert!(write(&disk, key + 20, 1, 5, len, false).await);
    }
    let pieces: Vec<Bytes> = (0..10).map(|n| bytes(30, 1, n * 30_000, 30_000)).collect();
    disk.keep(&object(30, 1, 5, Body::Pieces(pieces.into())));
    disk.sync().await.unwrap();
    let look = async |disk: &Disk| {
        for (key, len) in (0..).zip(lengths) {
            for key in [key, key + 10, key + 20] {
                let object = get(disk, key).await.unwrap_or_else(|| panic!("{key} is gone"));
                assert!(object.body().is_whole(), "{key}");
                assert_eq!(check(key, &object).await, Some(len));
                assert_eq!(matches!(object.body(), Body::Whole(_)), len <= 65_536, "{key}");
                assert_eq!(object.tags(), format!("k{key}\nmod{}\n", key % 4).as_bytes());
            }
        }
        assert_eq!(check(30, &get(disk, 30).await.unwrap()).await, Some(300_000));
        assert!(get(disk, 99).await.is_none());
        assert_eq!(disk.objects(), 25);
        assert_eq!(disk.state(), State::Well);
    };
    look(&disk).await;
    drop(disk);
    for _ in 0..3 {
        look(&open(folder.path(), 64 * MIB)).await;
    }
}

#[tokio::test]
async fn the_newest_that_fits_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), SMALLEST);
    for (variant, number) in [("gzip", 1), ("br", 2), ("zstd", 3)] {
        let body = Body::Whole(Bytes::from(vec![number; 10]));
        disk.keep(&Object::new(cache::object::New {
            facts: cache::Facts::default(),
            primary: b"http://h/",
            variant: variant.as_bytes(),
            lines: b"",
            tags: b"",
            body,
        }));
    }
    disk.sync().await.unwrap();
    let of = async |fits: &dyn Fn(&Object) -> bool| {
        disk.get(b"http://h/", fits).await.map(|object| object.variant().to_vec())
    };
    assert_eq!(of(&|_| true).await.unwrap(), b"zstd");
    assert_eq!(of(&|object| object.variant() == b"gzip").await.unwrap(), b"gzip");
    assert_eq!(of(&|_| false).await, None);
    disk.retire(b"http://h/", b"zstd").await.unwrap();
    assert_eq!(of(&|_| true).await.unwrap(), b"br");
    drop(disk);
    let disk = open(folder.path(), SMALLEST);
    let found = disk.get(b"http://h/", |_| true).await.unwrap();
    assert_eq!(found.variant(), b"br");
}

#[tokio::test]
async fn what_is_retired_or_purged_stays_gone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 16 * MIB);
    for key in 0..6 {
        disk.keep(&whole(key, 1, 5, 1000 + key * 100_000));
    }
    disk.sync().await.unwrap();
    disk.retire(&primary(0), b"").await.unwrap();
    disk.retire(&primary(1), b"another variant").await.unwrap();
    disk.retire(&primary(5), b"").await.unwrap();
    disk.keep(&whole(5, 2, 6, 10));
    let url = |key| Purge { what: What::Url(primary(key).into()), soft: false, at_ms: 9 };
    assert_eq!(disk.purge(&url(2)).await.unwrap(), 1);
    assert_eq!(disk.purge(&url(2)).await.unwrap(), 0);
    assert_eq!(disk.purge(&Purge { soft: true, ..url(3) }).await.unwrap(), 0, "softly purged, it stays");
    disk.sync().await.unwrap();
    let look = async |disk: &Disk| {
        let mut there = Vec::new();
        for key in 0..6 {
            there.extend(get(disk, key).await.map(|object| (key, version(&object))));
        }
        there
    };
    let expected = [(1, 1), (3, 1), (4, 1), (5, 2)];
    assert_eq!(look(&disk).await, expected);
    drop(disk);
    let disk = open(folder.path(), 16 * MIB);
    assert_eq!(look(&disk).await, expected);
    assert_eq!(disk.purge(&Purge { what: What::All, soft: false, at_ms: 9 }).await.unwrap(), 4);
    assert_eq!(disk.objects(), 0);
    drop(disk);
    assert_eq!(look(&open(folder.path(), 16 * MIB)).await, []);
}

#[tokio::test]
async fn what_is_written_can_be_read_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    let mut writer = disk.begin(&object(1, 1, 5, Body::Whole(Bytes::new())), None).unwrap();
    let stored = writer.stored();
    assert_eq!((stored.total(), stored.has(0, 1), stored.is_whole()), (None, false, false));
    for at in (0..2_000_000).step_by(100_000) {
        assert!(writer.write(at, bytes(1, 1, at, 100_000)).await);
        assert!(stored.has(0, at + 100_000), "what was taken can be read at once");
        assert_eq!(ranges(&stored), [(0, at + 100_000)]);
        let piece = stored.read(at / 2, 10).await.unwrap();
        assert_eq!(piece, bytes(1, 1, at / 2, piece.len() as u64));
    }
    writer.finish().await;
    assert!(stored.is_whole());
    assert_eq!(stored.read(2_000_000, 10).await.unwrap(), "");
    disk.sync().await.unwrap();
    assert_eq!(check(1, &get(&disk, 1).await.unwrap()).await, Some(2_000_000));
}

#[tokio::test]
async fn parts_are_kept_and_completed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    let head = object(1, 1, 5, Body::Whole(Bytes::new()));
    let total = 5_000_000;
    let mut writer = disk.begin(&head, Some(total)).unwrap();
    assert!(writer.write(1_000_000, bytes(1, 1, 1_000_000, 700_000)).await);
    writer.finish().await;
    disk.sync().await.unwrap();
    drop(disk);

    let disk = open(folder.path(), 64 * MIB);
    let object = get(&disk, 1).await.unwrap();
    let Body::Disk(stored) = object.body().clone() else { panic!() };
    assert_eq!((ranges(&stored), stored.total()), (vec![(1_000_000, 1_700_000)], Some(total)));
    assert!(stored.has(1_200_000, 1_700_000) && !stored.has(1_200_000, 1_700_001));
    assert!(stored.read(0, 10).await.is_err());
    check(1, &object).await.unwrap();
    let mut writer = disk.extend(&stored).unwrap();
    for (from, to) in [(4_000_000, total), (0, 1_100_000), (1_500_000, 4_100_000)] {
        assert!(writer.write(from, bytes(1, 1, from, to - from)).await);
    }
    writer.finish().await;
    assert!(stored.is_whole());
    disk.sync().await.unwrap();
    drop(disk);
    let disk = open(folder.path(), 64 * MIB);
    assert_eq!(check(1, &get(&disk, 1).await.unwrap()).await, Some(total));
}

#[tokio::test]
async fn parts_in_memory_are_kept_as_parts() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), SMALLEST);
    let parts = [(10, bytes(1, 1, 10, 20)), (300_000, bytes(1, 1, 300_000, 5))];
    disk.keep(&object(1, 1, 5, Body::Parts { total: Some(400_000), parts: parts.into() }));
    disk.sync().await.unwrap();
    let Body::Disk(stored) = get(&disk, 1).await.unwrap().body().clone() else { panic!() };
    assert_eq!(ranges(&stored), [(10, 30), (300_000, 300_005)]);
}

#[tokio::test]
async fn a_body_of_unknown_length_that_breaks_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), SMALLEST);
    let mut writer = disk.begin(&object(1, 1, 5, Body::Whole(Bytes::new())), None).unwrap();
    assert!(writer.write(0, bytes(1, 1, 0, 600_000)).await);
    disk.sync().await.unwrap();
    drop(writer);
    assert!(get(&disk, 1).await.is_none());
    let mut writer = disk.begin(&object(2, 1, 5, Body::Whole(Bytes::new())), Some(700_000)).unwrap();
    assert!(writer.write(0, bytes(2, 1, 0, 600_000)).await);
    drop(writer);
    disk.sync().await.unwrap();
    assert_eq!(check(2, &get(&disk, 2).await.unwrap()).await, Some(600_000));
    drop(disk);
    let disk = open(folder.path(), SMALLEST);
    assert!(get(&disk, 1).await.is_none());
    assert_eq!(check(2, &get(&disk, 2).await.unwrap()).await, Some(600_000));
}

#[tokio::test]
async fn what_is_taken_back_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 16 * MIB);
    let begin = |key| disk.begin(&object(key, 1, 5, Body::Whole(Bytes::new())), Some(700_000)).unwrap();
    let (mut unwritten, mut half, mut all) = (begin(1), begin(2), begin(3));
    assert!(unwritten.write(0, bytes(1, 1, 0, 1000)).await);
    assert!(half.write(0, bytes(2, 1, 0, 600_000)).await);
    assert!(all.write(0, bytes(3, 1, 0, 700_000)).await);
    disk.sync().await.unwrap();
    assert!(get(&disk, 2).await.is_some() && get(&disk, 3).await.is_some());
    // Another one of the same URL that was begun later is none of its business.
    assert!(write(&disk, 4, 1, 5, 300_000, true).await);
    let mut old = begin(4);
    assert!(old.write(0, bytes(4, 1, 0, 400_000)).await);
    disk.keep(&whole(4, 2, 6, 1000));
    for writer in [unwritten, half, all, old] {
        writer.discard();
    }
    disk.sync().await.unwrap();
    let look = async |disk: &Disk| {
        for key in 1..4 {
            assert!(get(disk, key).await.is_none(), "{key}");
        }
        assert_eq!(version(&get(disk, 4).await.unwrap()), 2);
        assert_eq!(disk.objects(), 1);
    };
    look(&disk).await;
    drop(disk);
    look(&open(folder.path(), 16 * MIB)).await;
}

#[tokio::test]
async fn bytes_beyond_the_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 16 * MIB);
    let mut writer = disk.begin(&object(1, 1, 5, Body::Whole(Bytes::new())), Some(400_000)).unwrap();
    assert!(writer.write(100_000, bytes(1, 1, 100_000, 250_000)).await);
    let stored = writer.stored();
    assert!(!writer.write(350_000, bytes(1, 1, 350_000, 50_001)).await);
    drop(writer);
    assert_eq!(ranges(&stored), [(100_000, 350_000)], "what lies within stays");
    let mut writer = disk.extend(&stored).unwrap();
    assert!(!writer.write(400_000, bytes(1, 1, 400_000, 1)).await);
    drop(writer);
    disk.sync().await.unwrap();
    assert_eq!(check(1, &get(&disk, 1).await.unwrap()).await, Some(250_000));
}

#[tokio::test]
async fn what_waits_to_be_written_holds_no_buffers() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 16 * MIB);
    let mut writer = disk.begin(&object(1, 1, 5, Body::Whole(Bytes::new())), Some(100_000)).unwrap();
    let (stored, buffers) = (writer.stored(), Buffers::default());
    let mut at = 0;
    while at < 99_000 {
        let len = 1 + at % 300;
        assert!(writer.write(at, buffers.piece(len as usize)).await);
        at += len;
        assert!(stored.has(0, at) && !stored.has(0, at + 1), "it can be read at once");
    }
    assert_eq!(buffers.held(), 0);
    assert_eq!(stored.read(at - 1, 10).await.unwrap(), "x");
}

#[tokio::test]
async fn a_confirmed_object_has_its_new_head() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), SMALLEST);
    assert!(write(&disk, 1, 1, 5, 500_000, true).await);
    disk.sync().await.unwrap();
    let old = get(&disk, 1).await.unwrap();
    disk.refresh(&object(1, 1, 77, old.body().clone())).await;
    disk.sync().await.unwrap();
    assert_eq!(get(&disk, 1).await.unwrap().facts().requested_ms, 77);
    drop((disk, old));
    let disk = open(folder.path(), SMALLEST);
    let object = get(&disk, 1).await.unwrap();
    assert_eq!(object.facts().requested_ms, 77);
    assert_eq!(check(1, &object).await, Some(500_000));
}

#[tokio::test]
async fn the_size_holds_and_what_is_used_stays_longest() {
    let folder = tempfile::tempdir().unwrap();
    let size = 16 * MIB;
    let disk = open(folder.path(), size);
    let taken = || -> u64 {
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    for key in 0..1000 {
        let len = if key % 10 == 0 { 300_000 } else { 5000 + key };
        if !write(&disk, key, 1, 5, len, key % 3 == 0).await {
            panic!("{key} is not taken");
        }
        disk.sync().await.unwrap();
        for used in [0, 1].into_iter().filter(|&used| used <= key) {
            if let Some(object) = get(&disk, used).await {
                check(used, &object).await;
            } else {
                panic!("{used} is gone after {key}, though it is used all the time");
            }
        }
        assert!(taken() <= size + MIB, "{}", taken());
    }
    assert!(get(&disk, 2).await.is_none() && get(&disk, 10).await.is_none());
    assert!(get(&disk, 999).await.is_some());
    assert!(disk.evicted() > 500 && disk.bytes() <= size);
    drop(disk);
    // A smaller tier drops the oldest, a larger one keeps what there is.
    let disk = open(folder.path(), 8 * MIB);
    assert!(write(&disk, 2000, 1, 5, 1_500_000, true).await);
    disk.sync().await.unwrap();
    assert!(taken() <= 8 * MIB + MIB, "{}", taken());
    assert!(get(&disk, 999).await.is_some());
    drop(disk);
    let disk = open(folder.path(), 256 * MIB);
    for key in 3000..3200 {
        assert!(write(&disk, key, 1, 5, 300_000, true).await);
    }
    disk.sync().await.unwrap();
    assert!(get(&disk, 999).await.is_some() && get(&disk, 3000).await.is_some());
}

#[tokio::test]
async fn objects_that_are_too_large_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), SMALLEST);
    let head = object(1, 1, 5, Body::Whole(Bytes::new()));
    assert!(disk.begin(&head, Some(SMALLEST)).is_none());
    let mut writer = disk.begin(&head, None).unwrap();
    let mut taken = 0;
    while writer.write(taken, bytes(1, 1, taken, 100_000)).await {
        taken += 100_000;
        assert!(taken < SMALLEST);
    }
    drop(writer);
    disk.sync().await.unwrap();
    assert!(get(&disk, 1).await.is_none());
    assert!(Disk::open(folder.path(), SMALLEST - 1, quiet()).is_err());
}

#[tokio::test]
async fn small_objects_take_little_more_than_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path(), 64 * MIB);
    for key in 0..1000 {
        disk.keep(&whole(key, 1, 5, 1024));
    }
    disk.sync().await.unwrap();
    assert_eq!(disk.objects(), 1000);
    assert!(disk.bytes() < 1000 * 1400, "{}", disk.bytes());
}

#[tokio::test]
async fn a_second_process_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let leaves = open(folder.path(), SMALLEST);
    leaves.keep(&whole(1, 1, 5, 1000));
    leaves.keep(&whole(2, 1, 5, 1000));
    leaves.keep(&whole(3, 1, 5, 1000));
    let comes = open(folder.path(), SMALLEST);
    assert_eq!(comes.state(), State::Starting);
    assert!(get(&comes, 1).await.is_none());
    assert!(comes.begin(&whole(9, 1, 5, 0), None).is_none());
    comes.keep(&whole(1, 2, 6, 1000));
    comes.retire(&primary(1), b"").await.unwrap();
    comes.purge(&Purge { what: What::Url(primary(3).into()), soft: false, at_ms: 9 }).await.unwrap();
    drop(leaves);
    tokio::time::timeout(Duration::from_secs(20), async {
        while comes.state() == State::Starting {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert!(get(&comes, 1).await.is_none(), "it was replaced while the tier wasn't there");
    assert!(get(&comes, 3).await.is_none());
    assert!(get(&comes, 2).await.is_some());
    drop(comes);
    let disk = open(folder.path(), SMALLEST);
    assert!(get(&disk, 1).await.is_none() && get(&disk, 2).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(open(folder.path(), 16 * MIB));
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let disk = disk.clone();
            tokio::spawn(async move {
                for round in 1..20 {
                    let key = task * 4 + round % 4;
                    disk.retire(&primary(key), b"").await.unwrap();
                    write(&disk, key, round, 5, round * 21_000, round % 2 == 0).await;
                    for key in (round % 4..32).step_by(4) {
                        if let Some(object) = get(&disk, key).await {
                            check(key, &object).await;
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
