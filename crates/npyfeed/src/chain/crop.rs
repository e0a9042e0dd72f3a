//! The transforms that take a box out of a sample. They move no bytes: they say which are read.

use npyfeed_array::Dtype;

use super::Chain;
use crate::drawn::RandomStep;
use crate::error::{Error, Result};
use crate::region::DrawnStart;
use crate::transform::BoxSize;

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
            let end = if end == 0 { self.shape[axis] } else { end };
            if start >= end || end > self.shape[axis] {
                return Err(self.no_such_box(&format!("{start}..{end} along axis {axis}")));
            }
            self.cut(axis, start, end - start)?;
        }
        Ok(())
    }

    /// A box of this size in the middle. What is uneven is left at the end, as MONAI does.
    pub(super) fn add_center_crop(&mut self, size: &BoxSize) -> Result<()> {
        for (axis, length) in self.box_lengths(size)? {
            self.cut(axis, self.shape[axis] / 2 - length / 2, length)?;
        }
        Ok(())
    }

    /// A box of this size at a place drawn for each sample by a transform with this place in the chain and name.
    pub(super) fn add_drawn_crop(
        &mut self,
        (place, name): (usize, &'static str),
        size: &BoxSize,
    ) -> Result<()> {
        let mut choices = Vec::new();
        for (number, (axis, length)) in (0..).zip(self.box_lengths(size)?) {
            let positions = (self.shape[axis] - length + 1) as u64;
            choices.push(positions);
            if positions > 1 {
                let (transform, axis) = (self.random.len() as u64, self.source_axis(axis)?);
                self.drawn.push(DrawnStart { transform, number, choices: positions, axis });
            }
            self.cut(axis, 0, length)?;
        }
        let number = self.random.len() as u64;
        self.random.push(RandomStep { place, number, name, choices: choices.into() });
        Ok(())
    }

    /// Height and width of this size in the middle. The half of an uneven rest is rounded to the even number, as
    /// torchvision's `round` does.
    pub(super) fn add_center_picture(&mut self, size: [usize; 2]) -> Result<()> {
        self.check_picture()?;
        for (axis, length) in self.box_lengths(&size.into())? {
            let rest = self.shape[axis] - length;
            let half = rest / 2;
            self.cut(axis, half + (rest % 2) * (half % 2), length)?;
        }
        Ok(())
    }

    /// As [`add_drawn_crop`](Chain::add_drawn_crop), of height and width.
    pub(super) fn add_drawn_picture(
        &mut self,
        transform: (usize, &'static str),
        size: [usize; 2],
    ) -> Result<()> {
        self.check_picture()?;
        self.add_drawn_crop(transform, &size.into())
    }

    /// torchvision's crops act on the last two axes of a tensor. In bytes with one to four channels last, those are
    /// not height and width.
    fn check_picture(&self) -> Result<()> {
        if self.dtype == Dtype::U8 && !self.has_channel_axis() && matches!(self.shape[..], [_, _, 1..=4]) {
            return Err(Error::mismatch(format!(
                "expected height and width as the last two axes, found {}, whose channels seem to come last; put \
                 ToTensor() before it",
                self.describe()
            )));
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

    /// The axes that a box is cut along, and how long it is there.
    fn box_lengths(&self, size: &BoxSize) -> Result<Vec<(usize, usize)>> {
        let lengths = match size {
            BoxSize::Each(lengths) => lengths.clone(),
            BoxSize::Every(0) => return Ok(Vec::new()),
            BoxSize::Every(length) => vec![*length; self.spatial_axes(*length)?],
        };
        let first = self.first_cropped_axis(&lengths)?;
        (first..).zip(&lengths).map(|(axis, &length)| Ok((axis, self.box_length(axis, length)?))).collect()
    }

    /// 0 is all of an axis.
    fn box_length(&self, axis: usize, length: usize) -> Result<usize> {
        match length {
            0 => Ok(self.shape[axis]),
            length if length <= self.shape[axis] => Ok(length),
            length => {
                let found = format!("a length of {length} along axis {axis}; lower the size");
                Err(self.no_such_box(&found))
            }
        }
    }

    /// How many axes are not that of the channels, where that can be known: MONAI's samples always have one, ours
    /// need not.
    fn spatial_axes(&self, length: usize) -> Result<usize> {
        match self.shape.len() {
            axes if axes > 3 || self.has_channel_axis() => Ok(axes - 1),
            axes @ (2 | 3) => {
                let each = |count: usize| vec![length.to_string(); count].join(", ");
                let inner = each(axes - 1);
                Err(Error::mismatch(format!(
                    "expected a length for each axis, found one, {length}, of a sample {} whose first axis may count \
                     channels or not; write ({}), or ({inner}{}) if it does",
                    self.describe(),
                    each(axes),
                    if axes == 2 { "," } else { "" }
                )))
            }
            axes => Ok(axes),
        }
    }

    fn has_channel_axis(&self) -> bool {
        self.is_tensor || self.has_channel_numbers || self.axes.first() == Some(&None)
    }

    fn source_axis(&self, axis: usize) -> Result<usize> {
        self.axes[axis].ok_or_else(|| self.no_such_box("a part of an axis that was added"))
    }

    fn no_such_box(&self, found: &str) -> Error {
        Error::mismatch(format!("expected a box inside the sample {}, found {found}", self.describe()))
    }
}
