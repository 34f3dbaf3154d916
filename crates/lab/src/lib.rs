//! What is it worth? The demo: a node at work beside what it takes the place of, both measured.

pub mod demo;
