//! The few things that what lies on disk asks of a file system, so that tests can put one beneath it that
//! loses power.

use std::fs;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::ReadWriteFlags;

/// A folder, without folders in it. All errors are those of the file system.
#[allow(clippy::missing_errors_doc)]
pub trait Files: Send + Sync {
    /// The names in it.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file, or makes it; a new name lasts only after [`Files::sync`].
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Opens a file that is there; `NotFound` if it isn't.
    fn reopen(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name, in place of whatever has it; this too lasts only after [`Files::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; it may come back after a loss of power until [`Files::sync`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes new, changed and removed names last.
    fn sync(&self) -> io::Result<()>;
}

/// A file. What is written lasts after [`File::sync`]; before it, any part of it may.
#[allow(clippy::missing_errors_doc)]
pub trait File: Send + Sync {
    /// Bytes in it.
    fn size(&self) -> io::Result<u64>;
    /// Fills `buf` from offset `at`; an end of the file before that is an error.
    fn read(&self, buf: &mut [u8], at: u64) -> io::Result<()>;
    /// The same from memory only: `WouldBlock` if it would have to wait for the disk.
    fn read_now(&self, buf: &mut [u8], at: u64) -> io::Result<()>;
    /// Writes all of `bytes` at offset `at`.
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes what was written last.
    fn sync(&self) -> io::Result<()>;
    /// Makes it `size` bytes long, with room for all of them.
    fn reserve(&self, size: u64) -> io::Result<()>;
    /// Is it ours alone now? It is till the file is closed, and among processes too.
    fn lock(&self) -> io::Result<bool>;
}

/// A folder of this machine.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens it, or makes it.
    ///
    /// # Errors
    /// Those of the file system; they name the folder.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        fs::create_dir_all(path).map_err(named)?;
        fs::read_dir(path).map_err(named)?;
        Ok(Folder(path.to_owned()))
    }

    fn open_with(&self, name: &str, options: &mut fs::OpenOptions) -> io::Result<Arc<dyn File>> {
        let file = options.read(true).write(true).open(self.0.join(name));
        Ok(Arc::new(RealFile(file.map_err(|error| self.named(name, &error))?)))
    }

    fn named(&self, name: &str, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.0.join(name).display()))
    }
}

impl Files for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.0).map_err(|error| self.named("", &error))?;
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string()));
        // A name that isn't text isn't one of ours.
        names.filter_map(|name| name.map(Result::ok).transpose()).collect()
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.open_with(name, fs::OpenOptions::new().create(true).truncate(false))
    }

    fn reopen(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.open_with(name, &mut fs::OpenOptions::new())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to)).map_err(|error| self.named(from, &error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name)).map_err(|error| self.named(name, &error))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(|error| self.named("", &error))
    }
}

struct RealFile(fs::File);

impl RealFile {
    /// Writes zeros up to `size`: a hole would be no room.
    fn fill(&self, size: u64) -> io::Result<()> {
        let zeros = [0; 64 * 1024];
        let mut at = self.size()?;
        while at < size {
            let len = zeros.len().min((size - at) as usize);
            self.0.write_all_at(&zeros[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }
}

impl File for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, at)
    }

    fn read_now(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        let read = rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(buf)], at, ReadWriteFlags::NOWAIT);
        match read {
            Ok(read) if read == buf.len() => Ok(()),
            // Only a part is in memory, or the file system can't tell.
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, size) {
            Err(rustix::io::Errno::OPNOTSUPP) => self.fill(size),
            other => other.map_err(io::Error::from),
        }
    }

    fn lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}
