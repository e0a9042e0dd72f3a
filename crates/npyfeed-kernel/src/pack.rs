//! Elements that do not lie together, brought together: the row of a Fortran-ordered array, of a field of
//! a record, of a slice with steps. Kernels read packed samples, so such a row takes one more pass, through
//! memory that stays in the cache.

use npyfeed_array::{Grid, Layout};

use crate::moves::swap_numbers;

/// Copies the items of `grid`, which lie in `source`, side by side in C order into `packed`.
///
/// ```
/// use npyfeed_array::{Grid, MemoryOrder};
///
/// let grid = Grid::new(1, &[2, 3], MemoryOrder::Fortran)?;
/// let mut packed = [0; 6];
/// npyfeed_kernel::pack(&grid, &[0, 10, 1, 11, 2, 12], &mut packed);
/// assert_eq!(packed, [0, 1, 2, 10, 11, 12]);
/// # Ok::<(), npyfeed_array::LayoutError>(())
/// ```
///
/// # Panics
/// If `source` is shorter than the grid spans, or `packed` not as long as its items packed.
pub fn pack(grid: &Grid, source: &[u8], packed: &mut [u8]) {
    assert_eq!(packed.len(), grid.packed_bytes(), "bytes of the packed items");
    assert!(source.len() >= grid.span_bytes(), "bytes of the source");
    if packed.is_empty() {
        return;
    }
    match grid.item_bytes() {
        1 => pack_items::<1>(grid, source, packed),
        2 => pack_items::<2>(grid, source, packed),
        4 => pack_items::<4>(grid, source, packed),
        8 => pack_items::<8>(grid, source, packed),
        16 => pack_items::<16>(grid, source, packed),
        // Text and records have any size: an item is a row of bytes.
        item_bytes => {
            let bytes = grid.part(1, &[item_bytes]).expect("the same bytes, counted one by one");
            pack_items::<1>(&bytes, source, packed);
        }
    }
}

/// As [`pack`], of numbers, in this machine's byte order.
///
/// ```
/// use npyfeed_array::{ByteOrder, Dtype, Layout, MemoryOrder};
///
/// let layout = Layout::new(Dtype::U16, ByteOrder::Big, &[2], MemoryOrder::C)?;
/// let mut packed = [0; 4];
/// npyfeed_kernel::pack_native(&layout, &[0, 1, 0, 2], &mut packed);
/// assert_eq!(packed, [1_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat()[..]);
/// # Ok::<(), npyfeed_array::LayoutError>(())
/// ```
///
/// # Panics
/// As [`pack`].
pub fn pack_native(layout: &Layout, source: &[u8], packed: &mut [u8]) {
    if layout.is_c_contiguous() {
        packed.copy_from_slice(&source[..layout.span_bytes()]);
    } else {
        pack(layout.grid(), source, packed);
    }
    if layout.is_swapped() {
        swap_numbers(layout.dtype(), packed);
    }
}

fn pack_items<const N: usize>(grid: &Grid, source: &[u8], packed: &mut [u8]) {
    let Some((&last_length, outer_shape)) = grid.shape().split_last() else {
        packed.copy_from_slice(&source[..N]);
        return;
    };
    let (outer_strides, last_stride) = grid.strides().split_at(outer_shape.len());
    let mut index = vec![0; outer_shape.len()];
    for line in packed.chunks_exact_mut(last_length * N) {
        let start: usize = index.iter().zip(outer_strides).map(|(index, stride)| index * stride).sum();
        for (place, to) in line.chunks_exact_mut(N).enumerate() {
            let from = start + place * last_stride[0];
            to.copy_from_slice(&source[from..from + N]);
        }
        advance(&mut index, outer_shape);
    }
}

/// The next index in C order; after the last comes the first.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (place, &length) in index.iter_mut().zip(shape).rev() {
        *place += 1;
        if *place < length {
            return;
        }
        *place = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyfeed_array::MemoryOrder;

    #[test]
    fn every_order_packs_to_c_order() {
        for item_bytes in [1, 2, 3, 4, 8, 12, 16] {
            for shape in [&[][..], &[5], &[3, 4], &[2, 3, 4], &[2, 1, 0, 3], &[1, 2, 3, 2, 2]] {
                let c = Grid::new(item_bytes, shape, MemoryOrder::C).unwrap();
                let fortran = Grid::new(item_bytes, shape, MemoryOrder::Fortran).unwrap();
                let expected: Vec<u8> = (0..=250).cycle().take(c.packed_bytes()).collect();
                let mut source = vec![0; fortran.span_bytes()];
                scatter(&fortran, &expected, &mut source);
                let mut packed = vec![0; c.packed_bytes()];
                pack(&fortran, &source, &mut packed);
                assert_eq!(packed, expected, "{item_bytes} {shape:?}");
            }
        }
    }

    /// Places the items of a C-ordered array by plain counting.
    fn scatter(grid: &Grid, elements: &[u8], to: &mut [u8]) {
        let item_bytes = grid.item_bytes();
        for (number, element) in elements.chunks_exact(item_bytes).enumerate() {
            let mut rest = number;
            let mut start = 0;
            for (&length, &stride) in grid.shape().iter().zip(grid.strides()).rev() {
                start += rest % length * stride;
                rest /= length;
            }
            to[start..start + item_bytes].copy_from_slice(element);
        }
    }
}
