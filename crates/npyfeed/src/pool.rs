//! Buffers that are filled, lent to the user, and come back to be filled again.
//!
//! Fresh memory costs: the system zeroes it and maps it page by page, which takes longer than filling
//! it. So a buffer returns to the pool when the last tensor that shares it dies, on whatever thread
//! that happens, and never before. The pool keeps a bounded number; if the user held more, the rest is
//! freed as it comes back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use npyfeed_array::Buffer;

use crate::error::{Error, Result};

/// The buffers of one column: all of one size.
#[derive(Debug)]
pub(crate) struct Pool {
    buffer_bytes: usize,
    kept_at_most: usize,
    free: Mutex<Vec<Buffer>>,
}

impl Pool {
    /// A pool of buffers of `buffer_bytes`, empty at first.
    pub(crate) fn new(buffer_bytes: usize, kept_at_most: usize) -> Arc<Pool> {
        Arc::new(Pool { buffer_bytes, kept_at_most, free: Mutex::new(Vec::new()) })
    }

    /// A buffer, used before or new. Its content is whatever it was.
    pub(crate) fn lease(self: &Arc<Pool>) -> Result<Lease> {
        let used = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = match used {
            Some(buffer) => buffer,
            None => Buffer::zeroed(self.buffer_bytes)
                .map_err(|why| Error::system(&format!("get {} bytes for a batch", self.buffer_bytes), why))?,
        };
        Ok(Lease { buffer: Some(buffer), pool: Arc::clone(self) })
    }

    /// Keeps the buffer, or frees it if there are enough.
    fn take_back(&self, buffer: Buffer) {
        let Some(mut free) = self.patiently_locked() else { return };
        if free.len() < self.kept_at_most {
            free.push(buffer);
        } else {
            drop(free); // giving memory back to the system takes a while: not under the lock
            drop(buffer);
        }
    }

    /// The lock, which is held for nanoseconds at a time, unless this is a forked child that was copied
    /// while a thread of its parent held it. A tensor that dies there must not wait for ever.
    fn patiently_locked(&self) -> Option<MutexGuard<'_, Vec<Buffer>>> {
        const ATTEMPTS: usize = 1000;
        for _ in 0..ATTEMPTS {
            match self.free.try_lock() {
                Ok(free) => return Some(free),
                Err(TryLockError::Poisoned(free)) => return Some(free.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }
}

/// A buffer that goes back to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    /// `None` only while being dropped.
    buffer: Option<Buffer>,
    pool: Arc<Pool>,
}

impl Lease {
    /// The whole buffer.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], Buffer::bytes)
    }

    /// The whole buffer, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().map_or(&mut [], Buffer::bytes_mut)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.pool.take_back(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_lease_ends_and_not_before() {
        let pool = Pool::new(100, 4);
        let (first, second) = (pool.lease().unwrap(), pool.lease().unwrap());
        let address = first.bytes().as_ptr();
        assert_ne!(address, second.bytes().as_ptr());
        drop(first);
        assert_eq!(pool.lease().unwrap().bytes().as_ptr(), address);
    }

    #[test]
    fn no_more_buffers_are_kept_than_agreed() {
        let pool = Pool::new(100, 2);
        let leases: Vec<Lease> = (0..5).map(|_| pool.lease().unwrap()).collect();
        drop(leases);
        assert_eq!(pool.free.lock().unwrap().len(), 2);
    }
}
