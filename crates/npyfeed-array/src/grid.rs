//! Where the items of an array lie in memory: their size, shape + strides. What they are is not asked.

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
    #[error("shape {shape:?} of {item_bytes} bytes each needs more bytes than this machine can address")]
    TooLarge {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The size of one item.
        item_bytes: usize,
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

/// Where the items of an array lie, whatever they are: numbers, text, records. Strides are in bytes and
/// never negative.
///
/// What the grid spans, from its first byte to its last, is known to fit into `isize`, and so is the size of
/// its items packed together: no later arithmetic on sizes, strides or offsets inside the array can overflow.
///
/// ```
/// use npyfeed_array::{Grid, MemoryOrder};
///
/// let records = Grid::new(12, &[10], MemoryOrder::C)?; // 10 records of 12 bytes
/// let field = records.part(4, &[3])?; // in each, three numbers of 4 bytes
/// assert_eq!((field.shape(), field.strides()), (&[10, 3][..], &[12, 4][..]));
/// # Ok::<(), npyfeed_array::LayoutError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    item_bytes: usize,
    shape: Box<[usize]>,
    strides: Box<[usize]>,
    span_bytes: usize,
}

impl Grid {
    /// The grid of `shape` items of `item_bytes` without gaps.
    ///
    /// # Errors
    /// [`LayoutError::TooLarge`] if the bytes, or the bytes with every zero-length axis counted as
    /// one, exceed `isize::MAX`. NumPy refuses the same shapes.
    pub fn new(item_bytes: usize, shape: &[usize], memory_order: MemoryOrder) -> Result<Grid, LayoutError> {
        let packed_bytes = packed_bytes(item_bytes, shape)?;
        let strides = contiguous_strides(item_bytes, shape, memory_order);
        let span_bytes = if shape.contains(&0) { 0 } else { packed_bytes };
        Ok(Grid { item_bytes, shape: shape.into(), strides, span_bytes })
    }

    /// The grid of `shape` items whose next neighbour along each axis is `strides` bytes on.
    ///
    /// # Errors
    /// [`LayoutError::Strides`] for a negative stride or a wrong number of them,
    /// [`LayoutError::TooLarge`] if the items, packed or spread, exceed `isize::MAX` bytes.
    pub fn strided(item_bytes: usize, shape: &[usize], strides: &[isize]) -> Result<Grid, LayoutError> {
        packed_bytes(item_bytes, shape)?;
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
            addressable(shape.iter().zip(&steps).try_fold(item_bytes, reach), item_bytes, shape)?
        };
        Ok(Grid { item_bytes, shape: shape.into(), strides: steps.into(), span_bytes })
    }

    /// The size of one item in bytes.
    pub fn item_bytes(&self) -> usize {
        self.item_bytes
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The step in bytes along each axis.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// The number of items.
    pub fn item_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The size of the items packed together, in bytes.
    pub fn packed_bytes(&self) -> usize {
        self.item_count() * self.item_bytes
    }

    /// The number of bytes from the first item to the end of the last.
    pub fn span_bytes(&self) -> usize {
        self.span_bytes
    }

    /// Whether the items lie without gaps, the last axis running fastest. As in NumPy, the stride of
    /// an axis of length 1 does not matter, and an empty array lies in every order.
    pub fn is_c_contiguous(&self) -> bool {
        self.lies_as(MemoryOrder::C)
    }

    /// Whether the items lie without gaps, the first axis running fastest.
    pub fn is_fortran_contiguous(&self) -> bool {
        self.lies_as(MemoryOrder::Fortran)
    }

    fn lies_as(&self, memory_order: MemoryOrder) -> bool {
        let expected = contiguous_strides(self.item_bytes, &self.shape, memory_order);
        let mut axes = self.shape.iter().zip(self.strides.iter().zip(&expected));
        self.shape.contains(&0) || axes.all(|(&length, (step, expected))| length == 1 || step == expected)
    }

    /// The grid of one row, `array[i]`: the same without axis 0. `None` for a scalar.
    pub fn row(&self) -> Option<Grid> {
        let (_, shape) = self.shape.split_first()?;
        let strides: Vec<isize> = self.strides[1..].iter().map(|step| step.cast_signed()).collect();
        Grid::strided(self.item_bytes, shape, &strides).ok()
    }

    /// From one row to the next, in bytes; 0 for a scalar.
    pub fn row_stride_bytes(&self) -> usize {
        self.strides.first().copied().unwrap_or(0)
    }

    /// The grid of a part of each item: `shape` items of `item_bytes` in C order, behind the axes there are.
    ///
    /// # Errors
    /// [`LayoutError::TooLarge`] if that is more than this machine can address.
    pub fn part(&self, item_bytes: usize, shape: &[usize]) -> Result<Grid, LayoutError> {
        packed_bytes(item_bytes, shape)?;
        let inner = contiguous_strides(item_bytes, shape, MemoryOrder::C);
        let strides: Vec<isize> = self.strides.iter().chain(&inner).map(|step| step.cast_signed()).collect();
        Grid::strided(item_bytes, &[&self.shape, shape].concat(), &strides)
    }
}

/// The size of the items packed together, each length of 0 counted as 1.
fn packed_bytes(item_bytes: usize, shape: &[usize]) -> Result<usize, LayoutError> {
    let product = |bytes: usize, &length: &usize| bytes.checked_mul(length.max(1));
    addressable(shape.iter().try_fold(item_bytes, product), item_bytes, shape)
}

fn addressable(bytes: Option<usize>, item_bytes: usize, shape: &[usize]) -> Result<usize, LayoutError> {
    let fits = bytes.filter(|&bytes| isize::try_from(bytes).is_ok());
    fits.ok_or_else(|| LayoutError::TooLarge { shape: shape.to_vec(), item_bytes })
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

    fn grid(shape: &[usize], order: MemoryOrder) -> Grid {
        Grid::new(4, shape, order).unwrap()
    }

    fn strided(shape: &[usize], strides: &[isize]) -> Result<Grid, LayoutError> {
        Grid::strided(4, shape, strides)
    }

    #[test]
    fn strides_are_numpys() {
        assert_eq!(grid(&[2, 3, 4], MemoryOrder::C).strides(), [48, 16, 4]);
        assert_eq!(grid(&[2, 3, 4], MemoryOrder::Fortran).strides(), [4, 8, 24]);
        assert_eq!(grid(&[], MemoryOrder::C).strides(), [0_usize; 0]);
    }

    #[test]
    fn a_scalar_has_one_element_and_an_empty_axis_none() {
        assert_eq!(grid(&[], MemoryOrder::C).span_bytes(), 4);
        assert_eq!(grid(&[3, 0, 2], MemoryOrder::C).span_bytes(), 0);
        assert_eq!(strided(&[3, 0, 2], &[1000, 8, 4]).unwrap().span_bytes(), 0);
    }

    #[test]
    fn a_strided_grid_spans_from_its_first_byte_to_its_last() {
        let field = strided(&[10, 3], &[20, 4]).unwrap();
        assert_eq!((field.span_bytes(), field.packed_bytes()), (9 * 20 + 12, 120));
        assert_eq!(field.row(), Some(strided(&[3], &[4]).unwrap()));
        assert!(!field.is_c_contiguous());
        assert!(field.row().unwrap().is_c_contiguous());
    }

    #[test]
    fn shapes_beyond_the_address_space_are_refused_even_when_empty() {
        for shape in [&[usize::MAX, 2][..], &[usize::MAX / 4], &[0, usize::MAX]] {
            let made = Grid::new(4, shape, MemoryOrder::C);
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
        let both = |grid: Grid| (grid.is_c_contiguous(), grid.is_fortran_contiguous());
        assert_eq!(both(grid(&[2, 3], MemoryOrder::C)), (true, false));
        assert_eq!(both(grid(&[2, 3], MemoryOrder::Fortran)), (false, true));
        for shape in [&[][..], &[5], &[1, 5], &[0, 3]] {
            assert_eq!(both(grid(shape, MemoryOrder::Fortran)), (true, true), "{shape:?}");
        }
        assert_eq!(both(strided(&[1, 3], &[999, 4]).unwrap()), (true, true));
    }

    #[test]
    fn a_row_drops_the_first_axis() {
        assert_eq!(grid(&[5, 3, 4], MemoryOrder::C).row(), Some(grid(&[3, 4], MemoryOrder::C)));
        assert_eq!(grid(&[], MemoryOrder::C).row(), None);
        let fortran = grid(&[5, 3, 4], MemoryOrder::Fortran);
        assert_eq!(fortran.row(), Some(strided(&[3, 4], &[20, 60]).unwrap()));
        assert_eq!(fortran.row_stride_bytes(), 4);
    }

    #[test]
    fn a_part_of_each_item_keeps_the_steps_of_the_items() {
        let records = grid(&[5, 2], MemoryOrder::Fortran);
        let field = records.part(1, &[2]).unwrap();
        assert_eq!((field.shape(), field.strides()), (&[5, 2, 2][..], &[4, 20, 1][..]));
        assert_eq!(field.span_bytes(), 4 * 4 + 20 + 2);
        assert!(matches!(records.part(8, &[usize::MAX]), Err(LayoutError::TooLarge { .. })));
        assert_eq!(records.part(4, &[0]).unwrap().span_bytes(), 0);
    }
}
