//! The ledger: exact, lasting, and safe where its file isn't.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use cache::Tell;
use cache::disk::files::Folder;
use cache::ledger::{Covered, LONGEST_NAME, Ledger, Purge, What};
use proptest::prelude::*;

fn purge(what: What, soft: bool, at_ms: u64) -> Purge {
    Purge { what, soft, at_ms }
}

fn url(url: &str) -> What {
    What::Url(url.as_bytes().into())
}

fn prefix(prefix: &str) -> What {
    What::Prefix(prefix.as_bytes().into())
}

fn tag(tag: &str) -> What {
    What::Tag(tag.as_bytes().into())
}

fn quiet() -> Tell {
    Arc::new(|said| panic!("the ledger said: {said}"))
}

/// Opens it as it was at `now_ms`.
fn open(path: &Path, now_ms: u64) -> Ledger {
    Ledger::open_on(Arc::new(Folder::open(path).unwrap()), now_ms, &quiet()).unwrap()
}

async fn record(ledger: &Ledger, what: What, soft: bool, at_ms: u64) {
    ledger.record(&purge(what, soft, at_ms)).await.unwrap();
}

#[tokio::test]
async fn a_purge_covers_what_it_names_and_nothing_else() {
    let ledger = Ledger::new();
    assert_eq!(ledger.covers(b"http://h/a", b"two\n", 0), Covered::No);
    record(&ledger, url("http://h/a"), false, 100).await;
    record(&ledger, tag("two"), true, 200).await;
    record(&ledger, prefix("http://h/dir/"), false, 300).await;
    let covers = |primary: &str, tags: &str, at| ledger.covers(primary.as_bytes(), tags.as_bytes(), at);
    assert_eq!(covers("http://h/a", "", 100), Covered::Hard);
    assert_eq!(covers("http://h/a", "", 101), Covered::No);
    assert_eq!(covers("http://h/ab", "", 50), Covered::No);
    assert_eq!(covers("http://h/", "", 50), Covered::No);
    assert_eq!(covers("http://h/x", "one\ntwo\n", 200), Covered::Soft);
    assert_eq!(covers("http://h/x", "twofold\ntw\n", 200), Covered::No);
    assert_eq!(covers("http://h/dir/x", "", 300), Covered::Hard);
    assert_eq!(covers("http://h/dir", "", 300), Covered::No);
    assert_eq!(covers("http://h/a", "two\n", 100), Covered::Hard, "the harder one wins");
    assert_eq!(covers("http://h/a", "two\n", 150), Covered::Soft);
    record(&ledger, What::All, true, 1000).await;
    assert_eq!(covers("http://z/", "", 1000), Covered::Soft);
    assert_eq!(covers("http://z/", "", 1001), Covered::No);
}

#[tokio::test]
async fn purges_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 5);
    assert_eq!(ledger.covers(b"http://h/", b"", 5), Covered::Hard, "what came before it is unknown to it");
    for number in 0..100 {
        record(&ledger, url(&format!("http://h/{number}")), number % 2 == 1, 100 + number).await;
    }
    for round in 0..3 {
        let ledger = open(folder.path(), 1_000_000);
        for number in 0..100u64 {
            let primary = format!("http://h/{number}");
            let covered = if number % 2 == 1 { Covered::Soft } else { Covered::Hard };
            assert_eq!(ledger.covers(primary.as_bytes(), b"", 100 + number), covered, "round {round}");
            assert_eq!(ledger.covers(primary.as_bytes(), b"", 101 + number), Covered::No);
        }
    }
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 3, "files of the past are removed");
}

#[tokio::test]
async fn two_processes_may_have_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let leaves = open(folder.path(), 5);
    record(&leaves, url("http://h/1"), false, 100).await;
    let comes = open(folder.path(), 50);
    assert_eq!(comes.covers(b"http://h/1", b"", 100), Covered::Hard);
    let long = "x".repeat(100 * 1024);
    for _ in 0..100 {
        record(&leaves, tag(&long), false, 1).await; // so that it begins another file
    }
    record(&leaves, url("http://h/2"), false, 200).await;
    record(&comes, url("http://h/3"), false, 300).await;
    drop((leaves, comes));
    let ledger = open(folder.path(), 50);
    for (number, at) in [(1, 100), (2, 200), (3, 300)] {
        assert_eq!(ledger.covers(format!("http://h/{number}").as_bytes(), b"", at), Covered::Hard);
    }
}

/// The only file of a ledger.
fn file(folder: &Path) -> std::path::PathBuf {
    let mut files = fs::read_dir(folder).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_a_damaged_middle_purges_everything() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path(), 5);
    record(&ledger, url("http://h/1"), false, 100).await;
    record(&ledger, url("http://h/2"), false, 100).await;
    drop(ledger);
    let good = fs::read(file(folder.path())).unwrap();
    fs::write(file(folder.path()), &good[..good.len() - 3]).unwrap();
    let ledger = open(folder.path(), 1000);
    assert_eq!(ledger.covers(b"http://h/1", b"", 100), Covered::Hard);
    assert_eq!(ledger.covers(b"http://h/2", b"", 100), Covered::No, "its end never came");
    drop(ledger);

    let mut bad = good;
    let middle = bad.windows(10).position(|bytes| bytes == b"http://h/1").unwrap();
    bad[middle] ^= 1;
    fs::write(file(folder.path()), &bad).unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let tell: Tell = Arc::new({
        let said = said.clone();
        move |text| said.lock().unwrap().push(text)
    });
    let ledger = Ledger::open_on(Arc::new(Folder::open(folder.path()).unwrap()), 1000, &tell).unwrap();
    assert!(said.lock().unwrap()[0].contains("damaged"));
    assert_eq!(ledger.covers(b"http://h/any", b"", 1000), Covered::Hard);
    assert_eq!(ledger.covers(b"http://h/any", b"", 1001), Covered::No);
}

#[tokio::test]
async fn a_long_running_ledger_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open(folder.path(), 5));
    let name = "x".repeat(100 * 1024);
    for at in 0..200 {
        record(&ledger, tag(&name), false, 100 + at).await;
    }
    let bytes: u64 =
        fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 6 * 1024 * 1024, "{bytes}");
    drop(ledger);
    assert_eq!(open(folder.path(), 0).covers(b"", format!("{name}\n").as_bytes(), 299), Covered::Hard);
}

#[tokio::test]
async fn a_name_without_bounds_is_refused() {
    let ledger = Ledger::new();
    let long = What::Url(vec![b'x'; LONGEST_NAME + 1].into());
    assert!(ledger.record(&purge(long, false, 1)).await.is_err());
    assert!(ledger.is_empty());
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Ledger::open(&path, &quiet()).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

#[tokio::test]
async fn many_at_once_share_their_syncs_and_all_last() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(open(folder.path(), 5));
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let ledger = ledger.clone();
            tokio::spawn(async move { record(&ledger, url(&format!("http://h/{number}")), false, 100).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(ledger);
    assert_eq!(open(folder.path(), 0).len(), 500);
}

/// Few names, so that they meet.
fn any_purge() -> impl Strategy<Value = Purge> {
    let text = "[ab]{0,3}";
    let what = prop_oneof![
        4 => text.prop_map(|name| url(&name)),
        4 => text.prop_map(|name| prefix(&name)),
        4 => "[ab]{1,2}".prop_map(|name| tag(&name)),
        1 => Just(What::All),
    ];
    (what, any::<bool>(), 1..8u64).prop_map(|(what, soft, at_ms)| purge(what, soft, at_ms))
}

proptest! {
    #[test]
    fn the_ledger_agrees_with_a_list(
        purges in prop::collection::vec(any_purge(), 0..12),
        primary in "[ab]{0,4}",
        tags in prop::collection::vec("[ab]{1,2}", 0..3),
        at in 0..9u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ledger = Ledger::new();
        let mut expected = Covered::No;
        for purge in &purges {
            runtime.block_on(ledger.record(purge)).unwrap();
            let named = match &purge.what {
                What::All => true,
                What::Url(url) => **url == *primary.as_bytes(),
                What::Prefix(prefix) => primary.as_bytes().starts_with(prefix),
                What::Tag(tag) => tags.iter().any(|has| has.as_bytes() == &**tag),
            };
            if named && at <= purge.at_ms {
                expected = match (expected, purge.soft) {
                    (Covered::Hard, _) | (_, false) => Covered::Hard,
                    _ => Covered::Soft,
                };
            }
        }
        let lines: String = tags.iter().map(|tag| format!("{tag}\n")).collect();
        prop_assert_eq!(ledger.covers(primary.as_bytes(), lines.as_bytes(), at), expected);
    }
}
