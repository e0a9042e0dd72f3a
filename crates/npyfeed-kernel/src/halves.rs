//! 16-bit floats out of bits and into them, without a branch, so that loops over many become vector code.
//!
//! The crate `half` converts one number at a time and asks each time what the CPU can do. It stays the
//! meaning (`number.rs`), and the tests below hold these functions to it.

const SIGN: u32 = 0x8000_0000;
const F32_QUIET: u32 = 0x0040_0000;
const F32_INFINITY: u32 = 0x7F80_0000;
/// Bits of the fraction that f32 has and f16 has not.
const F16_DROPPED_BITS: u32 = 13;
/// What the exponent of the same number is larger by in f32, at its place in the bits.
const F16_REBIAS: u32 = (127 - 15) << 23;

/// The number that these bits of an f16 are. Signalling NaNs turn quiet and keep the rest.
#[inline(always)]
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    /// The smallest normal f16, 2⁻¹⁴.
    const SMALLEST_NORMAL: u32 = (127 - 14) << 23;
    let sign = (u32::from(bits) << 16) & SIGN;
    let shifted = (u32::from(bits) & 0x7FFF) << F16_DROPPED_BITS;
    let normal = shifted + F16_REBIAS;
    // Exponent 0: with that of 2⁻¹⁴ in front the fraction counts from there, and 2⁻¹⁴ is too much. Exact.
    let subnormal = (f32::from_bits(shifted | SMALLEST_NORMAL) - f32::from_bits(SMALLEST_NORMAL)).to_bits();
    let special = shifted | F32_INFINITY;
    let special = if special == F32_INFINITY { special } else { special | F32_QUIET };
    let magnitude = if shifted < 1 << 23 { subnormal } else { normal };
    let magnitude = if shifted >= 31 << 23 { special } else { magnitude };
    f32::from_bits(sign | magnitude)
}

/// The bits of the f16 next to `x`, ties to even. A NaN turns quiet and keeps the bits that fit.
#[inline(always)]
pub(crate) fn f32_to_f16(x: f32) -> u16 {
    /// From here on, 2¹⁶ less half of the last step, everything rounds to infinity.
    const OVERFLOW: u32 = 0x477F_F000;
    const SMALLEST_NORMAL: u32 = (127 - 14) << 23;
    /// A number so large that f32 there has the steps of subnormal f16, 2⁻²⁴: adding it rounds to them.
    const SUBNORMAL_STEPS: u32 = (127 - 24 + 23) << 23;
    let sign = (x.to_bits() & SIGN) >> 16;
    let magnitude = x.to_bits() & !SIGN;
    // Half of what is dropped, less one unless the last kept bit is odd: ties go to the even side.
    let half = (1 << (F16_DROPPED_BITS - 1)) - 1 + (magnitude >> F16_DROPPED_BITS & 1);
    let normal = magnitude.wrapping_add(half).wrapping_sub(F16_REBIAS) >> F16_DROPPED_BITS;
    let steps = f32::from_bits(magnitude) + f32::from_bits(SUBNORMAL_STEPS);
    let subnormal = steps.to_bits().wrapping_sub(SUBNORMAL_STEPS);
    let nan = 0x7E00 | (magnitude >> F16_DROPPED_BITS & 0x03FF);
    let bits = if magnitude < SMALLEST_NORMAL { subnormal } else { normal };
    let bits = if magnitude >= OVERFLOW { 0x7C00 } else { bits };
    let bits = if magnitude > F32_INFINITY { nan } else { bits };
    low_half(sign | bits)
}

/// The bits of the bf16 next to `x`, ties to even; of a NaN those that [`to_bf16`](crate::number::to_bf16)
/// gives it.
#[inline(always)]
pub(crate) fn f32_to_bf16(x: f32) -> u16 {
    const NAN: u32 = 0x7FC0;
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    low_half(if bits & !SIGN > F32_INFINITY { NAN } else { rounded })
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the bits lie in the lower half")]
fn low_half(bits: u32) -> u16 {
    bits as u16
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::number::to_bf16;

    fn assert_rounds_as_half_does(bits: u32) {
        let x = f32::from_bits(bits);
        assert_eq!(f32_to_f16(x), f16::from_f32(x).to_bits(), "{bits:08x} to f16");
        assert_eq!(f32_to_bf16(x), to_bf16(x).to_bits(), "{bits:08x} to bf16");
    }

    #[test]
    fn every_f16_widens_as_half_says() {
        for bits in 0..=u16::MAX {
            assert_eq!(f16_to_f32(bits).to_bits(), f16::from_bits(bits).to_f32().to_bits(), "{bits:04x}");
        }
    }

    #[test]
    fn every_upper_half_of_f32_rounds_as_half_says_beside_each_tie() {
        for upper in 0..=u32::from(u16::MAX) {
            for tie in [0, 0x1000, 0x2000, 0x3000, 0x7000, 0x8000, 0x9000, 0xF000] {
                for lower in [tie, tie + 1, tie + 0xFFF] {
                    assert_rounds_as_half_does(upper << 16 | lower);
                }
            }
        }
    }

    #[test]
    #[ignore = "half a minute; after a change of this file, with --release"]
    fn every_f32_rounds_as_half_says() {
        (0..=u32::MAX).for_each(assert_rounds_as_half_does);
    }
}
