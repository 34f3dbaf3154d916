//! What lasts, in slices: the log before the first of them needn't be read again.
//!
//! Records go on being applied between slices. The first slice, the head, says which numbers had been seen
//! when it was made. Whatever came later is in the log behind it; whatever was there before is in a later
//! slice, unless it was gone by then.

use engine::Position;

use super::fold::NO_NUMBERS;
use super::gaps::Gaps;
use super::receiver::{Delivery, Place};
use super::small::Small;
use super::{Message, Stage, State, Upload};
use crate::record::reader::Reader;
use crate::record::{BadRecord, Dedupe, Number, variable, write_bytes};

/// The first byte of each slice.
const VERSION: u8 = 1;

/// The second byte of each slice.
mod kind {
    pub(super) const HEAD: u8 = 1;
    pub(super) const MESSAGES: u8 = 2;
    pub(super) const KEYS: u8 = 3;
}

/// Which parts a message has.
mod has {
    pub(super) const ORDER: u8 = 1;
    pub(super) const PIECES: u8 = 2;
}

/// Bytes of a delivery and of a key at least: no more are made room for than can be there.
const DELIVERY: usize = 5;

/// Why a slice can't be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// Of another version of the program.
    #[error("the snapshot is of format version {0}, which this program doesn't know")]
    Version(u8),
    /// It is none.
    #[error("a slice of the snapshot can't be read: {0}")]
    Bytes(#[from] BadRecord),
}

/// How far a snapshot has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cursor {
    slice: Slice,
    after: Number,
}

#[derive(Debug, Clone, Copy, Default)]
enum Slice {
    #[default]
    Head,
    Messages,
    Keys,
    End,
}

impl State {
    /// Adds the next slice, of at most so many messages. Says whether there are more.
    pub fn save(&self, cursor: &mut Cursor, out: &mut Vec<u8>, at_most: usize) -> bool {
        out.push(VERSION);
        cursor.slice = match cursor.slice {
            Slice::Head => {
                self.save_head(out);
                Slice::Messages
            }
            Slice::Messages if self.save_messages(&mut cursor.after, out, at_most) => Slice::Messages,
            Slice::Messages => {
                cursor.after = 0;
                Slice::Keys
            }
            Slice::Keys if self.save_keys(&mut cursor.after, out, at_most) => Slice::Keys,
            Slice::Keys | Slice::End => Slice::End,
        };
        !matches!(cursor.slice, Slice::End)
    }

    fn save_head(&self, out: &mut Vec<u8>) {
        out.push(kind::HEAD);
        out.push(u8::from(self.paused));
        variable(out, self.next);
        variable(out, self.next_receiver.map_or(0, |next| u64::from(next) + 1));
        variable(out, self.fired.map_or(0, |fired| fired.saturating_add(1)));
        variable(out, self.gaps.ranges().len() as u64);
        for gap in self.gaps.ranges() {
            variable(out, gap.start);
            variable(out, gap.end);
        }
        variable(out, self.receivers.len() as u64);
        for (index, receiver) in &self.receivers {
            variable(out, u64::from(*index));
            write_bytes(out, receiver.text.as_bytes());
        }
    }

    fn save_messages(&self, after: &mut Number, out: &mut Vec<u8>, at_most: usize) -> bool {
        out.push(kind::MESSAGES);
        let mut saved = 0;
        for (number, message) in self.messages.after(*after).take(at_most) {
            variable(out, number);
            self.save_message(number, message, out);
            *after = number;
            saved += 1;
        }
        saved == at_most
    }

    fn save_message(&self, number: Number, message: &Message, out: &mut Vec<u8>) {
        let order = self.orders.get(number);
        let upload = self.bodies.get(&number).and_then(|upload| self.uploads.get_key_value(upload));
        let bit = |there: bool, bit: u8| if there { bit } else { 0 };
        out.push(bit(order.is_some(), has::ORDER) | bit(upload.is_some(), has::PIECES));
        variable(out, message.position.0);
        variable(out, message.since.get());
        variable(out, message.bytes.into());
        if let Some(order) = order {
            variable(out, order.get());
        }
        if let Some((upload, Upload { lowest, .. })) = upload {
            variable(out, *upload);
            variable(out, lowest.0);
        }
        let deliveries =
            || self.receivers.iter().filter_map(|(index, it)| Some((*index, it.delivery(number)?)));
        variable(out, deliveries().count() as u64);
        for (index, delivery) in deliveries() {
            variable(out, index.into());
            out.push(match delivery.place {
                Place::Done => 1,
                Place::Dead => 2,
                _ => 0,
            });
            out.push(delivery.attempts);
            variable(out, delivery.due.get());
            variable(out, delivery.last().map_or(0, |last| last.0));
        }
    }

    fn save_keys(&self, after: &mut Number, out: &mut Vec<u8>, at_most: usize) -> bool {
        out.push(kind::KEYS);
        let mut saved = 0;
        for (number, Dedupe { key, content, till }) in self.keys.after(*after).take(at_most) {
            variable(out, number);
            out.extend(key.to_le_bytes());
            out.extend((content as u64).to_le_bytes());
            variable(out, till);
            *after = number;
            saved += 1;
        }
        saved == at_most
    }

    /// Takes one slice in, in the order in which they were made; a new state gets them all, before any
    /// record.
    pub fn restore(&mut self, slice: &[u8], now: u64) -> Result<(), BadSnapshot> {
        let mut from = Reader::new(slice);
        let version = from.u8()?;
        if version != VERSION {
            return Err(BadSnapshot::Version(version));
        }
        match from.u8()? {
            kind::HEAD => self.restore_head(&mut from)?,
            kind::MESSAGES => {
                while !from.is_empty() {
                    self.restore_message(&mut from, now)?;
                }
            }
            kind::KEYS => {
                while !from.is_empty() {
                    let number = message_number(&mut from)?;
                    let (key, content, till) = (from.u128()?, from.u64()?.into(), from.variable()?);
                    self.keys.insert(number, &Dedupe { key, content, till });
                }
            }
            other => return Err(BadRecord::Kind(other).into()),
        }
        Ok(from.end()?)
    }

    /// After a start: the log begins here. What a snapshot has of messages of which something lay before
    /// was forgotten after it was made: else that would have been copied. Says how many of them go to
    /// somebody yet: those that were to be replayed when their time was over.
    pub fn forget_before(&mut self, first: Position, now: u64) -> usize {
        // All that the log holds was applied: numbers that weren't among it were refused.
        self.gaps = Gaps::default();
        let gone = |(number, message): &(Number, &Message)| {
            let piece = self.bodies.get(number).and_then(|upload| self.uploads.get(upload));
            let last = self.receivers.values().filter_map(|receiver| receiver.delivery(*number)?.last());
            message.position < first
                || piece.is_some_and(|piece| piece.lowest < first)
                || message.stage != Stage::Open && last.min().is_some_and(|last| last < first)
        };
        let gone: Vec<_> =
            self.messages.after(0).filter(gone).map(|(number, it)| (number, it.stage)).collect();
        for (number, _) in &gone {
            self.off_shelf(*number);
            self.forget(*number, now);
        }
        gone.iter().filter(|(_, stage)| *stage == Stage::Open).count()
    }

    fn restore_head(&mut self, from: &mut Reader<'_>) -> Result<(), BadRecord> {
        self.paused = from.u8()? != 0;
        self.next = from.variable()?;
        if !(1..=NO_NUMBERS).contains(&self.next) {
            return Err(BadRecord::Number);
        }
        self.next_receiver = from.variable()?.checked_sub(1).and_then(|next| u16::try_from(next).ok());
        self.fired = from.variable()?.checked_sub(1);
        for _ in 0..from.count(2)? {
            let gap = message_number(from)?..from.variable()?;
            self.gaps.add(gap);
        }
        for _ in 0..from.count(2)? {
            let (index, text) = (from.small()?, from.text()?);
            self.add_receiver(index, text);
        }
        Ok(())
    }

    fn restore_message(&mut self, from: &mut Reader<'_>, now: u64) -> Result<(), BadRecord> {
        let (number, has) = (message_number(from)?, from.u8()?);
        if has > has::ORDER | has::PIECES || self.messages.contains(number) {
            return Err(BadRecord::Number);
        }
        let (position, since, bytes) = (Position(from.variable()?), from.variable()?, from.small()?);
        let mut order = None;
        if has & has::ORDER != 0 {
            let key = Small::from(from.variable()?);
            self.orders.insert(number, key);
            order = Some(key);
        }
        if has & has::PIECES != 0 {
            let upload = from.variable()?;
            let lowest = Position(from.variable()?);
            self.uploads.insert(upload, Upload { message: Some(number), lowest });
            self.bodies.insert(number, upload);
        }
        let mut open = 0;
        for _ in 0..from.count(DELIVERY)? {
            open += u16::from(self.restore_delivery(number, order, from, now)?);
        }
        let message = Message { position, since: since.into(), open, bytes, stage: Stage::Open };
        self.messages.insert(number, message);
        self.on_shelf(number);
        Ok(())
    }

    /// Says whether it is open.
    fn restore_delivery(
        &mut self,
        number: Number,
        order: Option<Small>,
        from: &mut Reader<'_>,
        now: u64,
    ) -> Result<bool, BadRecord> {
        let receiver = self.receiver(from.small()?);
        if receiver.delivery(number).is_some() {
            return Err(BadRecord::Number);
        }
        let state = from.u8()?;
        let attempts = from.u8()?;
        let mut delivery = Delivery::new(from.variable()?);
        delivery.attempts = attempts;
        delivery.found(Position(from.variable()?));
        delivery.place = match state {
            0 => return Ok(receiver.open(number, delivery, order, now)),
            1 => Place::Done,
            2 => Place::Dead,
            _ => return Err(BadRecord::Number),
        };
        receiver.add_ended(number, delivery);
        Ok(false)
    }
}

/// One that a message can have: slices are made from the first number on, and 0 is before it.
fn message_number(from: &mut Reader<'_>) -> Result<Number, BadRecord> {
    let number = from.variable()?;
    if (1..NO_NUMBERS).contains(&number) { Ok(number) } else { Err(BadRecord::Number) }
}
