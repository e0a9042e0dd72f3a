//! What the algorithm asks of one vector of f32.

/// A vector of [`LANES`](Vector::LANES) f32 numbers.
///
/// # Safety
/// Every function may be called only on a CPU that has the instruction set of the implementing type,
/// and each pointer must be good for the bytes that its function names. An implementor must touch no
/// other bytes.
pub(crate) unsafe trait Vector: Copy {
    /// Numbers in one vector.
    const LANES: usize;

    /// The same number in every lane.
    unsafe fn splat(number: f32) -> Self;

    /// `LANES` bytes from `source` on, widened.
    unsafe fn widen(source: *const u8) -> Self;

    /// `3 * LANES` bytes from `source` on, widened: bytes 0, 3, 6, … then 1, 4, 7, … then 2, 5, 8, …
    unsafe fn widen_3_interleaved(source: *const u8) -> [Self; 3];

    /// `self - other`
    unsafe fn sub(self, other: Self) -> Self;

    /// `self * other`
    unsafe fn mul(self, other: Self) -> Self;

    /// `self * other + addend`, rounded once.
    unsafe fn mul_add(self, other: Self, addend: Self) -> Self;

    /// `addend - self * other`, rounded once.
    unsafe fn neg_mul_add(self, other: Self, addend: Self) -> Self;

    /// Writes `4 * LANES` bytes from `to` on, through the cache.
    unsafe fn store(self, to: *mut u8);

    /// Writes `4 * LANES` bytes from `to`, a multiple of as many, past the cache if the CPU can. Visible to
    /// other threads only after a store fence.
    unsafe fn stream(self, to: *mut u8);
}
