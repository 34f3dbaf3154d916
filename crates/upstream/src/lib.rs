//! Which endpoint answers, and is it well?
//!
//! Modules that decide are pure: [`balance`], [`budget`], [`health`], [`hedge`], [`outlier`],
//! [`slow_start`], [`sticky`], [`usable`], [`waiting`]. They take the time and random numbers as
//! arguments. Around them live the [`service`]s of a plan, which the [`registry`] keeps across
//! reloads, with their checks, look-ups and discovery on a background runtime.

pub mod balance;
pub mod budget;
pub mod check;
pub mod client;
pub mod clock;
mod discover;
pub mod endpoint;
pub mod event;
pub mod gate;
pub mod health;
pub mod hedge;
pub mod lease;
pub mod outlier;
pub mod outside;
pub mod registry;
mod resolve;
pub mod service;
pub mod slow_start;
pub mod status;
pub mod sticky;
mod tend;
pub mod usable;
pub mod waiting;

pub use endpoint::{EndpointState, FailKind};
pub use event::{Event, What};
pub use gate::{Overloaded, Permit};
pub use lease::{Lease, Outcome};
pub use registry::{Options, Registry};
pub use service::{Ask, NoEndpoint, Service};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; what a panicking thread left half done is taken as it is, since each change here is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
