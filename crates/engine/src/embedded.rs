//! A log in segments on this machine's disk.
