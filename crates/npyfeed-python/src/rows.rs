//! `npyfeed.rows`: the rows of several files, one after the other; and lists of paths.

use std::path::{Path, PathBuf};

use npyfeed::FileSet;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::error::unsupported;

/// What `npyfeed.rows` makes: a column of the rows of several files.
#[pyclass(frozen, name = "Rows", module = "npyfeed._native")]
pub(crate) struct PyRows {
    pub(crate) files: FileSet,
    /// As it was given.
    given: Py<PyAny>,
}

#[pymethods]
impl PyRows {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("npyfeed.rows({})", self.given.bind(py).repr()?))
    }

    /// With paths from the root on: the working directory of whoever unpickles it does not matter.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyAny>,))> {
        let rows = py.import("npyfeed._native")?.getattr("rows")?;
        let files = match &self.files {
            FileSet::Matching(path) => absolute(path)?.into_pyobject(py)?.into_any(),
            FileSet::Listed(paths) => {
                let paths = paths.iter().map(|path| absolute(path)).collect::<PyResult<Vec<_>>>()?;
                PyTuple::new(py, paths)?.into_any()
            }
        };
        Ok((rows, (files,)))
    }
}

fn absolute(path: &Path) -> PyResult<PathBuf> {
    Ok(std::path::absolute(path)?)
}

/// The rows of several files, one after the other, as a column of `npyfeed.Dataset`: each row is a sample.
///
/// The files are opened when the dataset is made. A list of files without `rows` has one sample a file.
///
/// Args:
///     files: a pattern as `glob.glob` has them, with `**` for any number of folders, or a folder, whose
///         .npy files these are; both sorted by name. Or a list of paths, in its order, each of which may
///         also be `"file.npz:member"` or `"file.npy:field"`. dtype, byte order and the shape of a row must
///         be the same in all; `Dataset` raises `MismatchError` where they are not.
///
/// Raises:
///     UnsupportedError: it is neither.
///
/// >>> import numpy as np, npyfeed as nf
/// >>> np.save("part0.npy", np.zeros((3, 2))), np.save("part1.npy", np.ones((4, 2)))  # doctest: +SKIP
/// >>> len(nf.Dataset(x=nf.rows("part*.npy")))  # doctest: +SKIP
/// 7
#[pyfunction]
pub(crate) fn rows(files: &Bound<'_, PyAny>) -> PyResult<PyRows> {
    if let Some(listed) = listed("cannot join rows", files)? {
        // A copy: a list may be changed by whoever gave it.
        let given = PyTuple::new(files.py(), files.try_iter()?.collect::<PyResult<Vec<_>>>()?)?;
        return Ok(PyRows { files: FileSet::Listed(listed), given: given.into_any().unbind() });
    }
    if let Ok(path) = files.extract::<PathBuf>() {
        return Ok(PyRows { files: FileSet::Matching(path), given: files.clone().unbind() });
    }
    let found = files.get_type().name()?;
    let expected = "expected a pattern, a folder or a list of paths";
    Err(unsupported(
        files.py(),
        format!("cannot join rows: {expected}, found {found}; pass list(...) of paths"),
    ))
}

/// The paths of a list or tuple of them; `None` for anything else.
pub(crate) fn listed(doing: &str, source: &Bound<'_, PyAny>) -> PyResult<Option<Vec<PathBuf>>> {
    if !source.is_instance_of::<PyList>() && !source.is_instance_of::<PyTuple>() {
        return Ok(None);
    }
    let path = |(place, item): (usize, PyResult<Bound<'_, PyAny>>)| {
        let item = item?;
        if item.is_instance_of::<PyString>() || item.hasattr("__fspath__")? {
            return item.extract::<PathBuf>();
        }
        let found = item.get_type().name()?;
        let message = format!(
            "{doing}: expected a list of paths of .npy files, found {found} at index {place}; pass numpy.asarray(...) for a \
             list of numbers"
        );
        Err(unsupported(source.py(), message))
    };
    source.try_iter()?.enumerate().map(path).collect::<PyResult<Vec<_>>>().map(Some)
}
