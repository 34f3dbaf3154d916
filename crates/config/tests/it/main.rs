//! What the configuration says to all kinds of text, from outside.

#![allow(clippy::unwrap_used, clippy::panic)] // A test that meets the unexpected fails.

mod any;
mod cache;
mod cron;
mod examples;
mod language;
mod mistakes_listeners;
mod mistakes_queues;
mod mistakes_routes;
mod mistakes_services;
mod mistakes_toml;
mod mistakes_values;
mod queue;
mod speed;

use std::path::Path;

use config::{Loaded, Report};

/// What a text lacks that is about something else, to be put after it.
const REST: &str = r#"
[[listen]]
address = "127.0.0.1:8080"

[service.shop]
endpoints = ["http://10.0.0.1:3000"]

[[route]]
service = "shop"
"#;

/// Checks a text in which no variable is set.
fn parse(text: &str) -> Result<Loaded, Report> {
    config::parse(text, "nearside.toml", Path::new("/etc/nearside"), &|_| None)
}

/// All that is said about a text: the mistakes, or the warnings.
fn said(text: &str) -> String {
    match parse(text) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(report) => report.to_string(),
    }
}
