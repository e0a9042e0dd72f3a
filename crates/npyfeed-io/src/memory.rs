//! Memory that someone else owns, as a source.

use std::any::Any;
use std::ptr::NonNull;

use crate::Source;

/// Bytes in memory, together with whatever keeps them alive.
pub struct Memory {
    bytes: NonNull<[u8]>,
    /// Dropped with the source, and not before: the bytes lie inside it.
    _owner: Box<dyn Any + Send + Sync>,
}

// SAFETY: the bytes are only read, and `Memory::new` asks its caller that they may be read from any
// thread as long as the owner, which is itself `Send + Sync`, lives.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The bytes at `bytes`, which `owner` keeps alive.
    ///
    /// # Safety
    /// `bytes` must be readable, from any thread, until `owner` is dropped, at the address given now.
    pub unsafe fn new(bytes: NonNull<[u8]>, owner: impl Any + Send + Sync) -> Memory {
        Memory { bytes, _owner: Box::new(owner) }
    }
}

impl From<Vec<u8>> for Memory {
    fn from(mut bytes: Vec<u8>) -> Memory {
        let memory = NonNull::from(bytes.as_mut_slice());
        // SAFETY: the heap memory of a vector stays in place when the vector moves, until it is dropped.
        unsafe { Memory::new(memory, bytes) }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("len_bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Source for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: readable while the owner lives, by the contract of `new`; the owner lives as long as
        // `self`. What follows if its owner writes to it meanwhile is in SAFETY.md.
        unsafe { self.bytes.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_owner_lives_exactly_as_long_as_the_source() {
        let owner = Arc::new(vec![1_u8, 2, 3]);
        let bytes = NonNull::from(owner.as_slice());
        // SAFETY: the vector inside the `Arc` is not changed, and the clone keeps it alive.
        let source = unsafe { Memory::new(bytes, Arc::clone(&owner)) };
        assert_eq!(source.bytes(), &[1, 2, 3]);
        assert_eq!(Arc::strong_count(&owner), 2);
        drop(source);
        assert_eq!(Arc::strong_count(&owner), 1);
    }
}
