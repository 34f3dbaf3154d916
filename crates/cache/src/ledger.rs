//! What was purged. (Stands in till the real one is here.)
use std::io;
use std::path::Path;
/// What a purge names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum What {
    Url(Box<[u8]>),
    Prefix(Box<[u8]>),
    Tag(Box<[u8]>),
    All,
}
/// A purge.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Purge {
    pub what: What,
    pub soft: bool,
    pub at_ms: u64,
}
#[allow(missing_docs)]
pub enum Covered {
    No,
    Soft,
    Hard,
}
#[allow(missing_docs)]
pub struct Ledger;
#[allow(missing_docs)]
impl Ledger {
    pub fn new() -> Ledger {
        Ledger
    }
    pub fn open(_: &Path) -> io::Result<Ledger> {
        Ok(Ledger)
    }
    pub async fn record(&self, _: &Purge) -> io::Result<()> {
        Ok(())
    }
    pub fn covers(&self, _: &[u8], _: &[u8], _: u64) -> Covered {
        Covered::No
    }
}
