//! Memory that bytes arrive in: large, used again at once, and held only while there is something in it.
//!
//! A connection that waits holds no buffer: one is taken from the thread's pool when it is read, and
//! goes back when its last slice is dropped. The pool is a stack, so that the memory read into is the
//! one just written from, still in the processor's cache. Large reads halve the cost of large answers.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of one buffer.
pub const PIECE: usize = 256 * 1024;
/// Buffers that a thread keeps for later.
const KEPT: usize = 32;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

fn take() -> Box<[u8]> {
    POOL.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; PIECE].into_boxed_slice())
}

fn give_back(memory: Box<[u8]>) {
    // A buffer dropped as its thread ends has no pool any more.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT {
            pool.push(memory);
        }
    });
}

/// A filled buffer, the owner behind shared slices of it.
struct Filled {
    memory: Box<[u8]>,
    len: usize,
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.memory));
    }
}

/// What has arrived on a connection and is not yet used.
#[derive(Default)]
pub struct Inbox {
    bytes: Bytes,
}

impl Inbox {
    /// What is there.
    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.bytes
    }

    /// Is nothing there?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Passes over the first `n` bytes, at most all.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        if n >= self.bytes.len() {
            self.bytes = Bytes::new(); // gives the buffer back
        } else {
            self.bytes.advance(n);
        }
    }

    /// Takes the first `n` bytes out, at most all, without copying them.
    pub fn split(&mut self, n: usize) -> Bytes {
        if n >= self.bytes.len() { std::mem::take(&mut self.bytes) } else { self.bytes.split_to(n) }
    }

    /// Reads more behind what is there; returns how many bytes came, 0 at the end. A buffer that is
    /// full of unused bytes reads nothing: callers bound what they leave unused.
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<io::Result<usize>> {
        let mut memory = take();
        let kept = self.bytes.len().min(PIECE);
        memory[..kept].copy_from_slice(&self.bytes[..kept]);
        let mut buf = ReadBuf::new(&mut memory);
        buf.advance(kept);
        let polled = Pin::new(stream).poll_read(cx, &mut buf);
        let len = buf.filled().len();
        if !matches!(polled, Poll::Ready(Ok(()))) || len == kept {
            give_back(memory);
            self.rest();
            ready!(polled)?;
            return Poll::Ready(Ok(0));
        }
        self.bytes = Bytes::from_owner(Filled { memory, len });
        Poll::Ready(Ok(len - kept))
    }

    /// Half a head that waits for more must not hold a whole buffer.
    fn rest(&mut self) {
        if !self.bytes.is_empty() && self.bytes.len() <= PIECE / 4 {
            self.bytes = Bytes::copy_from_slice(&self.bytes);
        }
    }
}
