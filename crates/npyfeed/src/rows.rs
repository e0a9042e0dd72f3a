//! Where the rows of a column lie.

use npyfeed_array::Layout;

use crate::array::Array;
use crate::error::{Error, Result};
use crate::io_choice::Lying;

/// The rows of a column, numbered from 0.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// Those of one array, along its first axis.
    Array(Array),
}

impl Rows {
    /// The rows of an array.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if it has no axis to count them along;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if its elements are not numbers.
    pub(crate) fn of_array(array: Array) -> Result<Rows> {
        if array.layout()?.row().is_none() {
            let (source, shape) = (array.name(), array.shape());
            return Err(Error::mismatch(format!(
                "('{source}'): expected an array whose first axis counts the samples, found shape {shape:?}"
            )));
        }
        Ok(Rows::Array(array))
    }

    /// What errors call them.
    pub(crate) fn name(&self) -> &str {
        match self {
            Rows::Array(array) => array.name(),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Rows::Array(array) => array.shape().first().map_or(0, |&rows| rows as u64),
        }
    }

    /// How each of them lies.
    ///
    /// # Errors
    /// None in practice: rows are those of numbers.
    pub(crate) fn layout(&self) -> Result<Layout> {
        match self {
            Rows::Array(array) => {
                let row = array.layout()?.row();
                row.ok_or_else(|| Error::mismatch("expected an array with rows, found a single number"))
            }
        }
    }

    /// Where their bytes lie.
    pub(crate) fn lying(&self) -> Lying {
        match self {
            Rows::Array(array) => array.lying(),
        }
    }

    /// From the first byte of the column to the first element of row `row`.
    pub(crate) fn start_bytes(&self, row: u64) -> u64 {
        match self {
            Rows::Array(array) => row * array.grid().row_stride_bytes() as u64,
        }
    }

    /// Has what was read through maps no longer count as this process's memory.
    pub(crate) fn forget_resident(&self) {
        match self {
            Rows::Array(array) => array.forget_resident(),
        }
    }

    /// The same rows, in memory of their own.
    ///
    /// # Errors
    /// As [`Array::copied`].
    pub(crate) fn in_memory(&self) -> Result<Rows> {
        match self {
            Rows::Array(array) => array.copied().map(Rows::Array),
        }
    }

    /// Whether the bytes of these rows are still those that were opened. Ask after reading them.
    ///
    /// # Errors
    /// As [`Array::check`].
    pub(crate) fn check(&self, _rows: &[u64]) -> Result<()> {
        match self {
            Rows::Array(array) => array.check(),
        }
    }
}
