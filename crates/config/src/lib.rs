//! What did the file say? Raw → checked, each mistake with file, line, column and what to write instead.

pub mod net;
pub mod plan;

pub use plan::Plan;
