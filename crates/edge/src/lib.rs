//! What happens to a request?
//!
//! Its way, file by file: [`listen`] accepts a connection, `serve` reads heads from it, `request` owns
//! every branch (limits → [`route`] → respond, redirect, [`queued`], [`cached`] or forward → account), `forward` has
//! a service answer, with `tries` finding an endpoint and another if the first fails, `relay` passes the
//! answer on, `respond` makes the answers that no service makes. A data thread runs all of it for a connection in one task; what threads
//! share is in [`shared`]: atomics, and locks only where a connection opens or a thread is alone with one.

pub mod cached;
mod forward;
mod forwarded;
pub mod guard;
mod headers;
mod incoming;
pub mod listen;
pub mod live;
pub mod log;
mod mirror;
mod outgoing;
pub mod policy;
pub mod queued;
mod relay;
mod replay;
mod request;
mod respond;
pub mod route;
mod serve;
pub mod shared;
pub mod stats;
pub mod template;
mod tries;
mod tunnel;

pub use cached::Kept;
pub use forward::{hash, hashed, sticky_key};
pub use forwarded::forwarded;
pub use live::Live;
pub use shared::{Phase, Shared, Thread};
pub use stats::Stats;
