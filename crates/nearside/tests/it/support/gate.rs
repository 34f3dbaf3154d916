//! A gate: it holds the threads that come to it until it is opened.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use super::LIMIT;

/// Shut at first; a clone is the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Goes through once it is open. A gate that is never opened is an error, so that a thread that
    /// a failed test leaves behind ends.
    pub fn pass(&self) -> io::Result<()> {
        let (open, opened) = &*self.0;
        let shut = open.lock().unwrap();
        let (open, _) = opened.wait_timeout_while(shut, LIMIT, |open| !*open).unwrap();
        if *open { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Lets all through who wait and who will come.
    pub fn open(&self) {
        let (open, opened) = &*self.0;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}
