//! What elements can be taken for: by NumPy as they are, or as numbers that the file has no name for.
//!
//! NumPy has no bfloat16 and no float8. Who saves them saves raw bytes (`ml_dtypes`), or integers of the same
//! size (`tensor.view(torch.int16)`), and has to say so again when the file is opened. Dates are counts.

use npyfeed_array::{ByteOrder, Dtype};

use crate::descr::Descr;
use crate::unsupported::UnsupportedDescr;

/// Elements were asked for as something that their bytes are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected elements that are {} to be read as {dtype}, found {descr}: this option says what the bytes are and \
     converts nothing (a cast is the transform ToDtype)",
    suitable(*dtype)
)]
pub struct CannotReadAs {
    /// What the elements are.
    pub descr: Descr,
    /// What they were to be.
    pub dtype: Dtype,
}

impl Descr {
    /// The same elements as numbers of `dtype`, whose bytes they hold under another name: raw bytes of its
    /// size; integers of its size for bfloat16 and float8, which NumPy lacks; dates and spans of time as int64.
    ///
    /// ```
    /// use npyfeed_array::{ByteOrder, Dtype};
    /// use npyfeed_npy::Descr;
    ///
    /// let raw = Descr::Void { item_bytes: 2, byte_order: Some(ByteOrder::Little) };
    /// let number = Descr::Number { dtype: Dtype::Bf16, byte_order: ByteOrder::Little };
    /// assert_eq!(raw.read_as(Dtype::Bf16), Ok(number));
    /// assert!(raw.read_as(Dtype::F32).is_err());
    /// ```
    ///
    /// # Errors
    /// [`CannotReadAs`] for all else: nothing is converted.
    pub fn read_as(&self, dtype: Dtype) -> Result<Descr, CannotReadAs> {
        let refusal = || CannotReadAs { descr: self.clone(), dtype };
        self.byte_order_as(dtype).map(|byte_order| Descr::Number { dtype, byte_order }).ok_or_else(refusal)
    }

    /// The byte order that the elements have as `dtype`, if they can be it.
    fn byte_order_as(&self, dtype: Dtype) -> Option<ByteOrder> {
        match self {
            Descr::Number { dtype: own, byte_order } => {
                let is_stand_in = own.is_integer() && dtype.is_unknown_to_numpy();
                (*own == dtype || is_stand_in && own.item_bytes() == dtype.item_bytes())
                    .then_some(*byte_order)
            }
            Descr::Void { item_bytes, byte_order } => {
                (*item_bytes == dtype.item_bytes()).then_some(byte_order.unwrap_or(ByteOrder::NATIVE))
            }
            Descr::Float { item_bytes, byte_order } => {
                (*item_bytes == dtype.item_bytes() && dtype.is_unknown_to_numpy()).then_some(*byte_order)
            }
            Descr::Datetime { byte_order, .. } | Descr::Timedelta { byte_order, .. } => {
                (dtype == Dtype::I64).then_some(*byte_order)
            }
            Descr::Complex { .. }
            | Descr::Text { .. }
            | Descr::Bytes { .. }
            | Descr::Object
            | Descr::Record { .. }
            | Descr::Subarray { .. } => None,
        }
    }

    /// Whether NumPy has a dtype for the elements on every machine, without pickle.
    ///
    /// # Errors
    /// [`UnsupportedDescr`] for Python objects, for floats of a C `long double`, whose bytes mean something
    /// else on another machine, and for float8 and whole arrays as elements, which NumPy reads as no such thing.
    pub fn check_readable(&self) -> Result<(), UnsupportedDescr> {
        let refusal = || Err(UnsupportedDescr { descr: self.clone() });
        match self {
            Descr::Object | Descr::Float { .. } | Descr::Complex { .. } | Descr::Subarray { .. } => refusal(),
            Descr::Record { fields, .. } => {
                fields.iter().try_for_each(|field| field.descr.flattened().0.check_readable())
            }
            Descr::Number { .. }
            | Descr::Text { .. }
            | Descr::Bytes { .. }
            | Descr::Void { .. }
            | Descr::Datetime { .. }
            | Descr::Timedelta { .. } => Ok(()),
        }
    }
}

fn suitable(dtype: Dtype) -> String {
    let size = dtype.item_bytes();
    if dtype.is_unknown_to_numpy() {
        return format!("raw data or integers of {size} bytes");
    }
    if dtype == Dtype::I64 {
        return "int64, raw data of 8 bytes, datetime64 or timedelta64".to_owned();
    }
    format!("{dtype} or raw data of {size} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descr::{Field, TimeUnit};

    const BIG: ByteOrder = ByteOrder::Big;

    fn number(dtype: Dtype) -> Descr {
        Descr::Number { dtype, byte_order: BIG }
    }

    #[test]
    fn bytes_are_read_as_what_they_hold_and_never_converted() {
        let raw = Descr::Void { item_bytes: 4, byte_order: Some(BIG) };
        let date = Descr::Datetime { unit: TimeUnit::GENERIC, byte_order: BIG };
        assert_eq!(raw.read_as(Dtype::F32), Ok(number(Dtype::F32)));
        assert_eq!(date.read_as(Dtype::I64), Ok(number(Dtype::I64)));
        for stand_in in [Dtype::I16, Dtype::U16, Dtype::Bf16] {
            assert_eq!(number(stand_in).read_as(Dtype::Bf16), Ok(number(Dtype::Bf16)), "{stand_in}");
        }
        let text = Descr::Text { characters: 1, byte_order: BIG };
        for (descr, dtype) in [
            (raw, Dtype::F64),
            (date, Dtype::F64),
            (number(Dtype::F16), Dtype::Bf16),
            (number(Dtype::U8), Dtype::Bf16),
            (number(Dtype::I16), Dtype::U16),
            (text, Dtype::I32),
            (Descr::Object, Dtype::I64),
        ] {
            let refusal = descr.read_as(dtype).unwrap_err().to_string();
            assert!(refusal.contains("converts nothing"), "{refusal}");
        }
    }

    #[test]
    fn what_hides_in_a_record_is_found() {
        let record = |descr: Descr| {
            let element = Box::new(Descr::Record {
                item_bytes: descr.item_bytes(),
                fields: vec![Field { name: "inner".into(), title: None, descr }],
            });
            let item_bytes = 2 * element.item_bytes();
            let descr = Descr::Subarray { element, shape: [2].into(), item_bytes };
            Descr::Record { item_bytes, fields: vec![Field { name: "outer".into(), title: None, descr }] }
        };
        assert_eq!(record(Descr::Bytes { item_bytes: 3 }).check_readable(), Ok(()));
        let long_double = Descr::Float { item_bytes: 16, byte_order: ByteOrder::NATIVE };
        for hidden in [Descr::Object, long_double] {
            assert_eq!(record(hidden.clone()).check_readable(), Err(UnsupportedDescr { descr: hidden }));
        }
    }
}
