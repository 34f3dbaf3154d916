//! What happens to services and their endpoints, told to whoever wants to print or stream it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// Takes events. It is called while the service is looked at, so it must neither block nor ask the
/// service or the registry anything; it should put the event into a channel.
pub type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// A change that an operator wants to know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The service's name.
    pub service: String,
    /// The endpoint's URL; none: it concerns the whole service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The endpoint is in use: its checks are good, or it has an address now, or is no longer drained.
    Up,
    /// The endpoint's checks fail.
    Ill {
        /// What the last check met.
        why: String,
    },
    /// The endpoint failed the requests of clients and is not used for a time.
    Ejected {
        /// What it did.
        why: String,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// The endpoint's ejection is over.
    Returned,
    /// An operator took the endpoint out; it finishes what it has.
    Drained,
    /// The endpoint's name has no address.
    Unresolved {
        /// What the look-up met.
        why: String,
    },
    /// No endpoint is well: all are tried rather than none.
    AllIll,
    /// An endpoint is well again, and only well ones are used.
    SomeWell,
    /// Discovery found other endpoints than before.
    Discovered {
        /// How many now.
        endpoints: usize,
    },
    /// Discovery failed; what it found last is kept.
    DiscoveryFailed {
        /// What it met.
        why: String,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}", self.service)?;
        if let Some(endpoint) = &self.endpoint {
            write!(f, ", endpoint {endpoint}")?;
        }
        match &self.what {
            What::Up => f.write_str(": up"),
            What::Ill { why } => write!(f, ": ill: {why}"),
            What::Ejected { why, for_ms } => {
                write!(f, ": ejected for {} s: {why}", *for_ms as f64 / 1e3)
            }
            What::Returned => f.write_str(": returned after its ejection"),
            What::Drained => f.write_str(": drained"),
            What::Unresolved { why } => write!(f, ": has no address: {why}"),
            What::AllIll => f.write_str(": no endpoint is well, so all are tried"),
            What::SomeWell => f.write_str(": an endpoint is well again"),
            What::Discovered { endpoints } => write!(f, ": {endpoints} endpoints discovered"),
            What::DiscoveryFailed { why } => {
                write!(f, ": discovery failed, the last answer is kept: {why}")
            }
        }
    }
}
