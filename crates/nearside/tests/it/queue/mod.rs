//! What queues promise, seen from outside: a node with one queue and receivers of which a test says what
//! they answer, and that note every delivery with its time.

mod accept;
mod crash;
mod delay;
mod disk;
mod events;
mod fair;
mod fan_out;
mod large;
mod life;
mod limits;
mod operate;
mod order;
mod outside;
mod retry;
mod same;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Behaviour, Client, Endpoint, Message, Nearside, until};

/// What an ordinary answer of a receiver begins with.
const OK: &str = "200 OK";

/// The file of a node whose queue `hooks` takes every request; `rules` are further lines of the queue.
fn file(receivers: &[(&str, &Endpoint)], rules: &str) -> String {
    let names: Vec<&str> = receivers.iter().map(|(name, _)| *name).collect();
    let service = |(name, endpoint): &(&str, &Endpoint)| {
        format!("[service.{name}]\nendpoints = [\"{}\"]\n\n", endpoint.url())
    };
    let services: String = receivers.iter().map(service).collect();
    format!(
        "{services}[queue.hooks]\ndeliver = {names:?}\n{rules}\n\n[[route]]\npath = \"/\"\nqueue = \"hooks\"\n"
    )
}

/// Pauses so short that a test needn't wait; as often as `attempts` says.
fn quick(attempts: u32) -> String {
    format!("retry = {{ attempts = {attempts}, first = \"20ms\", longest = \"40ms\" }}")
}

/// A node with a queue, and the receiver that gets its messages: the service `shop`.
struct Scene {
    node: Nearside,
    shop: Receiver,
}

impl Scene {
    /// `rules` are further lines of the queue.
    #[track_caller]
    fn start(rules: &str, shop: Receiver) -> Self {
        let node = Nearside::start(&file(&[("shop", &shop.endpoint)], rules));
        Self { node, shop }
    }

    /// The answer to a POST with these further fields, each with its line's end.
    #[track_caller]
    fn send(&self, fields: &str, body: impl AsRef<[u8]>) -> Message {
        post(self.node.listen, fields, body.as_ref()).unwrap()
    }

    /// The id of a message that was accepted.
    #[track_caller]
    fn accepted(&self, fields: &str, body: impl AsRef<[u8]>) -> String {
        id(&self.send(fields, body))
    }

    /// What the node says of a message to who has its id; the answer's status too.
    #[track_caller]
    fn told(&self, id: &str) -> (u16, Value) {
        let answer = self.node.client().get(&format!("/.well-known/nearside/messages/{id}")).unwrap();
        (answer.status(), answer.json())
    }

    /// Waits till a message is in this state, and returns what its `Location` says then.
    #[track_caller]
    fn until_state(&self, id: &str, state: &str) -> Value {
        let mut told = Value::Null;
        until(&format!("{id} is {state}; it is {}", self.told(id).1), || {
            told = self.told(id).1;
            told["state"] == state
        });
        told
    }

    /// What the API shows of the queue.
    #[track_caller]
    fn queue(&self) -> Value {
        self.node.api("queues/hooks")
    }

    /// What the API shows of a message.
    #[track_caller]
    fn message(&self, id: &str) -> Value {
        self.node.api(&format!("queues/hooks/messages/{id}"))
    }

    /// The answer of the API to a POST under the queue's path.
    #[track_caller]
    fn order(&self, path: &str, order: &Value) -> Value {
        let body = order.to_string();
        let mut client = Client::connect(self.node.admin).unwrap();
        let head = format!(
            "POST /api/v1/queues/hooks/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(head + &body).unwrap();
        let answer = client.answer().unwrap();
        assert!(matches!(answer.status(), 200 | 202), "{path}: {}", answer.text());
        answer.json()
    }

    /// Waits till nothing is left to be delivered.
    #[track_caller]
    fn until_quiet(&self) {
        let mut queue = Value::Null;
        let quiet = crate::support::comes_true(crate::support::LIMIT, || {
            queue = self.queue();
            ["waiting", "delayed", "running"].iter().all(|state| queue[state] == 0)
        });
        assert!(quiet, "not all is delivered: {queue}");
    }
}

/// The answer to a POST on a connection of its own.
fn post(to: SocketAddr, fields: &str, body: &[u8]) -> io::Result<Message> {
    post_on(&mut Client::connect(to)?, fields, body)
}

/// The answer to a POST on this connection.
fn post_on(client: &mut Client, fields: &str, body: &[u8]) -> io::Result<Message> {
    let length = body.len();
    let head =
        format!("POST /hooks/in?a=b HTTP/1.1\r\nHost: shop.test\r\n{fields}Content-Length: {length}\r\n\r\n");
    client.send([head.as_bytes(), body].concat())?;
    client.answer()
}

/// The id in a 202; any other answer fails the test.
#[track_caller]
fn id(answer: &Message) -> String {
    assert_eq!(answer.status(), 202, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// One delivery, as its receiver saw it.
#[derive(Debug, Clone)]
struct Delivery {
    /// When all of it had come.
    at: Instant,
    request: Message,
    /// The status that it was answered with, and when that was written; none: it wasn't, or not yet.
    answered: Option<(u16, Instant)>,
}

impl Delivery {
    fn id(&self) -> &str {
        self.request.field("webhook-id").unwrap_or_default()
    }

    fn body(&self) -> String {
        self.request.text()
    }

    /// Which attempt it says it is.
    fn attempt(&self) -> u32 {
        self.request.field("nearside-attempt").unwrap_or_default().parse().unwrap_or(0)
    }
}

/// A receiver that notes what it gets.
struct Receiver {
    endpoint: Endpoint,
    journal: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    /// One that answers each delivery with what `answer` returns: the first line without `HTTP/1.1`, and
    /// further fields after line ends. An error ends the connection without an answer.
    fn start(answer: impl Fn(&Message) -> io::Result<String> + Send + Sync + 'static) -> Self {
        let journal = Arc::<Mutex<Vec<Delivery>>>::default();
        let noted = journal.clone();
        let endpoint = Endpoint::start(Behaviour::script(move |request, stream| {
            let delivery = Delivery { at: Instant::now(), request: request.clone(), answered: None };
            let place = {
                let mut noted = noted.lock().unwrap();
                noted.push(delivery);
                noted.len() - 1
            };
            let start = answer(request)?;
            reply(stream, &start, b"")?;
            let status = start.split(' ').next().unwrap().parse().unwrap();
            noted.lock().unwrap()[place].answered = Some((status, Instant::now()));
            Ok(())
        }));
        Self { endpoint, journal }
    }

    /// One that takes everything.
    fn well() -> Self {
        Self::start(|_| Ok(OK.to_owned()))
    }

    /// One that always answers so.
    fn answering(start: &'static str) -> Self {
        Self::start(move |_| Ok(start.to_owned()))
    }

    /// What it got so far.
    fn deliveries(&self) -> Vec<Delivery> {
        self.journal.lock().unwrap().clone()
    }

    /// How much it got so far.
    fn count(&self) -> usize {
        self.journal.lock().unwrap().len()
    }

    /// Waits till it got so many.
    #[track_caller]
    fn until_count(&self, count: usize) {
        until(&format!("{count} deliveries"), || self.count() >= count);
    }

    /// Bodies in the order in which they came.
    fn bodies(&self) -> Vec<String> {
        self.deliveries().iter().map(Delivery::body).collect()
    }
}

/// Writes an answer whose first line is `HTTP/1.1 ` and `start`.
fn reply(mut stream: &TcpStream, start: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 {start}\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// How often what this test repeats is repeated: `short` times, or `long` in its long form.
fn rounds(short: u64, long: u64) -> u64 {
    if std::env::var_os("NEARSIDE_SOAK").is_some() { long } else { short }
}

/// So long ago that what has not happened since won't: what would come at once has come.
const SETTLED: Duration = Duration::from_millis(300);

/// Fails the test if a further delivery comes soon.
#[track_caller]
fn assert_no_more(receiver: &Receiver, count: usize) {
    let more = crate::support::comes_true(SETTLED, || receiver.count() > count);
    assert!(!more, "{:?}", receiver.deliveries().get(count));
    assert_eq!(receiver.count(), count);
}
