//! The disk tier.

/// A body on disk.
#[derive(Debug)]
pub struct Stored {}
