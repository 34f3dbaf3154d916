//! The connection to the shared tier, and who may use it.
//!
//! There is a link or there is none: while there is none, a get is a miss at once. A link is dropped
//! after a few failures in a row and made anew by one task in the background, which waits longer and
//! longer between its tries. A new link must answer as fast as a get wants it before it is given out,
//! so a server that is only slow stays out as well.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::{PURGE_LIMIT, Stands, add_put, delete, now};
use crate::Tell;
use crate::object::Object;

/// Failures in a row after which a link is dropped.
const FAILURES: u32 = 3;
/// How long making a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// How long a put may take: nobody waits for it, but others behind it.
const PUT_LIMIT: Duration = Duration::from_secs(1);
/// Objects that are put in one trip.
const AT_ONCE: usize = 16;
/// Pauses between tries to connect: the first, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Where the tier is, and the link to it when it answers.
pub struct Line {
    client: Client,
    /// Host and port, as they are told; the URL may hold a password.
    name: String,
    /// How fast a new link must answer.
    limit: Duration,
    link: ArcSwapOption<Link>,
    /// Why there is none; nothing before the first try.
    trouble: Mutex<Option<String>>,
    tell: Tell,
}

/// A connection that answered in time when it was made.
pub struct Link {
    connection: MultiplexedConnection,
    failures: AtomicU32,
    /// Has it answered anything since?
    useful: AtomicBool,
    /// Woken when it failed too often.
    broken: Notify,
}

impl Line {
    /// A line without a link yet.
    pub fn new(url: &str, limit: Duration, tell: Tell) -> Result<Line, String> {
        let client = Client::open(url).map_err(|error| format!("the shared tier's URL: {error}"))?;
        let name = client.get_connection_info().addr().to_string();
        Ok(Line { client, name, limit, link: ArcSwapOption::empty(), trouble: Mutex::default(), tell })
    }

    /// The link, if there is one that hasn't failed too often.
    pub fn link(&self) -> Option<Arc<Link>> {
        self.link.load_full().filter(|link| link.failures.load(Ordering::Relaxed) < FAILURES)
    }

    /// Why the tier doesn't answer, if it doesn't.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells when the tier comes or goes; not each reason why it stays away.
    fn turn(&self, trouble: Option<String>) {
        let Self { name, .. } = self;
        let mut kept = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match (&*kept, &trouble) {
            (Some(_), None) => Some(format!("the shared tier at {name} answers again")),
            (None, Some(why)) => Some(format!("going on without the shared tier at {name}: {why}")),
            _ => None,
        };
        *kept = trouble;
        drop(kept);
        news.into_iter().for_each(|news| (self.tell)(news));
    }

    async fn connect(&self) -> Result<Arc<Link>, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(None);
        let making = self.client.get_multiplexed_async_connection_with_config(&config);
        let made = timeout(CONNECT_LIMIT, making).await.map_err(|_| "it does not answer".to_owned())?;
        let link = Arc::new(Link {
            connection: made.map_err(|error| error.to_string())?,
            failures: AtomicU32::new(0),
            useful: AtomicBool::new(false),
            broken: Notify::new(),
        });
        let mut ping = Pipeline::with_capacity(1);
        ping.cmd("PING");
        match link.send::<()>(&ping, self.limit).await {
            Answer::Is(()) => Ok(link),
            Answer::Refused(why) => Err(why),
            Answer::Nothing => Err(format!("it does not answer within {} ms", self.limit.as_millis())),
        }
    }
}

/// What came of a question.
enum Answer<T> {
    Is(T),
    /// It answered, but not with that.
    Refused(String),
    /// No answer in time.
    Nothing,
}

impl Link {
    /// Asks. None if there was no such answer in time.
    pub async fn ask<T: FromRedisValue>(&self, pipeline: &Pipeline, limit: Duration) -> Option<T> {
        match self.counted(pipeline, limit).await {
            Answer::Is(answer) => Some(answer),
            Answer::Refused(_) | Answer::Nothing => None,
        }
    }

    async fn counted<T: FromRedisValue>(&self, pipeline: &Pipeline, limit: Duration) -> Answer<T> {
        let answer = self.send(pipeline, limit).await;
        if !matches!(answer, Answer::Nothing) {
            self.failures.store(0, Ordering::Relaxed);
            self.useful.store(true, Ordering::Relaxed);
        } else if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.broken.notify_one();
        }
        answer
    }

    async fn send<T: FromRedisValue>(&self, pipeline: &Pipeline, limit: Duration) -> Answer<T> {
        let mut connection = self.connection.clone();
        match timeout(limit, pipeline.query_async(&mut connection)).await {
            Ok(Ok(answer)) => Answer::Is(answer),
            Ok(Err(error)) if is_answer(error.kind()) => Answer::Refused(error.to_string()),
            Ok(Err(_)) | Err(_) => Answer::Nothing,
        }
    }
}

/// Is an error of this kind an answer, so that the server is there?
fn is_answer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType)
}

/// Keeps a link and puts what waits, until nobody is left who could put anything.
pub async fn keep(line: Arc<Line>, mut puts: mpsc::Receiver<Object>, stands: Stands) {
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match line.connect().await {
            Ok(link) => {
                line.link.store(Some(Arc::clone(&link)));
                line.turn(None);
                let why = tokio::select! {
                    () = link.broken.notified() => Some("it did not answer in time".to_owned()),
                    () = put_all(&line, &link, &mut puts, &stands) => None,
                };
                line.link.store(None);
                if link.useful.load(Ordering::Relaxed) {
                    pause = FIRST_PAUSE;
                }
                why
            }
            Err(why) => Some(why),
        };
        let Some(why) = why else { return };
        line.turn(Some(why));
        if timeout(pause, drop_all(&mut puts)).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Puts what comes and still stands; ends when nothing can come any more.
async fn put_all(line: &Line, link: &Link, puts: &mut mpsc::Receiver<Object>, stands: &Stands) {
    let mut told = false;
    let mut batch = Vec::with_capacity(AT_ONCE);
    while puts.recv_many(&mut batch, AT_ONCE).await > 0 {
        let mut pipeline = Pipeline::new();
        let now = now();
        batch.retain(|object| stands(object));
        batch.iter().for_each(|object| add_put(&mut pipeline, object, now));
        if pipeline.is_empty() {
            batch.clear();
            continue;
        }
        if let Answer::Refused(why) = link.counted::<()>(&pipeline, PUT_LIMIT).await
            && !std::mem::replace(&mut told, true)
        {
            (line.tell)(format!("the shared tier at {} takes no objects: {why}", line.name));
        }
        // What was purged meanwhile may have come here only after that was removed.
        for object in batch.extract_if(.., |object| !stands(object)) {
            let _: Option<(usize,)> = link.ask(&delete(object.primary()), PURGE_LIMIT).await;
        }
        batch.clear();
    }
}

/// Drops what comes meanwhile, or it would hold memory that the other tiers have given up; ends when
/// nothing can come any more.
async fn drop_all(puts: &mut mpsc::Receiver<Object>) {
    while puts.recv().await.is_some() {}
}
