//! Sockets that another process left open for this one: systemd's (socket activation), or those of the
//! node whose place this one takes.
//!
//! The one place with `unsafe`: a number from the environment becomes an owned descriptor. It is sound
//! as long as each number is taken once, before anything else can have opened or closed it; so it is
//! done once, at the start of the process, and the variables are not looked at again.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

/// The descriptors that the node before this one passes on, as `3,4,5`.
pub const SOCKETS: &str = "NEARSIDE_SOCKETS";
/// The descriptor that tells the node before this one that this one serves.
pub const READY: &str = "NEARSIDE_READY";

/// What was left for this process.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Listening sockets.
    pub listeners: Vec<TcpListener>,
    /// Where to say that this node serves.
    pub ready: Option<File>,
}

/// Takes it, once: a second call finds nothing.
pub fn take() -> Inherited {
    static TAKEN: Mutex<bool> = Mutex::new(false);
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if std::mem::replace(&mut *taken, true) {
        return Inherited::default();
    }
    let mut fds: Vec<RawFd> = std::env::var(SOCKETS)
        .map(|list| list.split(',').filter_map(|fd| fd.parse().ok()).collect())
        .unwrap_or_default();
    if let Ok(activated) = sd_notify::listen_fds() {
        fds.extend(activated);
    }
    fds.sort_unstable();
    fds.dedup();
    let ready = std::env::var(READY).ok().and_then(|fd| fd.parse().ok()).filter(|fd| !fds.contains(fd));
    let listeners = fds.into_iter().filter_map(own).map(TcpListener::from);
    // What isn't a listening TCP socket has no local address that a listener could match.
    let listeners = listeners.filter(|l| l.local_addr().is_ok() && l.set_nonblocking(true).is_ok()).collect();
    Inherited { listeners, ready: ready.and_then(own).map(File::from) }
}

/// Standard streams and numbers that aren't open are refused.
#[allow(unsafe_code)]
fn own(fd: RawFd) -> Option<OwnedFd> {
    if fd < 3 {
        return None;
    }
    // SAFETY: the descriptor is only looked at here, and a number that isn't open gives an error.
    let looked_at = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_getfd(looked_at).ok()?;
    // SAFETY: it is open, came with the process, and is taken once, as the module says.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    keep_from_children(&owned, true).ok()?;
    Some(owned)
}

/// Shall programs that this one starts not get this descriptor?
///
/// # Errors
/// The system's.
pub fn keep_from_children(fd: &impl AsFd, keep: bool) -> io::Result<()> {
    let flags = if keep { rustix::io::FdFlags::CLOEXEC } else { rustix::io::FdFlags::empty() };
    Ok(rustix::io::fcntl_setfd(fd, flags)?)
}
