//! What a node says on standard error as it runs: one line for each thing that an operator wants to know.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use upstream::event::Tell;

/// Lines that may wait for a standard error that is slow; more are dropped.
const WAITING: usize = 1024;

/// Prints events of services. Who tells of one holds locks, so a thread of its own does the writing.
pub(crate) fn printing() -> std::io::Result<Tell> {
    let (lines, waiting) = sync_channel::<String>(WAITING);
    std::thread::Builder::new().name("events".into()).spawn(move || {
        for line in waiting {
            say(&line);
        }
    })?;
    Ok(Arc::new(move |event| {
        let _ = lines.try_send(event.to_string());
    }))
}

/// Prints one line. A standard error that is gone is no reason to stop serving.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "nearside: {line}");
}
