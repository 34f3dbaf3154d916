//! What can be written on the command line.
//!
//! Values are checked here as far as they can be without a file or a node, so that a mistake in them
//! is wrong use (exit status 2) and the commands get what they mean.

pub mod queue;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use admin::cache::{check_tag, check_url};
use clap::{ArgGroup, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::api::Place;

/// Every service answers from the near side: a self-hosted edge network in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "nearside",
    version,
    disable_help_subcommand = true,
    after_help = "Example: nearside proxy --to http://127.0.0.1:3000 --to http://127.0.0.1:3001"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(Demo),
    Run(Run),
    Proxy(Proxy),
    Check(Check),
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_help = "Example: nearside schema > nearside.schema.json")]
    Schema,
    Explain(Explain),
    /// Show the node, its services and their endpoints at a glance
    #[command(after_help = "Example: nearside status --admin http://127.0.0.1:9900")]
    Status(Node),
    /// Have the node read its file again; a file with a mistake changes nothing
    #[command(after_help = "Example: nearside check && nearside reload")]
    Reload(Node),
    /// Have the node finish what is under way and end
    #[command(after_help = "Example: nearside drain --admin http://127.0.0.1:9900")]
    Drain(Node),
    Purge(Purge),
    Queue(queue::Queue),
    /// Print a script that completes commands and options in a shell
    #[command(after_help = "Example: nearside completions bash > /etc/bash_completion.d/nearside")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the version
    #[command(after_help = "Example: nearside version --json")]
    Version {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

/// Show a node at work, with example endpoints and users; nothing to install or write
///
/// Two endpoints die and return; beside it the same users meet random choice without a cache. It ends
/// with Ctrl-C, or with --for by itself, and with status 1 if Nearside failed a request.
#[derive(Debug, Args)]
#[command(after_help = "Example: nearside demo --for 20s")]
pub struct Demo {
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub length: Option<Duration>,
    /// Print only the summary, as JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Run a node
#[derive(Debug, Args)]
#[command(after_help = "Example: nearside run -c /etc/nearside/nearside.toml --grace 10s")]
pub struct Run {
    #[command(flatten)]
    pub file: File,
    #[command(flatten)]
    pub grace: Grace,
}

/// Run a node without a file, in front of the endpoints named here
#[derive(Debug, Args)]
#[command(
    after_help = "Example: nearside proxy --to http://127.0.0.1:3000 --to http://127.0.0.1:3001 --balance latency"
)]
pub struct Proxy {
    /// An endpoint to send requests to; give it again for each further one
    #[arg(long, value_name = "URL", required = true)]
    pub to: Vec<String>,
    /// Where clients come in
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// How an endpoint is chosen: round_robin, random, least_connections, two_choices (the default),
    /// latency, ip_hash, maglev, or what a hash is taken of, such as header:X-User
    #[arg(long, value_name = "NAME")]
    pub balance: Option<String>,
    /// Keep answers and use them again, as far as RFC 9111 allows
    #[arg(long)]
    pub cache: bool,
    #[command(flatten)]
    pub admin: Admin,
    #[command(flatten)]
    pub grace: Grace,
}

/// Check a file: every mistake with its place and what to write instead
#[derive(Debug, Args)]
#[command(after_help = "Example: nearside check -c /etc/nearside/nearside.toml")]
pub struct Check {
    #[command(flatten)]
    pub file: File,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Tell what would happen to a request, and why; nothing is sent
///
/// With --admin the node there is asked, which knows how its endpoints are; otherwise the file tells.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: nearside explain http://shop.example.com/api/cart -X POST -H 'X-User: 7' --from 192.0.2.1"
)]
pub struct Explain {
    /// What is asked for
    pub url: String,
    /// The request's method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A header field of the request; give it again for each further one
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub headers: Vec<String>,
    /// The client's address
    #[arg(long, value_name = "IP")]
    pub from: Option<IpAddr>,
    #[command(flatten)]
    pub file: File,
    /// The node to ask
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub admin: Option<Place>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Take answers out of the cache of all nodes, so that none of them serves them again
///
/// What is named by any of the options is purged. It prints what each node did, and ends with status 1
/// if one of them didn't.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: nearside purge http://shop.example.com/cart --tag product-7",
    group(ArgGroup::new("what").args(["urls", "tags", "prefixes", "all"]).required(true).multiple(true))
)]
pub struct Purge {
    /// What was asked for: whole URLs, all variants
    #[arg(value_name = "URL", value_parser = purge_url)]
    pub urls: Vec<String>,
    /// What has this tag, by its Cache-Tag or Surrogate-Key; give it again for each further one
    #[arg(long = "tag", value_name = "TAG", value_parser = purge_tag)]
    pub tags: Vec<String>,
    /// What begins with this URL; give it again for each further one
    #[arg(long = "prefix", value_name = "URL", value_parser = purge_url)]
    pub prefixes: Vec<String>,
    /// Everything
    #[arg(long, conflicts_with_all = ["urls", "tags", "prefixes"])]
    pub all: bool,
    /// Keep it for use while it is stale, where that is allowed
    #[arg(long)]
    pub soft: bool,
    #[command(flatten)]
    pub node: Node,
}

/// Which file.
#[derive(Debug, Args)]
pub struct File {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "nearside.toml")]
    pub config: PathBuf,
}

/// How a node ends.
#[derive(Debug, Args)]
pub struct Grace {
    /// How long new connections are still taken once the node was told to end, so that load
    /// balancers before it can notice
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub grace: Duration,
}

/// Where operators talk to a node.
#[derive(Debug, Args)]
pub struct Admin {
    /// The node's admin API; its token is taken from NEARSIDE_ADMIN_TOKEN
    #[arg(
        long = "admin",
        value_name = "URL",
        env = "NEARSIDE_ADMIN",
        hide_env_values = true,
        default_value = Place::DEFAULT
    )]
    pub place: Place,
}

/// Which running node, and how to tell.
#[derive(Debug, Args)]
pub struct Node {
    #[command(flatten)]
    pub admin: Admin,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    config::units::duration(text).map_err(|error| format!("{error}; write it as 500ms, 5s or 1m"))
}

fn header(text: &str) -> Result<String, &'static str> {
    if text.contains(':') { Ok(text.to_owned()) } else { Err("it has no colon; write it as 'Name: value'") }
}

fn purge_url(text: &str) -> Result<String, String> {
    check_url(text).map(|()| text.to_owned()).map_err(|bad| bad.to_string())
}

fn purge_tag(text: &str) -> Result<String, String> {
    check_tag(text).map(|()| text.to_owned()).map_err(|bad| bad.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_fit_together() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
