//! What is to be delivered, when, and did it work?
//!
//! The way of a message: it is admitted ([`state`]: dedupe, room), written ([`record`], by the
//! engine's log), applied when it is stable, taken when it is due, and settled by what became of the
//! delivery: done, to be tried again, or a dead letter. What a queue knows is nothing but its records
//! applied in their order, so it is the same after a restart.

pub mod record;
pub mod state;
