//! Which part of each row a column takes: all of it, or a box whose corner is given or drawn.

use npyfeed_array::{Layout, LayoutError};
use npyfeed_sampler::Draws;

/// A box in each row of a column.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    /// How the box lies, from its own first element on.
    pub(crate) row: Layout,
    /// From the first element of the row to that of the box, as far as it is the same for all samples.
    corner_bytes: usize,
    drawn: Box<[DrawnStart]>,
}

/// How far the box is moved along one axis, drawn for each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrawnStart {
    /// Which of the random transforms of its chain draws, and which of its numbers this is.
    pub(crate) transform: u64,
    pub(crate) number: u64,
    /// Positions to choose from.
    pub(crate) choices: u64,
    /// The axis of the row.
    pub(crate) axis: usize,
}

/// What is taken of one axis of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) start: usize,
    pub(crate) length: usize,
}

impl Region {
    /// The box in rows that lie as `row`, with a cut for each axis.
    ///
    /// # Errors
    /// None in practice: a box inside a row needs no more bytes than the row.
    pub(crate) fn new(row: &Layout, cuts: &[Cut], drawn: Vec<DrawnStart>) -> Result<Region, LayoutError> {
        let whole = cuts.iter().zip(row.shape()).all(|(cut, &length)| cut.length == length);
        let corner_bytes = cuts.iter().zip(row.strides()).map(|(cut, stride)| cut.start * stride).sum();
        let row = if whole {
            row.clone()
        } else {
            let shape: Vec<usize> = cuts.iter().map(|cut| cut.length).collect();
            let strides: Vec<isize> = row.strides().iter().map(|stride| stride.cast_signed()).collect();
            Layout::strided(row.dtype(), row.byte_order(), &shape, &strides)?
        };
        Ok(Region { row, corner_bytes, drawn: drawn.into() })
    }

    /// Whether its place is drawn for each sample.
    pub(crate) fn is_drawn(&self) -> bool {
        !self.drawn.is_empty()
    }

    /// From the first byte of the row to that of the box of sample `sample`.
    #[expect(clippy::cast_possible_truncation, reason = "below a number of positions in memory")]
    pub(crate) fn start_bytes(&self, draws: Draws, sample: u64) -> usize {
        let moved = self.drawn.iter().map(|start| {
            let steps = draws.of(sample, start.transform).below(start.number, start.choices);
            steps as usize * self.row.strides()[start.axis]
        });
        self.corner_bytes + moved.sum::<usize>()
    }
}
