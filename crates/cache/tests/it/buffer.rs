//! Pieces of large buffers, as they come from endpoints, and who still holds one.

use std::sync::Arc;

use bytes::Bytes;

const LEN: usize = 256 * 1024;

/// Buffers that are held as long as any piece of them.
#[derive(Clone, Default)]
pub struct Buffers(Arc<()>);

struct Buffer {
    bytes: &'static [u8],
    _counted: Buffers,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl Buffers {
    /// So many bytes of a buffer of their own: `x` all.
    pub fn piece(&self, len: usize) -> Bytes {
        let buffer = Buffer { bytes: &[b'x'; LEN], _counted: self.clone() };
        Bytes::from_owner(buffer).slice(..len)
    }

    /// How many are held.
    pub fn held(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}
