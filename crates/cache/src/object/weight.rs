//! What things take in memory, so that a tier's limit holds for the process and not only for the sum
//! of lengths. The allocator rounds up to its size classes: four for each doubling, as mimalloc's.

use crate::object::Body;

/// From here on the allocator hands out whole spans of this many bytes.
const SPAN: u64 = 64 * 1024;

/// The largest length that still has a class.
const LARGEST_CLASS: u64 = 128 * 1024;

/// The count and the length before what a `ThinArc` holds.
const ARC: usize = 2 * size_of::<usize>();

/// What an object whose body is on disk weighs for its handle there.
const ON_DISK: u64 = 256;

/// Bytes that the allocator takes for an allocation of `len` bytes.
pub(crate) const fn taken(len: usize) -> u64 {
    let len = len as u64;
    match len {
        0 => 0,
        1..=64 => len.next_multiple_of(16),
        65..=LARGEST_CLASS => len.next_multiple_of(1 << ((len - 1).ilog2() - 2)),
        _ => len.next_multiple_of(SPAN),
    }
}

/// A `ThinArc` with a header of `head` bytes and a slice of `len`.
pub(crate) const fn of_arc(head: usize, len: usize) -> u64 {
    taken(ARC + head + len)
}

/// What the body takes outside its object. The allocation of a piece may be longer than the piece,
/// which can't be seen from here: whoever makes bodies makes them exact.
pub(crate) fn of_body(body: &Body) -> u64 {
    match body {
        Body::Whole(bytes) => taken(bytes.len()),
        Body::Pieces(pieces) => {
            taken(ARC + size_of_val(&**pieces)) + pieces.iter().map(|piece| taken(piece.len())).sum::<u64>()
        }
        Body::Parts { parts, .. } => {
            taken(ARC + size_of_val(&**parts)) + parts.iter().map(|(_, part)| taken(part.len())).sum::<u64>()
        }
        Body::Disk(_) => ON_DISK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_round_up_to_classes() {
        let pairs =
            [(0, 0), (1, 16), (64, 64), (65, 80), (128, 128), (129, 160), (192, 192), (193, 224), (257, 320)];
        for (len, class) in pairs {
            assert_eq!(taken(len), class, "{len}");
        }
        assert_eq!(taken(1024), 1024);
        assert_eq!(taken(1025), 1280);
        assert_eq!(taken(128 * 1024), 128 * 1024);
        assert_eq!(taken(128 * 1024 + 1), 192 * 1024);
    }
}
