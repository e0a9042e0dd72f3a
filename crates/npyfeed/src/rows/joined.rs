//! The rows of several arrays, one after the other.

use std::path::Path;
use std::sync::Arc;

use npyfeed_array::Layout;

use super::alike::check_alike;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::io_choice::Lying;
use crate::open::open_column;

/// Arrays whose rows are alike, and where in the count of all rows those of each end.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    parts: Arc<[Array]>,
    ends: Arc<[u64]>,
    row: Layout,
}

impl Joined {
    /// Opens all files, in this order; each is what a column names.
    ///
    /// # Errors
    /// As [`open_column`]; [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if there are none, one has no rows to
    /// count, or its rows are not those of the first: the file, and what differs.
    pub(super) fn new<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Joined> {
        let parts = files.map(open_column).collect::<Result<Vec<Array>>>()?;
        let Some(first) = parts.first() else {
            return Err(Error::mismatch(
                "cannot join the rows of no files: expected at least one path, found an empty list",
            ));
        };
        let row = row_of(first)?;
        let (mut ends, mut end) = (Vec::with_capacity(parts.len()), 0);
        for part in &parts {
            let alike = check_alike((first.name(), &row), (part.name(), &row_of(part)?));
            alike.map_err(|error| error.about(part.path()))?;
            end += part.shape()[0] as u64;
            ends.push(end);
        }
        Ok(Joined { parts: parts.into(), ends: ends.into(), row })
    }

    pub(super) fn count(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    pub(super) fn row_layout(&self) -> &Layout {
        &self.row
    }

    /// The bytes from the first element of row `row` on, to the end of its array.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn row(&self, row: u64) -> &[u8] {
        let place = self.place(row);
        let part = &self.parts[place];
        let before = self.before(place);
        #[expect(clippy::cast_possible_truncation, reason = "a row of an array that lies in memory")]
        let start = (row - before) as usize * part.grid().row_stride_bytes();
        &part.bytes()[start..]
    }

    /// The array that row `row` is in.
    fn place(&self, row: u64) -> usize {
        self.ends.partition_point(|&end| end <= row)
    }

    pub(super) fn name(&self) -> &str {
        self.parts.first().map_or("memory", Array::name)
    }

    pub(super) fn lying(&self) -> Lying {
        Lying::joined(self.parts.iter().map(Array::lying))
    }

    /// Which of the files has row `row`, and where in it the row begins.
    pub(super) fn place_in_file(&self, row: u64) -> (usize, u64) {
        let place = self.place(row);
        (place, self.parts[place].start_in_file(row - self.before(place)))
    }

    pub(super) fn forget_resident(&self) {
        self.parts.iter().for_each(Array::forget_resident);
    }

    pub(super) fn copied(&self) -> Result<Joined> {
        let parts = self.parts.iter().map(Array::copied).collect::<Result<Arc<[Array]>>>()?;
        Ok(Joined { parts, ends: Arc::clone(&self.ends), row: self.row.clone() })
    }

    /// How many rows come before those of part `place`.
    fn before(&self, place: usize) -> u64 {
        place.checked_sub(1).map_or(0, |previous| self.ends[previous])
    }

    /// Asks each array that the rows are of, once.
    pub(super) fn check(&self, rows: &[u64]) -> Result<()> {
        let mut places: Vec<usize> = rows.iter().map(|&row| self.place(row)).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().try_for_each(|place| self.parts[place].check())
    }
}

/// How the rows of an array lie.
fn row_of(array: &Array) -> Result<Layout> {
    array.layout()?.row().ok_or_else(|| {
        let message = format!(
            "cannot join the rows of '{}': expected an array whose first axis counts the samples, found a single \
             number; a list of files without nf.rows has one sample a file",
            array.name()
        );
        Error::mismatch(message).about(array.path())
    })
}
