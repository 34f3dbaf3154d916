//! SIGUSR2: a new process of this program takes the sockets, and this one leaves once it serves.
//!
//! The new one gets the very sockets, so no connection is refused or lost in between. If it doesn't
//! come up (a bad file, an old machine), its end of a pipe closes unwritten and all stays as it was.

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::inherit::{READY, SOCKETS, keep_from_children};
use crate::start::Inner;

/// How long the new process may take till it serves; then it is ended.
const START: Duration = Duration::from_secs(30);
/// How long one that failed may take to say why and end by itself.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Starts the new process and waits till it serves; blocking.
///
/// # Errors
/// Why it doesn't; this process goes on.
pub(crate) fn start(inner: &Inner) -> io::Result<u32> {
    let _turn = inner.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let (hear, say) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let sockets: Vec<TcpListener> = {
        let changing = inner.changing();
        let all = changing.doors.sockets().chain(std::iter::once(&inner.admin));
        all.map(TcpListener::try_clone).collect::<io::Result<_>>()?
    };
    let numbers: Vec<String> = sockets.iter().map(|s| s.as_raw_fd().to_string()).collect();
    for socket in &sockets {
        keep_from_children(socket, false)?;
    }
    keep_from_children(&say, false)?;
    let mut args = std::env::args_os();
    let program = args.next().ok_or_else(|| io::Error::other("this process has no name to start again"))?;
    let mut child = Command::new(program)
        .args(args)
        .env(SOCKETS, numbers.join(","))
        .env(READY, say.as_raw_fd().to_string())
        .env_remove("LISTEN_FDS")
        .env_remove("LISTEN_PID")
        // It names this process; without it the new one gives the signs of life.
        .env_remove("WATCHDOG_PID")
        .spawn()?;
    drop((say, sockets));
    match serves(hear) {
        Ok(()) => Ok(child.id()),
        Err(error) => Err(end(&mut child, error)),
    }
}

/// Waits for the word that the new process serves.
fn serves(hear: OwnedFd) -> io::Result<()> {
    let over = Instant::now() + START;
    loop {
        let left = over.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&hear, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::Error::other("the new process took too long")),
            Ok(_) => return File::from(hear).read_exact(&mut [0; 1]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sees to it that the new process is gone, and says why it failed.
fn end(child: &mut Child, why: io::Error) -> io::Error {
    let over = Instant::now() + LAST_WORDS;
    while Instant::now() < over {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK),
            Ok(Some(status)) => return io::Error::other(format!("the new process ended ({status})")),
            Err(_) => break,
        }
    }
    // Either fails only if it is gone already.
    let _ = child.kill();
    let _ = child.wait();
    why
}
