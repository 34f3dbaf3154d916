//! A snapshot is there whole, or the one before it is; and nobody reads a wrong byte of it.

use std::io::{self, Read, Write};

use engine::Position;
use engine::files::Files;
use engine::snapshot::{SnapshotError, read, write};
use proptest::prelude::*;

use super::disk::{Dice, Disk, Failing};
use super::support::record;

const NAME: &str = "snapshot";

fn put(files: &dyn Files, position: u64, bytes: &[u8], piece: usize) -> io::Result<()> {
    let fill = &mut |to: &mut dyn Write| bytes.chunks(piece).try_for_each(|piece| to.write_all(piece));
    write(files, NAME, Position(position), fill)
}

fn get(files: &dyn Files) -> Result<Option<(Position, Vec<u8>)>, SnapshotError> {
    let Some((position, mut reader)) = read(files, NAME)? else { return Ok(None) };
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(Some((position, bytes)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_written_is_read(len in 0..300_000usize, piece in 1..100_000usize, position: u64) {
        let disk = Disk::default();
        let bytes = record(7, len);
        put(&disk, position, &bytes, piece).unwrap();
        prop_assert_eq!(get(&disk).unwrap(), Some((Position(position), bytes)));
        prop_assert_eq!(disk.names(), [NAME]);
    }

    #[test]
    fn a_changed_byte_is_told(len in 0..150_000usize, at: prop::sample::Index, bit in 0..8u32) {
        let disk = Disk::default();
        put(&disk, 5, &record(7, len), 1000).unwrap();
        let mut bytes = disk.bytes(NAME);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        disk.put(NAME, bytes);
        match get(&disk).unwrap_err() {
            SnapshotError::Damaged { name, at: told } => prop_assert!(name == NAME && told <= at as u64),
            SnapshotError::Version { .. } => prop_assert_eq!(at, 7),
            SnapshotError::Io(error) => {
                prop_assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                prop_assert!(error.to_string().contains("is damaged at byte"));
            }
        }
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let disk = Disk::default();
        disk.put(NAME, bytes);
        prop_assert!(get(&disk).is_err());
    }
}

#[test]
fn where_there_is_none_there_is_none() {
    assert!(get(&Disk::default()).unwrap().is_none());
}

#[test]
fn a_snapshot_that_is_cut_or_longer_or_mixed_is_damaged() {
    let (disk, other) = (Disk::default(), Disk::default());
    put(&disk, 5, &record(7, 200_000), 1000).unwrap();
    put(&other, 6, &record(7, 200_000), 1000).unwrap();
    let whole = disk.bytes(NAME);
    let cut = whole[..whole.len() - 1].to_vec();
    let longer = [whole.as_slice(), &[0]].concat();
    let mixed = [&whole[..100_000], &other.bytes(NAME)[100_000..]].concat();
    for bytes in [cut, longer, mixed, Vec::new()] {
        disk.put(NAME, bytes);
        assert!(get(&disk).is_err());
    }
}

#[test]
fn whatever_fails_the_old_one_stays() {
    let disk = Disk::default();
    put(&disk, 5, b"old", 1).unwrap();
    let new = record(7, 200_000);
    for failing in [Failing::Writes(io::ErrorKind::StorageFull), Failing::Syncs] {
        disk.fail(failing);
        assert!(put(&disk, 6, &new, 1000).is_err());
        disk.fail(Failing::Nothing);
        assert_eq!(get(&disk).unwrap().unwrap().1, b"old");
    }
    let stop = &mut |_: &mut dyn Write| Err(io::Error::other("it can't be told"));
    assert!(write(&disk, NAME, Position(6), stop).unwrap_err().to_string().contains("can't be told"));
    assert_eq!(get(&disk).unwrap().unwrap(), (Position(5), b"old".to_vec()));
    put(&disk, 6, &new, 1000).unwrap();
    assert_eq!(get(&disk).unwrap().unwrap(), (Position(6), new));
    assert_eq!(disk.names(), [NAME]);
}

#[test]
fn a_loss_of_power_leaves_one_whole() {
    let mut dice = Dice(3);
    let mut new = 0;
    for seed in 0..150 {
        let mut disk = Disk::default();
        put(&disk, 5, b"old", 1).unwrap();
        // In the middle, at the end, or just after it was told; then again.
        for position in [6, 7] {
            disk.lose_power_after(dice.roll(9));
            let bytes = record(position, 70_000);
            let told = put(&disk, position, &bytes, 1000);
            disk = disk.after_the_loss(&mut dice);
            let (at, is) = get(&disk).unwrap().unwrap();
            assert!(is == if at.0 == 5 { b"old".to_vec() } else { record(at.0, 70_000) }, "{seed}");
            assert!(told.is_err() || at.0 == position, "{seed}");
            new += u64::from(at.0 == position);
        }
    }
    assert!((40..260).contains(&new), "{new}");
}
