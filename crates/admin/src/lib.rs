//! What is going on? The API, metrics, probes.
//!
//! The way of a request: [`serve`] accepts it, `guard` says whether its sender may ask at all, `api`
//! has one function for each path. What they answer with is made elsewhere and without I/O: `status`
//! and `show` (JSON), `cache`, `queue`, `metrics` (in the format of `exposition`), [`explain`]. Every error is a
//! `problem`.

mod api;
pub mod cache;
pub mod explain;
mod exposition;
mod guard;
mod metrics;
mod operations;
mod problem;
pub mod queue;
mod server;
mod show;
mod status;

pub use operations::{Later, Operations, ReloadError, Reloaded, Reloads};
pub use server::serve;
