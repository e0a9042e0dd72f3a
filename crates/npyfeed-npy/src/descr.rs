//! What one element of a file is, in all the forms that NumPy writes.

use std::fmt::{self, Display, Formatter};

use npyfeed_array::{ByteOrder, Dtype};

use crate::error::excerpt;
use crate::unsupported::UnsupportedDescr;

/// What one element is: `numpy.dtype.descr`, with its byte order.
///
/// [`Number`](Descr::Number) is what npyfeed computes with. The others are NumPy's to compute with, or say enough
/// for a precise refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Descr {
    /// A number: `<f4`, `|u1`, `|b1`, `<c8`. For one byte, the order is [`ByteOrder::NATIVE`].
    Number {
        /// What kind of number.
        dtype: Dtype,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A float of a size that [`Dtype`] lacks: 12 or 16 bytes, a C `long double`, `<f16`.
    Float {
        /// The size in bytes.
        item_bytes: usize,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A real and an imaginary float of a size that [`Dtype`] lacks (two C `long double`): `<c32`.
    Complex {
        /// The size of both together in bytes.
        item_bytes: usize,
        /// The order of the bytes of each.
        byte_order: ByteOrder,
    },
    /// Text of a fixed number of characters, 4 bytes each: `<U5`.
    Text {
        /// How many characters.
        characters: usize,
        /// The order of the bytes of each character.
        byte_order: ByteOrder,
    },
    /// A byte string of a fixed size: `|S3`.
    Bytes {
        /// The size in bytes.
        item_bytes: usize,
    },
    /// Bytes without a meaning: `|V8`.
    Void {
        /// The size in bytes.
        item_bytes: usize,
        /// Stated only by types that NumPy does not know itself: `<V2` is how bfloat16 is saved, `<V1`
        /// how `float8_e4m3fn` and its like are.
        byte_order: Option<ByteOrder>,
    },
    /// A point in time, a signed 64-bit count of units since 1970: `<M8[ns]`.
    Datetime {
        /// The unit.
        unit: TimeUnit,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A span of time, a signed 64-bit count of units: `<m8[s]`.
    Timedelta {
        /// The unit.
        unit: TimeUnit,
        /// The order of its bytes.
        byte_order: ByteOrder,
    },
    /// A Python object, `|O`. The data of such a file is a pickle, whatever its shape says.
    Object,
    /// Named fields one after the other: `[('a', '<f4'), ('b', '|u1', (2, 3))]`.
    Record {
        /// The fields, padding included, in the order of memory.
        fields: Vec<Field>,
        /// Their sizes added up, in bytes.
        item_bytes: usize,
    },
    /// An array as an element: the `(2, 3)` of a field, or `('<f4', (2, 3))`.
    Subarray {
        /// What one element of that array is.
        element: Box<Descr>,
        /// Its shape; always in C order.
        shape: Box<[usize]>,
        /// Its size in bytes.
        item_bytes: usize,
    },
}

/// One field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name. Bytes that only pad have the empty name.
    pub name: Box<str>,
    /// A second name, which NumPy calls the title.
    pub title: Option<Box<str>>,
    /// What the field holds.
    pub descr: Descr,
}

/// The unit of a date or a span of time: `[25s]` is 25 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeUnit {
    /// How many of `name` one unit is.
    pub count: usize,
    /// One of [`TimeUnit::NAMES`], or that of [`TimeUnit::GENERIC`].
    pub name: &'static str,
}

impl TimeUnit {
    /// Year, month, week, day, hour, minute, second, and down to attoseconds, as NumPy abbreviates them.
    pub const NAMES: [&'static str; 13] =
        ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"];

    /// What NumPy calls no unit at all: `<M8`.
    pub const GENERIC: TimeUnit = TimeUnit { count: 1, name: "generic" };
}

impl Display for TimeUnit {
    /// As it stands in a type string: `[25s]`, or nothing for no unit.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            TimeUnit::GENERIC => Ok(()),
            TimeUnit { count: 1, name } => write!(f, "[{name}]"),
            TimeUnit { count, name } => write!(f, "[{count}{name}]"),
        }
    }
}

impl Descr {
    /// The size of one element in bytes: `numpy.dtype.itemsize` on a 64-bit machine. At most
    /// [`MAX_ITEM_BYTES`](crate::MAX_ITEM_BYTES) if it was parsed.
    pub fn item_bytes(&self) -> usize {
        match self {
            Descr::Number { dtype, .. } => dtype.item_bytes(),
            Descr::Text { characters, .. } => characters * 4,
            Descr::Datetime { .. } | Descr::Timedelta { .. } | Descr::Object => 8,
            Descr::Float { item_bytes, .. }
            | Descr::Complex { item_bytes, .. }
            | Descr::Bytes { item_bytes }
            | Descr::Void { item_bytes, .. }
            | Descr::Record { item_bytes, .. }
            | Descr::Subarray { item_bytes, .. } => *item_bytes,
        }
    }

    /// Whether a Python object hides anywhere in an element, so that the data of the file is a pickle.
    pub fn contains_object(&self) -> bool {
        match self {
            Descr::Object => true,
            Descr::Record { fields, .. } => fields.iter().any(|field| field.descr.contains_object()),
            Descr::Subarray { element, .. } => element.contains_object(),
            Descr::Number { .. }
            | Descr::Float { .. }
            | Descr::Complex { .. }
            | Descr::Text { .. }
            | Descr::Bytes { .. }
            | Descr::Void { .. }
            | Descr::Datetime { .. }
            | Descr::Timedelta { .. } => false,
        }
    }

    /// The field called `name`, or titled so, and where it starts in an element, in bytes.
    ///
    /// ```
    /// use npyfeed_array::MemoryOrder;
    /// use npyfeed_npy::{Header, Limits, header_bytes_of_descr};
    ///
    /// let file = header_bytes_of_descr("[('x', '<f4'), ('y', '|u1', (2,))]", MemoryOrder::C, &[9])?;
    /// let header = Header::parse(&file, &Limits::DEFAULT)?;
    /// let (offset_bytes, field) = header.descr().field("y").unwrap();
    /// assert_eq!((offset_bytes, field.descr.item_bytes()), (4, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        let mut offset_bytes = 0;
        for field in self.fields() {
            if !name.is_empty() && (&*field.name == name || field.title.as_deref() == Some(name)) {
                return Some((offset_bytes, field));
            }
            offset_bytes += field.descr.item_bytes();
        }
        None
    }

    /// The fields, padding included, in the order of memory. None if an element is no record.
    pub fn fields(&self) -> &[Field] {
        if let Descr::Record { fields, .. } = self { fields } else { &[] }
    }

    /// What an element is an array of, and its shape; itself, without axes, if it is none.
    pub fn flattened(&self) -> (&Descr, Vec<usize>) {
        let Descr::Subarray { element, shape, .. } = self else { return (self, Vec::new()) };
        let (element, inner) = element.flattened();
        (element, [shape, &inner[..]].concat())
    }

    /// The dtype and byte order, if an element is a number.
    ///
    /// ```
    /// use npyfeed_array::{ByteOrder, Dtype};
    /// use npyfeed_npy::Descr;
    ///
    /// let number = Descr::Number { dtype: Dtype::I16, byte_order: ByteOrder::Big };
    /// assert_eq!(number.number(), Ok((Dtype::I16, ByteOrder::Big)));
    /// assert!(Descr::Bytes { item_bytes: 3 }.number().is_err());
    /// ```
    ///
    /// # Errors
    /// [`UnsupportedDescr`], which says what the elements are and how to save them as numbers.
    pub fn number(&self) -> Result<(Dtype, ByteOrder), UnsupportedDescr> {
        let Descr::Number { dtype, byte_order } = self else {
            return Err(UnsupportedDescr { descr: self.clone() });
        };
        Ok((*dtype, *byte_order))
    }
}

/// How many field names a message repeats.
const FIELDS_SHOWN: usize = 8;

impl Display for Descr {
    /// In words that follow "elements that are".
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Descr::Number { dtype, byte_order: ByteOrder::Big } if dtype.item_bytes() > 1 => {
                write!(f, "big-endian {dtype}")
            }
            Descr::Number { dtype, .. } => write!(f, "{dtype}"),
            Descr::Float { item_bytes, .. } => write!(f, "float{}", item_bytes * 8),
            Descr::Complex { item_bytes, .. } => write!(f, "complex{}", item_bytes * 8),
            Descr::Text { characters, .. } => write!(f, "text of {characters} characters"),
            Descr::Bytes { item_bytes } => write!(f, "byte strings of {item_bytes} bytes"),
            Descr::Void { item_bytes, .. } => write!(f, "raw data of {item_bytes} bytes"),
            Descr::Datetime { unit, .. } => write!(f, "datetime64{unit}"),
            Descr::Timedelta { unit, .. } => write!(f, "timedelta64{unit}"),
            Descr::Object => f.write_str("Python objects"),
            Descr::Record { fields, .. } => write_fields(f, fields),
            Descr::Subarray { element, .. } => write!(f, "arrays of {element}"),
        }
    }
}

fn write_fields(f: &mut Formatter<'_>, fields: &[Field]) -> fmt::Result {
    let names: Vec<String> = fields.iter().take(FIELDS_SHOWN).map(|field| excerpt(&field.name)).collect();
    write!(f, "records of the fields {}", names.join(", "))?;
    match fields.len().saturating_sub(FIELDS_SHOWN) {
        0 => Ok(()),
        unnamed => write!(f, " and {unnamed} more"),
    }
}
