//! One vector of AVX-512: sixteen f32.

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_loadu_si128, _mm512_castsi512_si128, _mm512_cvtepi32_ps,
    _mm512_cvtepu8_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_si512, _mm512_maskz_loadu_epi8,
    _mm512_mul_ps, _mm512_permutexvar_epi8, _mm512_set1_ps, _mm512_storeu_ps, _mm512_stream_ps,
    _mm512_sub_ps,
};

use super::standardize::{self, Constants, Planes};
use super::vector::Vector;
use super::{Storing, Work};

/// The work, compiled for AVX-512 F, BW, DQ, VL and VBMI: safe Rust, which a CPU without them may not run.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(super) fn run(work: impl Work, storing: &Storing) {
    work.run(storing);
}

/// The algorithm, compiled for AVX-512 F, BW, DQ, VL and VBMI.
///
/// # Safety
/// The CPU must have AVX-512 F, BW, DQ, VL and VBMI; for the rest, see [`standardize::fill`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(crate) unsafe fn fill(constants: &[Constants], planes: &Planes, sample: &[u8], slot: &mut [u8]) {
    // SAFETY: the instruction set is there by the contract of this function, the rest likewise.
    unsafe { standardize::fill::<__m512>(constants, planes, sample, slot) }
}

/// Which of 48 interleaved bytes belong to each of three channels: channel, channel + 3, … Only the
/// first 16 entries of a row matter.
static PICKS: [[u8; 64]; 3] = picks();

const fn picks() -> [[u8; 64]; 3] {
    let mut picks = [[0; 64]; 3];
    let mut entry: u8 = 0;
    while entry < 48 {
        picks[(entry % 3) as usize][(entry / 3) as usize] = entry;
        entry += 1;
    }
    picks
}

// SAFETY: every function touches exactly the bytes that the trait names.
unsafe impl Vector for __m512 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: AVX-512, by the contract of the trait; so in each function below.
        unsafe { _mm512_set1_ps(number) }
    }

    #[inline(always)]
    unsafe fn widen(source: *const u8) -> Self {
        // SAFETY: reads 16 bytes.
        unsafe { to_f32(_mm_loadu_si128(source.cast())) }
    }

    #[inline(always)]
    unsafe fn widen_3_interleaved(source: *const u8) -> [Self; 3] {
        const FIRST_48: u64 = (1 << 48) - 1;
        // SAFETY: reads the first 48 bytes; masked lanes are not touched.
        let bytes = unsafe { _mm512_maskz_loadu_epi8(FIRST_48, source.cast()) };
        // SAFETY: `pick` reads its row of the table.
        unsafe { [pick(bytes, &PICKS[0]), pick(bytes, &PICKS[1]), pick(bytes, &PICKS[2])] }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm512_mul_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, other: Self, addend: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm512_fmadd_ps(self, other, addend) }
    }

    #[inline(always)]
    unsafe fn neg_mul_add(self, other: Self, addend: Self) -> Self {
        // SAFETY: register to register.
        unsafe { _mm512_fnmadd_ps(self, other, addend) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: writes 64 bytes at any address.
        unsafe { _mm512_storeu_ps(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: writes 64 bytes at a multiple of 64.
        unsafe { _mm512_stream_ps(to.cast(), self) }
    }
}

/// The first 16 bytes that `picks` names, widened.
#[inline(always)]
unsafe fn pick(bytes: __m512i, picks: &[u8; 64]) -> __m512 {
    // SAFETY: reads the 64 bytes of `picks`.
    let picks = unsafe { _mm512_loadu_si512(picks.as_ptr().cast()) };
    // SAFETY: register to register; VBMI by the caller's contract.
    unsafe { to_f32(_mm512_castsi512_si128(_mm512_permutexvar_epi8(picks, bytes))) }
}

#[inline(always)]
unsafe fn to_f32(bytes: __m128i) -> __m512 {
    // SAFETY: register to register; AVX-512 F by the caller's contract.
    unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)) }
}
