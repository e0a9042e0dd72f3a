//! Where the rows of a column lie.
//!
//! | rows | file |
//! |---|---|
//! | of one array, along its first axis | here |
//! | of several arrays, one after the other | `joined.rs` |
//! | each a file of its own | `files.rs`; the large ones that stay mapped, `kept.rs` |
//!
//! Which files those are: `paths.rs`, `pattern.rs`. Whether they go together: `alike.rs`.

mod alike;
mod files;
mod joined;
mod kept;
mod paths;
mod pattern;

use std::path::{Path, PathBuf};

use npyfeed_array::Layout;

use crate::array::Array;
use crate::error::{Error, Result};
use crate::io_choice::Lying;
use crate::open::{names_inside_a_file, open_column};

pub(crate) use files::Files;
pub(crate) use joined::Joined;
pub(crate) use paths::{Paths, entries, is_npy};

/// The rows of a column, numbered from 0.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// Those of one array, along its first axis.
    Array(Array),
    /// Those of several arrays, one after the other.
    Joined(Joined),
    /// Each is a file.
    Files(Files),
}

/// Several files: their paths, or what stands for them.
///
/// ```
/// use npyfeed::FileSet;
///
/// let matching: FileSet = "train/*.npy".into(); // a pattern, a folder, or one file
/// let listed: FileSet = vec!["a.npy", "b.npy"].into(); // in this order
/// # drop((matching, listed));
/// ```
#[derive(Clone, Debug)]
pub enum FileSet {
    /// A pattern as Python's `glob.glob(pattern, recursive=True)` has them, or a folder, whose .npy files these are;
    /// sorted. Else one file.
    Matching(PathBuf),
    /// These, in this order.
    Listed(Vec<PathBuf>),
}

impl From<&str> for FileSet {
    fn from(pattern: &str) -> FileSet {
        FileSet::Matching(pattern.into())
    }
}

impl<P: Into<PathBuf>> From<Vec<P>> for FileSet {
    fn from(paths: Vec<P>) -> FileSet {
        FileSet::Listed(paths.into_iter().map(Into::into).collect())
    }
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
                "expected an array whose first axis counts the samples, found shape {shape:?} in '{source}'"
            )));
        }
        Ok(Rows::Array(array))
    }

    /// What a path names: the files of a folder or those that match a pattern, one row each; else an array.
    ///
    /// # Errors
    /// As [`open_column`], [`Paths::of`] and [`Files::new`].
    pub(crate) fn of_path(path: &Path) -> Result<Rows> {
        match several(path)? {
            Some(paths) => Files::new(paths).map(Rows::Files),
            None => open_column(path).and_then(Rows::of_array),
        }
    }

    /// The files, one row each.
    ///
    /// # Errors
    /// As [`Files::new`].
    pub(crate) fn of_files(files: &[PathBuf]) -> Result<Rows> {
        Files::new(files.iter().collect()).map(Rows::Files)
    }

    /// The rows of the files, one after the other.
    ///
    /// # Errors
    /// As [`Joined::new`].
    pub(crate) fn of_rows(files: &FileSet) -> Result<Rows> {
        let joined = match files {
            FileSet::Listed(files) => Joined::new(files.iter().map(PathBuf::as_path)),
            FileSet::Matching(path) => match several(path)? {
                Some(paths) => Joined::new(paths.iter()),
                None => Joined::new(std::iter::once(path.as_path())),
            },
        };
        joined.map(Rows::Joined)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Rows::Array(array) => array.shape().first().map_or(0, |&rows| rows as u64),
            Rows::Joined(joined) => joined.count(),
            Rows::Files(files) => files.count(),
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
            Rows::Joined(joined) => Ok(joined.row_layout().clone()),
            Rows::Files(files) => Ok(files.row_layout().clone()),
        }
    }

    /// Whether a row is brought into memory as a whole, so that several threads cannot each bring a part of it.
    pub(crate) fn come_whole(&self) -> bool {
        match self {
            Rows::Array(_) | Rows::Joined(_) => false,
            Rows::Files(files) => files.are_read(),
        }
    }

    /// What errors call them.
    pub(crate) fn name(&self) -> &str {
        match self {
            Rows::Array(array) => array.name(),
            Rows::Joined(joined) => joined.name(),
            Rows::Files(files) => files.name(),
        }
    }

    /// The array, if it is one.
    pub(crate) fn array(&self) -> Option<&Array> {
        match self {
            Rows::Array(array) => Some(array),
            Rows::Joined(_) | Rows::Files(_) => None,
        }
    }

    /// The files, if each row is one.
    pub(crate) fn files(&self) -> Option<&Files> {
        match self {
            Rows::Array(_) | Rows::Joined(_) => None,
            Rows::Files(files) => Some(files),
        }
    }

    /// Where their bytes lie.
    pub(crate) fn lying(&self) -> Lying {
        match self {
            Rows::Array(array) => array.lying(),
            Rows::Joined(joined) => joined.lying(),
            Rows::Files(files) if files.are_read() => Lying::SmallFiles,
            Rows::Files(_) => Lying::LargeFiles,
        }
    }

    /// Which of the files has row `row`, and where in it the row begins; in a file of its own, counted from the first
    /// element.
    #[expect(clippy::cast_possible_truncation, reason = "a path that lies in memory")]
    pub(crate) fn place(&self, row: u64) -> (usize, u64) {
        match self {
            Rows::Array(array) => (0, array.start_in_file(row)),
            Rows::Joined(joined) => joined.place_in_file(row),
            Rows::Files(_) => (row as usize, 0),
        }
    }

    /// Has what was read through maps no longer count as this process's memory.
    pub(crate) fn forget_resident(&self) {
        match self {
            Rows::Array(array) => array.forget_resident(),
            Rows::Joined(joined) => joined.forget_resident(),
            Rows::Files(files) => files.forget_resident(),
        }
    }

    /// The same rows, in memory of their own.
    ///
    /// # Errors
    /// As [`Array::copied`].
    pub(crate) fn in_memory(&self) -> Result<Rows> {
        match self {
            Rows::Array(array) => array.copied().map(Rows::Array),
            Rows::Joined(joined) => joined.copied().map(Rows::Joined),
            Rows::Files(files) => files.copied().map(Rows::Array),
        }
    }

    /// Whether the bytes of these rows are still those that were opened. Ask after reading them.
    ///
    /// # Errors
    /// As [`Array::check`].
    pub(crate) fn check(&self, rows: &[u64]) -> Result<()> {
        match self {
            Rows::Array(array) => array.check(),
            Rows::Joined(joined) => joined.check(rows),
            // Each was checked when it was read.
            Rows::Files(_) => Ok(()),
        }
    }
}

/// The files of a folder, or those that match a pattern; `None` if the path names a single one. A file comes before
/// a pattern that it is called like.
fn several(path: &Path) -> Result<Option<Paths>> {
    if path.is_dir() {
        return Paths::of_folder(path).map(Some);
    }
    match path.to_str() {
        Some(text) if pattern::is_pattern(text) && !path.exists() && !names_inside_a_file(path) => {
            Paths::matching(text).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}
