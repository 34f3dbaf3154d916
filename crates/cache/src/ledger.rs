//! What was purged.
