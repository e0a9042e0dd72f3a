//! Copies past the cache, for batches that do not fit there.

/// Copies `from`, which is near, over `to`: whole cache lines past the cache, the rest of the first and the
/// last one through it. Before another thread may look, [`fence`].
#[inline(always)]
pub(crate) fn stream(from: &[u8], to: &mut [u8]) {
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

pub(crate) const LINE_BYTES: usize = 64;

/// After it, what was streamed is seen by whoever sees what this thread writes next.
#[inline(always)]
pub(crate) fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a fence touches no memory.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
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
        // as asserted; every x86-64 CPU has SSE2. A streaming store is one of the only thread that may
        // write or read `to`, and this thread sees its own stores in order; others are fenced off.
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
