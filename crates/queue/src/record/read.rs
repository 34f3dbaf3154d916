//! How a record is read: any bytes are safe, and only those are taken that would be written so.

use engine::Position;

use super::reader::Reader;
use super::write::{VERSION, has, kind};
use super::{
    Accepted, Attempt, Body, Dedupe, End, Ended, Event, History, Number, ReceiverIndex, Record, Tried, What,
};

/// Bytes of an attempt.
const ATTEMPT: usize = 14;

/// Bytes of a piece's position and length.
const PIECE: usize = 12;

/// Why bytes aren't a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Of another version of the program.
    #[error("it is of format version {0}, which this program doesn't know")]
    Version(u8),
    /// Of another version of the program that forgot to say so.
    #[error("there is no kind {0} of records")]
    Kind(u8),
    /// It ends too early.
    #[error("it ends too early")]
    Short,
    /// It goes on after its end.
    #[error("it goes on after its end")]
    Rest,
    /// A text is not UTF-8.
    #[error("a text in it is not UTF-8")]
    Text,
    /// A number is out of range, or longer than it need be.
    #[error("a number in it is not written as it should be")]
    Number,
}

impl<'a> Record<'a> {
    /// Reads all of `bytes`. Texts and bodies stay where they are.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BadRecord> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(BadRecord::Version(version));
        }
        let kind = reader.u8()?;
        let number = reader.u64()?;
        let queue = reader.text()?;
        let what = what(kind, number, &mut reader)?;
        reader.end()?;
        Ok(Self { queue, what })
    }
}

fn what<'a>(kind: u8, number: Number, from: &mut Reader<'a>) -> Result<What<'a>, BadRecord> {
    let nobody = |what| if number == 0 { Ok(what) } else { Err(BadRecord::Number) };
    Ok(match kind {
        kind::ACCEPTED => What::Accepted(Box::new(accepted(number, from)?)),
        kind::TRIED => {
            let (receiver, due) = (from.u16()?, from.u64()?);
            What::Tried(Tried { number, receiver, due, history: history(from)? })
        }
        kind::DONE | kind::DEAD => {
            let how = if kind == kind::DONE { End::Done } else { End::Dead };
            let (receiver, at) = (from.u16()?, from.u64()?);
            What::Ended(Ended { number, receiver, at, how, history: history(from)? })
        }
        kind::REPLAYED => What::Replayed { due: from.u64()?, receiver: perhaps(from)?, number },
        kind::DROPPED => What::Dropped { number, receiver: perhaps(from)? },
        kind::RECEIVER => nobody(What::Receiver { index: from.u16()?, text: from.text()? })?,
        kind::PAUSED => nobody(What::Paused(true))?,
        kind::RESUMED => nobody(What::Paused(false))?,
        kind::PIECE => What::Piece { upload: number, bytes: from.bytes()? },
        other => return Err(BadRecord::Kind(other)),
    })
}

fn accepted<'a>(number: Number, from: &mut Reader<'a>) -> Result<Accepted<'a>, BadRecord> {
    let has = from.u8()?;
    if has > has::ORDER | has::DEDUPE | has::FIRED | has::EVENT | has::PIECES {
        return Err(BadRecord::Number);
    }
    let (at, due) = (from.u64()?, from.u64()?);
    let count = from.count(size_of::<ReceiverIndex>())?;
    let receivers = (0..count).map(|_| from.u16()).collect::<Result<_, _>>()?;
    let order = (has & has::ORDER != 0).then(|| from.u64()).transpose()?;
    let dedupe = (has & has::DEDUPE != 0).then(|| dedupe(from)).transpose()?;
    let fired = (has & has::FIRED != 0).then(|| from.u64()).transpose()?;
    let (hops, method, target) = (from.text()?, from.text()?, from.text()?);
    let fields = from.bytes()?;
    let event = if has & has::EVENT != 0 { event(from)? } else { Event::default() };
    let body = if has & has::PIECES != 0 { pieces(from)? } else { Body::Whole(from.bytes()?) };
    Ok(Accepted {
        number,
        at,
        due,
        receivers,
        order,
        dedupe,
        fired,
        hops,
        method,
        target,
        fields,
        event,
        body,
    })
}

fn dedupe(from: &mut Reader<'_>) -> Result<Dedupe, BadRecord> {
    Ok(Dedupe { key: from.u128()?, content: from.u128()?, till: from.u64()? })
}

fn event<'a>(from: &mut Reader<'a>) -> Result<Event<'a>, BadRecord> {
    let event = Event { source: from.text()?, kind: from.text()?, id: from.text()? };
    // One without anything is written as none.
    if event == Event::default() { Err(BadRecord::Text) } else { Ok(event) }
}

fn pieces<'a>(from: &mut Reader<'_>) -> Result<Body<'a>, BadRecord> {
    let upload = from.u64()?;
    let count = from.count(PIECE)?;
    let piece = |_| Ok((Position(from.u64()?), from.u32()?));
    Ok(Body::Pieces { upload, at: (0..count).map(piece).collect::<Result<_, BadRecord>>()? })
}

fn history<'a>(from: &mut Reader<'a>) -> Result<History<'a>, BadRecord> {
    let attempts = from.small()?;
    let count = from.count(ATTEMPT)?;
    let attempt = |_| Ok(Attempt { at: from.u64()?, took: from.u32()?, status: from.u16()? });
    let last = (0..count).map(attempt).collect::<Result<_, BadRecord>>()?;
    Ok(History { attempts, last, answer: from.bytes()? })
}

fn perhaps(from: &mut Reader<'_>) -> Result<Option<ReceiverIndex>, BadRecord> {
    match from.u8()? {
        0 => Ok(None),
        1 => from.u16().map(Some),
        _ => Err(BadRecord::Number),
    }
}
