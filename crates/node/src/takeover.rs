//! SIGUSR2: a new process of this program takes the sockets, and this one leaves once it serves.
//!
//! The new one gets the very sockets, so no connection is refused or lost in between. If it doesn't
//! come up (a bad file, an old machine), its end of a pipe closes unwritten and all stays as it was.

use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::process::{Child, Command};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::inherit::{READY, SOCKETS, keep_from_children};
use crate::start::Inner;

/// How long the new process may take till it serves; then it is ended.
const START: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };

/// Starts the new process and waits till it serves; blocking.
///
/// # Errors
/// Why it doesn't; this process goes on.
pub(crate) fn start(inner: &Inner) -> io::Result<u32> {
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
    if poll(&mut [PollFd::new(&hear, PollFlags::IN)], Some(&START))? == 0 {
        child.kill()?;
    }
    let mut word = [0; 1];
    match std::fs::File::from(hear).read(&mut word) {
        Ok(1) => Ok(child.id()),
        _ => Err(failed(&mut child)),
    }
}

fn failed(child: &mut Child) -> io::Error {
    match child.wait() {
        Ok(status) => io::Error::other(format!("the new process ended ({status})")),
        Err(error) => error,
    }
}
