//! May this answer be used again, and where is it?
//!
//! Decisions are pure and stand apart from storage: `control`, `freshness`, `storing`, `reuse` say what
//! RFC 9111 allows; `vary`, `conditional`, `update`, `range`, `key`, `status` and `tags` read and write
//! what that takes. The tiers keep [`Object`]s: `memory`, `disk`, `shared`; `ledger` remembers what was
//! purged, so that nothing purged comes back from any of them; `flight` lets many clients wait for one
//! fetch. [`Cache`] is all of it together.

mod body;
pub mod conditional;
pub mod control;
pub mod date;
pub mod disk;
pub mod flight;
pub mod freshness;
pub mod groups;
pub mod key;
pub mod ledger;
pub mod memory;
mod noted;
pub mod object;
mod piece;
pub mod range;
pub mod record;
pub mod reuse;
pub mod shared;
pub mod status;
pub mod storing;
pub mod structured;
pub mod tags;
pub mod update;
pub mod vary;

mod whole;

pub use object::{Body, Facts, Flags, Object};
pub use whole::{Cache, Tell};
