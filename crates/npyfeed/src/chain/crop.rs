//! The transforms that take a box out of a sample. They move no bytes: they say which are read.

use super::Chain;
use crate::error::{Error, Result};
use crate::region::DrawnStart;

impl Chain {
    /// The box from `start` to `end`, along the last axes.
    pub(super) fn add_crop(&mut self, start: &[usize], end: &[usize]) -> Result<()> {
        if start.len() != end.len() {
            return Err(Error::mismatch(format!(
                "expected as many starts as ends, found {start:?} and {end:?}"
            )));
        }
        let first = self.first_cropped_axis(end)?;
        for (axis, (&start, &end)) in (first..).zip(start.iter().zip(end)) {
            if start >= end || end > self.shape[axis] {
                return Err(self.no_such_box(&format!("{start}..{end} along axis {axis}")));
            }
            self.cut(axis, start, end - start)?;
        }
        Ok(())
    }

    /// A box of this size in the middle, along the last axes. What is uneven is left at the end, as MONAI does.
    pub(super) fn add_center_crop(&mut self, size: &[usize]) -> Result<()> {
        let first = self.first_cropped_axis(size)?;
        for (axis, &length) in (first..).zip(size) {
            let length = self.box_length(axis, length)?;
            self.cut(axis, self.shape[axis] / 2 - length / 2, length)?;
        }
        Ok(())
    }

    /// A box of this size at a place drawn for each sample by the transform at `place` in the chain.
    pub(super) fn add_drawn_crop(&mut self, place: u64, size: &[usize]) -> Result<()> {
        let first = self.first_cropped_axis(size)?;
        for (number, (axis, &length)) in (0..).zip((first..).zip(size)) {
            let length = self.box_length(axis, length)?;
            let choices = (self.shape[axis] - length + 1) as u64;
            if choices > 1 {
                let source_axis = self.source_axis(axis)?;
                self.drawn.push(DrawnStart { transform: place, number, choices, axis: source_axis });
            }
            self.cut(axis, 0, length)?;
        }
        Ok(())
    }

    /// Keeps `length` indices of an axis, from `start` on.
    fn cut(&mut self, axis: usize, start: usize, length: usize) -> Result<()> {
        if (start, length) == (0, self.shape[axis]) {
            return Ok(());
        }
        if self.has_channel_numbers && axis + 3 <= self.shape.len() {
            return Err(Error::mismatch(format!(
                "expected a box with all channels behind Normalize, found a part of axis {axis} of {}; crop before it",
                self.describe()
            )));
        }
        let source_axis = self.source_axis(axis)?;
        self.cuts[source_axis].start += start;
        self.cuts[source_axis].length = length;
        self.shape[axis] = length;
        Ok(())
    }

    /// A box has a length for each of the last axes.
    fn first_cropped_axis(&self, lengths: &[usize]) -> Result<usize> {
        match self.shape.len().checked_sub(lengths.len()) {
            Some(first) if !lengths.is_empty() => Ok(first),
            Some(_) | None => Err(Error::mismatch(format!(
                "expected a length for 1 to {} axes, found {} of them, {lengths:?}; the sample is {}",
                self.shape.len(),
                lengths.len(),
                self.describe()
            ))),
        }
    }

    /// 0 is all of an axis.
    fn box_length(&self, axis: usize, length: usize) -> Result<usize> {
        match length {
            0 => Ok(self.shape[axis]),
            length if length <= self.shape[axis] => Ok(length),
            length => Err(self.no_such_box(&format!("{length} indices along axis {axis}"))),
        }
    }

    fn source_axis(&self, axis: usize) -> Result<usize> {
        self.axes[axis].ok_or_else(|| self.no_such_box("a part of an axis that was added"))
    }

    fn no_such_box(&self, found: &str) -> Error {
        Error::mismatch(format!("expected a box inside the sample {}, found {found}", self.describe()))
    }
}
