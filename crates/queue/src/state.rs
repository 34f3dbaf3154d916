//! What a queue knows: a pure state machine that records and deliveries drive.
