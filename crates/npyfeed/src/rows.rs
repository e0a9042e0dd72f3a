//! Where the rows of a column lie.

use npyfeed_array::Layout;

use crate::array::Array;
use crate::error::{Error, Result};

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

    /// Where they lie, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Rows::Array(array) => format!("'{}'", array.name()),
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
