//! `nearside check` and `nearside schema`: what a file says, and what it may say.

use std::process::ExitCode;

use config::{Diagnostic, Loaded, Plan, Report};
use serde_json::json;

use crate::cli;
use crate::terminal::{self, Paint, counted};

/// Prints every mistake and warning; 1 if there is a mistake.
pub fn check(ask: &cli::Check) -> ExitCode {
    let loaded = load(&ask.file);
    if ask.json {
        terminal::print_json(&match &loaded {
            Ok(loaded) => json!({ "holds": true, "diagnostics": loaded.warnings, "omitted": 0 }),
            Err(Report { diagnostics, omitted }) => {
                json!({ "holds": false, "diagnostics": diagnostics, "omitted": omitted })
            }
        });
    } else {
        terminal::print(&match &loaded {
            Ok(loaded) => {
                let file = ask.file.config.display().to_string();
                holds(&file, &loaded.plan, &loaded.warnings, Paint::stdout())
            }
            Err(report) => Paint::stdout().report(report),
        });
    }
    match loaded {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Loads the file. If there is none, the report says what can be done without.
///
/// # Errors
/// When the file can't be read or holds any mistake; all of them are listed.
pub fn load(file: &cli::File) -> Result<Loaded, Report> {
    config::load(&file.config).map_err(|mut report| {
        if let [only] = report.diagnostics.as_mut_slice()
            && !file.config.exists()
        {
            let help = "name another with -c FILE; `nearside proxy --to URL` needs none";
            only.help = Some(help.to_owned());
        }
        report
    })
}

fn holds(file: &str, plan: &Plan, warnings: &[Diagnostic], paint: Paint) -> String {
    let mut text = paint.diagnostics(warnings);
    if !warnings.is_empty() {
        text += "\n";
    }
    text += &format!("{file} holds: {}, {}\n", counted(plan.listeners.len(), "listener"), contents(plan),);
    text
}

/// How many services, routes and queues there are.
pub fn contents(plan: &Plan) -> String {
    let services = counted(plan.services.len(), "service");
    let routes = counted(plan.routes.len(), "route");
    match plan.queues.len() {
        0 => format!("{services}, {routes}"),
        queues => format!("{services}, {routes}, {}", counted(queues, "queue")),
    }
}

/// Prints the file's JSON Schema.
pub fn schema() -> ExitCode {
    terminal::print_json(&config::schema());
    ExitCode::SUCCESS
}
