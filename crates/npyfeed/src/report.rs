//! What will be done with each sample of a dataset, for people to read: `println!("{}", dataset.plan())`.

use std::fmt;

use npyfeed_array::{ByteOrder, Dtype};

use crate::column_plan::Way;
use crate::dataset::{Column, Dataset};
use crate::error::Result;
use crate::figures::grouped;

/// What is read, computed and written for each sample. Made by [`Dataset::plan`]; its text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanReport {
    /// The number of samples.
    pub samples: u64,
    /// Each column, in order.
    pub columns: Vec<ColumnReport>,
}

/// What is done with one column of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// The number of rows there are to choose from.
    pub rows: u64,
    /// A row as it is stored.
    pub row: Stage,
    /// The byte order of its elements.
    pub byte_order: ByteOrder,
    /// The size of all its elements.
    pub row_bytes: usize,
    /// What of it is read.
    pub reads: Reads,
    /// The size of what is read for a sample.
    pub read_bytes: usize,
    /// The sample after each transform.
    pub steps: Vec<Stage>,
    /// The loop that does all of them: the name of the [`Kernel`](npyfeed_kernel::Kernel).
    pub kernel: &'static str,
    /// How the elements of a sample come to it.
    pub passes: Passes,
    /// The size of a sample in the batch.
    pub written_bytes: usize,
}

/// Dtype and shape of a sample at some point of its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What was done last: the name of a transform, or `"row"`.
    pub name: &'static str,
    /// The dtype then.
    pub dtype: Dtype,
    /// The shape then.
    pub shape: Vec<usize>,
}

/// Which part of a row is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All of it.
    Row,
    /// A box of this shape, at the same place in each row.
    Box(Vec<usize>),
    /// A box of this shape, at a place drawn for each sample and epoch.
    DrawnBox(Vec<usize>),
}

/// How often the elements of a sample are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Once, from where they lie into the batch.
    One,
    /// Once, over so many strips that are brought together in the nearest cache on the way.
    OneInStrips(usize),
    /// Twice: they are brought together first.
    Two,
}

impl PlanReport {
    /// # Errors
    /// None in practice: the columns of a dataset have rows.
    pub(crate) fn of(dataset: &Dataset) -> Result<PlanReport> {
        let columns = dataset.columns().iter().map(ColumnReport::of).collect::<Result<_>>()?;
        Ok(PlanReport { samples: dataset.len(), columns })
    }
}

impl ColumnReport {
    fn of(column: &Column) -> Result<ColumnReport> {
        let (row, outcome) = (column.rows.layout()?, &column.outcome);
        let region = &outcome.region;
        let cropped = region.row.shape().to_vec();
        let reads = match (region.is_drawn(), cropped == row.shape()) {
            (true, _) => Reads::DrawnBox(cropped),
            (false, true) => Reads::Row,
            (false, false) => Reads::Box(cropped),
        };
        let passes = match Way::of(region, &column.kernel) {
            Way::Whole => Passes::One,
            Way::Strips(strips) => Passes::OneInStrips(strips.count()),
            Way::Packed => Passes::Two,
        };
        Ok(ColumnReport {
            name: column.name.to_string(),
            rows: column.rows.count(),
            row: Stage { name: "row", dtype: row.dtype(), shape: row.shape().to_vec() },
            byte_order: row.byte_order(),
            row_bytes: row.element_count() * row.dtype().item_bytes(),
            reads,
            read_bytes: outcome.pass.source_bytes(),
            steps: outcome.stages.clone(),
            kernel: column.kernel.name(),
            passes,
            written_bytes: outcome.pass.output_bytes(),
        })
    }
}

impl fmt::Display for PlanReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} samples", grouped(self.samples))?;
        self.columns.iter().try_for_each(|column| write!(out, "\n{column}"))
    }
}

impl fmt::Display for ColumnReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let swapped = if self.byte_order == ByteOrder::NATIVE || self.row.dtype.item_bytes() == 1 {
            ""
        } else {
            ", to be swapped"
        };
        writeln!(out, "{}: {} rows {}{swapped}", self.name, grouped(self.rows), self.row)?;
        let bytes =
            || format!("{} of {} bytes", grouped(self.read_bytes as u64), grouped(self.row_bytes as u64));
        match &self.reads {
            Reads::Row => writeln!(out, "  read: whole rows, {} bytes", grouped(self.row_bytes as u64)),
            Reads::Box(shape) => writeln!(out, "  read: a box {shape:?}, {}", bytes()),
            Reads::DrawnBox(shape) => writeln!(out, "  read: a box {shape:?} at a drawn place, {}", bytes()),
        }?;
        for (index, stage) in self.steps.iter().enumerate() {
            writeln!(out, "  step {} {}: {stage}", index + 1, stage.name)?;
        }
        let kernel = self.kernel;
        match self.passes {
            Passes::One => writeln!(out, "  passes: 1, loop '{kernel}'"),
            Passes::OneInStrips(count) => {
                writeln!(out, "  passes: 1, loop '{kernel}', in {} strips", grouped(count as u64))
            }
            Passes::Two => writeln!(out, "  passes: 2, elements brought together, then loop '{kernel}'"),
        }?;
        write!(out, "  write: {} bytes", grouped(self.written_bytes as u64))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:?}", self.dtype, self.shape)
    }
}
