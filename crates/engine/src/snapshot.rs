//! What was made of a log's records up to a position, in one file, so that a start needn't read all of them.
//!
//! A new snapshot takes the place of the old one at once: after a crash there is one of the two, whole. Both
//! writing and reading go on in blocks, so that neither holds all of it in memory.

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::files::{File, Files};
use crate::log::Position;

/// Bytes that are written and checked at once.
const BLOCK: usize = 64 * 1024;
/// Bytes before the first block.
const HEAD: usize = 32;
/// Where the head's checksum stands.
const HEAD_SUM: usize = HEAD - 4;
/// Bytes of a block's checksum, which stands before it.
const SUM: usize = 4;
const MAGIC: [u8; 7] = *b"NSRSNP\0";
const VERSION: u8 = 1;

/// Why there's no snapshot to be had.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Those of the file system.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It isn't what was written. What it was made of is in the log, if that was not trimmed since.
    #[error(
        "the snapshot {name} is damaged at byte {at}; put it back from a copy of the folder, or remove it"
    )]
    #[allow(missing_docs)]
    Damaged { name: String, at: u64 },
    /// It was written by another version of this program.
    #[error("the snapshot {name} is of version {version} of the format, and only version 1 is known")]
    #[allow(missing_docs)]
    Version { name: String, version: u8 },
}

/// Writes what `fill` writes, in place of the snapshot of this name; `position` is where reading the log
/// must go on after it. Blocks until it is stable.
///
/// # Errors
/// Those of the file system and of `fill`; the old snapshot is still there then.
pub fn write(
    files: &dyn Files,
    name: &str,
    position: Position,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let new = format!("{name}.new");
    let written = write_new(files, &new, name, position, fill);
    if written.is_err() {
        let _ = files.remove(&new); // if it is still there, the next one removes it
    }
    written
}

fn write_new(
    files: &dyn Files,
    new: &str,
    name: &str,
    position: Position,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match files.remove(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = files.open(new)?;
    let mut blocks =
        Blocks { file: &*file, position, block: Vec::with_capacity(SUM + BLOCK), index: 0, length: 0 };
    blocks.block.resize(SUM, 0);
    fill(&mut blocks)?;
    blocks.put()?;
    let length = blocks.length;
    file.write(&head(position, length), 0)?;
    file.sync()?;
    files.rename(new, name)?;
    files.sync()
}

fn head(position: Position, length: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..7].copy_from_slice(&MAGIC);
    head[7] = VERSION;
    head[8..16].copy_from_slice(&position.0.to_le_bytes());
    head[16..24].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c::crc32c(&head[..HEAD_SUM]);
    head[HEAD_SUM..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Also of its place, so that blocks can't be exchanged.
fn sum(position: Position, index: u64, bytes: &[u8]) -> [u8; SUM] {
    let place = crc32c::crc32c_append(crc32c::crc32c(&position.0.to_le_bytes()), &index.to_le_bytes());
    crc32c::crc32c_append(place, bytes).to_le_bytes()
}

/// Where block `index` begins in the file.
fn offset(index: u64) -> u64 {
    HEAD as u64 + index * (SUM + BLOCK) as u64
}

/// What is being written.
struct Blocks<'a> {
    file: &'a dyn File,
    position: Position,
    /// Room for the checksum, then what there is of the block.
    block: Vec<u8>,
    index: u64,
    length: u64,
}

impl Blocks<'_> {
    /// Writes what there is.
    fn put(&mut self) -> io::Result<()> {
        let (place, bytes) = self.block.split_at_mut(SUM);
        if !bytes.is_empty() {
            place.copy_from_slice(&sum(self.position, self.index, bytes));
            self.length += bytes.len() as u64;
            self.file.write(&self.block, offset(self.index))?;
            self.index += 1;
            self.block.truncate(SUM);
        }
        Ok(())
    }
}

impl Write for Blocks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == SUM + BLOCK {
            self.put()?;
        }
        let taken = bytes.len().min(SUM + BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a block is written when it is full
    }
}

/// What a snapshot holds. Damage is an error of the kind `InvalidData` around a [`SnapshotError`].
pub struct Reader {
    name: String,
    file: Arc<dyn File>,
    position: Position,
    /// Bytes in the blocks that were not read yet.
    left: u64,
    block: Vec<u8>,
    /// What of the block was taken.
    at: usize,
    index: u64,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("name", &self.name).field("left", &self.left).finish_non_exhaustive()
    }
}

/// The snapshot of this name, if there is one, and where reading the log must go on after it. Blocks, as
/// reading does.
///
/// # Errors
/// It is damaged, or can't be read.
pub fn read(files: &dyn Files, name: &str) -> Result<Option<(Position, Reader)>, SnapshotError> {
    let file = match files.reopen(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let name = name.to_owned();
    let size = file.size()?;
    if size < HEAD as u64 {
        return Err(SnapshotError::Damaged { name, at: size });
    }
    let mut bytes = [0; HEAD];
    file.read(&mut bytes, 0)?;
    if bytes[..7] != MAGIC {
        return Err(SnapshotError::Damaged { name, at: 0 });
    }
    if bytes[7] != VERSION {
        return Err(SnapshotError::Version { name, version: bytes[7] });
    }
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    let (position, length) = (Position(number(8)), number(16));
    if bytes != head(position, length) {
        return Err(SnapshotError::Damaged { name, at: 0 });
    }
    let sums = length.div_ceil(BLOCK as u64).saturating_mul(SUM as u64);
    if length.saturating_add(sums).saturating_add(HEAD as u64) != size {
        return Err(SnapshotError::Damaged { name, at: size });
    }
    Ok(Some((position, Reader { name, file, position, left: length, block: Vec::new(), at: 0, index: 0 })))
}

impl Reader {
    /// Reads the next block.
    fn load(&mut self) -> io::Result<()> {
        let length = self.left.min(BLOCK as u64);
        self.block.resize(SUM + length as usize, 0);
        let at = offset(self.index);
        self.file.read(&mut self.block, at)?;
        let (told, bytes) = self.block.split_at(SUM);
        if told != sum(self.position, self.index, bytes) {
            self.block.clear();
            let damaged = SnapshotError::Damaged { name: self.name.clone(), at };
            return Err(io::Error::new(io::ErrorKind::InvalidData, damaged));
        }
        self.at = SUM;
        self.left -= length;
        self.index += 1;
        Ok(())
    }
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.block.len() && self.left > 0 {
            self.load()?;
        }
        let rest = self.block.get(self.at..).unwrap_or_default();
        let taken = rest.len().min(buf.len());
        buf[..taken].copy_from_slice(&rest[..taken]);
        self.at += taken;
        Ok(taken)
    }
}
