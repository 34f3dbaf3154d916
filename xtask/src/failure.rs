//! What can go wrong with a chore, and the exit status that says so.

use std::io;

/// The outcome of a chore or a part of one.
pub type Outcome<T> = Result<T, Failure>;

/// Why a chore ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// A check, a test or a measurement did not hold.
    #[error("{0}")]
    Unmet(String),
    /// The system refused something.
    #[error("{doing}: {cause}")]
    System {
        /// What was being done, for a person to read.
        doing: String,
        /// What the system said.
        cause: io::Error,
    },
}

impl Failure {
    /// 1: it didn't hold; 2: wrong use.
    pub fn exit_status(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { 2 } else { 1 }
    }
}

/// Says what was being done when the system refused.
pub trait While<T> {
    /// Adds `doing` to the error.
    fn while_doing(self, doing: impl std::fmt::Display) -> Outcome<T>;
}

impl<T> While<T> for io::Result<T> {
    fn while_doing(self, doing: impl std::fmt::Display) -> Outcome<T> {
        self.map_err(|cause| Failure::System { doing: doing.to_string(), cause })
    }
}
