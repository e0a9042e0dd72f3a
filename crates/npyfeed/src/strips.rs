//! A sample whose elements do not lie together, taken apart: strips, each of which is brought together and
//! transformed while it is in the nearest cache.

use std::ops::Range;

use npyfeed_array::Grid;

/// A strip has at most so many bytes when brought together: with its results, half of a first-level cache.
const STRIP_BYTES: usize = 16 << 10;

/// From so many bytes on, what a strip costs beside its bytes does not count.
const STRIP_MIN_BYTES: usize = STRIP_BYTES / 4;

/// Where lengths divide badly, strips are rather so large, and in the second-level cache, than short.
const STRIP_MAX_BYTES: usize = 128 << 10;

/// How a sample is cut into strips: along its outer axes, so that each is a grid of the inner ones.
#[derive(Clone, Debug)]
pub(crate) struct Strips {
    outer_shape: Box<[usize]>,
    outer_strides: Box<[usize]>,
    /// How the items of one strip lie.
    pub(crate) strip: Grid,
}

impl Strips {
    /// As many of the inner axes as fit a strip, the last one at least, and as much of the next as divides it evenly.
    pub(crate) fn of(sample: &Grid) -> Strips {
        let (mut strip, mut outer) = (sample.clone(), 0);
        while strip.packed_bytes() > STRIP_BYTES && strip.shape().len() > 1 {
            let Some(inner) = strip.row() else { break };
            (strip, outer) = (inner, outer + 1);
        }
        let (mut outer_shape, mut outer_strides) =
            (sample.shape()[..outer].to_vec(), sample.strides()[..outer].to_vec());
        if let (Some(length), Some(stride)) = (outer_shape.last_mut(), outer_strides.last_mut()) {
            let rows = rows_together(*length, strip.packed_bytes());
            if let Some(taller) = repeated(&strip, rows, *stride) {
                strip = taller;
                *length /= rows;
                *stride *= rows;
            }
        }
        Strips { outer_shape: outer_shape.into(), outer_strides: outer_strides.into(), strip }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.outer_shape.iter().product()
    }

    /// The elements of the sample in strip `number`.
    pub(crate) fn elements(&self, number: usize) -> Range<usize> {
        let length = self.strip.item_count();
        number * length..(number + 1) * length
    }

    /// The strips that begin in `elements`.
    pub(crate) fn numbers(&self, elements: &Range<usize>) -> Range<usize> {
        let length = self.strip.item_count().max(1);
        elements.start.div_ceil(length)..elements.end.div_ceil(length)
    }

    /// From the first byte of the sample to that of strip `number`, in C order.
    pub(crate) fn start_bytes(&self, number: usize) -> usize {
        let axes = self.outer_shape.iter().zip(&self.outer_strides).rev();
        let place = |(start, rest): (usize, usize), (length, stride): (&usize, &usize)| {
            (start + rest % length * stride, rest / length)
        };
        axes.fold((0, number), place).0
    }
}

/// How many of `length` rows make a strip: a divisor, so that all strips are alike.
fn rows_together(length: usize, row_bytes: usize) -> usize {
    let rows_within = |bytes: usize| bytes.checked_div(row_bytes).unwrap_or(length).min(length);
    let divisors = |most: usize| (1..=most).rev().find(|&rows| length.is_multiple_of(rows)).unwrap_or(1);
    let fitting = divisors(rows_within(STRIP_BYTES));
    if fitting * row_bytes >= STRIP_MIN_BYTES { fitting } else { divisors(rows_within(STRIP_MAX_BYTES)) }
}

/// The grid of `count` of these, `stride` bytes apart.
fn repeated(row: &Grid, count: usize, stride: usize) -> Option<Grid> {
    let shape: Vec<usize> = std::iter::once(count).chain(row.shape().iter().copied()).collect();
    let strides = std::iter::once(stride).chain(row.strides().iter().copied());
    let strides: Vec<isize> = strides.map(usize::cast_signed).collect();
    Grid::strided(row.item_bytes(), &shape, &strides).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyfeed_array::MemoryOrder;

    #[test]
    fn strips_are_the_sample_in_c_order() {
        let row = Grid::new(2, &[256, 256, 256], MemoryOrder::C).unwrap();
        let strides: Vec<isize> = row.strides().iter().map(|stride| stride.cast_signed()).collect();
        let strips = Strips::of(&Grid::strided(2, &[96, 90, 80], &strides).unwrap());
        assert_eq!((strips.count(), strips.strip.shape()), (96, &[1, 90, 80][..]));
        assert_eq!([0, 1, 95].map(|strip| strips.start_bytes(strip)), [0, 131_072, 95 * 131_072]);
    }

    #[test]
    fn a_strip_takes_as_many_rows_as_divide_a_plane_evenly() {
        let row = Grid::new(2, &[256, 256, 256], MemoryOrder::C).unwrap();
        let strides: Vec<isize> = row.strides().iter().map(|stride| stride.cast_signed()).collect();
        for (plane, strip) in [([96, 96], [48, 96]), ([128, 128], [64, 128]), ([97, 96], [97, 96])] {
            let strips = Strips::of(&Grid::strided(2, &[10, plane[0], plane[1]], &strides).unwrap());
            assert_eq!(&strips.strip.shape()[strips.strip.shape().len() - 2..], strip, "{plane:?}");
            assert_eq!(strips.count() * strips.strip.item_count(), 10 * plane[0] * plane[1]);
        }
    }

    #[test]
    fn outer_axes_count_like_an_odometer() {
        let sample = Grid::new(8, &[2, 3, 4000], MemoryOrder::Fortran).unwrap();
        let strips = Strips::of(&sample);
        assert_eq!((strips.count(), strips.strip.shape()), (6, &[1, 4000][..]));
        let starts: Vec<usize> = (0..6).map(|strip| strips.start_bytes(strip)).collect();
        assert_eq!(starts, [0, 16, 32, 8, 24, 40]);
    }

    #[test]
    fn a_small_sample_is_one_strip() {
        let strips = Strips::of(&Grid::new(4, &[3, 5], MemoryOrder::Fortran).unwrap());
        assert_eq!((strips.count(), strips.start_bytes(0), strips.strip.shape()), (1, 0, &[3, 5][..]));
    }
}
