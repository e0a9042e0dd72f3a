//! What one element is: the dtype, the byte order, and the Rust types that stand for them.

use half::{bf16, f16};
use num_complex::Complex;

/// The type of one element, without its byte order.
///
/// The names are NumPy's (`numpy.dtype(...).name`); `bfloat16`, which NumPy lacks, has the name that
/// PyTorch, JAX and `ml_dtypes` share.
///
/// ```
/// use npyfeed_array::Dtype;
/// assert_eq!("float32".parse(), Ok(Dtype::F32));
/// assert_eq!(Dtype::F32.item_bytes(), 4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// One byte, 0 or 1.
    Bool,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// Two binary32: the real part, then the imaginary.
    C64,
    /// Two binary64: the real part, then the imaginary.
    C128,
}

impl Dtype {
    /// Every dtype: bool, signed, unsigned, float, complex.
    pub const ALL: [Dtype; 15] = [
        Dtype::Bool,
        Dtype::I8,
        Dtype::I16,
        Dtype::I32,
        Dtype::I64,
        Dtype::U8,
        Dtype::U16,
        Dtype::U32,
        Dtype::U64,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::F32,
        Dtype::F64,
        Dtype::C64,
        Dtype::C128,
    ];

    /// The size of one element in bytes.
    pub const fn item_bytes(self) -> usize {
        match self {
            Dtype::Bool | Dtype::I8 | Dtype::U8 => 1,
            Dtype::I16 | Dtype::U16 | Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::I32 | Dtype::U32 | Dtype::F32 => 4,
            Dtype::I64 | Dtype::U64 | Dtype::F64 | Dtype::C64 => 8,
            Dtype::C128 => 16,
        }
    }

    /// The name users type and read: `"uint8"`, `"float32"`, `"bfloat16"`.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::Bool => "bool",
            Dtype::I8 => "int8",
            Dtype::I16 => "int16",
            Dtype::I32 => "int32",
            Dtype::I64 => "int64",
            Dtype::U8 => "uint8",
            Dtype::U16 => "uint16",
            Dtype::U32 => "uint32",
            Dtype::U64 => "uint64",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
            Dtype::C64 => "complex64",
            Dtype::C128 => "complex128",
        }
    }

    /// The size of what byte order is about: an element, or each of the two parts of a complex one.
    pub const fn swapped_bytes(self) -> usize {
        if self.is_complex() { self.item_bytes() / 2 } else { self.item_bytes() }
    }

    /// Whether elements have a real and an imaginary part.
    pub const fn is_complex(self) -> bool {
        matches!(self, Dtype::C64 | Dtype::C128)
    }

    /// Whether every integer of this dtype is one of `other`. Never for bool and floats.
    ///
    /// ```
    /// use npyfeed_array::Dtype;
    /// assert!(Dtype::U8.widens_to(Dtype::I16));
    /// assert!(!Dtype::I8.widens_to(Dtype::U64));
    /// ```
    pub fn widens_to(self, other: Dtype) -> bool {
        match (self.integer_range(), other.integer_range()) {
            (Some((low, high)), Some((other_low, other_high))) => other_low <= low && high <= other_high,
            (_, None) | (None, _) => false,
        }
    }

    /// The least and the greatest integer; `None` for bool, which nothing widens to, and for floats.
    fn integer_range(self) -> Option<(i128, i128)> {
        match self {
            Dtype::I8 => Some((i8::MIN.into(), i8::MAX.into())),
            Dtype::I16 => Some((i16::MIN.into(), i16::MAX.into())),
            Dtype::I32 => Some((i32::MIN.into(), i32::MAX.into())),
            Dtype::I64 => Some((i64::MIN.into(), i64::MAX.into())),
            Dtype::U8 => Some((u8::MIN.into(), u8::MAX.into())),
            Dtype::U16 => Some((u16::MIN.into(), u16::MAX.into())),
            Dtype::U32 => Some((u32::MIN.into(), u32::MAX.into())),
            Dtype::U64 => Some((u64::MIN.into(), u64::MAX.into())),
            Dtype::Bool | Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 | Dtype::C64 | Dtype::C128 => {
                None
            }
        }
    }

    /// Whether elements are integers; bool is none.
    pub fn is_integer(self) -> bool {
        self.integer_range().is_some()
    }

    /// Whether NumPy has no such dtype, and the elements are raw bytes to it.
    pub const fn is_unknown_to_numpy(self) -> bool {
        matches!(self, Dtype::Bf16)
    }

    /// Whether elements are floating-point numbers. Complex ones are not.
    pub const fn is_float(self) -> bool {
        match self {
            Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64 => true,
            Dtype::Bool
            | Dtype::I8
            | Dtype::I16
            | Dtype::I32
            | Dtype::I64
            | Dtype::U8
            | Dtype::U16
            | Dtype::U32
            | Dtype::U64
            | Dtype::C64
            | Dtype::C128 => false,
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(name: &str) -> Result<Self, UnknownDtype> {
        let found = Dtype::ALL.into_iter().find(|dtype| dtype.name() == name);
        found.ok_or_else(|| UnknownDtype(name.to_owned()))
    }
}

/// A dtype name that is not in [`Dtype::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown dtype '{0}', expected one of bool, int8 to int64, uint8 to uint64, float16, bfloat16, float32, \
     float64, complex64, complex128"
)]
pub struct UnknownDtype(pub String);

/// Which byte of an element comes first in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The least significant byte first (x86, ARM; `<` in NumPy).
    Little,
    /// The most significant byte first (`>` in NumPy).
    Big,
}

impl ByteOrder {
    /// The byte order of the machine this runs on.
    pub const NATIVE: ByteOrder =
        if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };

    /// The one that is not [`NATIVE`](ByteOrder::NATIVE).
    pub const OTHER: ByteOrder = if cfg!(target_endian = "big") { ByteOrder::Little } else { ByteOrder::Big };
}

/// A Rust type that stands for a [`Dtype`] in memory, bit for bit.
///
/// `bool` is missing on purpose: a byte that is neither 0 nor 1 is a legal element of a file and an
/// illegal `bool`. Elements of [`Dtype::Bool`] are read as `u8`.
pub trait Element: bytemuck::Pod {
    /// The dtype whose elements have this type.
    const DTYPE: Dtype;
}

macro_rules! elements {
    ($($element:ty => $dtype:ident),* $(,)?) => {
        $(impl Element for $element { const DTYPE: Dtype = Dtype::$dtype; })*
    };
}

elements! {
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64, Complex<f32> => C64, Complex<f64> => C128,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_to_its_dtype() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
        }
        assert_eq!("float128".parse::<Dtype>(), Err(UnknownDtype("float128".into())));
    }

    #[test]
    fn every_element_type_has_the_size_of_its_dtype() {
        fn check<T: Element>() {
            assert_eq!(size_of::<T>(), T::DTYPE.item_bytes(), "{}", T::DTYPE);
        }
        check::<i8>();
        check::<i16>();
        check::<i32>();
        check::<i64>();
        check::<u8>();
        check::<u16>();
        check::<u32>();
        check::<u64>();
        check::<f16>();
        check::<bf16>();
        check::<f32>();
        check::<f64>();
        check::<Complex<f32>>();
        check::<Complex<f64>>();
    }
}
