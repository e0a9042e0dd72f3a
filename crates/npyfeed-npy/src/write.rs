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

/// The text that names an element type leaves no room for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot write a header: expected less than 4 GiB, found a descr of {descr_bytes} bytes")]
pub struct DescrTooLong {
    /// The size of the descr.
    pub descr_bytes: usize,
}

/// The header of an .npy file, byte for byte as `numpy.save` writes it; the elements follow at once.
///
/// It has the same size for every length of the first axis of a C-ordered array, so a writer that
/// appends may write it anew in place. An array that lies in both orders is written in C order, as NumPy
/// does: one of at most one axis longer than 1, or an empty one. One byte has no byte order. What NumPy
/// lacks is written as `ml_dtypes` does: bfloat16 as `<V2` and `float8_e4m3fn` as `<V1`, which parse as
/// [`Descr::Void`](crate::Descr::Void), and `float8_e5m2` as `<f1`, which parses as what it is.
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
#[expect(clippy::missing_panics_doc, reason = "64 axes and one type string always fit")]
pub fn header_bytes(
    dtype: Dtype,
    byte_order: ByteOrder,
    memory_order: MemoryOrder,
    shape: &[usize],
) -> Result<Vec<u8>, TooManyAxes> {
    if shape.len() > MAX_AXES {
        return Err(TooManyAxes { axis_count: shape.len() });
    }
    let memory_order = match memory_order {
        MemoryOrder::Fortran if !lies_in_both_orders(shape) => MemoryOrder::Fortran,
        MemoryOrder::Fortran | MemoryOrder::C => MemoryOrder::C,
    };
    let descr = format!("'{}'", type_string::of(dtype, byte_order));
    let header = header_bytes_of_descr(&descr, memory_order, shape);
    Ok(header.expect("64 axes of 20 digits take less than 64 KiB"))
}

/// The header for elements that only NumPy can name, such as records: `descr` is the `repr` of what
/// `numpy.lib.format.dtype_to_descr` gives, written as it stands.
///
/// As in [`header_bytes`], the size is the same for every length of the first axis of a C-ordered array.
/// The memory order is written as given: whether an array that lies in both orders is C-ordered is the
/// caller's to say. The version is NumPy's choice, the oldest that can hold the text: 1.0 up to 64 KiB of
/// Latin-1, 2.0 above, 3.0 for other letters.
///
/// ```
/// use npyfeed_array::MemoryOrder;
///
/// let descr = "[('x', '<f4'), ('größe', '<i2')]";
/// let header = npyfeed_npy::header_bytes_of_descr(descr, MemoryOrder::C, &[3])?;
/// assert_eq!(header[6..8], [1, 0]);
/// let header = npyfeed_npy::header_bytes_of_descr("[('大小', '<i2')]", MemoryOrder::C, &[3])?;
/// assert_eq!(header[6..8], [3, 0]);
/// # Ok::<(), npyfeed_npy::DescrTooLong>(())
/// ```
///
/// # Errors
/// [`DescrTooLong`] if the header would be larger than the 4 GiB that its length field can say.
///
/// Source: `numpy.lib.format`, "Format Version 1.0" to "3.0", and its `_wrap_header_guess_version`.
pub fn header_bytes_of_descr(
    descr: &str,
    memory_order: MemoryOrder,
    shape: &[usize],
) -> Result<Vec<u8>, DescrTooLong> {
    let (is_fortran, growth_axis) = match memory_order {
        MemoryOrder::Fortran => ("True", shape.last()),
        MemoryOrder::C => ("False", shape.first()),
    };
    let growth_bytes = growth_axis.map_or(0, |length| GROWTH_AXIS_MAX_DIGITS - length.to_string().len());
    let shape = shape_text(shape);
    let text = format!("{{'descr': {descr}, 'fortran_order': {is_fortran}, 'shape': {shape}, }}");
    let too_long = DescrTooLong { descr_bytes: descr.len() };
    let wrapped = match latin1(&text) {
        Some(text) => {
            wrap(Version::V1, &text, growth_bytes).or_else(|| wrap(Version::V2, &text, growth_bytes))
        }
        None => wrap(Version::V3, text.as_bytes(), growth_bytes),
    };
    wrapped.ok_or(too_long)
}

/// Puts magic, version and length before the text, padding and a line break behind it: at least one
/// space, even where none is needed. `None` if the version has no room for the length.
fn wrap(version: Version, text: &[u8], growth_bytes: usize) -> Option<Vec<u8>> {
    let length_field_bytes = match version {
        Version::V1 => size_of::<u16>(),
        Version::V2 | Version::V3 => size_of::<u32>(),
    };
    let (major, minor) = version.numbers();
    let text_offset = MAGIC.len() + 2 + length_field_bytes;
    let unpadded_bytes = text_offset + text.len() + growth_bytes + 1;
    let header_bytes = (unpadded_bytes + 1).next_multiple_of(ALIGNMENT_BYTES);
    let length = u32::try_from(header_bytes - text_offset).ok()?;
    if version == Version::V1 && u16::try_from(length).is_err() {
        return None;
    }
    let mut header = Vec::with_capacity(header_bytes);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&[major, minor]);
    header.extend_from_slice(&length.to_le_bytes()[..length_field_bytes]);
    header.extend_from_slice(text);
    header.resize(header_bytes - 1, b' ');
    header.push(b'\n');
    Some(header)
}

/// The text in Latin-1, one byte a letter, if it has the letters.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(letter).ok()).collect()
}

/// NumPy's rule: axes of length 1 do not count, and no order orders nothing.
fn lies_in_both_orders(shape: &[usize]) -> bool {
    shape.contains(&0) || shape.iter().filter(|&&length| length > 1).count() < 2
}
