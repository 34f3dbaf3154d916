//! Writing an object of any length as it comes.

use std::sync::Arc;

use bytes::Bytes;

use super::core::Core;
use super::index::Ticket;
use super::queue::Job;
use super::stored::Stored;
use crate::piece;

/// Bytes of a run: what is read and checked at once.
pub(super) const RUN: u64 = 256 * 1024;
/// Bytes of the largest body that stands in one record with its head.
pub(super) const SMALL: u64 = 64 * 1024;

/// Writes one object's body. What [`Writer::write`] has taken can be read at once, from memory until it is
/// on disk. Dropped before [`Writer::finish`], it leaves the parts that came, if the total is known, and
/// nothing otherwise.
pub struct Writer {
    core: Arc<Core>,
    stored: Arc<Stored>,
    head: Vec<u8>,
    largest: u64,
    /// The head is on its way.
    begun: bool,
    /// The run that is being filled.
    at: u64,
    len: u64,
    pieces: Vec<Bytes>,
    ended: bool,
}

impl Writer {
    pub(super) fn new(core: Arc<Core>, stored: Arc<Stored>, head: Vec<u8>, largest: u64) -> Writer {
        Writer { core, stored, head, largest, begun: false, at: 0, len: 0, pieces: Vec::new(), ended: false }
    }

    /// One that adds to an object whose head is there.
    pub(super) fn more(core: Arc<Core>, stored: Arc<Stored>, largest: u64) -> Writer {
        let mut writer = Writer::new(core, stored, Vec::new(), largest);
        writer.begun = true;
        writer
    }

    /// The body, as far as it has come.
    pub fn stored(&self) -> Arc<Stored> {
        self.stored.clone()
    }

    /// Takes bytes that begin at `at` in the body, waiting while the disk is behind. False: they are not
    /// taken, nor will any others be; the writer should be dropped. So it is for bytes that reach
    /// beyond the end of the body: they are another's, or the length is wrong.
    pub async fn write(&mut self, mut at: u64, mut bytes: Bytes) -> bool {
        let end = at.saturating_add(bytes.len() as u64);
        if end > self.largest {
            self.stored.give_up();
        }
        if self.stored.total().is_some_and(|total| end > total) {
            return false;
        }
        while !bytes.is_empty() {
            if at != self.at + self.len && !self.flush().await {
                return false;
            }
            if self.len == 0 {
                self.at = at;
            }
            let room = RUN - at % RUN; // runs end at multiples of their length, so that they meet
            let piece = bytes.split_to(bytes.len().min(room as usize));
            let len = piece.len() as u64;
            at += len;
            if !self.take(piece) {
                return false;
            }
            if len == room && !self.flush().await {
                return false;
            }
        }
        !self.stored.is_dead()
    }

    /// Adds to the run what can be read from then on; false: it is of no use.
    fn take(&mut self, piece: Bytes) -> bool {
        self.len += piece.len() as u64;
        let held = piece::hold(self.pieces.last_mut(), piece);
        self.pieces.extend(held);
        let end = self.at + self.len;
        self.pieces.last().is_none_or(|last| self.stored.expect(end - last.len() as u64, last.clone()))
    }

    /// Takes all of it back: nothing of the object is left, also what others wrote of it, nor does a
    /// restart bring it back. Who reads it still may, as far as it is on disk.
    pub fn discard(mut self) {
        self.ended = true;
        if self.begun {
            self.core.discard(self.ticket());
        } else {
            self.core.tables().index.remove(self.ticket());
        }
    }

    /// All of the body has come, or the part of it that was to come.
    pub async fn finish(mut self) {
        let end = self.at + self.len;
        let total = self.stored.total();
        if !self.begun && self.at == 0 && end <= SMALL && total.is_none_or(|total| total == end) {
            self.finish_small().await;
            return;
        }
        let flushed = self.flush().await;
        if flushed && total.is_none() && self.stored.has(0, end) {
            self.stored.set_total(end);
            let room = self.core.queue.room(self.head.len()).await;
            let job = Job::Head { stored: self.stored.clone(), head: std::mem::take(&mut self.head) };
            self.ended = room.is_some() && self.core.queue.push(job, room);
            return;
        }
        self.ended = flushed && total.is_some();
    }

    async fn finish_small(&mut self) {
        let room = self.core.queue.room(self.head.len() + self.len as usize).await;
        let ticket = self.ticket();
        let head = std::mem::take(&mut self.head);
        let parts = self.pieces.drain(..).map(|piece| (0, piece)).collect();
        let job = Job::Object { ticket, head, parts, large: None };
        self.stored.set_total(self.len);
        self.ended = room.is_some() && self.core.queue.push(job, room);
    }

    fn ticket(&self) -> Ticket {
        Ticket { id: self.stored.id, hash: self.stored.hash, key: self.stored.key }
    }

    /// Sends the run on its way.
    async fn flush(&mut self) -> bool {
        if self.len == 0 {
            return true;
        }
        let head = if self.begun { 0 } else { self.head.len() };
        match self.core.queue.room(self.len as usize + head).await {
            Some(room) => self.send(Some(room)),
            None => {
                self.core.fail("it is too slow"); // so that others don't wait as long for it
                false
            }
        }
    }

    fn send(&mut self, room: Option<tokio::sync::OwnedSemaphorePermit>) -> bool {
        let (stored, queue) = (&self.stored, &self.core.queue);
        if !self.begun {
            let head = Job::Head { stored: stored.clone(), head: self.head.clone() };
            self.begun = queue.push(head, None);
        }
        let pieces = std::mem::take(&mut self.pieces);
        let run = Job::Run { stored: stored.clone(), at: self.at, pieces };
        let (at, len) = (self.at, self.len);
        (self.at, self.len) = (at + len, 0);
        let sent = self.begun && queue.push(run, room);
        if !sent {
            stored.arrived(at, len, None);
        }
        sent
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.stored.total().is_some() && self.len > 0 && !self.stored.is_dead() {
            let room = self.core.queue.room_now(self.len as usize);
            if room.is_some() && self.send(room) {
                return;
            }
        }
        self.stored.arrived(self.at, self.len, None);
        if !self.begun || self.stored.total().is_none() {
            self.stored.give_up();
            self.core.tables().index.remove(self.ticket());
        }
    }
}
