//! May a message come in? What it needs is reserved till it is in the log.

use std::collections::{BTreeMap, HashMap};

use engine::Position;

use super::{State, Upload};
use crate::record::{Dedupe, Number};

/// A message is counted in so many bytes at most.
const LARGEST: u64 = u32::MAX as u64;

/// A message that wants to come in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Admit {
    /// What it counts for, as far as it is known: [`Accepted::bytes`](crate::record::Accepted::bytes).
    pub bytes: u64,
    /// By what a second one is known. One that comes in pieces says it when it is [committed](State::commit).
    pub dedupe: Option<Dedupe>,
    /// It is written in pieces before it is whole.
    pub in_pieces: bool,
}

/// The answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It is a new one: its number, or its upload's.
    New(Number),
    /// It came already, as this one.
    Same(Number),
    /// It is coming in right now.
    Pending,
}

/// Why a message can't come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue keeps as many bytes as it may.
    #[error("the queue is full")]
    Full,
    /// It keeps as many messages as it can.
    #[error("the queue holds {} messages", super::MOST_MESSAGES)]
    TooMany,
    /// The key came with something else.
    #[error("its key came before with another request")]
    OtherContent,
    /// It is larger than anything that can be kept.
    #[error("it is too large")]
    TooLarge,
    /// There is no such upload.
    #[error("there is no upload of this number")]
    NoUpload,
}

/// What messages on their way hold.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    numbers: BTreeMap<Number, Reservation>,
    keys: HashMap<u128, Number>,
    pub(super) bytes: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Reservation {
    bytes: u64,
    key: Option<u128>,
    upload: Option<Number>,
    /// The number is its upload's, and never a message's.
    uploading: bool,
}

impl Reserved {
    fn insert(&mut self, number: Number, reservation: Reservation) {
        self.bytes += reservation.bytes;
        self.keys.extend(reservation.key.map(|key| (key, number)));
        self.numbers.insert(number, reservation);
    }

    pub(super) fn remove(&mut self, number: Number) -> Option<Reservation> {
        let reservation = self.numbers.remove(&number)?;
        self.bytes -= reservation.bytes;
        if let Some(key) = reservation.key {
            self.keys.remove(&key);
        }
        Some(reservation)
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Numbers of messages that are not in the log yet.
    pub(super) fn messages(&self) -> impl Iterator<Item = Number> {
        self.numbers.iter().filter(|(_, reservation)| !reservation.uploading).map(|(number, _)| *number)
    }
}

impl State {
    /// Reserves what a message needs, till its record is [applied](State::apply) or it is
    /// [given back](Self::give_back). Its number is greater than all before: records are to be appended in
    /// the order of their numbers.
    pub fn admit(&mut self, ask: &Admit, now: u64) -> Result<Admitted, Refused> {
        if let Some(known) = self.known(ask.dedupe.as_ref(), now)? {
            return Ok(known);
        }
        if self.open.numbers.len() + self.dead.numbers.len() + self.reserved.len() >= super::MOST_MESSAGES {
            return Err(Refused::TooMany);
        }
        self.room_for(0, ask.bytes)?;
        let number = self.next;
        self.next += 1;
        let upload = ask.in_pieces.then_some(number);
        if ask.in_pieces {
            self.uploads.insert(number, Upload { message: None, lowest: Position(0) });
        } else {
            self.gaps.add(number..number + 1);
        }
        let key = ask.dedupe.map(|dedupe| dedupe.key);
        let reservation = Reservation { bytes: ask.bytes, key, upload, uploading: ask.in_pieces };
        self.reserved.insert(number, reservation);
        Ok(Admitted::New(number))
    }

    /// More of an upload comes.
    pub fn reserve_more(&mut self, upload: Number, bytes: u64) -> Result<(), Refused> {
        let before = self.reserved.numbers.get(&upload).ok_or(Refused::NoUpload)?.bytes;
        self.room_for(before, bytes)?;
        if let Some(reservation) = self.reserved.numbers.get_mut(&upload) {
            reservation.bytes += bytes;
            self.reserved.bytes += bytes;
        }
        Ok(())
    }

    /// An upload is whole, and becomes a message of a number of its own. If it isn't new, it is still an
    /// upload, to be given back.
    pub fn commit(&mut self, upload: Number, dedupe: Option<Dedupe>, now: u64) -> Result<Admitted, Refused> {
        let reservation = self.reserved.numbers.get(&upload).copied();
        let reservation = reservation.filter(|reservation| reservation.uploading).ok_or(Refused::NoUpload)?;
        if let Some(known) = self.known(dedupe.as_ref(), now)? {
            return Ok(known);
        }
        self.reserved.remove(upload);
        let number = self.next;
        self.next += 1;
        self.gaps.add(number..number + 1);
        let key = dedupe.map(|dedupe| dedupe.key);
        self.reserved.insert(number, Reservation { key, uploading: false, ..reservation });
        Ok(Admitted::New(number))
    }

    /// A message or an upload won't come: it was broken off, or its record isn't in the log for sure.
    pub fn give_back(&mut self, number: Number) {
        let Some(reservation) = self.reserved.remove(number) else { return };
        self.gaps.remove(number);
        if let Some(upload) = reservation.upload {
            self.uploads.remove(&upload);
        }
    }

    /// Whether a piece is of an upload that isn't in the log as a message yet. Where such pieces lie is
    /// known only to who writes them, so they can't be copied.
    pub fn is_uploading(&self, upload: Number) -> bool {
        self.uploads.get(&upload).is_some_and(|upload| upload.message.is_none())
    }

    fn known(&self, dedupe: Option<&Dedupe>, now: u64) -> Result<Option<Admitted>, Refused> {
        let Some(dedupe) = dedupe else { return Ok(None) };
        if self.reserved.keys.contains_key(&dedupe.key) {
            return Ok(Some(Admitted::Pending));
        }
        match self.keys.find(dedupe, now) {
            Some((_, false)) => Err(Refused::OtherContent),
            Some((number, true)) => Ok(Some(Admitted::Same(number))),
            None => Ok(None),
        }
    }

    /// What is done gives way, so it isn't counted.
    pub(super) fn room_for(&self, before: u64, bytes: u64) -> Result<(), Refused> {
        let kept = self.open.bytes + self.dead.bytes + self.reserved.bytes;
        if before.saturating_add(bytes) > LARGEST {
            Err(Refused::TooLarge)
        } else if kept.saturating_add(bytes) > self.rules.full {
            Err(Refused::Full)
        } else {
            Ok(())
        }
    }
}
