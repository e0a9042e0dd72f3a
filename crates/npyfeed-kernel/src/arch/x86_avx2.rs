//! One vector of AVX2: eight f32.

use std::arch::x86_64::{
    __m128i, __m256, _mm_loadl_epi64, _mm_loadu_si128, _mm_or_si128, _mm_setr_epi8, _mm_shuffle_epi8,
    _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_mul_ps,
    _mm256_set1_ps, _mm256_storeu_ps, _mm256_stream_ps, _mm256_sub_ps,
};

use super::standardize::{self, Constants, Planes};
use super::vector::Vector;
use super::{Storing, Work};

/// The work, compiled for AVX2 and FMA: safe Rust, which a CPU without them may not run.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(work: impl Work, storing: &Storing) {
    work.run(storing);
}

/// The algorithm, compiled for AVX2 and FMA.
///
/// # Safety
/// The CPU must have AVX2 and FMA; for the rest, see [`standardize::fill`].
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn fill(constants: &[Constants], planes: &Planes, sample: &[u8], slot: &mut [u8]) {
    // SAFETY: the instruction set is there by the contract of this function, the rest likewise.
    unsafe { standardize::fill::<__m256>(constants, planes, sample, slot) }
}

// SAFETY: every function touches exactly the bytes that the trait names.
unsafe impl Vector for __m256 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: AVX2, by the contract of the trait; so in each function below.
        unsafe { _mm256_set1_ps(number) }
    }

    #[inline(always)]
    unsafe fn widen(source: *const u8) -> Self {
        // SAFETY: reads 8 bytes.
        unsafe { to_f32(_mm_loadl_epi64(source.cast())) }
    }

    #[inline(always)]
    #[rustfmt::skip]
    unsafe fn widen_3_interleaved(source: *const u8) -> [Self; 3] {
        // SAFETY: reads bytes 0 to 16 and 8 to 24 of 24.
        let (low, high) = unsafe { (_mm_loadu_si128(source.cast()), _mm_loadu_si128(source.add(8).cast())) };
        // SAFETY: register to register. In each channel the first lanes come from `low`, the others
        // from `high`, where byte k of the 24 is number k - 8; -1 gives a zero byte.
        unsafe {
            [
                merge(
                    (low, _mm_setr_epi8(0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)),
                    (high, _mm_setr_epi8(-1, -1, -1, -1, -1, -1, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1)),
                ),
                merge(
                    (low, _mm_setr_epi8(1, 4, 7, 10, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)),
                    (high, _mm_setr_epi8(-1, -1, -1, -1, -1, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1)),
                ),
                merge(
                    (low, _mm_setr_epi8(2, 5, 8, 11, 14, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)),
                    (high, _mm_setr_epi8(-1, -1, -1, -1, -1, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1)),
                ),
            ]
        }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm256_mul_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, other: Self, addend: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm256_fmadd_ps(self, other, addend) }
    }

    #[inline(always)]
    unsafe fn neg_mul_add(self, other: Self, addend: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm256_fnmadd_ps(self, other, addend) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: writes 32 bytes at any address.
        unsafe { _mm256_storeu_ps(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: writes 32 bytes at a multiple of 32.
        unsafe { _mm256_stream_ps(to.cast(), self) }
    }
}

/// The bytes that each pattern picks out of its register, side by side, widened.
#[inline(always)]
unsafe fn merge((low, low_picks): (__m128i, __m128i), (high, high_picks): (__m128i, __m128i)) -> __m256 {
    // SAFETY: register to register; AVX2 by the caller's contract.
    unsafe { to_f32(_mm_or_si128(_mm_shuffle_epi8(low, low_picks), _mm_shuffle_epi8(high, high_picks))) }
}

#[inline(always)]
unsafe fn to_f32(bytes: __m128i) -> __m256 {
    // SAFETY: register to register; AVX2 by the caller's contract.
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)) }
}
