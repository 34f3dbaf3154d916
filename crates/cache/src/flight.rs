//! One fetch for many clients.
//!
//! Who misses boards a flight: the first one must start the fetch, the others wait for what it brings.
//! The fetch is a task of its own, so it goes on when its first client leaves. It says how it went once
//! ([`Flight::land`]), then passes the body on in pieces that every passenger reads at its own pace. A slow
//! one slows nobody as long as all that came is kept; if it isn't, the fetch is at most [`WINDOW`] ahead of
//! the slowest. How it went is the caller's type: here it is only handed on.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use wire::Fields;

use crate::piece;
pub use crate::piece::LARGE;

const SHARDS: usize = 16;
/// Bytes that a fetch may be ahead of its slowest passenger when they are not kept. What they take in
/// memory is in proportion ([`crate::piece`]): four times as much at most.
pub const WINDOW: u64 = 1024 * 1024;
/// Interim answers that a flight remembers.
const INTERIM: usize = 32;

/// A client on board.
pub struct Boarding<T: Clone> {
    /// Its place.
    pub seat: Seat<T>,
    /// It is the first, and must start the fetch.
    pub pilot: bool,
}

/// All flights of a node, by what they fetch.
pub struct Flights<T> {
    shards: [Mutex<Shard<T>>; SHARDS],
    hasher: foldhash::fast::RandomState,
}

/// By primary key; then by what else of the request matters.
type Shard<T> = HashMap<Box<[u8]>, Vec<(Box<[u8]>, Arc<Flight<T>>)>>;

impl<T: Clone> Flights<T> {
    /// None under way.
    pub fn new() -> Flights<T> {
        Flights { shards: std::array::from_fn(|_| Mutex::default()), hasher: Default::default() }
    }

    fn shard(&self, primary: &[u8]) -> MutexGuard<'_, Shard<T>> {
        let at = self.hasher.hash_one(primary) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the flight for `primary` and `rest`, or begins it.
    pub fn board(&self, primary: &[u8], rest: &[u8]) -> Boarding<T> {
        let mut shard = self.shard(primary);
        let flights = shard.entry(primary.into()).or_default();
        // Seated under the lock: once a flight is closed, all who will ever board are known to it.
        if let Some((_, flight)) = flights.iter().find(|(of, _)| **of == *rest) {
            return Boarding { seat: flight.seat(), pilot: false };
        }
        let flight = Flight::solo();
        let seat = flight.seat();
        flights.push((rest.into(), flight));
        Boarding { seat, pilot: true }
    }

    /// Nobody boards this flight any more.
    pub fn close(&self, primary: &[u8], flight: &Arc<Flight<T>>) {
        let mut shard = self.shard(primary);
        if let Some(flights) = shard.get_mut(primary) {
            flights.retain(|(_, other)| !Arc::ptr_eq(other, flight));
            if flights.is_empty() {
                shard.remove(primary);
            }
        }
    }

    /// What is being fetched for `primary` now is already out of date: nobody boards these flights any
    /// more, and what they bring is not stored.
    pub fn doom(&self, primary: &[u8]) {
        for (_, flight) in self.shard(primary).remove(primary).unwrap_or_default() {
            flight.doomed.store(true, Ordering::Release);
        }
    }

    /// The same for all that `is` says yes to, by their primary keys.
    pub fn doom_where(&self, is: impl Fn(&[u8]) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (_, flights) in shard.extract_if(|primary, _| is(primary)) {
                for (_, flight) in flights {
                    flight.doomed.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Nobody boards the flights of now any more.
    pub fn close_all(&self) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

impl<T: Clone> Default for Flights<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// One fetch under way.
pub struct Flight<T> {
    state: Mutex<State<T>>,
    /// Something came for the passengers.
    news: Notify,
    /// A passenger took something, or left.
    taken: Notify,
    doomed: AtomicBool,
    next_seat: AtomicU64,
}

struct State<T> {
    interim: Vec<Bytes>,
    landed: Option<T>,
    /// Those that are still there, each with its offset.
    pieces: VecDeque<(u64, Bytes)>,
    /// Offset behind the last piece.
    end: u64,
    /// All pieces stay, so that who boards late reads from the start.
    keeps: bool,
    done: Option<End>,
    /// The passengers that read, and how far each is.
    seats: Vec<(u64, u64)>,
}

/// How the body ended.
#[derive(Clone)]
pub enum End {
    /// All of it came; with its trailers.
    Whole(Arc<Fields>),
    /// It broke off.
    Broken,
}

/// What a passenger gets.
pub enum Got {
    /// The bytes at its place, never empty.
    Piece(Bytes),
    /// There are no more.
    End(End),
    /// What it asks for is no longer held here.
    Gone,
}

/// What comes before an answer.
pub enum First<T> {
    /// An interim answer, as it is to be sent.
    Interim(Bytes),
    /// How it went.
    Landed(T),
}

impl<T: Clone> Flight<T> {
    /// A flight that nobody else boards.
    pub fn solo() -> Arc<Flight<T>> {
        Arc::new(Flight {
            state: Mutex::new(State {
                interim: Vec::new(),
                landed: None,
                pieces: VecDeque::new(),
                end: 0,
                keeps: true,
                done: None,
                seats: Vec::new(),
            }),
            news: Notify::new(),
            taken: Notify::new(),
            doomed: AtomicBool::new(false),
            next_seat: AtomicU64::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Must what it brings not be stored?
    pub fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    /// Passes an interim answer on to those who wait.
    pub fn interim(&self, bytes: Bytes) {
        let mut state = self.state();
        if state.interim.len() < INTERIM {
            state.interim.push(bytes);
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// Says how it went, once. `keeps`: all of the body will be held till the flight is over.
    pub fn land(&self, landed: T, keeps: bool) {
        let mut state = self.state();
        state.landed.get_or_insert(landed);
        state.keeps = keeps;
        drop(state);
        self.news.notify_waiters();
    }

    /// Pieces that all passengers have read need not be held from now on.
    pub fn stop_keeping(&self) {
        self.state().keeps = false;
        self.taken.notify_waiters();
    }

    /// Puts a piece before all that will come.
    pub fn preload(&self, piece: Bytes) {
        self.state().add(piece);
    }

    /// Passes a piece of the body on, which is copied unless it is large; false: nobody reads and nothing
    /// is kept, so the fetch may end. Waits while the slowest passenger is more than [`WINDOW`] behind,
    /// unless all is kept.
    pub async fn push(&self, piece: Bytes) -> bool {
        self.preload(piece);
        self.news.notify_waiters();
        loop {
            let taken = self.taken.notified();
            let mut taken = std::pin::pin!(taken);
            taken.as_mut().enable();
            {
                let mut state = self.state();
                if state.keeps {
                    return true;
                }
                state.forget();
                if state.seats.is_empty() {
                    return false;
                }
                if state.end - state.first() <= WINDOW {
                    return true;
                }
            }
            taken.await;
        }
    }

    /// Throws the pieces before `at` away: they are kept elsewhere.
    pub fn forget_before(&self, at: u64) {
        self.state().drop_before(at);
    }

    /// The body is over.
    pub fn end(&self, end: End) {
        self.state().done.get_or_insert(end);
        self.news.notify_waiters();
    }

    /// All pieces, if the first of them is still there.
    pub fn pieces(&self) -> Option<Vec<Bytes>> {
        let state = self.state();
        (state.first() == 0).then(|| state.pieces.iter().map(|(_, piece)| piece.clone()).collect())
    }

    /// Takes a seat: from now on the fetch knows how far this passenger is.
    pub fn seat(self: &Arc<Self>) -> Seat<T> {
        let id = self.next_seat.fetch_add(1, Ordering::Relaxed);
        self.state().seats.push((id, 0));
        Seat { flight: self.clone(), id, interim: 0, at: 0 }
    }

    /// Does anybody read?
    pub fn has_passengers(&self) -> bool {
        !self.state().seats.is_empty()
    }

    /// Waits till nobody reads: all passengers left, or none came.
    pub async fn deserted(&self) {
        loop {
            let left = self.taken.notified();
            let mut left = std::pin::pin!(left);
            left.as_mut().enable();
            if !self.has_passengers() {
                return;
            }
            left.await;
        }
    }
}

impl<T> State<T> {
    /// Offset of the first piece that is still there.
    fn first(&self) -> u64 {
        self.pieces.front().map_or(self.end, |(at, _)| *at)
    }

    fn add(&mut self, piece: Bytes) {
        let at = self.end;
        self.end += piece.len() as u64;
        let held = piece::hold(self.pieces.back_mut().map(|(_, last)| last), piece);
        self.pieces.extend(held.map(|piece| (at, piece)));
    }

    /// The bytes from `at` on that are in one piece.
    fn from(&self, at: u64) -> Option<Bytes> {
        let behind = self.pieces.partition_point(|(begin, _)| *begin <= at);
        let (begin, piece) = self.pieces.get(behind.checked_sub(1)?)?;
        Some(piece.slice((at - begin) as usize..))
    }

    /// Drops what every passenger has read.
    fn forget(&mut self) {
        let slowest = self.seats.iter().map(|(_, at)| *at).min().unwrap_or(self.end);
        self.drop_before(slowest);
    }

    fn drop_before(&mut self, at: u64) {
        while self.pieces.pop_front_if(|(begin, piece)| *begin + piece.len() as u64 <= at).is_some() {}
    }
}

/// A passenger's place. Dropped, the fetch no longer waits for it.
pub struct Seat<T: Clone> {
    flight: Arc<Flight<T>>,
    id: u64,
    interim: usize,
    /// Offset of the next byte.
    at: u64,
}

impl<T: Clone> Seat<T> {
    /// What it is a place on.
    pub fn flight(&self) -> &Arc<Flight<T>> {
        &self.flight
    }

    /// The next interim answer, or how it went.
    pub async fn first(&mut self) -> First<T> {
        loop {
            let news = self.flight.news.notified();
            let mut news = std::pin::pin!(news);
            news.as_mut().enable();
            {
                let state = self.flight.state();
                if let Some(interim) = state.interim.get(self.interim) {
                    self.interim += 1;
                    return First::Interim(interim.clone());
                }
                if let Some(landed) = &state.landed {
                    return First::Landed(landed.clone());
                }
            }
            news.await;
        }
    }

    /// The next piece of the body.
    pub async fn piece(&mut self) -> Got {
        loop {
            let flight = self.flight.clone();
            let news = flight.news.notified();
            let mut news = std::pin::pin!(news);
            news.as_mut().enable();
            if let Some(got) = self.poll() {
                return got;
            }
            news.await;
        }
    }

    fn poll(&mut self) -> Option<Got> {
        let mut state = self.flight.state();
        if self.at < state.first() {
            return Some(Got::Gone);
        }
        // Who reads from disk may be ahead of what was passed on here.
        if self.at >= state.end {
            return state.done.clone().map(Got::End);
        }
        let piece = state.from(self.at)?;
        self.at += piece.len() as u64;
        let (id, at, keeps) = (self.id, self.at, state.keeps);
        if let Some(seat) = state.seats.iter_mut().find(|(seat, _)| *seat == id) {
            seat.1 = at;
        }
        drop(state);
        if !keeps {
            self.flight.taken.notify_waiters();
        }
        Some(Got::Piece(piece))
    }

    /// Goes on behind bytes that were read elsewhere.
    pub fn go_to(&mut self, at: u64) {
        self.at = at;
        let mut state = self.flight.state();
        if let Some(seat) = state.seats.iter_mut().find(|(id, _)| *id == self.id) {
            seat.1 = at;
        }
    }

    /// Offset of the next byte.
    pub fn at(&self) -> u64 {
        self.at
    }
}

impl<T: Clone> Drop for Seat<T> {
    fn drop(&mut self) {
        self.flight.state().seats.retain(|(id, _)| *id != self.id);
        self.flight.taken.notify_waiters();
    }
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}
