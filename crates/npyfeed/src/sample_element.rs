//! What the samples of a growing file are made of: its size, and the header that names it.

use npyfeed_array::{ByteOrder, Dtype, MemoryOrder};
use npyfeed_npy::{header_bytes, header_bytes_of_descr};

/// What one element of a sample is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleElement {
    /// A number, in this machine's byte order.
    Number(Dtype),
    /// What only NumPy can name.
    Described {
        /// The `repr` of what `numpy.lib.format.dtype_to_descr` gives.
        descr: Box<str>,
        /// The size of one element.
        item_bytes: usize,
    },
}

impl SampleElement {
    /// The size of a sample; `None` if memory could not hold one.
    pub(crate) fn sample_bytes(&self, sample_shape: &[usize]) -> Option<usize> {
        let item_bytes = match self {
            SampleElement::Number(dtype) => dtype.item_bytes(),
            SampleElement::Described { item_bytes, .. } => *item_bytes,
        };
        // As NumPy does, an axis of length 0 does not excuse the others.
        let at_most =
            sample_shape.iter().try_fold(item_bytes, |bytes, &length| bytes.checked_mul(length.max(1)))?;
        let fits = isize::try_from(at_most).is_ok();
        fits.then(|| if sample_shape.contains(&0) { 0 } else { at_most })
    }

    /// The header of a file of so many samples: of one size for every count.
    pub(crate) fn header(&self, sample_count: usize, sample_shape: &[usize]) -> Result<Vec<u8>, String> {
        let shape = [&[sample_count], sample_shape].concat();
        match self {
            SampleElement::Number(dtype) => {
                header_bytes(*dtype, ByteOrder::NATIVE, MemoryOrder::C, &shape).map_err(|why| why.to_string())
            }
            SampleElement::Described { descr, .. } => {
                header_bytes_of_descr(descr, MemoryOrder::C, &shape).map_err(|why| why.to_string())
            }
        }
    }
}
