//! How queues and messages look on a terminal.
//!
//! Much of a message was written by its sender: `plain` keeps it from moving the cursor.

use std::fmt::Write as _;

use admin::queue::{
    AttemptView, DeliveryView, Excerpt, MessageLine, MessageState, MessageView, Moment, Page, QueueView,
    ReceiverView,
};

use crate::terminal::{Align, Paint, bytes, count, counted, lasting, plain, table};

/// Characters of a target or an error in a row.
const WIDEST: usize = 60;

const QUEUES: [&str; 10] =
    ["QUEUE", "STATE", "WAITING", "DELAYED", "RUNNING", "DONE", "DEAD", "OLDEST", "BYTES", ""];
const QUEUES_ALIGN: [Align; 10] = [
    Align::Left,
    Align::Left,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Left,
];
const STATE: usize = 1;
const DEAD: usize = 6;

/// The queues in a table.
pub fn overview(queues: &[QueueView], paint: Paint) -> String {
    let mut rows = vec![QUEUES.map(str::to_owned)];
    rows.extend(queues.iter().map(|queue| {
        [
            queue.name.clone(),
            state(queue).to_owned(),
            count(queue.waiting),
            count(queue.delayed),
            count(queue.running),
            count(queue.done),
            count(queue.dead),
            queue.oldest_seconds.map_or_else(|| "-".to_owned(), lasting),
            bytes(queue.bytes),
            queue.trouble.as_deref().map(plain).unwrap_or_default(),
        ]
    }));
    table(&rows, &QUEUES_ALIGN, |column, row, cell| match (row, column, cell.trim()) {
        (0, ..) => paint.dim(cell),
        (_, STATE, "active") => paint.green(cell),
        (_, STATE, _) => paint.yellow(cell),
        (_, DEAD, dead) if dead != "0" => paint.red(cell),
        _ => cell.to_owned(),
    })
}

fn state(queue: &QueueView) -> &'static str {
    match queue {
        _ if !queue.in_plan => "not in the file",
        _ if queue.paused => "paused",
        _ => "active",
    }
}

/// One queue and its receivers.
pub fn queue(queue: &QueueView, now: u64, paint: Paint) -> String {
    let state = match state(queue) {
        active @ "active" => paint.green(active),
        other => paint.yellow(other),
    };
    let full = queue.full.map_or_else(String::new, |full| format!(" of {}", bytes(full)));
    let oldest = queue
        .oldest_seconds
        .map_or_else(String::new, |oldest| format!(" (the oldest for {})", lasting(oldest)));
    let mut text = format!(
        "{} · {state} · {}{full}\n{} waiting{oldest} · {} delayed · {} running · {} done · {} dead\n",
        paint.bold(&queue.name),
        bytes(queue.bytes),
        count(queue.waiting),
        count(queue.delayed),
        count(queue.running),
        count(queue.done),
        count(queue.dead),
    );
    text += &counters(queue);
    if let Some(every) = &queue.every {
        let next = every.next.map_or_else(|| "never".to_owned(), |next| relative(next, now));
        let _ = writeln!(text, "sent by the clock ({}): the next one {next}", every.cron);
    }
    if let Some(trouble) = &queue.trouble {
        let _ = writeln!(text, "{}: {}", paint.red("trouble"), plain(trouble));
    }
    if queue.receivers.is_empty() {
        return text + "nobody receives its messages; they are kept for those who follow it\n";
    }
    text + "\n" + &receivers(&queue.receivers, now, paint)
}

fn counters(queue: &QueueView) -> String {
    let counted = &queue.counters;
    let mut text = format!(
        "since the start: {} accepted · {} delivered · {} retried · {} dead",
        count(counted.accepted),
        count(counted.done),
        count(counted.retried),
        count(counted.dead),
    );
    if counted.again > 0 {
        let _ = write!(text, " · {} known by their key", count(counted.again));
    }
    for (why, refused) in counted.refused.iter().filter(|(_, refused)| **refused > 0) {
        let _ = write!(text, " · {} refused ({})", count(*refused), why.replace('_', " "));
    }
    text + "\n"
}

const RECEIVERS: [&str; 8] = ["RECEIVER", "WAITING", "DELAYED", "IN FLIGHT", "AT MOST", "RATE", "DEAD", ""];
const RECEIVERS_ALIGN: [Align; 8] = [
    Align::Left,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Left,
];

fn receivers(receivers: &[ReceiverView], now: u64, paint: Paint) -> String {
    let mut rows = vec![RECEIVERS.map(str::to_owned)];
    rows.extend(receivers.iter().map(|receiver| {
        let at_most = match (receiver.limit, receiver.concurrency) {
            (limit, all) if limit < all => format!("{limit} of {all}"),
            (limit, _) => limit.to_string(),
        };
        let mut notes = Vec::new();
        notes.extend((!receiver.in_plan).then(|| "not in the file".to_owned()));
        let held = receiver.held_until.filter(|until| until.0 > now);
        notes.extend(held.map(|until| format!("held for {}", lasting(apart(until, now)))));
        notes.extend(receiver.last_error.as_deref().map(|error| clip(&plain(error))));
        [
            receiver.receiver.clone(),
            count(receiver.waiting),
            count(receiver.delayed),
            count(receiver.in_flight),
            at_most,
            receiver.rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate}/s")),
            count(receiver.dead),
            notes.join("; "),
        ]
    }));
    table(&rows, &RECEIVERS_ALIGN, |_, row, cell| if row == 0 { paint.dim(cell) } else { cell.to_owned() })
}

const MESSAGES: [&str; 8] = ["ID", "STATE", "ACCEPTED", "DUE", "ATTEMPTS", "BYTES", "REQUEST", ""];
const MESSAGES_ALIGN: [Align; 8] = [
    Align::Left,
    Align::Left,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Right,
    Align::Left,
    Align::Left,
];

/// Some messages in a table.
pub fn page(page: &Page, now: u64, paint: Paint) -> String {
    if page.messages.is_empty() {
        return "there are no such messages\n".to_owned();
    }
    let mut rows = vec![MESSAGES.map(str::to_owned)];
    rows.extend(page.messages.iter().map(|message| row(message, now)));
    let mut text = table(&rows, &MESSAGES_ALIGN, |column, row, cell| match (row, column) {
        (0, _) => paint.dim(cell),
        (_, STATE) => coloured(cell, paint),
        _ => cell.to_owned(),
    });
    if let Some(next) = &page.next {
        let _ = writeln!(text, "there may be more: add --after {next}");
    }
    text
}

fn row(message: &MessageLine, now: u64) -> [String; 8] {
    let mut notes = Vec::new();
    notes.extend(message.event.as_ref().map(|event| clip(&plain(&event.kind))));
    notes.extend(message.error.as_deref().map(|error| clip(&plain(error))));
    [
        message.id.clone(),
        message.state.word().to_owned(),
        relative(message.accepted, now),
        message.due.map_or_else(|| "-".to_owned(), |due| relative(due, now)),
        message.attempts.to_string(),
        bytes(message.bytes),
        clip(&plain(&format!("{} {}", message.method, message.target))),
        notes.join("; "),
    ]
}

fn coloured(state: &str, paint: Paint) -> String {
    match state.trim_end() {
        "done" => paint.green(state),
        "dead" => paint.red(state),
        _ => state.to_owned(),
    }
}

/// All of a message.
pub fn message(message: &MessageView, paint: Paint) -> String {
    let due = message.due.map_or_else(String::new, |due| format!(" · due {due}"));
    let mut text = format!(
        "{} · {} · {}\n{} · {} · accepted {}{due}\n",
        paint.bold(&message.id),
        message.queue,
        coloured(message.state.word(), paint),
        plain(&format!("{} {}", message.method, message.target)),
        bytes(message.bytes),
        message.accepted,
    );
    if let Some(event) = &message.event {
        let about = format!("event {} of {}, id {}", event.kind, event.source, event.id);
        let _ = writeln!(text, "{}", plain(&about));
    }
    if !message.headers.is_empty() {
        let _ = writeln!(text, "\n{}", paint.dim("HEADERS"));
    }
    for (name, value) in &message.headers {
        let _ = writeln!(text, "{}", plain(&format!("{name}: {value}")));
    }
    if message.bytes > 0 {
        let _ = writeln!(text, "\n{}\n{}", paint.dim("BODY"), excerpt(&message.body_preview, ""));
    }
    for delivery in &message.deliveries {
        text += &self::delivery(delivery, paint);
    }
    text
}

fn delivery(delivery: &DeliveryView, paint: Paint) -> String {
    let attempts = match (delivery.state, delivery.attempts) {
        (MessageState::Running, 0) => ": the first attempt".to_owned(),
        (_, 0) => String::new(),
        (_, attempts) => format!(" after {}", counted(attempts as usize, "attempt")),
    };
    let due = delivery.due.map_or_else(String::new, |due| format!(", due {due}"));
    let mut text = format!(
        "\n{} {} · {}{attempts}{due}\n",
        paint.dim("RECEIVER"),
        paint.bold(&delivery.receiver),
        coloured(delivery.state.word(), paint),
    );
    let rows: Vec<[String; 4]> = delivery.history.iter().map(attempt).collect();
    text +=
        &table(&rows, &[Align::Left, Align::Left, Align::Right, Align::Left], |_, _, cell| cell.to_owned());
    if let Some(answer) = delivery.answer.as_ref().filter(|answer| !answer.text.is_empty()) {
        let _ = writeln!(text, "  {}\n{}", paint.dim("it said:"), excerpt(answer, "  "));
    }
    text
}

fn attempt(attempt: &AttemptView) -> [String; 4] {
    let status = attempt.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let outcome = match &attempt.error {
        Some(error) => format!("{status}: {}", clip(&plain(error))),
        None => status,
    };
    [String::new(), attempt.at.to_string(), took(attempt.took_ms), outcome]
}

/// With `before` at the beginning of each line.
fn excerpt(excerpt: &Excerpt, before: &str) -> String {
    let mut lines: Vec<String> =
        excerpt.text.lines().map(|line| format!("{before}{}", plain(line))).collect();
    if excerpt.binary {
        lines.insert(0, format!("{before}(binary, in base64)"));
    }
    if excerpt.cut {
        lines.push(format!("{before}(and more)"));
    }
    lines.join("\n")
}

/// `12s ago`, `in 3m 5s`, `now`.
fn relative(moment: Moment, now: u64) -> String {
    let apart = lasting(apart(moment, now));
    match moment.0.cmp(&now) {
        _ if apart == "0s" => "now".to_owned(),
        std::cmp::Ordering::Less => format!("{apart} ago"),
        _ => format!("in {apart}"),
    }
}

/// In seconds.
fn apart(moment: Moment, now: u64) -> f64 {
    moment.0.abs_diff(now) as f64 / 1e3
}

/// A time in milliseconds, in seconds if it is long.
fn took(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1e3) }
}

/// Its beginning, if it is too long for a row.
fn clip(text: &str) -> String {
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_from_now() {
        let told = [0, 999_500, 1_000_400, 1_185_000].map(|ms| relative(Moment(ms), 1_000_000));
        assert_eq!(told, ["16m 40s ago", "now", "now", "in 3m 5s"]);
    }

    #[test]
    fn what_a_sender_wrote_does_not_reach_the_terminal() {
        let shown = excerpt(&Excerpt { text: "a\u{1b}[2J\r\nb\tc".into(), binary: false, cut: true }, "  ");
        assert_eq!(shown, "  a\\u{1b}[2J\n  b\tc\n  (and more)");
        assert_eq!(clip(&"ö".repeat(WIDEST)), "ö".repeat(WIDEST));
        assert_eq!(clip(&"ö".repeat(WIDEST + 1)), "ö".repeat(WIDEST) + "…");
    }
}
