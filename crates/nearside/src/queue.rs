//! `nearside queue`: what is in the queues of a running node, and what is done to them.

mod show;

use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use admin::queue::{DropAsk, LARGEST_ASK, MessageAsk, MessageView, Page, QueueView, ReplayAsk, Sent, Values};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::units::show_duration;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use crate::api::{Api, escape};
use crate::cli;
use crate::cli::queue::{Command, Data, DropMessages, Message, Messages, Named, Replay, Send};
use crate::failure::Failure;
use crate::terminal::{self, Paint, counted};

pub use show::overview;

/// Does what is asked for.
///
/// # Errors
/// When there is no node, it refuses, or what is asked for can't be.
pub fn queue(ask: &cli::queue::Queue) -> Result<ExitCode, Failure> {
    match &ask.command {
        Command::List(node) => list(node),
        Command::Show(named) => show(named),
        Command::Messages(messages) => self::messages(messages),
        Command::Message(message) => self::message(message),
        Command::Replay(replay) => self::replay(replay),
        Command::Drop(messages) => drop_messages(messages),
        Command::Pause(named) => switch(named, "pause", "paused: messages are accepted, and wait"),
        Command::Resume(named) => switch(named, "resume", "delivering again"),
        Command::Send(send) => self::send(send),
    }
}

fn list(node: &cli::Node) -> Result<ExitCode, Failure> {
    let body = Api::at(&node.admin.place).get("queues")?;
    tell(node, &body, |queues: Vec<QueueView>| match queues.as_slice() {
        [] => "this node has no queues\n".to_owned(),
        queues => overview(queues, Paint::stdout()),
    })
}

fn show(named: &Named) -> Result<ExitCode, Failure> {
    let body = Api::at(&named.node.admin.place).get(&path(&named.queue, ""))?;
    tell(&named.node, &body, |queue: QueueView| show::queue(&queue, now(), Paint::stdout()))
}

fn messages(ask: &Messages) -> Result<ExitCode, Failure> {
    let Named { queue, node } = &ask.of;
    let mut path = path(queue, &format!("/messages?limit={}", ask.limit));
    if let Some(state) = ask.state {
        path += &format!("&state={}", state.word());
    }
    if let Some(after) = &ask.after {
        path += &format!("&after={}", escape(after));
    }
    let body = Api::at(&node.admin.place).get(&path)?;
    tell(node, &body, |page: Page| show::page(&page, now(), Paint::stdout()))
}

fn message(ask: &Message) -> Result<ExitCode, Failure> {
    let path = path(&ask.queue, &format!("/messages/{}", escape(&ask.id)));
    let body = Api::at(&ask.node.admin.place).get(&path)?;
    tell(&ask.node, &body, |message: MessageView| show::message(&message, Paint::stdout()))
}

/// What became of an order.
#[derive(Clone, Copy, Deserialize)]
enum Count {
    #[serde(rename = "replayed")]
    Replayed(usize),
    #[serde(rename = "dropped")]
    Dropped(usize),
}

fn replay(ask: &Replay) -> Result<ExitCode, Failure> {
    let order = ReplayAsk {
        ids: ask.ids.clone(),
        state: ask.state,
        all: ask.all,
        receiver: ask.receiver.clone(),
        per_second: ask.rate.map(|rate| rate.0),
    };
    order.clone().check().map_err(|bad| Failure::Request(bad.to_string()))?;
    let body = post(&ask.node, &path(&ask.queue, "/replay"), &json!(order))?;
    tell(&ask.node, &body, told)
}

fn drop_messages(ask: &DropMessages) -> Result<ExitCode, Failure> {
    let many = ask.all || ask.state.is_some();
    if many && !ask.yes {
        let why = "what is dropped can't be brought back; add --yes if it is meant".to_owned();
        return Err(Failure::Request(why));
    }
    let order = DropAsk { ids: ask.ids.clone(), state: ask.state, all: ask.all };
    order.clone().check().map_err(|bad| Failure::Request(bad.to_string()))?;
    let body = post(&ask.node, &path(&ask.queue, "/drop"), &json!(order))?;
    tell(&ask.node, &body, told)
}

fn told(count: Count) -> String {
    match count {
        Count::Replayed(count) => format!("delivered again: {}\n", counted(count, "message")),
        Count::Dropped(count) => format!("dropped: {}\n", counted(count, "message")),
    }
}

fn switch(named: &Named, what: &str, done: &str) -> Result<ExitCode, Failure> {
    let body = post(&named.node, &path(&named.queue, &format!("/{what}")), &json!({}))?;
    tell(&named.node, &body, |queue: QueueView| format!("{} is {done}\n", queue.name))
}

fn send(ask: &Send) -> Result<ExitCode, Failure> {
    let message = new_message(ask)?;
    message.clone().check().map_err(|bad| Failure::Request(bad.to_string()))?;
    let body = post(&ask.node, &path(&ask.queue, "/messages"), &json!(message))?;
    tell(&ask.node, &body, |sent: Sent| format!("{} is kept in {}\n", sent.id, sent.queue))
}

fn new_message(ask: &Send) -> Result<MessageAsk, Failure> {
    let mut message = MessageAsk {
        method: ask.method.clone(),
        path: ask.path.clone(),
        delay: ask.delay.map(|delay| show_duration(delay).to_string()),
        at: ask.at.map(|at| at.to_string()),
        idempotency_key: ask.key.clone(),
        ..MessageAsk::default()
    };
    for field in &ask.headers {
        let (name, value) = field.split_once(':').unwrap_or((field, ""));
        let values = message.headers.entry(name.to_owned()).or_insert_with(|| Values::Many(Vec::new()));
        if let Values::Many(values) = values {
            values.push(value.trim().to_owned());
        }
    }
    match String::from_utf8(ask.data.as_ref().map_or_else(|| Ok(Vec::new()), read)?) {
        Ok(text) => message.body = Some(text),
        Err(binary) => message.body_base64 = Some(STANDARD.encode(binary.as_bytes())),
    }
    Ok(message)
}

/// All that a body is to be.
fn read(data: &Data) -> Result<Vec<u8>, Failure> {
    let (name, read) = match data {
        Data::Text(text) => return Ok(text.clone().into_bytes()),
        Data::File(path) => (path.display().to_string(), File::open(path).and_then(take)),
        Data::Input => ("standard input".to_owned(), take(io::stdin().lock())),
    };
    let body = read.map_err(|error| Failure::Request(format!("{name} can't be read: {error}")))?;
    if body.len() > LARGEST_ASK {
        let why = format!("{name} is too large for this command; send it to a route with this queue");
        return Err(Failure::Request(why));
    }
    Ok(body)
}

/// A little more than what may be sent, so that it shows if there is more.
fn take(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST_ASK as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn path(queue: &str, rest: &str) -> String {
    format!("queues/{}{rest}", escape(queue))
}

fn post(node: &cli::Node, path: &str, body: &Json) -> Result<Json, Failure> {
    let api = Api::at(&node.admin.place);
    Ok(api.granted(api.ask("POST", path, Some(body))?)?)
}

/// Prints what the node told, as it is or in words.
fn tell<T: DeserializeOwned>(
    node: &cli::Node,
    body: &Json,
    words: impl FnOnce(T) -> String,
) -> Result<ExitCode, Failure> {
    if node.json {
        terminal::print_json(body);
    } else {
        let read = T::deserialize(body).map_err(|_| Failure::foreign(&node.admin.place))?;
        terminal::print(&words(read));
    }
    Ok(ExitCode::SUCCESS)
}

/// In milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}
