//! The engine's writer, under `npyfeed.Writer`.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use npyfeed::{SampleElement, Writer};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use crate::error::to_python;

/// Appends samples, given as bytes, to a new .npy file.
#[pyclass(frozen, name = "Writer", module = "npyfeed._native")]
pub(crate) struct PyWriter(Mutex<Writer>);

impl PyWriter {
    /// Runs `act` without the interpreter: it may wait for the disk, and for another thread's `act`.
    fn run<T: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut Writer) -> T + Send) -> T {
        py.detach(|| act(&mut self.lock()))
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyWriter {
    #[new]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        descr: String,
        item_bytes: usize,
        sample_shape: Vec<usize>,
    ) -> PyResult<PyWriter> {
        let element = SampleElement::Described { descr: descr.into(), item_bytes };
        let created = py.detach(|| Writer::of_elements(path, element, &sample_shape));
        created.map(|writer| PyWriter(Mutex::new(writer))).map_err(|error| to_python(py, error))
    }

    fn append(&self, py: Python<'_>, sample_count: usize, samples: PyReadonlyArray1<'_, u8>) -> PyResult<()> {
        let bytes = samples.as_slice()?;
        let appended = self.run(py, |writer| writer.append_bytes(sample_count, bytes));
        appended.map_err(|error| to_python(py, error))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, Writer::flush).map_err(|error| to_python(py, error))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.run(py, Writer::close).map_err(|error| to_python(py, error))
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.run(py, |writer| writer.is_closed())
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.run(py, |writer| writer.len())
    }
}
