//! `nearside reload` and `nearside drain`: what an operator has a running node do.

use std::process::ExitCode;

use config::{Diagnostic, Report};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::api::Api;
use crate::cli;
use crate::failure::Failure;
use crate::terminal::{self, Paint};

/// The status of an answer that lists the mistakes of a file.
const MISTAKES: u16 = 422;

/// A reload that was done.
#[derive(Deserialize)]
struct Reloaded {
    changed: bool,
    warnings: Vec<Diagnostic>,
}

/// The `diagnostics` of a problem that lists the mistakes of a file.
#[derive(Deserialize)]
struct Mistakes {
    listed: Vec<Diagnostic>,
    omitted: usize,
}

/// Has the node read its file again. Its mistakes are shown as `check` shows them.
///
/// # Errors
/// When there is no node, or it refuses.
pub fn reload(ask: &cli::Node) -> Result<ExitCode, Failure> {
    let api = Api::at(&ask.admin.place);
    let answer = api.ask("POST", "reload", None)?;
    if answer.status == MISTAKES
        && let Ok(mistakes) = Mistakes::deserialize(&answer.body["diagnostics"])
    {
        if !ask.json {
            return Err(Failure::from(Report { diagnostics: mistakes.listed, omitted: mistakes.omitted }));
        }
        terminal::print_json(&answer.body);
        return Ok(ExitCode::FAILURE);
    }
    let body = api.granted(answer)?;
    show(ask, &body, |body| {
        let reloaded = Reloaded::deserialize(body).ok()?;
        let warnings = Paint::stdout().diagnostics(&reloaded.warnings);
        let done = if reloaded.changed { "reloaded" } else { "nothing changed" };
        Some(format!("{warnings}{done}\n"))
    })
}

/// Has the node finish what is under way and end; returns as soon as it has begun to.
///
/// # Errors
/// When there is no node, or it refuses.
pub fn drain(ask: &cli::Node) -> Result<ExitCode, Failure> {
    let api = Api::at(&ask.admin.place);
    let body = api.granted(api.ask("POST", "drain", None)?)?;
    show(ask, &body, |_| Some("draining: it finishes what is under way and ends\n".to_owned()))
}

fn show(
    ask: &cli::Node,
    body: &Json,
    text: impl FnOnce(&Json) -> Option<String>,
) -> Result<ExitCode, Failure> {
    if ask.json {
        terminal::print_json(body);
    } else {
        terminal::print(&text(body).ok_or_else(|| Failure::foreign(&ask.admin.place))?);
    }
    Ok(ExitCode::SUCCESS)
}
