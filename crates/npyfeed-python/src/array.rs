//! `npyfeed.Array` and `npyfeed.open`.

use std::path::PathBuf;

use npyfeed::{Array, Opened};
use numpy::PyArrayDescr;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::archive::PyArchive;
use crate::error::to_python;
use crate::{dlpack, export};

/// One array in an .npy file, mapped and not yet read.
#[pyclass(frozen, name = "Array", module = "npyfeed")]
pub(crate) struct PyArray {
    pub(crate) array: Array,
}

/// Opens an .npy or an .npz file.
#[pyfunction]
#[pyo3(signature = (path, *, check_crc=false))]
pub(crate) fn open(py: Python<'_>, path: PathBuf, check_crc: bool) -> PyResult<Bound<'_, PyAny>> {
    match py.detach(|| npyfeed::open_any(path)).map_err(|error| to_python(py, error))? {
        Opened::Array(array) => Ok(Bound::new(py, PyArray { array })?.into_any()),
        Opened::Archive(archive) => Ok(Bound::new(py, PyArchive::new(archive, check_crc))?.into_any()),
    }
}

#[pymethods]
impl PyArray {
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array.shape())
    }

    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDescr>> {
        export::array_descr(py, &self.array)
    }

    #[getter]
    fn ndim(&self) -> usize {
        self.array.shape().len()
    }

    #[getter]
    fn size(&self) -> usize {
        self.array.layout().element_count()
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.array.layout().packed_bytes()
    }

    #[getter]
    fn fortran_order(&self) -> bool {
        self.array.is_fortran_ordered()
    }

    #[getter]
    fn version(&self) -> Option<(u8, u8)> {
        self.array.version().map(npyfeed::Version::numbers)
    }

    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.array.path().map(Into::into)
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.array.check().map_err(|error| to_python(py, error))
    }

    fn numpy<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        PyArray::sound(slf, PyArray::view(slf)?)
    }

    fn torch<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("npyfeed.torch")?.call_method1("from_array", (slf,))
    }

    fn tensorflow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("npyfeed.tensorflow")?.call_method1("from_array", (slf,))
    }

    fn jax<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("npyfeed.jax")?.call_method1("from_array", (slf,))
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let view = PyArray::view(slf)?;
        if dtype.is_none() && copy != Some(true) {
            return PyArray::sound(slf, view);
        }
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
        PyArray::sound(slf, converted?)
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let request = dlpack::Request { stream, max_version, dl_device, copy };
        let capsule = dlpack::export(slf.py(), &slf.get().array, &request)?;
        PyArray::sound(slf, capsule.into_any())
    }

    #[expect(clippy::unused_self, reason = "the protocol asks an array")]
    fn __dlpack_device__(&self) -> (i32, i32) {
        dlpack::CPU
    }

    /// No buffer protocol: NumPy and PyTorch would prefer it. NumPy would then copy out of our sight, after the
    /// check for a changed file; `torch.asarray` would take the bytes for one axis.
    fn __bytes__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        PyArray::sound(slf, PyArray::view(slf)?.call_method0("tobytes")?)
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        PyArray::sound(slf, PyArray::view(slf)?.get_item(key)?)
    }

    fn __len__(&self) -> PyResult<usize> {
        let length = self.array.shape().first().copied();
        length.ok_or_else(|| PyTypeError::new_err("len() of an array without axes"))
    }

    fn __repr__(&self) -> String {
        let (name, shape, dtype) = (self.array.name(), self.array.shape(), self.array.dtype());
        format!("npyfeed.Array('{name}', shape={shape:?}, dtype={dtype})")
    }
}

impl PyArray {
    /// All of it as an ndarray, which nobody may have before it has been found sound.
    fn view<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        export::array(slf.py(), &slf.get().array, slf.clone().into_any())
    }

    /// What was made of `view`, if the file was still the one that was opened when it had been made.
    fn sound<'py>(slf: &Bound<'py, Self>, made: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        slf.get().check(slf.py())?;
        Ok(made)
    }
}
