//! An answer on its way to a client over HTTP/1.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::net::tcp::WriteHalf;
use upstream::client::Deadline;
use wire::{Fields, Length, Method, Version, write};

/// How the end of a body is told to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// By its length, or there is none.
    Plain,
    Chunked,
    /// By the end of the connection.
    Close,
}

/// The writer of one answer.
pub(crate) struct Outgoing<'a> {
    write: WriteHalf<'a>,
    stall: Option<Deadline>,
    /// The longest time that the client may take nothing.
    idle: Duration,
    pub(crate) version: Version,
    pub(crate) method: Method,
    /// The final head was handed to the connection: another answer is impossible.
    pub(crate) begun: bool,
    /// The connection ends with this answer.
    pub(crate) close: bool,
    frame: Frame,
    /// Bytes of the body handed over.
    pub(crate) body_bytes: u64,
    scratch: Vec<u8>,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(write: WriteHalf<'a>, idle: Duration, version: Version, method: Method) -> Self {
        Outgoing {
            write,
            stall: None,
            idle,
            version,
            method,
            begun: false,
            close: false,
            frame: Frame::Plain,
            body_bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// Ends the fields of a head in `out`: how long the body is, and whether the connection goes on.
    /// `length` is none where the fields already say all there is to say (answers to HEAD, 204, 304).
    pub(crate) fn end_head(&mut self, out: &mut Vec<u8>, length: Option<Length>) {
        self.frame = match length {
            Some(Length::Chunked | Length::UntilClose) if self.version == Version::Http10 => Frame::Close,
            Some(Length::Chunked | Length::UntilClose) => Frame::Chunked,
            _ => Frame::Plain,
        };
        self.close |= self.frame == Frame::Close;
        match (self.frame, length) {
            (Frame::Chunked, _) => write::length(out, Length::Chunked),
            (Frame::Plain, Some(length)) => write::length(out, length),
            _ => {}
        }
        if self.close {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.version == Version::Http10 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Sends a head (or nothing) and a piece of the body (or nothing) in one go. `meanwhile` is polled
    /// while the client takes nothing.
    ///
    /// # Errors
    /// The client is gone, or took nothing for too long.
    pub(crate) async fn send(
        &mut self,
        head: &[u8],
        piece: &[u8],
        meanwhile: impl FnMut(&mut Context<'_>),
    ) -> io::Result<()> {
        self.begun = true;
        self.body_bytes += piece.len() as u64;
        if self.frame == Frame::Chunked && !piece.is_empty() {
            let mut size = std::mem::take(&mut self.scratch);
            size.clear();
            write::chunk_size(&mut size, piece.len());
            let sent = self.write_all([head, &size, piece, b"\r\n"], meanwhile).await;
            self.scratch = size;
            return sent;
        }
        self.write_all([head, piece], meanwhile).await
    }

    /// Sends a head (or nothing) and some pieces of a body of known length in one go; says how many bytes
    /// of the body that were.
    ///
    /// # Errors
    /// As [`Outgoing::send`].
    pub(crate) async fn send_many(
        &mut self,
        head: &[u8],
        pieces: &mut impl Iterator<Item = &'_ [u8]>,
    ) -> io::Result<u64> {
        self.begun = true;
        let mut slices = [head, b"", b"", b"", b"", b"", b"", b""];
        for (slice, piece) in slices[1..].iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slice = piece;
        }
        let bytes = slices[1..].iter().map(|piece| piece.len() as u64).sum();
        self.body_bytes += bytes;
        self.write_all(slices, |_| {}).await?;
        Ok(bytes)
    }

    /// Ends the body.
    ///
    /// # Errors
    /// As [`Outgoing::send`].
    pub(crate) async fn finish(&mut self, trailers: &Fields) -> io::Result<()> {
        if self.frame != Frame::Chunked {
            return Ok(());
        }
        let mut last = Vec::with_capacity(64);
        write::last_chunk(&mut last, Some(trailers));
        self.write_all([&last], |_| {}).await
    }

    /// Sends bytes as they are: an interim answer.
    ///
    /// # Errors
    /// As [`Outgoing::send`].
    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all([bytes], |_| {}).await
    }

    async fn write_all<const N: usize>(
        &mut self,
        mut slices: [&[u8]; N],
        mut meanwhile: impl FnMut(&mut Context<'_>),
    ) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            while slices.iter().any(|s| !s.is_empty()) {
                let n = match self.poll_write(cx, &slices) {
                    Poll::Ready(n) => n?,
                    Poll::Pending => {
                        meanwhile(cx);
                        ready!(self.poll_stalled(cx));
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                };
                if n == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.stall = None;
                advance(&mut slices, n);
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_write<const N: usize>(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[&[u8]; N],
    ) -> Poll<io::Result<usize>> {
        let mut wanted = slices.iter().filter(|s| !s.is_empty());
        if let (Some(only), None) = (wanted.next(), wanted.next()) {
            return Pin::new(&mut self.write).poll_write(cx, only);
        }
        let mut vectors = [IoSlice::new(&[]); N];
        for (vector, slice) in vectors.iter_mut().zip(slices) {
            *vector = IoSlice::new(slice);
        }
        Pin::new(&mut self.write).poll_write_vectored(cx, &vectors)
    }

    /// A limit is set only when a client stops taking, which few do.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        let stall = self.stall.get_or_insert_with(|| {
            let mut stall = Deadline::new();
            stall.set(idle);
            stall
        });
        stall.poll_over(cx)
    }
}

fn advance(slices: &mut [&[u8]], mut n: usize) {
    for slice in slices {
        let part = n.min(slice.len());
        *slice = &slice[part..];
        n -= part;
    }
}
