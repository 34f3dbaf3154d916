//! Clients that ask again soon after each answer, and keep an account of what they got.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use super::{Message, until};

/// Different bodies that are remembered; a test expects fewer.
const BODIES: usize = 16;
/// The time between two requests of all clients together. Without it they would take the whole
/// machine, and what a test does meanwhile would take for ever.
const GAP: Duration = Duration::from_micros(250);
/// Failures after which a client gives up.
const FAILURES: usize = 100;

/// Clients at work, each with a connection that it keeps as long as the node lets it.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What clients got.
#[derive(Debug, Default)]
pub struct Tally {
    /// Whole answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Why requests got no whole answer.
    pub broken: Vec<String>,
    /// Different bodies.
    pub bodies: BTreeSet<Vec<u8>>,
    /// How long each whole answer took.
    pub times: Vec<Duration>,
}

impl Load {
    /// So many clients GET `path` until [`Load::finish`].
    pub fn start(to: SocketAddr, clients: usize, path: &'static str) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let pause = GAP * u32::try_from(clients).unwrap();
        let clients = (0..clients).map(|_| {
            let (stop, answered) = (stop.clone(), answered.clone());
            std::thread::spawn(move || work(to, path, pause, &stop, &answered))
        });
        let clients = clients.collect();
        Self { stop, answered, clients }
    }

    /// Waits until this many more answers came.
    #[track_caller]
    pub fn until_more(&self, answers: u64) {
        let wanted = self.answered.load(Relaxed) + answers;
        until("further answers", || {
            self.answered.load(Relaxed) >= wanted || self.clients.iter().all(|c| c.is_finished())
        });
    }

    /// Stops the clients, each after the answer that it waits for.
    pub fn finish(self) -> Tally {
        self.stop.store(true, Relaxed);
        let tallies = self.clients.into_iter().map(|c| c.join().unwrap());
        tallies.fold(Tally::default(), Tally::and)
    }
}

impl Tally {
    /// Requests in all.
    pub fn requests(&self) -> u64 {
        self.statuses.values().sum::<u64>() + self.broken.len() as u64
    }

    /// Fails the test unless all were answered with 200.
    #[track_caller]
    pub fn assert_all_well(&self) {
        assert_eq!(self.broken, Vec::<String>::new());
        let statuses: Vec<u16> = self.statuses.keys().copied().collect();
        assert_eq!(statuses, [200], "{:?}", self.statuses);
    }

    /// The time that this share of the answers did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[((times.len() - 1) as f64 * share) as usize]
    }

    fn note(&mut self, answer: Message, time: Duration) {
        *self.statuses.entry(answer.status()).or_default() += 1;
        self.times.push(time);
        if self.bodies.len() < BODIES {
            self.bodies.insert(answer.body);
        }
    }

    fn and(mut self, other: Self) -> Self {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.broken.extend(other.broken);
        self.bodies.extend(other.bodies);
        self.times.extend(other.times);
        self
    }
}

/// One client. It connects anew only after an answer that said so, or a failure: a connection that
/// ends without an answer is a failed request, however old the connection was.
fn work(to: SocketAddr, path: &str, pause: Duration, stop: &AtomicBool, answered: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut kept = None;
    while !stop.load(Relaxed) && tally.broken.len() < FAILURES {
        let begun = Instant::now();
        let (client, result) = ask(kept.take(), to, path);
        match result {
            Ok(answer) => {
                kept = client.filter(|_| !answer.has("connection", "close"));
                tally.note(answer, begun.elapsed());
            }
            Err(why) => tally.broken.push(why.to_string()),
        }
        answered.fetch_add(1, Relaxed);
        std::thread::sleep(pause);
    }
    tally
}

fn ask(kept: Option<Client>, to: SocketAddr, path: &str) -> (Option<Client>, std::io::Result<Message>) {
    match kept.map_or_else(|| Client::connect(to), Ok) {
        Ok(mut client) => {
            let answer = client.get(path);
            (Some(client), answer)
        }
        Err(why) => (None, Err(why)),
    }
}
