//! What is to be delivered, when, and did it work?
//!
//! The way of a message: it is admitted ([`state`]: dedupe, room), written ([`record`], by the
//! engine's log), applied when it is stable, taken when it is due, and settled by what became of the
//! delivery: done, to be tried again, or a dead letter. What a queue knows is nothing but its records
//! applied in their order, so it is the same after a restart.

pub mod accept;
pub mod backoff;
pub mod cloud_event;
pub mod count;
pub mod follow;
mod hold;
pub mod hops;
pub mod id;
mod keep;
mod operate;
pub mod pace;
mod queue;
mod queues;
pub mod record;
#[cfg(test)]
mod sick;
pub mod sign;
mod slots;
pub mod sse;
pub mod state;
mod store;
mod table;
mod task;
mod tend;
mod view;
mod wake;
pub mod when;

pub use queue::Queue;
pub use queues::{OpenError, Queues, Tell};
pub use task::{Message, Pieces, Task};
pub use view::Shown;
