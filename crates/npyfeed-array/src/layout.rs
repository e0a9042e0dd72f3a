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
    /// The bytes at hand are not as many as the layout needs.
    #[error("a view of {expected_bytes} bytes cannot be laid over {found_bytes} bytes")]
    BytesMismatch {
        /// Bytes that the layout spans.
        expected_bytes: usize,
        /// Bytes at hand.
        found_bytes: usize,
    },
}

/// The layout of an array whose elements lie without gaps, in C or Fortran order.
///
/// The product of the shape times the item size is known to fit into `isize`, so no later
/// arithmetic on sizes, strides or offsets inside the array can overflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dtype: Dtype,
    byte_order: ByteOrder,
    memory_order: MemoryOrder,
    shape: Box<[usize]>,
    byte_count: usize,
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
        let spanned_bytes = shape
            .iter()
            .try_fold(dtype.item_bytes(), |bytes, &length| bytes.checked_mul(length.max(1)))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| LayoutError::TooLarge { shape: shape.to_vec(), dtype })?;
        let byte_count = if shape.contains(&0) { 0 } else { spanned_bytes };
        Ok(Layout { dtype, byte_order, memory_order, shape: shape.into(), byte_count })
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The byte order of the elements.
    pub fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }

    /// The memory order of the axes.
    pub fn memory_order(&self) -> MemoryOrder {
        self.memory_order
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.byte_count / self.dtype.item_bytes()
    }

    /// The number of bytes from the first element to the end of the last.
    pub fn byte_count(&self) -> usize {
        self.byte_count
    }

    /// The step in bytes along each axis.
    pub fn strides(&self) -> Vec<isize> {
        let mut strides = vec![0; self.shape.len()];
        let mut step = self.dtype.item_bytes().cast_signed();
        let mut set = |axis: usize| {
            strides[axis] = step;
            step *= self.shape[axis].max(1).cast_signed();
        };
        match self.memory_order {
            MemoryOrder::C => (0..self.shape.len()).rev().for_each(&mut set),
            MemoryOrder::Fortran => (0..self.shape.len()).for_each(&mut set),
        }
        strides
    }

    /// Whether the elements lie in C order. Arrays of one axis or fewer lie in both orders.
    pub fn is_c_contiguous(&self) -> bool {
        self.memory_order == MemoryOrder::C || self.shape.len() < 2
    }

    /// The layout of one row, `array[i]`: the same without axis 0. `None` for a scalar, and for a
    /// Fortran-ordered array of two axes or more, whose rows do not lie together.
    pub fn row(&self) -> Option<Layout> {
        let (_, row_shape) = self.shape.split_first()?;
        if !self.is_c_contiguous() {
            return None;
        }
        Layout::new(self.dtype, self.byte_order, row_shape, MemoryOrder::C).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shape: &[usize], order: MemoryOrder) -> Layout {
        Layout::new(Dtype::F32, ByteOrder::Little, shape, order).unwrap()
    }

    #[test]
    fn strides_are_numpys() {
        assert_eq!(layout(&[2, 3, 4], MemoryOrder::C).strides(), [48, 16, 4]);
        assert_eq!(layout(&[2, 3, 4], MemoryOrder::Fortran).strides(), [4, 8, 24]);
        assert_eq!(layout(&[], MemoryOrder::C).strides(), []);
    }

    #[test]
    fn a_scalar_has_one_element_and_an_empty_axis_none() {
        assert_eq!(layout(&[], MemoryOrder::C).byte_count(), 4);
        assert_eq!(layout(&[3, 0, 2], MemoryOrder::C).byte_count(), 0);
    }

    #[test]
    fn shapes_beyond_the_address_space_are_refused_even_when_empty() {
        for shape in [&[usize::MAX, 2][..], &[usize::MAX / 4], &[0, usize::MAX]] {
            let made = Layout::new(Dtype::F32, ByteOrder::Little, shape, MemoryOrder::C);
            assert!(matches!(made, Err(LayoutError::TooLarge { .. })), "{shape:?}");
        }
    }

    #[test]
    fn a_row_drops_the_first_axis_and_needs_c_order() {
        assert_eq!(layout(&[5, 3, 4], MemoryOrder::C).row(), Some(layout(&[3, 4], MemoryOrder::C)));
        assert_eq!(layout(&[5], MemoryOrder::Fortran).row(), Some(layout(&[], MemoryOrder::C)));
        assert_eq!(layout(&[5, 3], MemoryOrder::Fortran).row(), None);
        assert_eq!(layout(&[], MemoryOrder::C).row(), None);
    }
}
