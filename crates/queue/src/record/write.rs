//! How a record is written.

use super::{Accepted, Body, Dedupe, End, Event, History, Number, ReceiverIndex, Record, What};

/// The first byte of each record.
pub(super) const VERSION: u8 = 1;

/// The second byte.
pub(super) mod kind {
    pub(in super::super) const ACCEPTED: u8 = 1;
    pub(in super::super) const TRIED: u8 = 2;
    pub(in super::super) const DONE: u8 = 3;
    pub(in super::super) const DEAD: u8 = 4;
    pub(in super::super) const REPLAYED: u8 = 5;
    pub(in super::super) const DROPPED: u8 = 6;
    pub(in super::super) const RECEIVER: u8 = 7;
    pub(in super::super) const PAUSED: u8 = 8;
    pub(in super::super) const RESUMED: u8 = 9;
    pub(in super::super) const PIECE: u8 = 10;
}

/// Bits that say which parts an accepted message has.
pub(super) mod has {
    pub(in super::super) const ORDER: u8 = 1;
    pub(in super::super) const DEDUPE: u8 = 2;
    pub(in super::super) const FIRED: u8 = 4;
    pub(in super::super) const EVENT: u8 = 8;
    pub(in super::super) const PIECES: u8 = 16;
}

/// Where the number of a message stands in each record.
const NUMBER: std::ops::Range<usize> = 2..10;

impl Record<'_> {
    /// Adds its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend([VERSION, self.what.kind()]);
        out.extend(self.what.number().to_le_bytes());
        bytes(out, self.queue.as_bytes());
        self.what.write(out);
    }

    /// Puts another number into the bytes of a record: they can be made before the number is known.
    pub fn set_number(bytes: &mut [u8], number: Number) {
        if let Some(at) = bytes.get_mut(NUMBER) {
            at.copy_from_slice(&number.to_le_bytes());
        }
    }
}

impl What<'_> {
    fn kind(&self) -> u8 {
        match self {
            Self::Accepted(_) => kind::ACCEPTED,
            Self::Tried(_) => kind::TRIED,
            Self::Ended(ended) if ended.how == End::Done => kind::DONE,
            Self::Ended(_) => kind::DEAD,
            Self::Replayed { .. } => kind::REPLAYED,
            Self::Dropped { .. } => kind::DROPPED,
            Self::Receiver { .. } => kind::RECEIVER,
            Self::Paused(true) => kind::PAUSED,
            Self::Paused(false) => kind::RESUMED,
            Self::Piece { .. } => kind::PIECE,
        }
    }

    /// Of the message that it is about, or of the upload; 0: of none.
    fn number(&self) -> Number {
        match self {
            Self::Accepted(accepted) => accepted.number,
            Self::Tried(tried) => tried.number,
            Self::Ended(ended) => ended.number,
            Self::Replayed { number, .. } | Self::Dropped { number, .. } => *number,
            Self::Piece { upload, .. } => *upload,
            Self::Receiver { .. } | Self::Paused(_) => 0,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Accepted(accepted) => accepted.write(out),
            Self::Tried(tried) => {
                out.extend(tried.receiver.to_le_bytes());
                out.extend(tried.due.to_le_bytes());
                tried.history.write(out);
            }
            Self::Ended(ended) => {
                out.extend(ended.receiver.to_le_bytes());
                out.extend(ended.at.to_le_bytes());
                ended.history.write(out);
            }
            Self::Replayed { receiver, due, .. } => {
                out.extend(due.to_le_bytes());
                perhaps(out, *receiver);
            }
            Self::Dropped { receiver, .. } => perhaps(out, *receiver),
            Self::Receiver { index, text } => {
                out.extend(index.to_le_bytes());
                bytes(out, text.as_bytes());
            }
            Self::Paused(_) => {}
            Self::Piece { bytes: piece, .. } => bytes(out, piece),
        }
    }
}

impl Accepted<'_> {
    /// The parts that it has.
    fn has(&self) -> u8 {
        let mut has = 0;
        let mut bit = |there: bool, bit: u8| has |= if there { bit } else { 0 };
        bit(self.order.is_some(), has::ORDER);
        bit(self.dedupe.is_some(), has::DEDUPE);
        bit(self.fired.is_some(), has::FIRED);
        bit(self.event != Event::default(), has::EVENT);
        bit(matches!(self.body, Body::Pieces { .. }), has::PIECES);
        has
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.has());
        out.extend(self.at.to_le_bytes());
        out.extend(self.due.to_le_bytes());
        variable(out, self.receivers.len() as u64);
        self.receivers.iter().for_each(|receiver| out.extend(receiver.to_le_bytes()));
        if let Some(order) = self.order {
            out.extend(order.to_le_bytes());
        }
        if let Some(Dedupe { key, content, till }) = self.dedupe {
            out.extend(key.to_le_bytes());
            out.extend(content.to_le_bytes());
            out.extend(till.to_le_bytes());
        }
        if let Some(fired) = self.fired {
            out.extend(fired.to_le_bytes());
        }
        for text in [self.hops, self.method, self.target] {
            bytes(out, text.as_bytes());
        }
        bytes(out, self.fields);
        if self.event != Event::default() {
            let Event { source, kind, id } = self.event;
            [source, kind, id].iter().for_each(|text| bytes(out, text.as_bytes()));
        }
        match &self.body {
            Body::Whole(body) => bytes(out, body),
            Body::Pieces { upload, at } => {
                out.extend(upload.to_le_bytes());
                variable(out, at.len() as u64);
                for (position, length) in at {
                    out.extend(position.0.to_le_bytes());
                    out.extend(length.to_le_bytes());
                }
            }
        }
    }
}

impl History<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        variable(out, u64::from(self.attempts));
        variable(out, self.last.len() as u64);
        for attempt in &self.last {
            out.extend(attempt.at.to_le_bytes());
            out.extend(attempt.took.to_le_bytes());
            out.extend(attempt.status.to_le_bytes());
        }
        bytes(out, self.answer);
    }
}

fn perhaps(out: &mut Vec<u8>, receiver: Option<ReceiverIndex>) {
    out.push(u8::from(receiver.is_some()));
    if let Some(receiver) = receiver {
        out.extend(receiver.to_le_bytes());
    }
}

/// Its length, then they.
pub(crate) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    variable(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first.
pub(crate) fn variable(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
