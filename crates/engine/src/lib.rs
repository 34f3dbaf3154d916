//! Where do records lie safely, and how does one follow them?
//!
//! A [`Log`] takes records in an order that it keeps, says when they are on stable storage, and lets
//! them be read from any place on. [`embedded`] keeps it on this machine's disk.

pub mod embedded;
pub mod files;
pub mod log;
pub mod snapshot;

pub use log::{
    Append, AppendError, Done, Follow, FollowError, Later, Log, Position, Positions, ReadError, Room,
};
