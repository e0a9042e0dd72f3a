//! Random access to bytes, wherever they are.

use std::io;
use std::ops::Range;
use std::ptr::NonNull;

/// Random access to bytes that do not change their number.
///
/// Reads come from several threads at once.
pub trait Source: Send + Sync + std::fmt::Debug {
    /// What errors call it: the path of a file, `"memory"`.
    fn name(&self) -> &str;

    /// The number of bytes.
    fn len_bytes(&self) -> usize;

    /// The bytes in `range`. Where they lie in memory already, that memory is returned and `scratch` is
    /// left alone; otherwise they are read into `scratch`, which the caller keeps for the next read.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if `range` reaches beyond [`len_bytes`](Source::len_bytes), or
    /// the system's own error.
    fn read<'a>(&'a self, range: Range<usize>, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]>;

    /// All bytes, writable, if they lie in memory that is this source's own: what is written there is
    /// seen by later reads and by no file.
    fn memory(&self) -> Option<NonNull<[u8]>> {
        None
    }
}

/// The error for a range that reaches beyond the end.
pub(crate) fn beyond_end(range: &Range<usize>, len_bytes: usize) -> io::Error {
    let message = format!("bytes {} to {} asked for, there are {len_bytes}", range.start, range.end);
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}
