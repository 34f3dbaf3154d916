//! One fetch for many clients.
