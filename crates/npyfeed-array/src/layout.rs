//! How the elements of an array lie in memory: dtype + byte order + shape + strides.

use crate::{ByteOrder, Dtype};

/// Which axis runs fastest through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryOrder {
    /// The last axis, as in C and by default in NumPy.
    C,
    /// The first axis, as in Fortran, MATLAB and Julia.
    Fortran,
}

/// What keeps a layout from being made or from fitting its bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The array would not fit into the address space, whatever the file says.
    #[error("shape {shape:?} of {dtype} needs more bytes than this machine can address")]
    TooLarge {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The dtype asked for.
        dtype: Dtype,
    },
    /// A step backwards, or not as many steps as axes.
    #[error("expected a stride of 0 or more for each of {axis_count} axes, found {strides:?}")]
    Strides {
        /// The number of axes.
        axis_count: usize,
        /// The strides asked for, in bytes.
        strides: Vec<isize>,
    },
    /// The bytes at hand are not as many as the layout needs.
    #[error("a view of {expected_bytes} bytes cannot be laid over {found_bytes} bytes")]
    BytesMismatch {
        /// Bytes that the layout spans.
        expected_bytes: usize,
        /// Bytes at hand.
        found_bytes: usize,
    },
}

/// How the elements of an array lie. Strides are in bytes and never negative.
///
/// What the layout spans, from its first byte to its last, is known to fit into `isize`, and so is the
/// size of its elements packed together: no later arithmetic on sizes, strides or offsets inside the
/// array can overflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dtype: Dtype,
    byte_order: ByteOrder,
    shape: Box<[usize]>,
    strides: Box<[usize]>,
    span_bytes: usize,
}

impl Layout {
    /// The layout of `shape` elements of `dtype` without gaps.
    ///
    /// # Errors
    /// [`LayoutError::TooLarge`] if the bytes, or the bytes with every zero-length axis counted as
    /// one, exceed `isize::MAX`. NumPy refuses the same shapes.
    pub fn new(
        dtype: Dtype,
        byte_order: ByteOrder,
        shape: &[usize],
        memory_order: MemoryOrder,
    ) -> Result<Layout, LayoutError> {
        let packed_bytes = packed_bytes(dtype, shape)?;
        let strides = contiguous_strides(dtype.item_bytes(), shape, memory_order);
        let span_bytes = if shape.contains(&0) { 0 } else { packed_bytes };
        Ok(Layout { dtype, byte_order, shape: shape.into(), strides, span_bytes })
    }

    /// The layout of `shape` elements of `dtype` whose next neighbour along each axis is `strides` bytes on.
    ///
    /// # Errors
    /// [`LayoutError::Strides`] for a negative stride or a wrong number of them,
    /// [`LayoutError::TooLarge`] if the elements, packed or spread, exceed `isize::MAX` bytes.
    pub fn strided(
        dtype: Dtype,
        byte_order: ByteOrder,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<Layout, LayoutError> {
        packed_bytes(dtype, shape)?;
        let steps: Vec<usize> = strides.iter().filter_map(|&stride| stride.try_into().ok()).collect();
        if steps.len() != shape.len() || steps.len() != strides.len() {
            return Err(LayoutError::Strides { axis_count: shape.len(), strides: strides.to_vec() });
        }
        let span_bytes = if shape.contains(&0) {
            0
        } else {
            let reach = |bytes: usize, (&length, &step): (&usize, &usize)| {
                bytes.checked_add(step.checked_mul(length - 1)?)
            };
            addressable(shape.iter().zip(&steps).try_fold(dtype.item_bytes(), reach), dtype, shape)?
        };
        Ok(Layout { dtype, byte_order, shape: shape.into(), strides: steps.into(), span_bytes })
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The byte order of the elements.
    pub fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    /// Whether the elements are to be swapped before this machine can compute with them.
    pub fn is_swapped(&self) -> bool {
        self.byte_order != ByteOrder::NATIVE && self.dtype.swapped_bytes() > 1
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The step in bytes along each axis.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The size of the elements packed together, in bytes.
    pub fn packed_bytes(&self) -> usize {
        self.element_count() * self.dtype.item_bytes()
    }

    /// The number of bytes from the first element to the end of the last.
    pub fn span_bytes(&self) -> usize {
        self.span_bytes
    }

    /// Whether the elements lie without gaps, the last axis running fastest. As in NumPy, the stride of
    /// an axis of length 1 does not matter, and an empty array lies in every order.
    pub fn is_c_contiguous(&self) -> bool {
        self.lies_as(MemoryOrder::C)
    }

    /// Whether the elements lie without gaps, the first axis running fastest.
    pub fn is_fortran_contiguous(&self) -> bool {
        self.lies_as(MemoryOrder::Fortran)
    }

    fn lies_as(&self, memory_order: MemoryOrder) -> bool {
        let expected = contiguous_strides(self.dtype.item_bytes(), &self.shape, memory_order);
        let mut axes = self.shape.iter().zip(self.strides.iter().zip(&expected));
        self.shape.contains(&0) || axes.all(|(&length, (step, expected))| length == 1 || step == expected)
    }

    /// The layout of one row, `array[i]`: the same without axis 0. `None` for a scalar.
    pub fn row(&self) -> Option<Layout> {
        let (_, shape) = self.shape.split_first()?;
        let strides: Vec<isize> = self.strides[1..].iter().map(|step| step.cast_signed()).collect();
        Layout::strided(self.dtype, self.byte_order, shape, &strides).ok()
    }

    /// From one row to the next, in bytes; 0 for a scalar.
    pub fn row_stride_bytes(&self) -> usize {
        self.strides.first().copied().unwrap_or(0)
    }
}

/// The size of the elements packed together, each length of 0 counted as 1.
fn packed_bytes(dtype: Dtype, shape: &[usize]) -> Result<usize, LayoutError> {
    let product = |bytes: usize, &length: &usize| bytes.checked_mul(length.max(1));
    addressable(shape.iter().try_fold(dtype.item_bytes(), product), dtype, shape)
}

fn addressable(bytes: Option<usize>, dtype: Dtype, shape: &[usize]) -> Result<usize, LayoutError> {
    let fits = bytes.filter(|&bytes| isize::try_from(bytes).is_ok());
    fits.ok_or_else(|| LayoutError::TooLarge { shape: shape.to_vec(), dtype })
}

fn contiguous_strides(item_bytes: usize, shape: &[usize], memory_order: MemoryOrder) -> Box<[usize]> {
    let mut strides = vec![0; shape.len()];
    let mut step = item_bytes;
    let mut set = |axis: usize| {
        strides[axis] = step;
        step *= shape[axis].max(1);
    };
    match memory_order {
        MemoryOrder::C => (0..shape.len()).rev().for_each(&mut set),
        MemoryOrder::Fortran => (0..shape.len()).for_each(&mut set),
    }
    strides.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shape: &[usize], order: MemoryOrder) -> Layout {
        Layout::new(Dtype::F32, ByteOrder::Little, shape, order).unwrap()
    }

    fn strided(shape: &[usize], strides: &[isize]) -> Result<Layout, LayoutError> {
        Layout::strided(Dtype::F32, ByteOrder::Little, shape, strides)
    }

    #[test]
    fn strides_are_numpys() {
        assert_eq!(layout(&[2, 3, 4], MemoryOrder::C).strides(), [48, 16, 4]);
        assert_eq!(layout(&[2, 3, 4], MemoryOrder::Fortran).strides(), [4, 8, 24]);
        assert_eq!(layout(&[], MemoryOrder::C).strides(), [0_usize; 0]);
    }

    #[test]
    fn a_scalar_has_one_element_and_an_empty_axis_none() {
        assert_eq!(layout(&[], MemoryOrder::C).span_bytes(), 4);
        assert_eq!(layout(&[3, 0, 2], MemoryOrder::C).span_bytes(), 0);
        assert_eq!(strided(&[3, 0, 2], &[1000, 8, 4]).unwrap().span_bytes(), 0);
    }

    #[test]
    fn a_strided_layout_spans_from_its_first_byte_to_its_last() {
        let field = strided(&[10, 3], &[20, 4]).unwrap();
        assert_eq!((field.span_bytes(), field.packed_bytes()), (9 * 20 + 12, 120));
        assert_eq!(field.row(), Some(strided(&[3], &[4]).unwrap()));
        assert!(!field.is_c_contiguous());
        assert!(field.row().unwrap().is_c_contiguous());
    }

    #[test]
    fn shapes_beyond_the_address_space_are_refused_even_when_empty() {
        for shape in [&[usize::MAX, 2][..], &[usize::MAX / 4], &[0, usize::MAX]] {
            let made = Layout::new(Dtype::F32, ByteOrder::Little, shape, MemoryOrder::C);
            assert!(matches!(made, Err(LayoutError::TooLarge { .. })), "{shape:?}");
        }
        assert!(matches!(strided(&[3], &[isize::MAX]), Err(LayoutError::TooLarge { .. })));
    }

    #[test]
    fn strides_that_are_none_are_refused() {
        for strides in [&[-4][..], &[], &[4, 4]] {
            assert!(matches!(strided(&[3], strides), Err(LayoutError::Strides { .. })), "{strides:?}");
        }
    }

    #[test]
    fn contiguity_is_numpys() {
        let both = |layout: Layout| (layout.is_c_contiguous(), layout.is_fortran_contiguous());
        assert_eq!(both(layout(&[2, 3], MemoryOrder::C)), (true, false));
        assert_eq!(both(layout(&[2, 3], MemoryOrder::Fortran)), (false, true));
        for shape in [&[][..], &[5], &[1, 5], &[0, 3]] {
            assert_eq!(both(layout(shape, MemoryOrder::Fortran)), (true, true), "{shape:?}");
        }
        assert_eq!(both(strided(&[1, 3], &[999, 4]).unwrap()), (true, true));
    }

    #[test]
    fn a_row_drops_the_first_axis() {
        assert_eq!(layout(&[5, 3, 4], MemoryOrder::C).row(), Some(layout(&[3, 4], MemoryOrder::C)));
        assert_eq!(layout(&[], MemoryOrder::C).row(), None);
        let fortran = layout(&[5, 3, 4], MemoryOrder::Fortran);
        assert_eq!(fortran.row(), Some(strided(&[3, 4], &[20, 60]).unwrap()));
        assert_eq!(fortran.row_stride_bytes(), 4);
    }
}
