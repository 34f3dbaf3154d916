//! The chunked coding (RFC 9112 §7.1), taken off byte by byte in any pieces.
//!
//! Strict: a size is one to sixteen hexadecimal digits, at once followed by CR LF or `;`; data is at
//! once followed by CR LF. Extensions are read over, and bounded; trailers are kept, and bounded.

use crate::fields::Fields;
use crate::head::{BadHead, field_line};

/// Bytes of all chunk extensions of a body.
pub const EXTENSIONS: usize = 16 * 1024;
/// Bytes of a trailer section.
pub const TRAILERS: usize = 16 * 1024;
/// Fields of a trailer section.
pub const TRAILER_FIELDS: usize = 64;

/// Why a chunked body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BadChunk {
    #[error("a chunk's size isn't one to sixteen hexadecimal digits (RFC 9112 §7.1)")]
    Size,
    #[error("a chunk's line or data doesn't end in CR LF (RFC 9112 §7.1)")]
    LineEnd,
    #[error("the chunk extensions are larger than this node takes")]
    Extensions,
    #[error("the trailers are larger than this node takes")]
    Trailers,
    #[error("trailers: {0}")]
    Trailer(BadHead),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before or among the digits of a size; how many were read.
    Size(u8),
    Extension,
    /// After the CR of a size line.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// In a trailer line, or at the start of one.
    Trailer,
    End,
}

/// What [`Chunked::step`] found at the front of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of framing to pass over, then so many of data.
    Data {
        /// To pass over.
        skip: usize,
        /// Of data after them.
        take: usize,
    },
    /// All input was framing; more is wanted.
    More,
    /// The body ended; so many bytes of input belonged to it.
    End(usize),
}

/// A decoder of one body.
#[derive(Debug)]
pub struct Chunked {
    at: At,
    left: u64,
    extensions: usize,
    line: Vec<u8>,
    trailers: Fields,
    trailer_bytes: usize,
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked {
            at: At::Size(0),
            left: 0,
            extensions: 0,
            line: Vec::new(),
            trailers: Fields::default(),
            trailer_bytes: 0,
        }
    }
}

impl Chunked {
    /// Looks at the front of `input`. After `Data { skip, take }` the caller goes on behind those
    /// `skip + take` bytes; after `More` behind all of it.
    ///
    /// # Errors
    /// [`BadChunk`]: the rest of the connection can't be understood.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, BadChunk> {
        let mut at = 0;
        while at < input.len() {
            if self.at == At::Data {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
                self.left -= take as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Step::Data { skip: at, take });
            }
            let byte = input[at];
            at += 1;
            self.framing(byte)?;
            if self.at == At::End {
                return Ok(Step::End(at));
            }
        }
        Ok(Step::More)
    }

    fn framing(&mut self, byte: u8) -> Result<(), BadChunk> {
        self.at = match (self.at, byte) {
            (At::Size(digits), _) if byte.is_ascii_hexdigit() => {
                if digits == 16 {
                    return Err(BadChunk::Size);
                }
                let value = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = (self.left << 4) | u64::from(value);
                At::Size(digits + 1)
            }
            (At::Size(0), _) => return Err(BadChunk::Size),
            (At::Size(_), b'\r') => At::SizeLf,
            (At::Size(_), b';') => At::Extension,
            (At::Size(_), _) => return Err(BadChunk::Size),
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, _) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS {
                    return Err(BadChunk::Extensions);
                }
                if (byte < 0x20 && byte != b'\t') || byte == 0x7f {
                    return Err(BadChunk::LineEnd);
                }
                At::Extension
            }
            (At::SizeLf, b'\n') => {
                if self.left == 0 {
                    At::Trailer
                } else {
                    At::Data
                }
            }
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0),
            (At::Trailer, _) => return self.trailer(byte),
            _ => return Err(BadChunk::LineEnd),
        };
        Ok(())
    }

    fn trailer(&mut self, byte: u8) -> Result<(), BadChunk> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILERS {
            return Err(BadChunk::Trailers);
        }
        self.line.push(byte);
        if byte != b'\n' {
            return Ok(());
        }
        let [line @ .., b'\r', b'\n'] = self.line.as_slice() else {
            return Err(BadChunk::LineEnd);
        };
        if line.is_empty() {
            self.at = At::End;
            return Ok(());
        }
        if self.trailers.len() == TRAILER_FIELDS {
            return Err(BadChunk::Trailers);
        }
        let start = self.trailers.block.len();
        let place = field_line(line, start).map_err(BadChunk::Trailer)?;
        self.trailers.block.extend_from_slice(&self.line);
        // What may not stand in a trailer is read over (RFC 9110 §6.5.1).
        if place.known.may_trail() {
            self.trailers.place(place);
        }
        self.line.clear();
        Ok(())
    }

    /// Did the body end?
    pub fn is_done(&self) -> bool {
        self.at == At::End
    }

    /// The trailers as [`Chunked::trailers`], without the decoder.
    pub fn into_trailers(self) -> Fields {
        self.trailers
    }

    /// The trailers that may be passed on; whole once the body ended.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }
}
