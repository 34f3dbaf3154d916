//! A disk that is full, fails or spoils what it holds.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use cache::disk::{Disk, State};
use cache::ledger::{Covered, Ledger, Purge, What};
use cache::object::Body;

use super::sim::Sim;
use super::world::{MIB, check, get, listener, primary, quiet, whole, write};

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "never: {what}");
}

#[tokio::test]
async fn a_failing_disk_is_left_alone_and_tried_again() {
    let sim = Sim::default();
    let (tell, heard) = listener();
    let disk = Disk::open_on(Arc::new(sim.clone()), 16 * MIB, tell).unwrap();
    disk.keep(&whole(1, 1, 5, 1000));
    disk.sync().await.unwrap();
    sim.trouble(Some(ErrorKind::Other));
    let before = disk.begin(&whole(2, 1, 5, 0), Some(900_000)).unwrap();
    drop(before);
    disk.keep(&whole(2, 1, 5, 500_000));
    until("it fails", || matches!(disk.state(), State::Failing(_))).await;
    assert!(disk.begin(&whole(3, 1, 5, 0), None).is_none(), "it is left alone");
    assert!(disk.retire(&primary(1), b"").await.is_err(), "it can't be made sure of");
    assert!(get(&disk, 1).await.is_none(), "but it is gone");
    assert!(get(&disk, 2).await.is_none());
    sim.trouble(None);
    until("it is tried again", || {
        disk.keep(&whole(4, 1, 5, 1000));
        disk.state() == State::Well
    })
    .await;
    disk.sync().await.unwrap();
    assert_eq!(check(4, &get(&disk, 4).await.unwrap()).await, Some(1000));
    disk.retire(&primary(4), b"").await.unwrap();
    assert_eq!(heard.lock().unwrap().len(), 2, "{heard:?}");
    drop(disk);
    let disk = Disk::open_on(Arc::new(sim), 16 * MIB, quiet()).unwrap();
    assert!(get(&disk, 4).await.is_none());
    assert!(get(&disk, 1).await.is_none(), "what could not be retired then was with the next one");
}

/// How long a sync may take.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_disk_that_hangs_holds_nobody_up_for_long() {
    let sim = Sim::default();
    let (tell, heard) = listener();
    let disk = Disk::open_on(Arc::new(sim.clone()), 16 * MIB, tell).unwrap();
    for key in 0..4 {
        disk.keep(&whole(key, 1, 5, 1000));
    }
    disk.sync().await.unwrap();
    let hanging = sim.hang();
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    assert_eq!(disk.retire(&primary(0), b"").await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!((LIMIT..2 * LIMIT).contains(&started.elapsed()));
    assert_eq!(disk.state(), State::Failing("it is too slow".into()));
    assert!(heard.lock().unwrap()[0].contains("it is too slow"));
    assert!(get(&disk, 0).await.is_none(), "it is gone while this process runs");
    // Who comes after doesn't wait as long for what is known.
    let started = tokio::time::Instant::now();
    assert_eq!(disk.retire(&primary(1), b"").await.unwrap_err().kind(), ErrorKind::TimedOut);
    let purge = Purge { what: What::Url(primary(2).into()), soft: false, at_ms: 9 };
    assert!(disk.purge(&purge).await.unwrap_err().to_string().contains("too slow"));
    assert!(started.elapsed() < LIMIT / 100);
    tokio::time::resume();
    drop(hanging);
    // What couldn't be waited for lasts before anything that comes later.
    let lasts = async {
        while disk.retire(&primary(3), b"").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), lasts).await.unwrap();
    drop(disk);
    let disk = Disk::open_on(Arc::new(sim), 16 * MIB, quiet()).unwrap();
    for key in 0..4 {
        assert!(get(&disk, key).await.is_none(), "{key}");
    }
}

#[tokio::test]
async fn a_ledger_that_hangs_says_that_a_purge_may_not_last() {
    let sim = Sim::default();
    let ledger = Ledger::open_on(Arc::new(sim.clone()), 5, &quiet()).unwrap();
    let hanging = sim.hang();
    tokio::time::pause();
    let purge = |at_ms| Purge { what: What::All, soft: false, at_ms };
    assert_eq!(ledger.record(&purge(10)).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(ledger.covers(b"http://h/", b"", 10), Covered::Hard, "it holds all the same");
    tokio::time::resume();
    drop(hanging);
    let lasts = async {
        while ledger.record(&purge(11)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), lasts).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_holds_what_it_can() {
    let sim = Sim::default();
    sim.room(Some(5 * MIB));
    let (tell, heard) = listener();
    let disk = Disk::open_on(Arc::new(sim.clone()), 64 * MIB, tell).unwrap();
    for key in 0..100 {
        assert!(write(&disk, key, 1, 5, 300_000, true).await);
        disk.sync().await.unwrap();
        assert_eq!(check(key, &get(&disk, key).await.unwrap()).await, Some(300_000));
    }
    assert_eq!(disk.state(), State::Full);
    assert!(sim.bytes() < 6 * MIB);
    assert_eq!(heard.lock().unwrap().len(), 1);
    sim.room(None);
    for key in 100..150 {
        assert!(write(&disk, key, 1, 5, 300_000, true).await);
    }
    disk.sync().await.unwrap();
    assert_eq!(disk.state(), State::Well);
    assert!(sim.bytes() > 6 * MIB);
}

#[tokio::test]
async fn no_room_at_all_is_a_failing_disk() {
    let sim = Sim::default();
    sim.room(Some(0));
    let disk = Disk::open_on(Arc::new(sim), 64 * MIB, quiet()).unwrap();
    disk.keep(&whole(1, 1, 5, 1000));
    until("it fails", || matches!(disk.state(), State::Failing(_))).await;
    assert!(get(&disk, 1).await.is_none());
}

#[tokio::test]
async fn spoiled_bytes_are_never_served() {
    for key in [1, 2] {
        let sim = Sim::default();
        let disk = Disk::open_on(Arc::new(sim.clone()), 16 * MIB, quiet()).unwrap();
        let len = if key == 1 { 5000 } else { 600_000 };
        assert!(write(&disk, key, 1, 5, len, true).await);
        disk.sync().await.unwrap();
        let right = super::world::bytes(key, 1, 4000, 16);
        let at = sim.find("segment-00000", &right).unwrap();
        sim.spoil("segment-00000", at);
        let found = get(&disk, key).await;
        if key == 1 {
            assert!(found.is_none());
            assert_eq!(disk.objects(), 0);
            continue;
        }
        let Body::Disk(stored) = found.unwrap().body().clone() else { panic!() };
        assert_eq!(stored.read(4000, 10).await.unwrap_err().kind(), ErrorKind::InvalidData);
        assert!(!stored.has(0, 1) && stored.has(262_144, len) && !stored.is_whole());
        assert!(stored.read(300_000, 10).await.is_ok());
        drop(disk);
    }
}

#[tokio::test]
async fn a_start_looks_for_what_a_crash_has_torn() {
    let sim = Sim::default();
    let disk = Disk::open_on(Arc::new(sim.clone()), 16 * MIB, quiet()).unwrap();
    assert!(write(&disk, 1, 1, 5, 600_000, true).await);
    disk.keep(&whole(2, 1, 5, 1000));
    disk.sync().await.unwrap();
    let crashed = sim.after_the_loss(&mut super::world::Dice(1));
    let at = crashed.find("segment-00000", &super::world::bytes(1, 1, 100, 16)).unwrap();
    crashed.spoil("segment-00000", at);
    for _ in 0..2 {
        let disk = Disk::open_on(Arc::new(crashed.clone()), 16 * MIB, quiet()).unwrap();
        let Body::Disk(stored) = get(&disk, 1).await.unwrap().body().clone() else { panic!() };
        assert!(!stored.has(100, 101) && stored.has(262_144, 600_000) && !stored.is_whole());
        assert!(get(&disk, 2).await.is_some(), "what stands behind it is found");
    }
}

#[tokio::test]
async fn garbage_in_the_folder_is_no_object() {
    let sim = Sim::default();
    let disk = Disk::open_on(Arc::new(sim.clone()), 16 * MIB, quiet()).unwrap();
    for key in 0..10 {
        disk.keep(&whole(key, 1, 5, 200_000));
    }
    disk.sync().await.unwrap();
    drop(disk);
    let segment = "segment-00000";
    assert!(sim.names().contains(&segment.into()));
    // The footer's trailer, a record's mark, and at last the header.
    for at in [MIB as usize - 10, 64 + 10, 10] {
        sim.spoil(segment, at);
        let disk = Disk::open_on(Arc::new(sim.clone()), 16 * MIB, quiet()).unwrap();
        for key in 0..10 {
            if let Some(object) = get(&disk, key).await {
                check(key, &object).await;
            }
        }
        disk.keep(&whole(20, 1, 5, 10_000));
        disk.sync().await.unwrap();
        assert!(get(&disk, 20).await.is_some());
    }
}

#[tokio::test]
async fn a_damaged_log_of_what_is_gone_drops_everything() {
    let sim = Sim::default();
    let disk = Disk::open_on(Arc::new(sim.clone()), 16 * MIB, quiet()).unwrap();
    for key in 0..5 {
        disk.keep(&whole(key, 1, 5, 1000));
    }
    disk.sync().await.unwrap();
    for key in 0..3 {
        disk.retire(&primary(key), b"").await.unwrap();
    }
    // As a crash leaves it: no footer has taken the kills over.
    let crashed = sim.after_the_loss(&mut super::world::Dice(1));
    drop(disk);
    let log = crashed.names().into_iter().find(|name| name.starts_with("gone")).unwrap();
    crashed.spoil(&log, 40);
    let (tell, heard) = listener();
    let disk = Disk::open_on(Arc::new(crashed), 16 * MIB, tell).unwrap();
    assert!(heard.lock().unwrap()[0].contains("damaged"));
    for key in 0..5 {
        assert!(get(&disk, key).await.is_none());
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error = Disk::open(&path, 16 * MIB, quiet()).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}
