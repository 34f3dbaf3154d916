//! What does the operator want? The commands of `nearside` and how they print; no logic of its own.
//!
//! `cli` says what can be written on the command line, a module for each command does it with the
//! crates below, `api` talks to a running node, `terminal` prints.

mod api;
mod check;
mod cli;
mod demo;
mod explain;
mod failure;
mod operate;
mod purge;
mod queue;
mod run;
mod status;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
// It takes the place of the C library's allocator, and so of Rust's: asked as such it takes more for sizes
// that are not powers of two.
use mimalloc as _;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(status) => status,
        Err(failure) => {
            terminal::complain(&failure);
            failure.exit_code()
        }
    }
}

fn execute(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(demo) => demo::demo(&demo),
        Command::Run(run) => run::run(&run),
        Command::Proxy(proxy) => run::proxy(&proxy),
        Command::Check(check) => Ok(check::check(&check)),
        Command::Schema => Ok(check::schema()),
        Command::Explain(explain) => explain::explain(&explain),
        Command::Status(node) => status::status(&node),
        Command::Reload(node) => operate::reload(&node),
        Command::Drain(node) => operate::drain(&node),
        Command::Purge(purge) => purge::purge(&purge),
        Command::Queue(ask) => queue::queue(&ask),
        Command::Completions { shell } => Ok(completions(shell)),
        Command::Version { json } => Ok(version(json)),
    }
}

fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "nearside", &mut script);
    terminal::print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

fn version(json: bool) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    if json {
        terminal::print_json(&serde_json::json!({ "version": version }));
    } else {
        terminal::print(&format!("nearside {version}\n"));
    }
    ExitCode::SUCCESS
}
