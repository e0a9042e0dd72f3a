//! `npyfeed.Array` and `npyfeed.open`.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use npyfeed::{Array, CrcCheck, DEFAULT_HEADER_BYTES, Mode, OpenOptions, Opened};
use numpy::PyArrayDescr;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::archive::PyArchive;
use crate::error::{mismatch, to_python};
use crate::{descr, dlpack, export, source};

/// One array in an .npy file, mapped and not yet read.
#[pyclass(frozen, name = "Array", module = "npyfeed")]
pub(crate) struct PyArray {
    /// `None` once it is closed.
    array: RwLock<Option<Array>>,
}

/// Opens an .npy or an .npz file.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python passes all but the first by name")]
#[pyo3(signature = (source, *, mode="c", dtype=None, check_crc=false, memory=None, max_header_size=None))]
pub(crate) fn open<'py>(
    source: &Bound<'py, PyAny>,
    mode: &str,
    dtype: Option<&Bound<'py, PyAny>>,
    check_crc: bool,
    memory: Option<usize>,
    max_header_size: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let crc_check = if check_crc { CrcCheck::All } else { CrcCheck::default() };
    let options = OpenOptions::new().mode(parse_mode(py, mode)?).crc_check(crc_check);
    let mut options = options.max_header_bytes(max_header_size.unwrap_or(DEFAULT_HEADER_BYTES));
    if let Some(kept_bytes) = memory {
        options = options.memory(kept_bytes);
    }
    if let Some(dtype) = dtype {
        options = options.dtype(descr::meant("cannot open", dtype)?);
    }
    match source::open(source, options)? {
        Opened::Array(array) => Ok(Bound::new(py, PyArray::new(array))?.into_any()),
        Opened::Archive(archive) => Ok(Bound::new(py, PyArchive::new(archive))?.into_any()),
    }
}

/// The letters of `numpy.memmap`.
fn parse_mode(py: Python<'_>, mode: &str) -> PyResult<Mode> {
    match mode {
        "c" => Ok(Mode::CopyOnWrite),
        "r" => Ok(Mode::ReadOnly),
        "r+" => Ok(Mode::ReadWrite),
        _ => Err(mismatch(
            py,
            format!("cannot open with mode '{mode}': expected 'c' (copy-on-write), 'r' or 'r+'"),
        )),
    }
}

#[pymethods]
impl PyArray {
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array()?.shape())
    }

    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDescr>> {
        descr::of_array(py, &self.array()?)
    }

    /// The name of the dtype, also of those that NumPy lacks; words for what is no number.
    #[getter]
    fn dtype_name(&self) -> PyResult<String> {
        let array = self.array()?;
        Ok(array.dtype().map_or_else(|_| array.descr().to_string(), |dtype| dtype.name().to_owned()))
    }

    #[getter]
    fn ndim(&self) -> PyResult<usize> {
        Ok(self.array()?.shape().len())
    }

    #[getter]
    fn size(&self) -> PyResult<usize> {
        Ok(self.array()?.grid().item_count())
    }

    #[getter]
    fn nbytes(&self) -> PyResult<usize> {
        Ok(self.array()?.grid().packed_bytes())
    }

    #[getter]
    fn fortran_order(&self) -> PyResult<bool> {
        Ok(self.array()?.is_fortran_ordered())
    }

    #[getter]
    fn version(&self) -> PyResult<Option<(u8, u8)>> {
        Ok(self.array()?.version().map(npyfeed::Version::numbers))
    }

    #[getter]
    fn path(&self) -> PyResult<Option<PathBuf>> {
        Ok(self.array()?.path().map(Into::into))
    }

    fn field(&self, py: Python<'_>, name: &str) -> PyResult<PyArray> {
        self.array()?.field(name).map(PyArray::new).map_err(|error| to_python(py, error))
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.array()?.check().map_err(|error| to_python(py, error))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let array = self.array()?;
        py.detach(|| array.flush()).map_err(|error| to_python(py, error))
    }

    #[getter]
    fn closed(&self) -> bool {
        self.array().is_err()
    }

    fn close(&self) {
        let closed = self.array.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(closed);
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().array()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    #[pyo3(signature = (*, copy=false))]
    fn numpy<'py>(&self, py: Python<'py>, copy: bool) -> PyResult<Bound<'py, PyAny>> {
        if !copy {
            return self.sound(py, self.view(py)?);
        }
        let array = self.array()?;
        let copied = py.detach(|| array.copied()).map_err(|error| to_python(py, error))?;
        export::array(py, copied)
    }

    fn plain_numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let array = self.array()?;
        let plain = py.detach(|| array.plain()).map_err(|error| to_python(py, error))?;
        self.sound(py, export::array(py, plain)?)
    }

    fn torch<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static FROM_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        handed_to(slf, &FROM_ARRAY, "npyfeed.torch")
    }

    fn tensorflow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static FROM_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        handed_to(slf, &FROM_ARRAY, "npyfeed.tensorflow")
    }

    fn jax<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static FROM_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        handed_to(slf, &FROM_ARRAY, "npyfeed.jax")
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if dtype.is_none() {
            return self.numpy(py, copy == Some(true));
        }
        let view = self.view(py)?;
        // NumPy 1 knows no `copy=None`, which asks for a copy only where one is needed.
        let numpy = py.import("numpy")?;
        let converted = match copy {
            None => numpy.call_method1("asarray", (view, dtype)),
            Some(copy) => {
                let options = PyDict::new(py);
                options.set_item("copy", copy)?;
                numpy.call_method("array", (view, dtype), Some(&options))
            }
        };
        self.sound(py, converted?)
    }

    #[expect(clippy::too_many_arguments, reason = "the protocol's, all by name")]
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let request = dlpack::Request { stream, max_version, dl_device, copy };
        let capsule = dlpack::export(py, &self.numbers(py)?, &request)?;
        self.sound(py, capsule.into_any())
    }

    fn __dlpack_device__(&self) -> PyResult<(i32, i32)> {
        self.array().map(|_| dlpack::CPU)
    }

    /// No buffer protocol: NumPy and PyTorch would prefer it. NumPy would then copy out of our sight, after the
    /// check for a changed file; `torch.asarray` would take the bytes for one axis.
    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.sound(py, self.view(py)?.call_method0("tobytes")?)
    }

    /// A field of records for its name, as `field` gives it; else what NumPy's indexing gives.
    fn __getitem__<'py>(&self, py: Python<'py>, key: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(name) = key.cast::<PyString>() {
            return Ok(Bound::new(py, self.field(py, name.to_str()?)?)?.into_any());
        }
        self.sound(py, self.view(py)?.get_item(key)?)
    }

    fn __len__(&self) -> PyResult<usize> {
        let length = self.array()?.shape().first().copied();
        length.ok_or_else(|| PyTypeError::new_err("len() of an array without axes"))
    }

    fn __repr__(&self) -> String {
        let Ok(array) = self.array() else { return "<npyfeed.Array, closed>".to_owned() };
        let (name, shape, descr) = (array.name(), array.shape(), array.descr());
        format!("npyfeed.Array('{name}', shape={shape:?}, dtype={descr})")
    }
}

impl PyArray {
    pub(crate) fn new(array: Array) -> PyArray {
        PyArray { array: RwLock::new(Some(array)) }
    }

    /// The engine's array, unless it was closed.
    pub(crate) fn array(&self) -> PyResult<Array> {
        let array = self.array.read().unwrap_or_else(PoisonError::into_inner).clone();
        array.ok_or_else(|| {
            PyValueError::new_err(
                "cannot use an npyfeed.Array that was closed (open the file again; arrays and tensors made of it \
                 before stay valid)",
            )
        })
    }

    /// The engine's array, if its elements are numbers.
    fn numbers(&self, py: Python<'_>) -> PyResult<Array> {
        let array = self.array()?;
        array.layout().map_err(|error| to_python(py, error))?;
        Ok(array)
    }

    /// All of it as an ndarray, which nobody may have before it has been found sound.
    fn view<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        export::array(py, self.array()?)
    }

    /// What was made of it, if the file was still the one that was opened when it had been made.
    fn sound<'py>(&self, py: Python<'py>, made: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.check(py)?;
        Ok(made)
    }
}

/// What `from_array` of a framework's module makes of an array of numbers. It is looked up once.
fn handed_to<'py>(
    array: &Bound<'py, PyArray>,
    from_array: &PyOnceLock<Py<PyAny>>,
    module: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let py = array.py();
    array.get().numbers(py)?;
    from_array.import(py, module, "from_array")?.call1((array,))
}
