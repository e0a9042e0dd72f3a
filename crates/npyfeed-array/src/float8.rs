//! 8-bit floats, which Rust does not have: their bits, and the numbers that these mean.
//!
//! They are only widened, never rounded to. The crate `float8` 0.7 was looked at: it gives every NaN one
//! sign and one payload, where PyTorch keeps them.

use bytemuck::{Pod, Zeroable};
use half::f16;

/// Sign, 4 bits of exponent (bias 7), 3 of fraction: `float8_e4m3fn`. No infinities; all ones is NaN.
///
/// Source: "OCP 8-bit Floating Point Specification (OFP8)" 1.0, E4M3.
///
/// ```
/// use npyfeed_array::F8E4M3;
/// assert_eq!(F8E4M3::from_bits(0x7E).to_f32(), 448.0); // the greatest
/// assert_eq!(F8E4M3::from_bits(0x01).to_f32(), 2.0_f32.powi(-9)); // the least above 0
/// ```
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub struct F8E4M3(u8);

/// Sign, 5 bits of exponent (bias 15), 2 of fraction: `float8_e5m2`, the upper half of a binary16.
///
/// Source: "OCP 8-bit Floating Point Specification (OFP8)" 1.0, E5M2.
///
/// ```
/// use npyfeed_array::F8E5M2;
/// assert_eq!(F8E5M2::from_bits(0x7B).to_f32(), 57344.0); // the greatest
/// assert_eq!(F8E5M2::from_bits(0xFC).to_f32(), f32::NEG_INFINITY);
/// ```
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub struct F8E5M2(u8);

impl F8E4M3 {
    /// The element whose byte is `bits`.
    pub const fn from_bits(bits: u8) -> F8E4M3 {
        F8E4M3(bits)
    }

    /// The same number; a NaN keeps its sign and has the bits that PyTorch gives it.
    pub fn to_f32(self) -> f32 {
        const SIGN: u32 = 1 << 31;
        const NAN: u32 = 0x7FF0_0000;
        let sign = u32::from(self.0) << 24 & SIGN;
        let magnitude = self.0 & 0x7F;
        let bits = match (u32::from(magnitude) >> 3, magnitude & 7) {
            (0, fraction) => (f32::from(fraction) / 512.0).to_bits(),
            (15, 7) => NAN,
            // The exponent's bias is 127 in f32; its fraction is 20 bits longer.
            (exponent, fraction) => (exponent + 127 - 7) << 23 | u32::from(fraction) << 20,
        };
        f32::from_bits(sign | bits)
    }
}

impl F8E5M2 {
    /// The element whose byte is `bits`.
    pub const fn from_bits(bits: u8) -> F8E5M2 {
        F8E5M2(bits)
    }

    /// The same number; a NaN keeps its sign and payload, and is quiet.
    pub fn to_f32(self) -> f32 {
        f16::from_bits(u16::from(self.0) << 8).to_f32()
    }
}

impl From<F8E4M3> for f32 {
    fn from(element: F8E4M3) -> f32 {
        element.to_f32()
    }
}

impl From<F8E5M2> for f32 {
    fn from(element: F8E5M2) -> f32 {
        element.to_f32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number by the definition in the specification's own terms: sign · 2^exponent · significand.
    fn by_definition(byte: u8, fraction_bits: i32, bias: i32) -> f64 {
        let sign = if byte >> 7 == 1 { -1.0 } else { 1.0 };
        let fraction = f64::from(byte & ((1 << fraction_bits) - 1)) * 2.0_f64.powi(-fraction_bits);
        match i32::from(byte & 0x7F) >> fraction_bits {
            0 => sign * 2.0_f64.powi(1 - bias) * fraction,
            exponent => sign * 2.0_f64.powi(exponent - bias) * (1.0 + fraction),
        }
    }

    #[test]
    fn every_e4m3_is_the_number_of_the_specification() {
        for byte in 0..=u8::MAX {
            let found = F8E4M3::from_bits(byte).to_f32();
            assert_eq!(found.is_sign_negative(), byte >= 0x80, "{byte:#x}");
            if byte & 0x7F == 0x7F {
                assert!(found.is_nan(), "{byte:#x}");
            } else {
                assert_eq!(f64::from(found).to_bits(), by_definition(byte, 3, 7).to_bits(), "{byte:#x}");
            }
        }
    }

    #[test]
    fn every_e5m2_is_the_number_of_the_specification() {
        for byte in 0..=u8::MAX {
            let found = F8E5M2::from_bits(byte).to_f32();
            assert_eq!(found.is_sign_negative(), byte >= 0x80, "{byte:#x}");
            match byte & 0x7F {
                0x7C => assert!(found.is_infinite(), "{byte:#x}"),
                0x7D..=0x7F => assert!(found.is_nan(), "{byte:#x}"),
                _ => {
                    assert_eq!(f64::from(found).to_bits(), by_definition(byte, 2, 15).to_bits(), "{byte:#x}");
                }
            }
        }
    }
}
