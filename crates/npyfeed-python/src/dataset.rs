//! The engine's dataset, under `npyfeed.Dataset`.

use std::path::PathBuf;

use npyfeed::{ColumnSource, Dataset};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1, PyUntypedArray};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::answer::{AT_ONCE_BYTES, answering};
use crate::array::PyArray;
use crate::error::{to_python, unsupported};
use crate::loader::integer;
use crate::rows::{PyRows, listed};
use crate::transform::chain;
use crate::{descr, export};

/// Step, transform, and the first index along each axis that is cropped.
type DrawnRow = (usize, &'static str, Vec<u64>);

/// Named columns of one length.
#[pyclass(frozen, name = "Dataset", module = "npyfeed._native")]
pub(crate) struct PyDataset {
    pub(crate) dataset: Dataset,
}

#[pymethods]
impl PyDataset {
    #[new]
    fn new(py: Python<'_>, columns: Vec<(String, Bound<'_, PyAny>)>) -> PyResult<PyDataset> {
        let mut builder = Dataset::builder();
        for (name, source) in columns {
            let source = column_source(&name, &source)?;
            builder = if names_inside(&source) {
                answering(py, move || builder.column(&name, source))?
            } else {
                py.detach(|| builder.column(&name, source)).map_err(|error| to_python(py, error))?
            };
        }
        wrap(py, builder.build())
    }

    /// The samples below `folder/<class>/`.
    #[staticmethod]
    fn from_folder(py: Python<'_>, folder: PathBuf) -> PyResult<PyDataset> {
        wrap(py, py.detach(|| Dataset::from_folder(folder)))
    }

    /// The names of the classes, if it is made of folders of them.
    fn classes(&self) -> Option<Vec<String>> {
        self.dataset.classes().map(<[String]>::to_vec)
    }

    fn map(&self, py: Python<'_>, column: &str, transforms: Vec<Bound<'_, PyTuple>>) -> PyResult<PyDataset> {
        wrap(py, self.dataset.map(column, &chain(column, &transforms)?))
    }

    fn select(&self, py: Python<'_>, indices: PyReadonlyArray1<'_, u64>) -> PyResult<PyDataset> {
        let indices = indices.to_vec()?; // what Python cannot change meanwhile
        wrap(py, py.detach(|| self.dataset.select(&indices)))
    }

    fn split(&self, py: Python<'_>, fractions: Vec<f64>, seed: Bound<'_, PyAny>) -> PyResult<Vec<PyDataset>> {
        let seed = integer("cannot split the dataset", "seed", &seed)?;
        let parts = py.detach(|| self.dataset.split(&fractions, seed));
        let parts = parts.map_err(|error| to_python(py, error))?;
        Ok(parts.into_iter().map(|dataset| PyDataset { dataset }).collect())
    }

    /// `(name, dtype, shape)` of what each column gives.
    fn spec<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, &'static str, Bound<'py, PyTuple>)>> {
        let spec = self.dataset.spec();
        let row = |column: &npyfeed::ColumnSpec| {
            Ok((column.name.to_string(), column.dtype.name(), PyTuple::new(py, &column.shape)?))
        };
        spec.iter().map(row).collect()
    }

    /// For each column, `(step, transform, corner)` of each random transform.
    fn draw(
        &self,
        py: Python<'_>,
        sample: u64,
        epoch: Bound<'_, PyAny>,
        seed: Bound<'_, PyAny>,
    ) -> PyResult<Vec<Vec<DrawnRow>>> {
        let number = |name: &str, given| integer("cannot tell a draw", name, given);
        let drawn = self.dataset.draw(number("seed", &seed)?, number("epoch", &epoch)?, sample);
        let row = |drawn: npyfeed::Drawn| -> DrawnRow { (drawn.step, drawn.transform, drawn.corner) };
        let column = |drawn: Vec<npyfeed::Drawn>| drawn.into_iter().map(row).collect();
        Ok(drawn.map_err(|error| to_python(py, error))?.into_iter().map(column).collect())
    }

    fn plan(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.dataset.plan().map_err(|error| to_python(py, error))?.to_string())
    }

    /// The samples at `indices`, stacked: one ndarray a column.
    fn batch<'py>(
        &self,
        py: Python<'py>,
        indices: PyReadonlyArray1<'_, u64>,
    ) -> PyResult<Bound<'py, PyList>> {
        let indices = indices.to_vec()?; // what Python cannot change meanwhile
        let batch = if self.is_large(indices.len()) {
            let dataset = self.dataset.clone();
            answering(py, move || dataset.batch(&indices))?
        } else {
            py.detach(|| self.dataset.batch(&indices)).map_err(|error| to_python(py, error))?
        };
        let arrays = batch.into_columns().into_iter().map(|column| {
            let descr = descr::of_dtype(py, column.spec().dtype)?;
            export::column(py, column, &descr)
        });
        PyList::new(py, arrays.collect::<PyResult<Vec<_>>>()?)
    }

    /// The array that column `place` is made of, before any transform. `None`: it is made of several files.
    fn array(&self, place: usize) -> PyResult<Option<PyArray>> {
        let found = self.dataset.arrays().nth(place);
        let (_, array) = found.ok_or_else(|| PyIndexError::new_err("the dataset has fewer columns"))?;
        Ok(array.map(|array| PyArray::new(array.clone())))
    }

    /// What tells the files of its columns from others.
    fn names_mark(&self) -> u64 {
        self.dataset.names_mark()
    }

    /// Of each sample, the row it is. `None`: all rows, in their order.
    fn rows<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<u64>>> {
        self.dataset.rows().map(|rows| PyArray1::from_slice(py, rows))
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.dataset.len())?)
    }
}

impl PyDataset {
    /// Whether to stack so many samples takes long enough for Ctrl-C to be pressed meanwhile.
    fn is_large(&self, sample_count: usize) -> bool {
        let bytes_of = |column: &npyfeed::ColumnSpec| {
            column.shape.iter().fold(column.dtype.item_bytes(), |bytes, &length| bytes.saturating_mul(length))
        };
        let sample_bytes = self.dataset.spec().iter().map(bytes_of).fold(0, usize::saturating_add);
        sample_bytes.saturating_mul(sample_count) > AT_ONCE_BYTES
    }
}

/// Whether a member may have to be inflated: a path that says what is inside the file.
fn names_inside(source: &ColumnSource) -> bool {
    match source {
        ColumnSource::Path(path) => path.as_os_str().as_encoded_bytes().contains(&b':'),
        ColumnSource::Array(_) | ColumnSource::Files(_) | ColumnSource::Rows(_) => false,
    }
}

fn wrap(py: Python<'_>, dataset: npyfeed::Result<Dataset>) -> PyResult<PyDataset> {
    dataset.map(|dataset| PyDataset { dataset }).map_err(|error| to_python(py, error))
}

/// A masked array is an ndarray whose mask would be ignored.
fn refuse_mask(name: &str, array: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
    if !array.hasattr("mask")? {
        return Ok(());
    }
    Err(unsupported(
        array.py(),
        format!(
            "column '{name}': expected an ndarray without a mask, found a masked one; pass array.filled(value)"
        ),
    ))
}

fn column_source(name: &str, source: &Bound<'_, PyAny>) -> PyResult<ColumnSource> {
    if let Ok(array) = source.cast::<PyArray>() {
        return Ok(array.get().array()?.into());
    }
    if let Ok(array) = source.cast::<PyUntypedArray>() {
        refuse_mask(name, array)?;
        return Ok(export::from_ndarray(name, array)?.into());
    }
    if let Ok(path) = source.extract::<PathBuf>() {
        return Ok(path.into());
    }
    if let Ok(rows) = source.cast::<PyRows>() {
        return Ok(ColumnSource::Rows(rows.get().files.clone()));
    }
    if let Some(files) = listed(&format!("column '{name}'"), source)? {
        return Ok(files.into());
    }
    let found = source.get_type().name()?;
    Err(unsupported(
        source.py(),
        format!(
            "column '{name}': expected the path of an .npy file, 'file.npz:member', 'file.npy:field', a folder or \
             pattern of .npy files, a list of their paths, npyfeed.rows(...), an ndarray or an npyfeed.Array, found \
             {found}; pass numpy.asarray(...), or list(...) of paths"
        ),
    ))
}
