//! What a node says on standard error as it runs: one line for each thing that an operator wants to know.

use std::sync::Arc;

use upstream::event::Tell;

/// Prints events of services.
pub(crate) fn printing() -> Tell {
    Arc::new(|event| say(&event.to_string()))
}

/// Prints one line. A standard error that is gone is no reason to stop serving.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "nearside: {line}");
}
