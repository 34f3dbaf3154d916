//! One whole node: assembled from a plan, started, reloaded, drained.

mod cached;
mod data;
mod doors;
mod inherit;
mod leave;
mod queues;
mod reload;
mod run;
mod settle;
mod start;
mod takeover;
mod tell;

pub use doors::BindError;
pub use start::{Node, Options, StartError};
