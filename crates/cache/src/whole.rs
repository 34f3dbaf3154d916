//! All tiers together.

/// The cache of a node.
#[derive(Debug, Default)]
pub struct Cache {}
