//! The header that NumPy writes.

use npyfeed_array::{ByteOrder, Dtype, MemoryOrder};

use crate::header::{MAGIC, Version};
use crate::limits::MAX_AXES;
use crate::literal::shape_text;
use crate::type_string;

/// The first element lies at a multiple of this: `ARRAY_ALIGN` of `numpy.lib.format`.
const ALIGNMENT_BYTES: usize = 64;

/// Room for the length of the axis that a growing array grows along, in digits:
/// `GROWTH_AXIS_MAX_DIGITS` of `numpy.lib.format`. An appended-to file keeps the size of its header.
const GROWTH_AXIS_MAX_DIGITS: usize = 21;

/// An array has more axes than a file can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot write a header for {axis_count} axes, NumPy reads at most {MAX_AXES}")]
pub struct TooManyAxes {
    /// The axes of the array.
    pub axis_count: usize,
}

/// The header of an .npy file, byte for byte as `numpy.save` writes it; the elements follow at once.
///
/// It has the same size for every length of the first axis of a C-ordered array, so a writer that
/// appends may write it anew in place. An array that lies in both orders is written in C order, as NumPy
/// does: one of at most one axis longer than 1, or an empty one. One byte has no byte order. NumPy has no
/// bfloat16: it is written as `ml_dtypes` does, `<V2`, which parses as [`Descr::Void`](crate::Descr::Void).
///
/// The version is 1.0: no array of [`MAX_AXES`] axes needs a longer header, only records do.
///
/// ```
/// use npyfeed_array::{ByteOrder, Dtype, MemoryOrder};
///
/// let header = npyfeed_npy::header_bytes(Dtype::U8, ByteOrder::Little, MemoryOrder::C, &[60_000, 28, 28])?;
/// let text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), } ";
/// assert!(header[10..].starts_with(text));
/// assert_eq!(header.len(), 128);
/// # Ok::<(), npyfeed_npy::TooManyAxes>(())
/// ```
///
/// # Errors
/// [`TooManyAxes`] if `shape` has more than [`MAX_AXES`].
pub fn header_bytes(
    dtype: Dtype,
    byte_order: ByteOrder,
    memory_order: MemoryOrder,
    shape: &[usize],
) -> Result<Vec<u8>, TooManyAxes> {
    if shape.len() > MAX_AXES {
        return Err(TooManyAxes { axis_count: shape.len() });
    }
    let (is_fortran, growth_axis) = match memory_order {
        MemoryOrder::Fortran if !lies_in_both_orders(shape) => ("True", shape.last()),
        MemoryOrder::Fortran | MemoryOrder::C => ("False", shape.first()),
    };
    let type_string = type_string::of(dtype, byte_order);
    let shape = shape_text(shape);
    let growth_bytes = growth_axis.map_or(0, |length| GROWTH_AXIS_MAX_DIGITS - length.to_string().len());
    let text = format!("{{'descr': '{type_string}', 'fortran_order': {is_fortran}, 'shape': {shape}, }}");
    Ok(wrap(&text, growth_bytes))
}

/// Puts magic, version and length before the text, padding and a line break behind it: at least one
/// space, even where none is needed.
fn wrap(text: &str, growth_bytes: usize) -> Vec<u8> {
    const TEXT_OFFSET: usize = 10;
    let (major, minor) = Version::V1.numbers();
    let unpadded_bytes = TEXT_OFFSET + text.len() + growth_bytes + 1;
    let header_bytes = (unpadded_bytes + 1).next_multiple_of(ALIGNMENT_BYTES);
    let length =
        u16::try_from(header_bytes - TEXT_OFFSET).expect("64 axes of 20 digits take less than 64 KiB");
    let mut header = Vec::with_capacity(header_bytes);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[major, minor]);
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header.resize(header_bytes - 1, b' ');
    header.push(b'\n');
    header
}

/// NumPy's rule: axes of length 1 do not count, and no order orders nothing.
fn lies_in_both_orders(shape: &[usize]) -> bool {
    shape.contains(&0) || shape.iter().filter(|&&length| length > 1).count() < 2
}
