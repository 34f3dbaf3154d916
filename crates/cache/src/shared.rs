//! The shared tier: Valkey or Redis.
