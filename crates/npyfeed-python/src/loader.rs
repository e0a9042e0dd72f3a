//! The engine's loader and its epochs, under `npyfeed.Loader`.

use std::time::Duration;

use npyfeed::{Epoch, Home, Io, Loader, Next, Position, State, Uneven};
use numpy::PyArrayDescr;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::answer::SIGNAL_INTERVAL;
use crate::dataset::PyDataset;
use crate::error::{mismatch, to_python, unsupported};
use crate::order::PyOrder;
use crate::turns::{Turn, Turns};
use crate::{descr, export};

/// Batches of a dataset, epoch after epoch.
#[pyclass(frozen, name = "Loader", module = "npyfeed._native")]
pub(crate) struct PyLoader {
    loader: Loader,
}

#[pymethods]
impl PyLoader {
    #[new]
    fn new(py: Python<'_>, dataset: &Bound<'_, PyDataset>, options: Bound<'_, PyDict>) -> PyResult<PyLoader> {
        let option = |name: &str| options.as_any().get_item(name);
        let wish = |name| integer("cannot make a loader", name, &option(name)?);
        let may_wish = |name| if option(name)?.is_none() { Ok(None) } else { wish(name).map(Some) };
        let mut builder = Loader::builder(dataset.get().dataset.clone())
            .batch_size(wish("batch_size")?.try_into()?)
            .order(option("order")?.cast::<PyOrder>()?.get().order.clone())
            .seed(wish("seed")?)
            .drop_last(option("drop_last")?.is_truthy()?)
            .epoch(wish("epoch")?);
        if let Some(threads) = may_wish("threads")? {
            builder = builder.threads(threads.try_into()?);
        }
        if let Some(prefetch) = may_wish("prefetch")? {
            builder = builder.prefetch(prefetch.try_into()?);
        }
        if let Some(memory_bytes) = may_wish("memory")? {
            builder = builder.memory_bytes(memory_bytes.try_into()?);
        }
        if let (Some(rank), Some(world_size)) = (may_wish("rank")?, may_wish("world_size")?) {
            builder = builder.shard(rank, world_size);
        }
        builder = builder.uneven(uneven(&option("uneven")?)?).io(io(&option("io")?)?);
        let loader = builder.build().map_err(|error| to_python(py, error))?;
        Ok(PyLoader { loader })
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<PyEpoch> {
        // Draws without replacement are sorted here.
        let epoch = py.detach(|| self.loader.begin_epoch()).map_err(|error| to_python(py, error))?;
        let descrs = self.loader.spec().iter().map(|column| Ok(descr::of_dtype(py, column.dtype)?.unbind()));
        let descrs = descrs.collect::<PyResult<_>>()?;
        Ok(PyEpoch { turns: Turns::new(epoch), home: Home::here(), descrs })
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

    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.loader.state();
        let numbers = PyDict::new(py);
        numbers.set_item("version", state.version)?;
        numbers.set_item("seed", state.seed)?;
        numbers.set_item("epoch", state.position.epoch)?;
        numbers.set_item("position", state.position.sample)?;
        numbers.set_item("order", state.order)?;
        Ok(numbers)
    }

    fn load_state(&self, py: Python<'_>, state: &Bound<'_, PyDict>) -> PyResult<()> {
        const DOING: &str = "cannot load the state";
        let number = |name| match state.get_item(name)? {
            Some(value) => integer(DOING, name, &value),
            None => {
                Err(mismatch(py, format!("{DOING}: expected a number '{name}', found {}", state.repr()?)))
            }
        };
        let (version, seed) = (number("version")?, number("seed")?);
        let position = Position { epoch: number("epoch")?, sample: number("position")? };
        let state = State { version, seed, position, order: number("order")? };
        self.loader.load_state(&state).map_err(|error| to_python(py, error))
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
        counts.set_item("read_ns", stats.read_ns)?;
        counts.set_item("fill_ns", stats.fill_ns)?;
        counts.set_item("idle_ns", stats.idle_ns)?;
        counts.set_item("wait_ns", stats.wait_ns)?;
        counts.set_item("busy_ns", stats.busy_ns)?;
        Ok(counts)
    }

    fn verdict(&self) -> String {
        self.loader.stats().verdict()
    }

    fn explain(&self) -> String {
        self.loader.explain()
    }
}

/// One pass over the dataset. Each item is a tuple with an ndarray for each column. Threads that share one take
/// turns: each batch goes to one of them.
#[pyclass(frozen, name = "Epoch", module = "npyfeed._native")]
pub(crate) struct PyEpoch {
    turns: Turns<Epoch>,
    /// Where it was begun: in a process forked from there, whoever has the turn may not have followed.
    home: Home,
    descrs: Vec<Py<PyArrayDescr>>,
}

#[pymethods]
impl PyEpoch {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.home.check().map_err(|error| to_python(py, error))?;
        // A batch that is ready is taken without letting go of the interpreter, which would cost more.
        let mut turn = self.turns.take(Duration::ZERO);
        let mut next = next_within(&mut turn, Duration::ZERO);
        loop {
            match next {
                Ok(Next::Batch(batch)) => {
                    drop(turn);
                    let columns = batch.into_columns().into_iter().zip(&self.descrs);
                    let arrays = columns.map(|(column, descr)| export::column(py, column, descr.bind(py)));
                    return PyTuple::new(py, arrays.collect::<PyResult<Vec<_>>>()?).map(Some);
                }
                // Looked at only while empty-handed: an exception here loses no batch and no error.
                Ok(Next::Pending) => py.check_signals()?,
                Ok(Next::End) => return Ok(None),
                Err(error) => return Err(to_python(py, error)),
            }
            next = py.detach(|| {
                let patience = if turn.is_some() { SIGNAL_INTERVAL } else { Duration::ZERO };
                turn = turn.take().or_else(|| self.turns.take(SIGNAL_INTERVAL));
                next_within(&mut turn, patience)
            });
        }
    }
}

/// What comes next, for whose turn it is.
fn next_within(turn: &mut Option<Turn<'_, Epoch>>, patience: Duration) -> npyfeed::Result<Next> {
    match turn.as_mut().and_then(Turn::thing) {
        Some(epoch) => epoch.next_within(patience),
        None => Ok(Next::Pending),
    }
}

impl Drop for PyEpoch {
    /// Waits for the workers without holding up the other threads of the interpreter.
    fn drop(&mut self) {
        let epoch = self.turns.end();
        Python::try_attach(|py| py.detach(|| drop(epoch)));
    }
}

fn io(value: &Bound<'_, PyAny>) -> PyResult<Io> {
    let name: Option<String> = value.extract().ok();
    let known = Io::NAMES.into_iter().find(|(known, _)| name.as_deref() == Some(known));
    known.map(|(_, io)| io).ok_or_else(|| {
        let names = Io::NAMES.map(|(name, _)| format!("'{name}'")).join(", ");
        let found = value.repr().map_or_else(|_| "something else".to_owned(), |repr| repr.to_string());
        mismatch(value.py(), format!("cannot make a loader: expected io to be one of {names}, found {found}"))
    })
}

fn uneven(value: &Bound<'_, PyAny>) -> PyResult<Uneven> {
    match value.extract() {
        Ok("pad") => Ok(Uneven::Pad),
        Ok("drop") => Ok(Uneven::Drop),
        Ok(_) | Err(_) => {
            let found = value.repr()?;
            let message =
                format!("cannot make a loader: expected uneven to be 'pad' or 'drop', found {found}");
            Err(mismatch(value.py(), message))
        }
    }
}

/// What Python calls an integer, if it is one from 0 to 2⁶⁴ - 1. Errors say what was being done, and for
/// which option.
pub(crate) fn integer(doing: &str, name: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let Ok(number) = value.extract::<i128>() else {
        let found = value.repr()?;
        let message = format!("{doing}: expected {name} to be an integer, found {found}");
        return Err(unsupported(value.py(), message));
    };
    number.try_into().map_err(|_| {
        mismatch(value.py(), format!("{doing}: expected {name} from 0 to 2**64 - 1, found {number}"))
    })
}
