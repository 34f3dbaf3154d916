//! A message's way in: admitted, written, and accepted once it is on stable storage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use engine::{AppendError, Position, Room};
use tokio::sync::{OwnedMutexGuard, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use upstream::clock::wall_ms;

use crate::cloud_event::CloudEvent;
use crate::count::Count;
use crate::queue::Queue;
use crate::record::{self, Dedupe, Number, What};
use crate::state::{self, Admit, Admitted};

/// The largest body, in bytes, that is written with its message; larger ones are written in pieces.
pub const INLINE: usize = 256 * 1024;

/// Bytes that a message may take beside its body.
const HEAD: usize = 512 * 1024;

/// Bytes that the head of a message counts for whose body comes in pieces, when it isn't known yet.
const HEAD_COUNTED: u64 = 1024;

/// How long an accept, or a piece of an upload, waits for the disk.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A message to be accepted.
pub struct New<'a> {
    /// A token.
    pub method: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// Field lines as receivers get them.
    pub fields: &'a [u8],
    /// Its body.
    pub body: NewBody,
    /// The hash of what orders it.
    pub order: Option<u64>,
    /// Its `Idempotency-Key`.
    pub key: Option<&'a [u8]>,
    /// Not to be delivered before, in milliseconds since 1970.
    pub due: u64,
    /// Queues that it came through, this one included.
    pub hops: &'a str,
    /// If it is a CloudEvent: its id stands for a key if there is none.
    pub event: Option<&'a CloudEvent>,
    /// The time that the clock sends it for, in seconds since 1970: once, whatever its key says.
    pub fired: Option<u64>,
}

/// A body.
pub enum NewBody {
    /// At most [`INLINE`] bytes.
    Whole(Bytes),
    /// Already in the log.
    Uploaded(Upload),
}

/// A message is on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// As the outside knows it.
    pub id: String,
    /// It was accepted before, with the same key.
    pub again: bool,
}

/// Why a message isn't accepted; nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refused {
    #[error("{why}")]
    Full { why: String },
    #[error("this queue holds as many messages as it can")]
    TooMany,
    #[error("this Idempotency-Key was used before, with another method, path or body")]
    OtherContent,
    #[error("a message's head may have {limit} bytes here")]
    TooLarge { limit: usize },
    /// The log failed: nothing is accepted until the node is started anew.
    #[error("nothing can be kept now: {0}")]
    Stopped(Arc<str>),
    #[error("the queue is being opened")]
    Busy,
    /// A reload took it out of the file.
    #[error("the queue isn't in the configuration any more")]
    Left,
    #[error("the queue is being closed")]
    Closed,
}

impl Refused {
    /// The disk hangs, rather than failing.
    fn silent() -> Refused {
        Refused::Stopped("the disk doesn't answer".into())
    }

    /// It may be accepted later, as it is.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Refused::OtherContent | Refused::TooLarge { .. })
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Refused {
        match error {
            AppendError::Full(why) => Refused::Full { why: why.to_string() },
            AppendError::Stopped(why) => Refused::Stopped(why),
            AppendError::TooLarge(_) => Refused::TooLarge { limit: HEAD },
            AppendError::Closed => Refused::Closed,
        }
    }
}

impl Queue {
    /// Is there room for a message of so many bytes, as far as one can tell before it comes?
    ///
    /// # Errors
    /// As [`Queue::accept`].
    pub fn has_room(&self, bytes: u64) -> Result<(), Refused> {
        if let Some(stopped) = self.store.stopped() {
            return Err(self.refuse(stopped.into()));
        }
        let state = self.lock();
        if !self.is_in_plan() {
            return Err(self.refuse(Refused::Left));
        }
        state.has_room(bytes).map_err(|refused| self.refuse(self.told(refused)))
    }

    /// Accepts a message: when this returns, it is on stable storage. It is accepted, or not, also if
    /// nobody waits for the answer any more. If the disk takes longer than [`PATIENCE`], nobody knows yet,
    /// neither of this one nor of one with the same key that is on its way.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn accept(self: &Arc<Self>, new: New<'_>) -> Result<Accepted, Refused> {
        if new.fields.len() + new.target.len() + new.method.len() > HEAD {
            return Err(self.refuse(Refused::TooLarge { limit: HEAD }));
        }
        // Methods are tokens and targets have no bytes above 0x7e, so nothing is lost.
        let method = String::from_utf8_lossy(new.method);
        let target = String::from_utf8_lossy(new.target);
        let texts = Texts { method: &method, target: &target };
        let dedupe = self.dedupe(&new);
        let over = Instant::now() + PATIENCE;
        loop {
            // Enabled before the look, so that what ends meanwhile isn't missed.
            let mut ended = std::pin::pin!(self.settled.notified());
            ended.as_mut().enable();
            match self.try_accept(&new, texts, dedupe) {
                Tried::Written(stable) => {
                    // Its body is a part of a large buffer, which the next request can have.
                    drop(new);
                    return match timeout_at(over, stable).await {
                        Ok(told) => told.unwrap_or(Err(Refused::Closed)),
                        Err(_) => Err(self.refuse(Refused::silent())),
                    };
                }
                Tried::Same(number) => {
                    self.counters.one(Count::Again);
                    return Ok(Accepted { id: self.id(number), again: true });
                }
                Tried::Pending => {
                    let ended = timeout_at(over, ended).await;
                    ended.map_err(|_| self.refuse(Refused::silent()))?;
                }
                Tried::Refused(refused) => return Err(self.refuse(refused)),
            }
        }
    }

    fn try_accept(self: &Arc<Self>, new: &New<'_>, texts: Texts<'_>, dedupe: Option<Dedupe>) -> Tried {
        let now = wall_ms();
        let mut record = record::Accepted {
            number: 0,
            at: now,
            due: new.due,
            receivers: Vec::new(),
            order: new.order,
            dedupe,
            fired: new.fired,
            hops: new.hops,
            method: texts.method,
            target: texts.target,
            fields: new.fields,
            event: new.event.map(CloudEvent::as_record).unwrap_or_default(),
            body: new.body.as_record(),
        };
        // Held till the record is in the log's line: messages lie there in the order of their numbers.
        let mut state = self.lock();
        if !self.is_in_plan() {
            // It would go to nobody.
            return Tried::Refused(Refused::Left);
        }
        let Some(receivers) = state.receivers() else { return Tried::Refused(Refused::Busy) };
        let admitted = match &new.body {
            NewBody::Whole(_) => state.admit(&Admit { bytes: record.bytes(), dedupe, in_pieces: false }, now),
            NewBody::Uploaded(upload) => state.commit(upload.number, dedupe, now),
        };
        record.number = match admitted {
            Ok(Admitted::New(number)) => number,
            Ok(Admitted::Same(number)) => return Tried::Same(number),
            Ok(Admitted::Pending) => return Tried::Pending,
            Err(refused) => return Tried::Refused(self.told(refused)),
        };
        if let NewBody::Uploaded(upload) = &new.body {
            upload.committed.store(true, Ordering::Relaxed);
        }
        record.receivers = receivers;
        let (number, has_key) = (record.number, dedupe.is_some());
        let (tell, stable) = oneshot::channel();
        let own = self.clone();
        self.write(&What::Accepted(Box::new(record)), Room::Ordinary, move |at| {
            let accepted = match at {
                Ok(_) => {
                    own.counters.one(Count::Accepted);
                    Ok(Accepted { id: own.id(number), again: false })
                }
                Err(error) => {
                    own.lock().give_back(number);
                    Err(own.refuse(error.clone().into()))
                }
            };
            if has_key {
                own.settled.notify_waiters();
            }
            // Whoever asked may be gone; the message stays.
            let _ = tell.send(accepted);
        });
        drop(state);
        Tried::Written(stable)
    }

    /// What tells whether a message came before.
    fn dedupe(&self, new: &New<'_>) -> Option<Dedupe> {
        let kept = self.plan.load().dedupe;
        let key = match new {
            // No client's key is ever the same as the clock's.
            New { fired: Some(at), .. } => hash(&[b"clock", &at.to_le_bytes()]),
            New { key: Some(key), .. } => hash(&[b"key", key]),
            New { event: Some(event), .. } => hash(&[b"event", event.source.as_bytes(), event.id.as_bytes()]),
            _ => return None,
        };
        let content = new.body.hash();
        let content = hash(&[new.method, new.target, &content]);
        let till = wall_ms().saturating_add(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX));
        (!kept.is_zero()).then_some(Dedupe { key, content, till })
    }

    fn told(&self, refused: state::Refused) -> Refused {
        match refused {
            state::Refused::Full => {
                let full = config::units::show_size(self.plan.load().full);
                Refused::Full { why: format!("the queue `{}` holds the {full} that it may", self.name) }
            }
            state::Refused::TooMany => Refused::TooMany,
            state::Refused::OtherContent => Refused::OtherContent,
            state::Refused::TooLarge => Refused::TooLarge { limit: u32::MAX as usize },
            state::Refused::NoUpload => Refused::Closed,
        }
    }

    fn refuse(&self, refused: Refused) -> Refused {
        self.counters.one(match refused {
            Refused::OtherContent => Count::OtherContent,
            Refused::Stopped(_) | Refused::Busy | Refused::Left | Refused::Closed => Count::Stopped,
            Refused::Full { .. } | Refused::TooMany | Refused::TooLarge { .. } => Count::Full,
        });
        refused
    }

    /// A message's id, as the outside knows it.
    pub fn id(&self, number: Number) -> String {
        self.store.ids.text(&self.name, number)
    }

    /// Begins to write a body that is too large for memory, of so many bytes if that is known.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn upload(self: &Arc<Self>, expected: Option<u64>) -> Result<Upload, Refused> {
        self.has_room(expected.unwrap_or(0))?;
        // What it says beside its body is counted now, its body as it comes.
        let ask = Admit { bytes: HEAD_COUNTED, dedupe: None, in_pieces: true };
        let number = match self.lock().admit(&ask, wall_ms()) {
            Ok(Admitted::New(number)) => number,
            Ok(_) => return Err(Refused::Busy),
            Err(refused) => return Err(self.refuse(self.told(refused))),
        };
        let places = Arc::<Places>::default();
        self.uploads().insert(number, Arc::downgrade(&places));
        Ok(Upload {
            queue: self.clone(),
            number,
            places,
            whole: None,
            content: digest::Context::new(&digest::SHA256),
            held: Vec::new(),
            committed: AtomicBool::new(false),
        })
    }
}

/// How an attempt to accept went.
enum Tried {
    Written(oneshot::Receiver<Result<Accepted, Refused>>),
    Same(Number),
    Pending,
    Refused(Refused),
}

/// What a request asks, as text.
#[derive(Clone, Copy)]
struct Texts<'a> {
    method: &'a str,
    target: &'a str,
}

/// The first half of a SHA-256 over all parts, each with its length.
fn hash(parts: &[&[u8]]) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let digest = context.finish();
    digest.as_ref().first_chunk().map_or(0, |half| u128::from_le_bytes(*half))
}

impl NewBody {
    fn hash(&self) -> Vec<u8> {
        match self {
            NewBody::Whole(whole) => digest::digest(&digest::SHA256, whole).as_ref().to_vec(),
            NewBody::Uploaded(upload) => upload.content.clone().finish().as_ref().to_vec(),
        }
    }

    fn as_record(&self) -> record::Body<'_> {
        match self {
            NewBody::Whole(whole) => record::Body::Whole(whole),
            NewBody::Uploaded(upload) => {
                let at = upload.whole.as_ref().map(|whole| whole.at.clone()).unwrap_or_default();
                record::Body::Pieces { upload: upload.number, at }
            }
        }
    }
}

/// Where the pieces of an upload lie, and their lengths. Locked by who moves them.
pub(crate) type Places = tokio::sync::Mutex<Lying>;

/// Where pieces lie.
#[derive(Debug, Default)]
pub(crate) struct Lying {
    pub(crate) at: Vec<(Position, u32)>,
    /// Where some of them lay before they were moved.
    pub(crate) left: BTreeSet<Position>,
}

/// A body on its way into the log. Dropped before it is accepted, its pieces are left to the cleaner.
pub struct Upload {
    queue: Arc<Queue>,
    number: Number,
    places: Arc<Places>,
    /// Held from when all of it is there: then no piece is moved any more till it is a message.
    whole: Option<OwnedMutexGuard<Lying>>,
    content: digest::Context,
    /// What isn't a whole piece yet.
    held: Vec<u8>,
    /// It became a message, or is about to.
    committed: AtomicBool,
}

impl Upload {
    /// Takes more of it. Returns when whole pieces are on stable storage, so that what waits in memory
    /// is never more than one.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        self.content.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(INLINE - self.held.len()));
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() == INLINE {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Writes the last piece; to be called once, when all has been pushed.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn finish(&mut self) -> Result<(), Refused> {
        if !self.held.is_empty() {
            self.write().await?;
        }
        let places = timeout(PATIENCE, self.places.clone().lock_owned()).await;
        self.whole = Some(places.map_err(|_| self.queue.refuse(Refused::silent()))?);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Refused> {
        let queue = &self.queue;
        let bytes = self.held.len() as u64;
        let reserved = queue.lock().reserve_more(self.number, bytes);
        reserved.map_err(|refused| queue.refuse(queue.told(refused)))?;
        let (tell, stable) = oneshot::channel();
        let what = What::Piece { upload: self.number, bytes: &self.held };
        queue.write(&what, Room::Ordinary, move |at| {
            let _ = tell.send(at.clone());
        });
        self.held.clear();
        let written = async {
            match stable.await {
                Ok(Ok(position)) => {
                    self.places.lock().await.at.push((position, u32::try_from(bytes).unwrap_or(u32::MAX)));
                    Ok(())
                }
                Ok(Err(error)) => Err(queue.refuse(error.into())),
                Err(_) => Err(Refused::Closed),
            }
        };
        timeout(PATIENCE, written).await.unwrap_or_else(|_| Err(queue.refuse(Refused::silent())))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.queue.uploads().remove(&self.number);
        if !self.committed.load(Ordering::Relaxed) {
            self.queue.lock().give_back(self.number);
        }
    }
}
