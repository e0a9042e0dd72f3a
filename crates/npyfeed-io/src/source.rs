//! Random access to bytes, wherever they are.

use std::ptr::NonNull;

/// Random access to bytes that do not change their number, from several threads at once.
pub trait Source: Send + Sync + std::fmt::Debug {
    /// What errors call it: the path of a file, `"memory"`.
    fn name(&self) -> &str;

    /// All bytes. Nothing is read before it is touched.
    fn bytes(&self) -> &[u8];

    /// The same bytes, writable, if they are this source's own: what is written there is seen by later
    /// reads and by no file.
    fn memory(&self) -> Option<NonNull<[u8]>> {
        None
    }
}
