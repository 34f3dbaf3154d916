//! The disk tier: what it keeps, what it forgets for good, and what it does when the disk fails it.

mod basics;
mod kill;
mod power;
mod sim;
mod trouble;
mod world;
