//! The engine's side of `npyfeed.save`: bytes to a file that is there whole or not at all.

use std::path::{Path, PathBuf};

use npyfeed::{AtomicFile, MemoryOrder, header_bytes_of_descr};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyIterator;

use crate::error::{to_python, unsupported};

/// Written between two looks at whether Ctrl-C was pressed: a few hundredths of a second.
pub(crate) const SIGNAL_INTERVAL_BYTES: usize = 64 << 20;

/// What `numpy.lib.format.header_data_from_array_1_0` says of an array.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Description {
    /// The `repr` of the descr.
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Description {
    /// The header of the array, which is to be written to `path`.
    pub(crate) fn header(&self, py: Python<'_>, path: &Path) -> PyResult<Vec<u8>> {
        let memory_order = if self.fortran_order { MemoryOrder::Fortran } else { MemoryOrder::C };
        header_bytes_of_descr(&self.descr, memory_order, &self.shape)
            .map_err(|why| unsupported(py, format!("cannot write '{}': {why}", path.display())))
    }
}

/// Writes the header of `description`, then the bytes of each of `chunks`.
#[pyfunction]
pub(crate) fn save(path: PathBuf, description: Description, chunks: Bound<'_, PyIterator>) -> PyResult<()> {
    let py = chunks.py();
    let header = description.header(py, &path)?;
    let began = py.detach(|| {
        let mut file = AtomicFile::create(path)?;
        file.write(&header).map(|()| file)
    });
    let mut file = began.map_err(|error| to_python(py, error))?;
    for chunk in chunks {
        let chunk: PyReadonlyArray1<'_, u8> = chunk?.extract()?;
        for bytes in chunk.as_slice()?.chunks(SIGNAL_INTERVAL_BYTES) {
            py.detach(|| file.write(bytes)).map_err(|error| to_python(py, error))?;
            py.check_signals()?;
        }
    }
    py.detach(|| file.finish()).map_err(|error| to_python(py, error))?;
    Ok(())
}
