//! One vector of NEON as the algorithm sees it: eight f32 in two registers, so that the eight bytes which one load
//! brings are widened at once. Intrinsics exist for loads that take three interleaved channels apart.
//!
//! Not here: stores past the cache. NEON has but a hint for them (`stnp`), which compilers have no name for.

use std::arch::aarch64::{
    float32x4_t, uint8x8_t, vcvtq_f32_u32, vdupq_n_f32, vfmaq_f32, vfmsq_f32, vget_high_u16, vget_low_u16,
    vld1_u8, vld3_u8, vmovl_u8, vmovl_u16, vmulq_f32, vst1q_f32, vsubq_f32,
};

use super::standardize::{self, Constants, Planes};
use super::vector::Vector;
use super::{Storing, Work};

/// The lower four lanes, then the upper ones.
#[derive(Clone, Copy)]
struct Lanes8(float32x4_t, float32x4_t);

/// The work, compiled for NEON: safe Rust, which a CPU without it may not run.
#[target_feature(enable = "neon")]
pub(super) fn run(work: impl Work, storing: &Storing) {
    work.run(storing);
}

/// The algorithm, compiled for NEON.
///
/// # Safety
/// The CPU must have NEON; for the rest, see [`standardize::fill`].
#[target_feature(enable = "neon")]
pub(crate) unsafe fn fill(constants: &[Constants], planes: &Planes, sample: &[u8], slot: &mut [u8]) {
    // SAFETY: the instruction set is there by the contract of this function, the rest likewise.
    unsafe { standardize::fill::<Lanes8>(constants, planes, sample, slot) }
}

// SAFETY: every function touches exactly the bytes that the trait names.
unsafe impl Vector for Lanes8 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: NEON, by the contract of the trait; so in each function below.
        unsafe { Lanes8(vdupq_n_f32(number), vdupq_n_f32(number)) }
    }

    #[inline(always)]
    unsafe fn widen(source: *const u8) -> Self {
        // SAFETY: reads 8 bytes at any address.
        unsafe { to_f32(vld1_u8(source)) }
    }

    #[inline(always)]
    unsafe fn widen_3_interleaved(source: *const u8) -> [Self; 3] {
        // SAFETY: reads 24 bytes at any address.
        unsafe {
            let channels = vld3_u8(source);
            [to_f32(channels.0), to_f32(channels.1), to_f32(channels.2)]
        }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: register to register.
        unsafe { Lanes8(vsubq_f32(self.0, other.0), vsubq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: register to register.
        unsafe { Lanes8(vmulq_f32(self.0, other.0), vmulq_f32(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, other: Self, addend: Self) -> Self {
        // SAFETY: register to register. The intrinsic adds the product of its last two to its first.
        unsafe { Lanes8(vfmaq_f32(addend.0, self.0, other.0), vfmaq_f32(addend.1, self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn neg_mul_add(self, other: Self, addend: Self) -> Self {
        // SAFETY: register to register. The intrinsic subtracts the product from its first.
        unsafe { Lanes8(vfmsq_f32(addend.0, self.0, other.0), vfmsq_f32(addend.1, self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: writes 16 bytes twice, 32 in all. The instruction asks for no alignment beyond one byte.
        unsafe {
            vst1q_f32(to.cast(), self.0);
            vst1q_f32(to.add(16).cast(), self.1);
        }
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: as above; through the cache, which the trait allows.
        unsafe { self.store(to) }
    }
}

#[inline(always)]
unsafe fn to_f32(bytes: uint8x8_t) -> Lanes8 {
    // SAFETY: register to register; NEON by the caller's contract.
    unsafe {
        let wide = vmovl_u8(bytes);
        let (low, high) = (vmovl_u16(vget_low_u16(wide)), vmovl_u16(vget_high_u16(wide)));
        Lanes8(vcvtq_f32_u32(low), vcvtq_f32_u32(high))
    }
}
