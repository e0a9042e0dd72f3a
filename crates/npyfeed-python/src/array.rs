//! `npyfeed.Array`. Not here: how one is opened (`open.rs`), what it becomes (`export.rs`, `dlpack.rs`).

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use npyfeed::{Array, Dtype};
use numpy::PyArrayDescr;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyIterator, PyString, PyTuple};

use crate::answer::{AT_ONCE_BYTES, answering};
use crate::error::{to_python, unsupported};
use crate::reopen::{Reduced, reduced};
use crate::{descr, dlpack, export};

/// One array in an .npy or .npz file, mapped and not yet read. `npyfeed.open` makes it.
///
/// `numpy.asarray(array)`, `array[key]` and everything else that takes an array gets NumPy's view of the
/// mapped file. The mapping is copy-on-write unless another mode was asked for, as `numpy.memmap(mode="c")`:
/// arrays and tensors over it are writable, and the file never changes.
///
/// `array[key]` is read, and assigned to, by NumPy's indexing; comparison and iteration are NumPy's too. For
/// all else there is `array.numpy()`. Of dtypes that NumPy lacks (bfloat16) it gives the bits, and nothing
/// else does: to take them for numbers is refused. No buffer protocol: `memoryview(array.numpy())`.
///
/// Numbers become tensors, and columns of a `Dataset`. Text, dates, raw bytes and records are NumPy arrays
/// only; `array.field("x")`, or `array["x"]`, is one field of records, again an `Array`, without a copy.
///
/// If someone else cuts the file short or writes to it meanwhile, reading raises an `OSError` that names
/// it. Arrays and tensors that were handed out before cannot raise: they read zeros where bytes are
/// missing, and `check` tells. To change a file in use, rename a new one over it; that disturbs nobody.
///
/// A pickle carries the path and how the array was opened (member, field, mode and so on), not the elements
/// and not what was written to them in memory. Whoever unpickles opens the file again, and gets an
/// `OSError` if it was written to or replaced meanwhile; so does `copy.deepcopy`. `copy.copy` has the same
/// elements. What lies in memory cannot be pickled.
///
/// Raises on any use after `close`: ValueError.
///
/// >>> import numpy as np, npyfeed as nf, tempfile
/// >>> path = tempfile.mkdtemp() + "/image.npy"
/// >>> np.save(path, np.zeros((480, 640, 3), "uint8"))
/// >>> with nf.open(path) as image:
/// ...     image.shape, image[0, :2].tolist()
/// ((480, 640, 3), [[0, 0, 0], [0, 0, 0]])
#[pyclass(frozen, name = "Array", module = "npyfeed")]
pub(crate) struct PyArray {
    /// `None` once it is closed.
    array: RwLock<Option<Array>>,
}

#[pymethods]
impl PyArray {
    /// The length of each axis.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array()?.shape())
    }

    /// The type of the elements; the unsigned integer of their size if NumPy lacks it.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDescr>> {
        descr::of_array(py, &self.array()?)
    }

    /// The name of the type of the elements, also of those that NumPy lacks: `"bfloat16"`.
    ///
    /// What is no number is told in words.
    #[getter]
    fn dtype_name(&self) -> PyResult<String> {
        let array = self.array()?;
        Ok(array.dtype().map_or_else(|_| array.descr().to_string(), |dtype| dtype.name().to_owned()))
    }

    /// The number of axes.
    #[getter]
    fn ndim(&self) -> PyResult<usize> {
        Ok(self.array()?.shape().len())
    }

    /// The number of elements.
    #[getter]
    fn size(&self) -> PyResult<usize> {
        Ok(self.array()?.grid().item_count())
    }

    /// The size of the elements in bytes.
    #[getter]
    fn nbytes(&self) -> PyResult<usize> {
        Ok(self.array()?.grid().packed_bytes())
    }

    /// Whether the first axis runs fastest.
    #[getter]
    fn fortran_order(&self) -> PyResult<bool> {
        Ok(self.array()?.is_fortran_ordered())
    }

    /// The version of the file format, such as `(1, 0)`.
    #[getter]
    fn version(&self) -> PyResult<Option<(u8, u8)>> {
        Ok(self.array()?.version().map(npyfeed::Version::numbers))
    }

    /// The file; of a member of an .npz file, that.
    #[getter]
    fn path(&self) -> PyResult<Option<PathBuf>> {
        Ok(self.array()?.path().map(Into::into))
    }

    /// One field of records, `[*shape, *axes of the field]`: the same bytes, not copied.
    ///
    /// `"file.npy:field"` names it as a column of a `Dataset`, `"file.npz:member:field"` that of a member.
    ///
    /// Args:
    ///     name: its name or title.
    ///     dtype: what its elements are, as in `npyfeed.open`: dates as "int64".
    ///
    /// Raises:
    ///     MismatchError: the elements have no such field, or its bytes are no such numbers.
    ///     UnsupportedError: it has more axes, with those of the records, than NumPy's arrays can have.
    #[pyo3(signature = (name, *, dtype=None))]
    fn field(&self, py: Python<'_>, name: &str, dtype: Option<&Bound<'_, PyAny>>) -> PyResult<PyArray> {
        let field = self.array()?.field(name).map_err(|error| to_python(py, error))?;
        let Some(dtype) = dtype else { return Ok(PyArray::new(field)) };
        let dtype = descr::meant(&format!("cannot read field '{name}' with dtype="), dtype)?;
        field.read_as(dtype).map(PyArray::new).map_err(|error| to_python(py, error))
    }

    /// Nothing, if the bytes are still those of the file that was opened.
    ///
    /// Call it after reading through an array or tensor handed out before, where others change files.
    ///
    /// Raises:
    ///     OSError: the file was cut short or written to since it was opened, or could not be read.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.array()?.check().map_err(|error| to_python(py, error))
    }

    /// Has what was written to the array put on disk, in mode "r+"; else there is nothing to do.
    ///
    /// Memory that was opened (`bytearray`, `mmap`) is its owner's to flush.
    ///
    /// Raises:
    ///     OSError: the system failed, or something written is lost: a file cut short, a full disk.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let array = self.array()?;
        py.detach(|| array.flush()).map_err(|error| to_python(py, error))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.array().is_err()
    }

    /// Lets go of the file. Arrays and tensors made of it before stay valid, and keep what they need.
    ///
    /// Also what `with nf.open(path) as array:` does at its end. In mode "r+" it flushes first.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let closed = self.array.write().unwrap_or_else(PoisonError::into_inner).take();
        let flushed = closed.map_or(Ok(()), |array| py.detach(|| array.flush()));
        flushed.map_err(|error| to_python(py, error))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().array()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    /// The array as an ndarray over the mapped file, writable unless the mode is "r", without a copy.
    ///
    /// With `copy=True` in memory of its own, in the order of the file; a large one is copied by several
    /// threads.
    #[pyo3(signature = (*, copy=false))]
    fn numpy<'py>(&self, py: Python<'py>, copy: bool) -> PyResult<Bound<'py, PyAny>> {
        if !copy {
            return self.sound(py, self.view(py)?);
        }
        let array = self.array()?;
        let copied = computed(py, &array, Array::copied)?;
        export::array(py, copied)
    }

    /// As `numpy`, for who can take only what is writable, native, and steps by whole elements.
    ///
    /// A copy in C order, if the array is not so as it lies.
    fn plain_numpy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let array = self.array()?;
        let is_plain = array.is_plain().map_err(|error| to_python(py, error))?;
        let plain = if is_plain { array } else { computed(py, &array, Array::plain)? };
        self.sound(py, export::array(py, plain)?)
    }

    /// The array as a writable torch tensor over the mapped file.
    ///
    /// A copy is made only of what torch cannot hold: the other byte order, strides that are no multiple of
    /// an element, and memory that may only be read.
    ///
    /// Raises:
    ///     UnsupportedError: the elements are not numbers; the message has the way out.
    ///     MismatchError: a copy is needed in mode "r+": what is written to it would be lost.
    fn torch<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static FROM_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        handed_to(slf, &FROM_ARRAY, "npyfeed.torch")
    }

    /// The array as a TensorFlow tensor: `npyfeed.tensorflow.from_array` says when without a copy.
    fn tensorflow<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static FROM_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        handed_to(slf, &FROM_ARRAY, "npyfeed.tensorflow")
    }

    /// The array as a `jax.Array`: `npyfeed.jax.from_array` says when without a copy.
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
        self.refuse_bits()?;
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

    /// A DLPack capsule over the array, for `from_dlpack` of any framework.
    ///
    /// TensorFlow's own takes what does not start at a multiple of 64 bytes (members of an .npz file) and
    /// then ends the process: there, call `tensorflow` instead. JAX's own halves 64-bit numbers; `jax`
    /// raises.
    ///
    /// Args:
    ///     stream: none, on the CPU.
    ///     max_version: the version of DLPack that the consumer knows; 1.0 is the first that can say of an
    ///         array that it may only be read.
    ///     dl_device: the CPU, `(1, 0)`.
    ///     copy: whether to copy, into C order, this machine's byte order and memory of its own that starts
    ///         at a multiple of 64 bytes. Without `True`, nothing is ever copied.
    ///
    /// Raises:
    ///     BufferError: DLPack cannot say it (the other byte order, gaps that are no whole elements) or may
    ///         not (read-only, without a version); the message has the cure.
    ///     OSError: the file was cut short or written to since it was opened.
    ///
    /// Source of the rules: `dlpack.h` 1.1 and the Python array API standard 2024.12.
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

    /// The CPU: `(1, 0)`.
    fn __dlpack_device__(&self) -> PyResult<(i32, i32)> {
        self.array().map(|_| dlpack::CPU)
    }

    /// The elements in C order, copied. For their memory itself: `memoryview(array.numpy())`.
    fn __bytes__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.sound(py, self.view(py)?.call_method0("tobytes")?)
    }

    /// A field of records for its name, as `field` gives it; else what NumPy's indexing gives.
    fn __getitem__<'py>(&self, py: Python<'py>, key: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Ok(name) = key.cast::<PyString>() {
            return Ok(Bound::new(py, self.field(py, name.to_str()?, None)?)?.into_any());
        }
        self.refuse_bits()?;
        self.sound(py, self.view(py)?.get_item(key)?)
    }

    /// NumPy's assignment to the elements, where they may be written.
    fn __setitem__<'py>(
        &self,
        py: Python<'py>,
        key: Bound<'py, PyAny>,
        value: Bound<'py, PyAny>,
    ) -> PyResult<()> {
        self.refuse_bits()?;
        self.view(py)?.set_item(key, value)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.refuse_bits()?;
        let view = self.view(py)?;
        self.check(py)?;
        view.try_iter()
    }

    /// NumPy's comparison, element by element.
    fn __richcmp__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
        operator: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.refuse_bits()?;
        self.sound(py, self.view(py)?.rich_compare(other, operator)?)
    }

    /// What an array has not, an ndarray may have.
    #[expect(clippy::unused_self, reason = "the protocol asks an array")]
    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        let has_ndarray = !name.starts_with('_') && py.import("numpy")?.getattr("ndarray")?.hasattr(name)?;
        let hint =
            if has_ndarray { format!(", its ndarray has: array.numpy().{name}") } else { String::new() };
        Err(PyAttributeError::new_err(format!("an npyfeed.Array has no attribute '{name}'{hint}")))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduced(py, "an npyfeed.Array", self.array()?.reopening())
    }

    /// Another handle on the same elements, which `close` of this one leaves open.
    fn __copy__(&self) -> PyResult<PyArray> {
        self.array().map(PyArray::new)
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

    /// Refuses elements of a dtype that NumPy lacks, where it would take their bits for numbers.
    fn refuse_bits(&self) -> PyResult<()> {
        let array = self.array()?;
        let lacking = array.dtype().ok().filter(|&dtype| Dtype::is_unknown_to_numpy(dtype));
        let Some(dtype) = lacking else { return Ok(()) };
        Python::attach(|py| {
            let message = format!(
                "cannot make an ndarray of '{}': NumPy has no {dtype}; take .torch(), .jax() or .tensorflow(), or \
                 the bits: .numpy(), and .numpy().view(ml_dtypes.{dtype})",
                array.name()
            );
            Err(unsupported(py, message))
        })
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

/// What `copy` makes of the array; if that is much, Ctrl-C is answered meanwhile.
fn computed(
    py: Python<'_>,
    array: &Array,
    copy: impl FnOnce(&Array) -> npyfeed::Result<Array> + Send + 'static,
) -> PyResult<Array> {
    if array.grid().packed_bytes() <= AT_ONCE_BYTES {
        return py.detach(|| copy(array)).map_err(|error| to_python(py, error));
    }
    let array = array.clone();
    answering(py, move || copy(&array))
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
