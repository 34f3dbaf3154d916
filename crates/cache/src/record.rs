//! A stored object as bytes.
