//! The engine's loader and its epochs, under `npyfeed.Loader`.

use std::time::Duration;

use npyfeed::{Epoch, Loader, Next};
use numpy::PyArrayDescr;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::dataset::PyDataset;
use crate::error::to_python;
use crate::export;

/// How often a waiting consumer looks whether Ctrl-C was pressed.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Batches of a dataset, epoch after epoch.
#[pyclass(frozen, name = "Loader", module = "npyfeed._native")]
pub(crate) struct PyLoader {
    loader: Loader,
}

/// What `npyfeed.Loader` was asked for.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Options {
    batch_size: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
    threads: Option<usize>,
    prefetch: Option<usize>,
    memory: Option<usize>,
    epoch: u64,
}

#[pymethods]
impl PyLoader {
    #[new]
    fn new(py: Python<'_>, dataset: &Bound<'_, PyDataset>, options: Options) -> PyResult<PyLoader> {
        let mut builder = Loader::builder(dataset.get().dataset.clone())
            .batch_size(options.batch_size)
            .shuffle(options.shuffle)
            .seed(options.seed)
            .drop_last(options.drop_last)
            .epoch(options.epoch);
        if let Some(threads) = options.threads {
            builder = builder.threads(threads);
        }
        if let Some(prefetch) = options.prefetch {
            builder = builder.prefetch(prefetch);
        }
        if let Some(memory_bytes) = options.memory {
            builder = builder.memory_bytes(memory_bytes);
        }
        let loader = builder.build().map_err(|error| to_python(py, error))?;
        Ok(PyLoader { loader })
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<PyEpoch> {
        let epoch = self.loader.begin_epoch().map_err(|error| to_python(py, error))?;
        let descrs = self.loader.spec().iter().map(|column| Ok(export::descr(py, column.dtype)?.unbind()));
        Ok(PyEpoch { epoch, descrs: descrs.collect::<PyResult<_>>()? })
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.loader.len())?)
    }

    #[getter]
    fn epoch(&self) -> u64 {
        self.loader.epoch()
    }

    fn set_epoch(&self, epoch: u64) {
        self.loader.set_epoch(epoch);
    }

    #[getter]
    fn threads(&self) -> usize {
        self.loader.threads()
    }

    #[getter]
    fn prefetch(&self) -> usize {
        self.loader.prefetch()
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.loader.stats();
        let counts = PyDict::new(py);
        counts.set_item("batches", stats.batches)?;
        counts.set_item("samples", stats.samples)?;
        counts.set_item("bytes_read", stats.bytes_read)?;
        counts.set_item("bytes_written", stats.bytes_written)?;
        counts.set_item("fill_ns", stats.fill_ns)?;
        counts.set_item("wait_ns", stats.wait_ns)?;
        Ok(counts)
    }
}

/// One pass over the dataset. Each item is a tuple with an ndarray for each column.
#[pyclass(name = "Epoch", module = "npyfeed._native")]
pub(crate) struct PyEpoch {
    epoch: Epoch,
    descrs: Vec<Py<PyArrayDescr>>,
}

#[pymethods]
impl PyEpoch {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        // A batch that is ready is taken without letting go of the interpreter, which would cost more.
        let mut next = self.epoch.next_within(Duration::ZERO);
        loop {
            match next {
                Ok(Next::Batch(batch)) => {
                    let columns = batch.into_columns().into_iter().zip(&self.descrs);
                    let arrays = columns.map(|(column, descr)| export::column(py, column, descr.bind(py)));
                    return PyTuple::new(py, arrays.collect::<PyResult<Vec<_>>>()?).map(Some);
                }
                Ok(Next::Pending) => {
                    next = py.detach(|| self.epoch.next_within(SIGNAL_INTERVAL));
                    py.check_signals()?;
                }
                Ok(Next::End) => return Ok(None),
                Err(error) => return Err(to_python(py, error)),
            }
        }
    }
}
