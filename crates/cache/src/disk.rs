//! The disk tier. (Stands in till the real one is here.)
#![allow(missing_docs)]
pub mod files;
pub(crate) mod log;
use crate::ledger::Purge;
use crate::object::Object;
pub use crate::whole::Tell;
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::Arc;
#[derive(Debug)]
pub struct Stored {}
impl Stored {
    pub fn total(&self) -> Option<u64> {
        None
    }
    pub fn is_whole(&self) -> bool {
        false
    }
    pub fn has(&self, _: u64, _: u64) -> bool {
        false
    }
    pub async fn read(&self, _: u64, _: usize) -> io::Result<Bytes> {
        Ok(Bytes::new())
    }
}
pub struct Writer;
impl Writer {
    pub async fn write(&mut self, _: u64, _: Bytes) -> bool {
        false
    }
    pub fn stored(&self) -> Arc<Stored> {
        Arc::new(Stored {})
    }
    pub async fn finish(self) {}
}
pub enum State {
    Well,
    Starting,
    Full,
    Failing(String),
}
pub struct Disk;
impl Disk {
    pub fn open(_: &Path, _: u64, _: Tell) -> io::Result<Disk> {
        Ok(Disk)
    }
    pub async fn get(&self, _: &[u8], _: impl FnMut(&Object) -> bool) -> Option<Object> {
        None
    }
    pub fn keep(&self, _: &Object) {}
    pub async fn refresh(&self, _: &Object) {}
    pub fn begin(&self, _: &Object, _: Option<u64>) -> Option<Writer> {
        None
    }
    pub fn extend(&self, _: &Arc<Stored>) -> Option<Writer> {
        None
    }
    pub async fn retire(&self, _: &[u8], _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    pub async fn purge(&self, _: &Purge) -> io::Result<usize> {
        Ok(0)
    }
    pub fn state(&self) -> State {
        State::Well
    }
    pub fn bytes(&self) -> u64 {
        0
    }
    pub fn objects(&self) -> u64 {
        0
    }
    pub fn evicted(&self) -> u64 {
        0
    }
}
