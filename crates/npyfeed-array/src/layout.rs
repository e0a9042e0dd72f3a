//! What the elements of an array are and where they lie: dtype + byte order + shape + strides.

use crate::{ByteOrder, Dtype, Grid, LayoutError, MemoryOrder};

/// How the elements of an array lie: a [`Grid`] of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dtype: Dtype,
    byte_order: ByteOrder,
    grid: Grid,
}

impl Layout {
    /// The layout of `shape` elements of `dtype` without gaps.
    ///
    /// # Errors
    /// [`LayoutError::TooLarge`], as [`Grid::new`].
    pub fn new(
        dtype: Dtype,
        byte_order: ByteOrder,
        shape: &[usize],
        memory_order: MemoryOrder,
    ) -> Result<Layout, LayoutError> {
        Ok(Layout { dtype, byte_order, grid: Grid::new(dtype.item_bytes(), shape, memory_order)? })
    }

    /// The layout of `shape` elements of `dtype` whose next neighbour along each axis is `strides` bytes on.
    ///
    /// # Errors
    /// [`LayoutError::Strides`] and [`LayoutError::TooLarge`], as [`Grid::strided`].
    pub fn strided(
        dtype: Dtype,
        byte_order: ByteOrder,
        shape: &[usize],
        strides: &[isize],
    ) -> Result<Layout, LayoutError> {
        Ok(Layout { dtype, byte_order, grid: Grid::strided(dtype.item_bytes(), shape, strides)? })
    }

    /// The layout of numbers that lie on `grid`; `None` if its items are not of their size.
    pub fn on(grid: Grid, dtype: Dtype, byte_order: ByteOrder) -> Option<Layout> {
        (grid.item_bytes() == dtype.item_bytes()).then_some(Layout { dtype, byte_order, grid })
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

    /// Where the elements lie.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.grid.shape()
    }

    /// The step in bytes along each axis.
    pub fn strides(&self) -> &[usize] {
        self.grid.strides()
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.grid.item_count()
    }

    /// The size of the elements packed together, in bytes.
    pub fn packed_bytes(&self) -> usize {
        self.grid.packed_bytes()
    }

    /// The number of bytes from the first element to the end of the last.
    pub fn span_bytes(&self) -> usize {
        self.grid.span_bytes()
    }

    /// Whether the elements lie without gaps, the last axis running fastest: [`Grid::is_c_contiguous`].
    pub fn is_c_contiguous(&self) -> bool {
        self.grid.is_c_contiguous()
    }

    /// Whether the elements lie without gaps, the first axis running fastest.
    pub fn is_fortran_contiguous(&self) -> bool {
        self.grid.is_fortran_contiguous()
    }

    /// The layout of one row, `array[i]`: the same without axis 0. `None` for a scalar.
    pub fn row(&self) -> Option<Layout> {
        Some(Layout { dtype: self.dtype, byte_order: self.byte_order, grid: self.grid.row()? })
    }

    /// From one row to the next, in bytes; 0 for a scalar.
    pub fn row_stride_bytes(&self) -> usize {
        self.grid.row_stride_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lie_on_a_grid_of_their_size() {
        let grid = Grid::new(4, &[2, 3], MemoryOrder::C).unwrap();
        let layout = Layout::on(grid.clone(), Dtype::F32, ByteOrder::Big);
        assert_eq!(layout, Layout::new(Dtype::F32, ByteOrder::Big, &[2, 3], MemoryOrder::C).ok());
        assert_eq!(Layout::on(grid, Dtype::F64, ByteOrder::Big), None);
    }

    #[test]
    fn one_byte_has_no_order_to_swap() {
        let is_swapped = |dtype, order| Layout::new(dtype, order, &[1], MemoryOrder::C).unwrap().is_swapped();
        assert!(is_swapped(Dtype::F32, ByteOrder::OTHER));
        assert!(!is_swapped(Dtype::F32, ByteOrder::NATIVE));
        assert!(!is_swapped(Dtype::U8, ByteOrder::OTHER));
    }
}
