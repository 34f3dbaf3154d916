//! What can be written after `nearside queue`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use admin::queue::{FASTEST, MessageState, Moment};
use clap::{ArgGroup, Args, Subcommand};

use super::{Node, duration, header};

/// See and operate the queues: requests that are kept, and delivered later
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example: nearside queue messages hooks --state dead && nearside queue replay hooks --state dead --rate 50/s"
)]
pub struct Queue {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the queues
    #[command(after_help = "Example: nearside queue list")]
    List(Node),
    /// Show a queue and its receivers
    #[command(after_help = "Example: nearside queue show hooks")]
    Show(Named),
    Messages(Messages),
    /// Show a message, its deliveries and their attempts
    #[command(after_help = "Example: nearside queue message hooks msg_2fq0c5v1m8")]
    Message(Message),
    Replay(Replay),
    Drop(DropMessages),
    /// Begin no further delivery, also after a restart; messages are still accepted
    #[command(after_help = "Example: nearside queue pause hooks")]
    Pause(Named),
    /// Deliver again what a pause held up
    #[command(after_help = "Example: nearside queue resume hooks")]
    Resume(Named),
    Send(Send),
}

/// Which queue.
#[derive(Debug, Args)]
pub struct Named {
    /// The queue's name in the file
    pub queue: String,
    #[command(flatten)]
    pub node: Node,
}

/// List messages, the oldest first
#[derive(Debug, Args)]
#[command(after_help = "Example: nearside queue messages hooks --state dead --limit 20")]
pub struct Messages {
    #[command(flatten)]
    pub of: Named,
    /// Only those that are waiting, running, done or dead
    #[arg(long, value_name = "STATE")]
    pub state: Option<MessageState>,
    /// Only those that come after this one
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
    /// How many at most, up to 1000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
}

/// Which message.
#[derive(Debug, Args)]
pub struct Message {
    /// The queue's name in the file
    pub queue: String,
    /// The message's id
    pub id: String,
    #[command(flatten)]
    pub node: Node,
}

/// Deliver messages that have ended again, from their first attempt on
#[derive(Debug, Args)]
#[command(
    after_help = "Example: nearside queue replay hooks --state dead --rate 50/s",
    group(ArgGroup::new("which").args(["ids", "state", "all"]).required(true))
)]
pub struct Replay {
    /// The queue's name in the file
    pub queue: String,
    /// These messages
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Those that are dead or done
    #[arg(long, value_name = "STATE")]
    pub state: Option<MessageState>,
    /// All that have ended
    #[arg(long)]
    pub all: bool,
    /// Only to this receiver, a service or a URL as in the file
    #[arg(long, value_name = "RECEIVER")]
    pub receiver: Option<String>,
    /// How many messages in a time, as in 50/s or 600/m; without it, as fast as the queue delivers
    #[arg(long)]
    pub rate: Option<Rate>,
    #[command(flatten)]
    pub node: Node,
}

/// Take messages out of a queue; they are delivered no more, and can't be brought back
#[derive(Debug, Args)]
#[command(
    after_help = "Example: nearside queue drop hooks msg_2fq0c5v1m8",
    group(ArgGroup::new("which").args(["ids", "state", "all"]).required(true))
)]
pub struct DropMessages {
    /// The queue's name in the file
    pub queue: String,
    /// These messages
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Those that are waiting, running, done or dead; wants --yes
    #[arg(long, value_name = "STATE")]
    pub state: Option<MessageState>,
    /// All of them; wants --yes
    #[arg(long)]
    pub all: bool,
    /// It is meant: nobody is asked
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub node: Node,
}

/// Send a message to a queue, as if a client had sent it to a route
#[derive(Debug, Args)]
#[command(
    after_help = "Example: nearside queue send hooks --path /hooks/in --data '{\"order\":7}' -H 'Content-Type: application/json' --delay 30s"
)]
pub struct Send {
    /// The queue's name in the file
    pub queue: String,
    /// Its body: a text, @FILE for what a file holds, or - for standard input; without it, empty
    #[arg(short, long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub data: Option<Data>,
    /// Its path and query
    #[arg(long, default_value = "/")]
    pub path: String,
    /// Its method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "POST")]
    pub method: String,
    /// A header field of it; give it again for each further one
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<String>,
    /// Deliver it after this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub delay: Option<Duration>,
    /// Deliver it at this time, such as 2030-01-31T09:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    pub at: Option<Moment>,
    /// Its Idempotency-Key: a second message with it is not delivered
    #[arg(long)]
    pub key: Option<String>,
    #[command(flatten)]
    pub node: Node,
}

/// Where a body comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// The command line itself.
    Text(String),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Input,
}

impl FromStr for Data {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None if text == "-" => Self::Input,
            None => Self::Text(text.to_owned()),
        })
    }
}

/// Messages a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.split_once('/').and_then(|(number, unit)| {
            let seconds = match unit {
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
            Some(f64::from(number.parse::<u32>().ok()?) / seconds)
        });
        let in_reach = |rate: &f64| *rate > 0.0 && *rate <= FASTEST;
        rate.filter(in_reach)
            .map(Self)
            .ok_or_else(|| format!("write it as 50/s, 600/m or 10/h; at most {FASTEST}/s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let read = |text: &str| text.parse::<Rate>().map(|rate| rate.0).ok();
        assert_eq!([read("50/s"), read("600/m"), read("36/h")], [Some(50.0), Some(10.0), Some(0.01)]);
        for wrong in ["", "50", "/s", "50/", "50/d", "0/s", "-1/s", "1.5/s", "200000/s", "50 /s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_body_is_a_text_a_file_or_standard_input() {
        let read = |text: &str| text.parse::<Data>().unwrap();
        assert_eq!(read("-"), Data::Input);
        assert_eq!(read("@a/b.json"), Data::File("a/b.json".into()));
        assert_eq!([read("-x"), read("")], ["-x", ""].map(|text| Data::Text(text.to_owned())));
    }
}
