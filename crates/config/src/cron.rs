//! When the clock sends a message: `minute hour day-of-month month day-of-week`, in UTC.

/// A cron line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: std::sync::Arc<str>,
}
