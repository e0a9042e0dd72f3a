//! What one element is: the dtype, the byte order, and the Rust types that stand for them.

use half::{bf16, f16};
use num_complex::Complex;

use crate::float8::{F8E4M3, F8E5M2};

/// Makes [`Dtype`] and what every other question about a dtype is answered from, out of one row a dtype.
///
/// `=` in a column means: the dtype's own name. `-` means: there is no such thing.
macro_rules! dtypes {
    ($(
        $(#[$says:meta])*
        $dtype:ident $name:literal $item_bytes:literal $kind:ident $type_string:literal $numpy:tt
            [$torch:tt $tensorflow:tt $jax:tt $candle:tt $burn:tt]
    )*) => {
        /// The type of one element, without its byte order.
        ///
        /// The names are NumPy's (`numpy.dtype(...).name`); `bfloat16` and the 8-bit floats, which NumPy
        /// lacks, have the names that PyTorch, JAX and `ml_dtypes` share.
        ///
        /// ```
        /// use npyfeed_array::Dtype;
        /// assert_eq!("float32".parse(), Ok(Dtype::F32));
        /// assert_eq!(Dtype::F32.item_bytes(), 4);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Dtype {
            $($(#[$says])* $dtype,)*
        }

        impl Dtype {
            /// Every dtype: bool, signed, unsigned, float, complex.
            pub const ALL: [Dtype; ROWS.len()] = [$(Dtype::$dtype),*];
        }

        /// The table, in the order of [`Dtype::ALL`].
        const ROWS: &[Row] = &[$(Row {
            name: $name,
            item_bytes: $item_bytes,
            kind: Kind::$kind,
            type_string: $type_string,
            numpy_dtype: numpy_dtype!($dtype $numpy),
            // In the order of `Framework`.
            frameworks: [
                column!($name $torch),
                column!($name $tensorflow),
                column!($name $jax),
                column!($name $candle),
                column!($name $burn),
            ],
        }),*];
    };
}

/// One dtype, in all that is known of it.
struct Row {
    name: &'static str,
    item_bytes: usize,
    kind: Kind,
    type_string: &'static str,
    numpy_dtype: Dtype,
    frameworks: [Option<&'static str>; Framework::ALL.len()],
}

macro_rules! column {
    ($name:literal =) => {
        Some($name)
    };
    ($name:literal -) => {
        None
    };
    ($name:literal $other:literal) => {
        Some($other)
    };
}

macro_rules! numpy_dtype {
    ($dtype:ident =) => {
        Dtype::$dtype
    };
    ($dtype:ident $bits:ident) => {
        Dtype::$bits
    };
}

// Type strings are what `numpy.save` writes of little-endian elements, those of the dtypes that NumPy lacks
// what it writes with `ml_dtypes` 0.6.0. "NumPy" is how elements are handed to it: as what they are (=), or as
// their bits. Looked at for the rest: PyTorch 2.15, TensorFlow 2.21, JAX 0.10.2 with its `jax_enable_x64`, which
// `python/tests/test_formats_page.py` asks again; candle-core 0.11.1 and burn-std 0.22.1 (`DType` in both).
dtypes! {
    // variant, name, bytes, kind, type string, NumPy, [PyTorch, TensorFlow, JAX, candle, burn]

    /// One byte, 0 or 1.
    Bool   "bool"            1 Bool     "|b1"  =   [= = = -        "Bool"]
    /// Signed, 8 bits.
    I8     "int8"            1 Signed   "|i1"  =   [= = = -        "I8"  ]
    /// Signed, 16 bits.
    I16    "int16"           2 Signed   "<i2"  =   [= = = "I16"    "I16" ]
    /// Signed, 32 bits.
    I32    "int32"           4 Signed   "<i4"  =   [= = = "I32"    "I32" ]
    /// Signed, 64 bits.
    I64    "int64"           8 Signed   "<i8"  =   [= = = "I64"    "I64" ]
    /// Unsigned, 8 bits.
    U8     "uint8"           1 Unsigned "|u1"  =   [= = = "U8"     "U8"  ]
    /// Unsigned, 16 bits.
    U16    "uint16"          2 Unsigned "<u2"  =   [= = = -        "U16" ]
    /// Unsigned, 32 bits.
    U32    "uint32"          4 Unsigned "<u4"  =   [= = = "U32"    "U32" ]
    /// Unsigned, 64 bits.
    U64    "uint64"          8 Unsigned "<u8"  =   [= = = -        "U64" ]
    /// 8 bits, 4 of them exponent, without infinities: E4M3 of the OCP 8-bit floating point specification.
    F8E4M3 "float8_e4m3fn"   1 Float    "<V1"  U8  [= = = "F8E4M3" -     ]
    /// 8 bits, 5 of them exponent: the upper half of a binary16, E5M2 of the same specification.
    F8E5M2 "float8_e5m2"     1 Float    "<f1"  U8  [= = = -        -     ]
    /// IEEE 754 binary16.
    F16    "float16"         2 Float    "<f2"  =   [= = = "F16"    "F16" ]
    /// The upper half of a binary32.
    Bf16   "bfloat16"        2 Float    "<V2"  U16 [= = = "BF16"   "BF16"]
    /// IEEE 754 binary32.
    F32    "float32"         4 Float    "<f4"  =   [= = = "F32"    "F32" ]
    /// IEEE 754 binary64.
    F64    "float64"         8 Float    "<f8"  =   [= = = "F64"    "F64" ]
    /// Two binary32: the real part, then the imaginary.
    C64    "complex64"       8 Complex  "<c8"  =   [= = = -        -     ]
    /// Two binary64: the real part, then the imaginary.
    C128   "complex128"     16 Complex  "<c16" =   [= = = -        -     ]
}

/// What kind of number an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// True or false.
    Bool,
    /// An integer with a sign.
    Signed,
    /// An integer from 0 on.
    Unsigned,
    /// A floating-point number.
    Float,
    /// A real and an imaginary part.
    Complex,
}

/// A library whose tensors npyfeed's elements become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framework {
    /// PyTorch: `torch.dtype`.
    Torch,
    /// TensorFlow: `tf.dtypes.DType`.
    TensorFlow,
    /// JAX: the dtypes of `jax.numpy`. Those of 64-bit numbers need `jax_enable_x64`.
    Jax,
    /// `candle_core::DType`.
    Candle,
    /// `burn::tensor::DType`.
    Burn,
}

impl Framework {
    /// Every one.
    pub const ALL: [Framework; 5] =
        [Framework::Torch, Framework::TensorFlow, Framework::Jax, Framework::Candle, Framework::Burn];

    /// The name as its makers write it.
    pub const fn name(self) -> &'static str {
        match self {
            Framework::Torch => "PyTorch",
            Framework::TensorFlow => "TensorFlow",
            Framework::Jax => "JAX",
            Framework::Candle => "candle",
            Framework::Burn => "burn",
        }
    }
}

impl Dtype {
    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The size of one element in bytes.
    pub const fn item_bytes(self) -> usize {
        self.row().item_bytes
    }

    /// The name users type and read: `"uint8"`, `"float32"`, `"bfloat16"`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// What kind of number an element is.
    pub const fn kind(self) -> Kind {
        self.row().kind
    }

    /// What `numpy.save` writes for it, little-endian: `"<f4"`. `"<V1"` and `"<V2"`, which are what
    /// `ml_dtypes` gives it, mean raw bytes to any reader that is not told more.
    pub const fn type_string(self) -> &'static str {
        self.row().type_string
    }

    /// The dtype that NumPy is handed the elements as: this one, or the unsigned integer of its size, for
    /// its bits, if NumPy lacks it.
    ///
    /// ```
    /// use npyfeed_array::Dtype;
    /// assert_eq!(Dtype::F32.numpy_dtype(), Dtype::F32);
    /// assert_eq!(Dtype::Bf16.numpy_dtype(), Dtype::U16);
    /// ```
    #[must_use]
    pub const fn numpy_dtype(self) -> Dtype {
        self.row().numpy_dtype
    }

    /// Whether NumPy has no such dtype, and the elements are raw bytes to it.
    pub const fn is_unknown_to_numpy(self) -> bool {
        self.numpy_dtype() as usize != self as usize
    }

    /// The dtype it becomes there, by the name it has there; `None` if there is none.
    ///
    /// ```
    /// use npyfeed_array::{Dtype, Framework};
    /// assert_eq!(Dtype::Bf16.name_in(Framework::Torch), Some("bfloat16"));
    /// assert_eq!(Dtype::Bf16.name_in(Framework::Candle), Some("BF16"));
    /// assert_eq!(Dtype::C64.name_in(Framework::Candle), None);
    /// ```
    pub const fn name_in(self, framework: Framework) -> Option<&'static str> {
        self.row().frameworks[framework as usize]
    }

    /// The size of what byte order is about: an element, or each of the two parts of a complex one.
    pub const fn swapped_bytes(self) -> usize {
        if self.is_complex() { self.item_bytes() / 2 } else { self.item_bytes() }
    }

    /// Whether elements have a real and an imaginary part.
    pub const fn is_complex(self) -> bool {
        matches!(self.kind(), Kind::Complex)
    }

    /// Whether elements are integers; bool is none.
    pub const fn is_integer(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }

    /// Whether elements are floating-point numbers. Complex ones are not.
    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    /// Whether arithmetic and casts may round their results to it: floats of 16 bits and more. 8-bit floats
    /// are how numbers are stored; they are widened before anything is computed.
    pub const fn holds_results(self) -> bool {
        self.is_float() && self.item_bytes() > 1
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
    ///
    /// ```
    /// assert_eq!(npyfeed_array::Dtype::I8.integer_range(), Some((-128, 127)));
    /// ```
    pub const fn integer_range(self) -> Option<(i128, i128)> {
        let bits = 8 * self.item_bytes();
        match self.kind() {
            Kind::Signed => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
            Kind::Unsigned => Some((0, (1 << bits) - 1)),
            Kind::Bool | Kind::Float | Kind::Complex => None,
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
#[error("unknown dtype '{0}', expected one of {list}", list = Dtype::ALL.map(Dtype::name).join(", "))]
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
    F8E4M3 => F8E4M3, F8E5M2 => F8E5M2, f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64,
    Complex<f32> => C64, Complex<f64> => C128,
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
    fn every_row_of_the_table_agrees_with_itself() {
        for (at, dtype) in Dtype::ALL.into_iter().enumerate() {
            assert_eq!(dtype as usize, at, "rows are found by the number of the variant");
            assert!(dtype.type_string().ends_with(&dtype.item_bytes().to_string()), "{dtype}");
            assert_eq!(dtype.numpy_dtype().item_bytes(), dtype.item_bytes(), "{dtype}");
            assert_eq!(
                dtype.numpy_dtype().numpy_dtype(),
                dtype.numpy_dtype(),
                "NumPy has {}",
                dtype.numpy_dtype()
            );
            assert_eq!(dtype.integer_range().is_some(), dtype.widens_to(dtype), "{dtype}");
        }
        for (at, framework) in Framework::ALL.into_iter().enumerate() {
            assert_eq!(framework as usize, at);
        }
        let ranges = [Dtype::I64, Dtype::U8, Dtype::U64].map(Dtype::integer_range);
        let expected = [(i64::MIN.into(), i64::MAX.into()), (0, 255), (0, u64::MAX.into())].map(Some);
        assert_eq!(ranges, expected);
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
        check::<F8E4M3>();
        check::<F8E5M2>();
        check::<f16>();
        check::<bf16>();
        check::<f32>();
        check::<f64>();
        check::<Complex<f32>>();
        check::<Complex<f64>>();
    }
}
