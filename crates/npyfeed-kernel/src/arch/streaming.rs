//! How results are written: through the cache, or past it, for batches that do not fit there.

use crate::kernel::Stores;

pub(crate) const LINE_BYTES: usize = 64;

/// The way results are written while one piece of work is done. It is lent to the work and dropped after it, and
/// then what was streamed is seen by whoever sees what this thread writes next: streamed stores are not in
/// order with others by themselves.
pub(crate) struct Storing {
    stores: Stores,
}

impl Storing {
    pub(super) fn begin(stores: Stores) -> Storing {
        Storing { stores }
    }

    pub(crate) fn stores(&self) -> Stores {
        self.stores
    }

    /// Copies `from`, which is near, over `to`. If streaming, whole lines of the cache go past it, and the rest
    /// of the first and the last one through it.
    #[inline(always)]
    pub(crate) fn put(&self, from: &[u8], to: &mut [u8]) {
        match self.stores {
            Stores::Cached => to.copy_from_slice(from),
            Stores::Streaming => stream(from, to),
        }
    }
}

impl Drop for Storing {
    #[inline(always)]
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if self.stores == Stores::Streaming {
            // SAFETY: a fence touches no memory.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
    }
}

#[inline(always)]
fn stream(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len(), "bytes of both sides");
    let head_bytes = to.as_ptr().align_offset(LINE_BYTES).min(to.len());
    let (head, to) = to.split_at_mut(head_bytes);
    let (from_head, from) = from.split_at(head_bytes);
    head.copy_from_slice(from_head);
    let (lines, tail) = to.as_chunks_mut::<LINE_BYTES>();
    let (from_lines, from_tail) = from.as_chunks::<LINE_BYTES>();
    for (line, from) in lines.iter_mut().zip(from_lines) {
        stream_line(from, line);
    }
    tail.copy_from_slice(from_tail);
}

/// `to` begins at a multiple of [`LINE_BYTES`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn stream_line(from: &[u8; LINE_BYTES], to: &mut [u8; LINE_BYTES]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};

    const PART_BYTES: usize = size_of::<__m128i>();
    assert!(to.as_ptr().addr().is_multiple_of(PART_BYTES), "the start of a line");
    for part in (0..LINE_BYTES).step_by(PART_BYTES) {
        // SAFETY: both sides have the bytes from `part` to `part + PART_BYTES`; `to` is aligned for the store,
        // as asserted; every x86-64 CPU has SSE2. Nobody else may look at `to` before this thread gives it
        // away, which comes after the fence: the work has only borrowed the `Storing` whose drop is one.
        unsafe {
            let bytes = _mm_loadu_si128(from.as_ptr().add(part).cast());
            _mm_stream_si128(to.as_mut_ptr().add(part).cast(), bytes);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn stream_line(from: &[u8; LINE_BYTES], to: &mut [u8; LINE_BYTES]) {
    *to = *from;
}
