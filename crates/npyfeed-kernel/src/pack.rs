//! Elements that do not lie together, brought together: the row of a Fortran-ordered array, of a field of
//! a record, of a slice with steps. Kernels read packed samples, so such a row takes one more pass, through
//! memory that stays in the cache.

use std::slice::ChunksExactMut;

use npyfeed_array::{Grid, Layout};

use crate::arch::{LINE_BYTES, prefetch_all};
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

/// How many lines of items are asked for ahead. They lie at steps that no CPU sees by itself across pages.
const LINES_AHEAD: usize = 32;

/// From longer ones on, the CPU sees by itself what comes next.
const PREFETCHED_LINE_BYTES: usize = 4096;

fn pack_items<const N: usize>(grid: &Grid, source: &[u8], packed: &mut [u8]) {
    let Some((&last_length, outer_shape)) = grid.shape().split_last() else {
        packed.copy_from_slice(&source[..N]);
        return;
    };
    let (outer_strides, last_stride) = grid.strides().split_at(outer_shape.len());
    let lines = packed.chunks_exact_mut(last_length * N);
    let starts = Starts::of(outer_shape, outer_strides);
    if last_stride[0] == N {
        return pack_lines(source, starts, lines);
    }
    for (start, line) in starts.zip(lines) {
        for (place, to) in line.chunks_exact_mut(N).enumerate() {
            let from = start + place * last_stride[0];
            to.copy_from_slice(&source[from..from + N]);
        }
    }
}

/// Lines whose items lie together.
fn pack_lines(source: &[u8], starts: Starts<'_>, lines: ChunksExactMut<'_, u8>) {
    let mut ahead = starts.clone().skip(LINES_AHEAD);
    for (start, line) in starts.zip(lines) {
        let bytes = line.len();
        if let Some(later) = ahead.next().filter(|_| bytes < PREFETCHED_LINE_BYTES) {
            // A line of items that begins inside a line of the cache ends in one more.
            prefetch_all(&source[later..source.len().min(later + bytes + LINE_BYTES - 1)]);
        }
        line.copy_from_slice(&source[start..start + bytes]);
    }
}

/// Where the lines of a grid begin, in bytes, in C order.
#[derive(Clone)]
struct Starts<'a> {
    shape: &'a [usize],
    strides: &'a [usize],
    index: Vec<usize>,
    next: usize,
    left: usize,
}

impl<'a> Starts<'a> {
    fn of(shape: &'a [usize], strides: &'a [usize]) -> Starts<'a> {
        Starts { shape, strides, index: vec![0; shape.len()], next: 0, left: shape.iter().product() }
    }
}

impl Iterator for Starts<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let start = self.next;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            self.next += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                break;
            }
            self.next -= self.strides[axis] * self.shape[axis];
            self.index[axis] = 0;
        }
        Some(start)
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

    #[test]
    fn a_box_out_of_a_volume_packs_to_its_lines() {
        for (item_bytes, edge) in [(1, 40), (2, 9), (3, 5), (4, 33), (8, 1), (16, 7)] {
            let volume = [edge + 2, edge + 1, edge + 3];
            let row_bytes = volume[2] * item_bytes;
            let strides = [volume[1] * row_bytes, row_bytes, item_bytes].map(usize::cast_signed);
            let grid = Grid::strided(item_bytes, &[edge; 3], &strides).unwrap();
            let bytes: Vec<u8> = (0..=250).cycle().take(volume[0] * volume[1] * row_bytes).collect();
            let source = &bytes[volume[1] * row_bytes + item_bytes..];
            let lines = (0..edge).flat_map(|z| (0..edge).map(move |y| z * volume[1] + y));
            let expected: Vec<u8> =
                lines.flat_map(|line| source[line * row_bytes..][..edge * item_bytes].to_vec()).collect();
            let mut packed = vec![0; expected.len()];
            pack(&grid, source, &mut packed);
            assert_eq!(packed, expected, "{item_bytes} {edge}");
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
