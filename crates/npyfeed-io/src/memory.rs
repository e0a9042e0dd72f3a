//! Memory as a source: someone else's, or its own.

use std::any::Any;
use std::ptr::NonNull;

use crate::Source;

/// Bytes in memory, together with whatever keeps them alive.
pub struct Memory {
    name: String,
    bytes: NonNull<[u8]>,
    /// Whether the bytes may be written through [`Source::memory`].
    is_writable: bool,
    /// Dropped with the source, and not before: the bytes lie inside it.
    _owner: Box<dyn Any + Send + Sync>,
}

// SAFETY: `Memory::new` asks its caller that the bytes may be read from any thread as long as the owner, which is
// itself `Send + Sync`, lives. To write, only an address is lent: whoever writes to it answers for that, and
// SAFETY.md, "memory that others write", says what follows.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The bytes at `bytes`, which `owner` keeps alive.
    ///
    /// # Safety
    /// `bytes` must be readable, from any thread, until `owner` is dropped, at the address given now.
    pub unsafe fn new(bytes: NonNull<[u8]>, owner: impl Any + Send + Sync) -> Memory {
        Memory { name: "memory".to_owned(), bytes, is_writable: false, _owner: Box::new(owner) }
    }

    /// The same bytes, to be written too.
    ///
    /// # Safety
    /// As [`new`](Memory::new), and the bytes must be writable, by whoever asks [`Source::memory`].
    pub unsafe fn writable(bytes: NonNull<[u8]>, owner: impl Any + Send + Sync) -> Memory {
        // SAFETY: the caller's promise includes that of `new`.
        Memory { is_writable: true, ..unsafe { Memory::new(bytes, owner) } }
    }

    /// The same memory, which may be read and no longer written.
    #[must_use]
    pub fn read_only(self) -> Memory {
        Memory { is_writable: false, ..self }
    }

    /// The bytes of `owner`, which nobody else has: they may be written. Errors call them `name`.
    pub fn own(name: String, owner: impl AsMut<[u8]> + Any + Send + Sync) -> Memory {
        let mut owner = Box::new(owner);
        let bytes = NonNull::from((*owner).as_mut());
        // SAFETY: bytes that a value lends out stay in place while nobody touches it, and nobody can: it is
        // boxed before it is asked, and from here on only dropped.
        let memory = unsafe { Memory::writable(bytes, owner) };
        Memory { name, ..memory }
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
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: readable while the owner lives, by the contract of `new`; the owner lives as long as
        // `self`. What follows if its owner writes to it meanwhile is in SAFETY.md.
        unsafe { self.bytes.as_ref() }
    }

    fn memory(&self) -> Option<NonNull<[u8]>> {
        self.is_writable.then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn own_bytes_can_be_written_and_have_a_name() {
        for owner in [vec![1_u8, 2, 3], Vec::new()] {
            let source = Memory::own("a.npz:x".to_owned(), owner.clone());
            assert_eq!((source.name(), source.bytes()), ("a.npz:x", &owner[..]));
            let memory = source.memory().unwrap();
            if !owner.is_empty() {
                // SAFETY: the first byte of live memory that nobody reads meanwhile.
                unsafe { memory.cast::<u8>().write(9) };
                assert_eq!(source.bytes(), &[9, 2, 3]);
            }
        }
        let inline = Memory::own("array".to_owned(), [7_u8; 16]);
        let moved = Box::new(inline.read_only());
        assert_eq!(moved.bytes(), &[7; 16]);
        assert!(moved.memory().is_none());
    }

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
