//! How is an endpoint asked? Connections, kept and new, and one HTTP/1.1 exchange on each.
//!
//! All of it runs in the task that asks: no task for each connection and no channel between, so that
//! a proxied request costs four system calls and few wake-ups. Connections wait for their next use in
//! a pool of the thread that made them, so that taking one needs no lock.

pub mod buffer;
pub mod conn;
pub mod deadline;
pub mod exchange;
pub mod pool;

pub use buffer::{Inbox, PIECE};
pub use conn::Conn;
pub use deadline::Deadline;
pub use exchange::{Body, BodyError, Exchange, Failed};
