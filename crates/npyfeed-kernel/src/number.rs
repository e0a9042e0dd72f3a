//! One element out of bytes, into a register, and back.

use half::{bf16, f16};
use npyfeed_array::{Dtype, Element, F8E4M3, F8E5M2};

use crate::pass::Pass;

/// An element while it is computed with. Every dtype has one register that holds it exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Register {
    /// Integers and bool (0 or 1).
    Whole(i128),
    /// f32 and every narrower float.
    Single(f32),
    /// f64.
    Double(f64),
}

/// An element type, as the loops see it: out of bytes at any address, into the two kinds of float.
pub(crate) trait Number: Element {
    fn to_register(self) -> Register;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;

    /// The element that starts at byte 0 of `bytes`, wherever that lies.
    fn read(bytes: &[u8]) -> Self {
        bytemuck::pod_read_unaligned(&bytes[..size_of::<Self>()])
    }

    /// As `read`, of an element whose bytes are in the other order.
    fn read_swapped(bytes: &[u8]) -> Self {
        let mut element = Self::read(bytes);
        bytemuck::bytes_of_mut(&mut element).reverse();
        element
    }
}

macro_rules! integers {
    ($($element:ty),*) => {$(
        #[allow(clippy::cast_precision_loss, clippy::cast_lossless, reason = "a cast; some types lose nothing")]
        impl Number for $element {
            fn to_register(self) -> Register { Register::Whole(self.into()) }
            fn to_f32(self) -> f32 { self as f32 }
            fn to_f64(self) -> f64 { self as f64 }
        }
    )*};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// An element of [`Dtype::Bool`]: any byte, true unless 0.
#[derive(Clone, Copy, Debug, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(transparent)]
pub(crate) struct Truth(u8);

impl Element for Truth {
    const DTYPE: Dtype = Dtype::Bool;
}

impl Number for Truth {
    fn to_register(self) -> Register {
        Register::Whole(i64::from(self).into())
    }

    fn to_f32(self) -> f32 {
        f32::from(u8::from(self.0 != 0))
    }

    fn to_f64(self) -> f64 {
        f64::from(u8::from(self.0 != 0))
    }
}

impl From<Truth> for i64 {
    fn from(truth: Truth) -> i64 {
        i64::from(truth.0 != 0)
    }
}

macro_rules! singles {
    ($($element:ty),*) => {$(
        impl Number for $element {
            fn to_register(self) -> Register { Register::Single(self.to_f32()) }
            fn to_f32(self) -> f32 { self.into() }
            fn to_f64(self) -> f64 { f64::from(self.to_f32()) }
        }
    )*};
}

singles!(f16, bf16, f32);

macro_rules! widened {
    ($($element:ty),*) => {$(
        impl Number for $element {
            fn to_register(self) -> Register { Register::Single(self.into()) }
            fn to_f32(self) -> f32 { self.into() }
            fn to_f64(self) -> f64 { f32::from(self).into() }
        }
    )*};
}

widened!(F8E4M3, F8E5M2);

impl Number for f64 {
    fn to_register(self) -> Register {
        Register::Double(self)
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the cast means")]
    fn to_f32(self) -> f32 {
        self as f32
    }

    fn to_f64(self) -> f64 {
        self
    }
}

/// `$then`, in which `$element` stands for the Rust type of the elements of `$dtype`.
macro_rules! with_element {
    ($dtype:expr, $element:ident => $then:expr) => {
        with_element!($dtype, $element => $then, Bool Truth, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16,
            U32 u32, U64 u64, F8E4M3 npyfeed_array::F8E4M3, F8E5M2 npyfeed_array::F8E5M2, F16 half::f16,
            Bf16 half::bf16, F32 f32, F64 f64)
    };
    ($dtype:expr, $element:ident => $then:expr, $($known:ident $type:ty),*) => {
        match $dtype {
            $(Dtype::$known => {
                type $element = $type;
                $then
            })*
            Dtype::C64 | Dtype::C128 => unreachable!("a checked pass only moves complex numbers"),
        }
    };
}

pub(crate) use with_element;

impl Register {
    /// The element of a checked pass that starts at byte 0 of `bytes`.
    pub(crate) fn load(pass: &Pass, bytes: &[u8]) -> Register {
        let mut element = [0; 8];
        let element = &mut element[..pass.source.item_bytes()];
        element.copy_from_slice(&bytes[..pass.source.item_bytes()]);
        if pass.is_swapped() {
            element.reverse();
        }
        Register::load_native(pass.source, element)
    }

    fn load_native(dtype: Dtype, bytes: &[u8]) -> Register {
        with_element!(dtype, Element => Element::read(bytes).to_register())
    }

    /// Writes the element as `dtype` over the whole of `bytes`. [`Pass::check`](crate::Pass) has made
    /// sure that an integer fits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to fit")]
    pub(crate) fn store(self, dtype: Dtype, bytes: &mut [u8]) {
        match dtype {
            Dtype::Bool | Dtype::U8 => bytes.copy_from_slice(&(self.whole() as u8).to_ne_bytes()),
            Dtype::I8 => bytes.copy_from_slice(&(self.whole() as i8).to_ne_bytes()),
            Dtype::I16 => bytes.copy_from_slice(&(self.whole() as i16).to_ne_bytes()),
            Dtype::I32 => bytes.copy_from_slice(&(self.whole() as i32).to_ne_bytes()),
            Dtype::I64 => bytes.copy_from_slice(&(self.whole() as i64).to_ne_bytes()),
            Dtype::U16 => bytes.copy_from_slice(&(self.whole() as u16).to_ne_bytes()),
            Dtype::U32 => bytes.copy_from_slice(&(self.whole() as u32).to_ne_bytes()),
            Dtype::U64 => bytes.copy_from_slice(&(self.whole() as u64).to_ne_bytes()),
            Dtype::F16 => bytes.copy_from_slice(&f16::from_f32(self.to_f32()).to_ne_bytes()),
            Dtype::Bf16 => bytes.copy_from_slice(&to_bf16(self.to_f32()).to_ne_bytes()),
            Dtype::F32 => bytes.copy_from_slice(&self.to_f32().to_ne_bytes()),
            Dtype::F64 => bytes.copy_from_slice(&self.to_f64().to_ne_bytes()),
            Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::C64 | Dtype::C128 => {
                unreachable!("a checked pass only moves complex numbers and 8-bit floats")
            }
        }
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a cast")]
    pub(crate) fn to_f32(self) -> f32 {
        match self {
            Register::Whole(x) => x as f32,
            Register::Single(x) => x,
            Register::Double(x) => x as f32,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a cast")]
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            Register::Whole(x) => x as f64,
            Register::Single(x) => x.into(),
            Register::Double(x) => x,
        }
    }

    /// Towards zero; 0 for NaN.
    #[expect(clippy::cast_possible_truncation, reason = "towards zero is what the cast means")]
    pub(crate) fn to_whole(self) -> i128 {
        match self {
            Register::Whole(x) => x,
            Register::Single(x) => x as i128,
            Register::Double(x) => x as i128,
        }
    }

    fn whole(self) -> i128 {
        match self {
            Register::Whole(x) => x,
            Register::Single(_) | Register::Double(_) => {
                unreachable!("a checked pass stores floats as floats")
            }
        }
    }
}

/// `x` rounded to a 16-bit float dtype; any other dtype leaves it alone.
pub(crate) fn round_to(dtype: Dtype, x: f32) -> f32 {
    if dtype == Dtype::F16 {
        f16::from_f32(x).to_f32()
    } else if dtype == Dtype::Bf16 {
        to_bf16(x).to_f32()
    } else {
        x
    }
}

/// Rounded to the nearest, ties to even. Every NaN has the bits that PyTorch gives it when it converts one
/// element at a time; its vector loops give another, and other versions others.
pub(crate) fn to_bf16(x: f32) -> bf16 {
    if x.is_nan() { bf16::NAN } else { bf16::from_f32(x) }
}
