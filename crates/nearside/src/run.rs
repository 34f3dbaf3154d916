//! `nearside run` and `nearside proxy`: a node in this process.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use config::{Loaded, Plan};
use node::{Node, Options};

use crate::check::{contents, load};
use crate::cli;
use crate::failure::Failure;
use crate::terminal::{self, Paint};

/// What mistakes in options are shown to be in.
const COMMAND_LINE: &str = "(command line)";

/// Runs the node that the file describes.
///
/// # Errors
/// When the file has a mistake or the node can't start.
pub fn run(ask: &cli::Run) -> Result<ExitCode, Failure> {
    let loaded = load(&ask.file)?;
    let contents = contents(&loaded.plan);
    let name = loaded.plan.node.name.clone();
    let node = start(loaded, Some(ask.file.config.clone()), ask.grace.grace)?;
    let mut parts = vec![format!("nearside {}", env!("CARGO_PKG_VERSION")), format!("node {name}")];
    parts.extend(urls(&node));
    parts.push(format!("admin http://{}", node.admin_address()));
    parts.push(contents);
    terminal::note(&format!("{}\n", parts.join(" · ")));
    Ok(work(node))
}

/// Runs a node in front of the endpoints that the command line names.
///
/// # Errors
/// When an option says what no file could, or the node can't start.
pub fn proxy(ask: &cli::Proxy) -> Result<ExitCode, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let token = env("NEARSIDE_ADMIN_TOKEN").is_some_and(|token| !token.is_empty());
    let text = proxy_file(ask, token);
    let loaded = config::parse(&text, COMMAND_LINE, Path::new(""), &env)
        .map_err(|report| Failure::Mistakes { report, command_line: true })?;
    let endpoints = endpoints(&loaded.plan);
    let node = start(loaded, None, ask.grace.grace)?;
    terminal::note(&format!(
        "nearside {}\n  listens on  {}\n  balances    {} ({})\n  admin       http://{}\n",
        env!("CARGO_PKG_VERSION"),
        urls(&node).join(", "),
        endpoints.join(", "),
        ask.balance.as_deref().unwrap_or("two_choices"),
        node.admin_address(),
    ));
    Ok(work(node))
}

/// The file that the options stand for. The token itself is not in it, so no message can show it.
fn proxy_file(ask: &cli::Proxy, token: bool) -> String {
    let mut text = format!("[admin]\nlisten = \"{}\"\n", ask.admin.place.authority());
    if token {
        text += "token = \"${NEARSIDE_ADMIN_TOKEN}\"\n";
    }
    let balance = ask.balance.as_deref();
    text + "\n" + &config::proxy_text(&ask.to, &ask.listen.to_string(), balance, ask.cache)
}

fn endpoints(plan: &Plan) -> Vec<String> {
    let all = plan.services.values().flat_map(|service| &service.endpoints);
    all.map(|endpoint| endpoint.url.to_string()).collect()
}

/// Warnings are shown, but keep no node from starting.
fn start(loaded: Loaded, file: Option<PathBuf>, grace: Duration) -> Result<Node, Failure> {
    terminal::note(&Paint::stderr().diagnostics(&loaded.warnings));
    let plan = loaded.plan;
    Ok(Node::start(Options { plan, file, grace, tell: None })?)
}

fn urls(node: &Node) -> Vec<String> {
    let addresses = node.addresses();
    addresses.iter().map(|address| format!("http://{address}")).collect()
}

fn work(node: Node) -> ExitCode {
    u8::try_from(node.run()).map_or(ExitCode::FAILURE, ExitCode::from)
}
