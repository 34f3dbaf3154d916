//! Pieces of a body on its way, and the memory behind them.
//!
//! A piece that has just come is cut from a large buffer and holds all of that as long as it lives: one
//! byte may hold 256 KiB. So what waits here for slow clients or the disk is copied unless it is large,
//! and joined while it is tiny, so that the memory is in proportion to the bytes however they came.

use bytes::Bytes;

/// Bytes from which on a piece may hold the buffer that it came in: a quarter of that.
pub const LARGE: usize = 64 * 1024;
/// Bytes up to which a piece takes in what follows it.
const TINY: usize = 4 * 1024;

/// What is to be held of a piece that follows `last`; none: `last` has taken it in. Who has a part of the
/// old `last` keeps that.
pub(crate) fn hold(last: Option<&mut Bytes>, piece: Bytes) -> Option<Bytes> {
    match last {
        _ if piece.len() >= LARGE => Some(piece),
        Some(last) if last.len() < TINY => {
            *last = [&last[..], &piece].concat().into();
            None
        }
        _ => Some(Bytes::copy_from_slice(&piece)),
    }
}
