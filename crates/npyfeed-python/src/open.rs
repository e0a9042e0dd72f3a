//! `npyfeed.open`: of a path, an open file, or the bytes of a file in memory.
//!
//! Two promises of Python's are taken on trust here, in `unsafe`: the address that a memoryview lends, and the
//! number of an open file. Not here: what the bytes mean.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use npyfeed::{CrcCheck, Memory, Mode, OpenOptions, Opened};
use numpy::PyUntypedArray;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyString};

use crate::archive::PyArchive;
use crate::array::PyArray;
use crate::descr;
use crate::error::{mismatch, to_python, unsupported};
use crate::loader::integer;

/// Opens an .npy file as an `Array`, an .npz file as an `Archive`: the bytes decide, not the name.
///
/// Of an .npy file the header is checked against its size, of an .npz file the directory. No element is read;
/// a file of at most 16 KiB is read whole, which is faster than to map it. Type checkers see `Any`, as with
/// `numpy.load`; say which it is: `array: nf.Array = nf.open(path)`.
///
/// Args:
///     source: a path; a file opened in binary mode, from its position on, which is moved behind the array,
///         so that the next call opens the next one; or the bytes of a file: `bytes`, `bytearray`,
///         `memoryview`, `mmap`, `BytesIO`, which are not copied and must not be changed meanwhile.
///     mode: "c", copy-on-write: what is written to arrays and tensors never reaches the file. "r": arrays
///         are read-only. "r+": what is written is written to the file. Bytes in memory are read-only but
///         in "r+".
///     dtype: what the elements are, for those that NumPy has no name for: "bfloat16" and "float8_e4m3fn"
///         kept as raw bytes or integers of that size, "int64" for dates, any number for raw bytes of its
///         size; a name, a NumPy dtype or a torch dtype. Nothing is converted. Of an archive: those of each
///         member used.
///     check_crc: hold also the stored members of an .npz file against their CRC-32, at their first use,
///         for a pass over their bytes. Deflated ones are always checked.
///     memory: the most bytes of inflated members that an archive keeps for their next use; `None`: 256 MiB.
///     max_header_size: the most bytes that a header may have; `None`: 1 MiB.
///
/// Raises:
///     FileNotFoundError, PermissionError, IsADirectoryError, OSError: the system will not open it.
///     FormatError: it is neither, or shorter than its header says, or its directory is not sound (cut short,
///         members that overlap, share a name, climb out by their names, or state sizes that cannot be); the
///         message has the byte.
///     UnsupportedError: its elements are Python objects, or mean something else on another machine (`long
///         double`), or an archive is to be written, or the source is none; the message has the way out.
///     MismatchError: the elements cannot be of that dtype, or the memory cannot be written.
///
/// >>> import io, numpy as np, npyfeed as nf
/// >>> file = io.BytesIO()
/// >>> np.save(file, np.arange(3)), np.save(file, np.eye(2)), file.seek(0)
/// (None, None, 0)
/// >>> nf.open(file).numpy(), nf.open(file).shape
/// (array([0, 1, 2]), (2, 2))
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python passes all but the first by name")]
#[pyo3(signature = (source, *, mode="c", dtype=None, check_crc=false, memory=None, max_header_size=None))]
pub(crate) fn open<'py>(
    source: &Bound<'py, PyAny>,
    mode: &str,
    dtype: Option<&Bound<'py, PyAny>>,
    check_crc: bool,
    memory: Option<&Bound<'py, PyAny>>,
    max_header_size: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let crc_check = if check_crc { CrcCheck::All } else { CrcCheck::default() };
    let mut options = OpenOptions::new().mode(parse_mode(py, mode)?).crc_check(crc_check);
    if let Some(size) = max_header_size {
        options = options.max_header_bytes(integer("cannot open", "max_header_size", size)?.try_into()?);
    }
    if let Some(memory) = memory {
        options = options.memory(integer("cannot open", "memory", memory)?.try_into()?);
    }
    if let Some(dtype) = dtype {
        options = options.dtype(descr::meant("cannot open with dtype=", dtype)?);
    }
    to_object(py, opened(source, options)?)
}

pub(crate) fn to_object(py: Python<'_>, opened: Opened) -> PyResult<Bound<'_, PyAny>> {
    match opened {
        Opened::Array(array) => Ok(Bound::new(py, PyArray::new(array))?.into_any()),
        Opened::Archive(archive) => Ok(Bound::new(py, PyArchive::new(archive))?.into_any()),
    }
}

pub(crate) fn mode_letter(mode: Mode) -> &'static str {
    match mode {
        Mode::CopyOnWrite => "c",
        Mode::ReadOnly => "r",
        Mode::ReadWrite => "r+",
    }
}

/// The letters of `numpy.memmap`.
pub(crate) fn parse_mode(py: Python<'_>, mode: &str) -> PyResult<Mode> {
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

/// Opens what `source` is.
fn opened(source: &Bound<'_, PyAny>, options: OpenOptions) -> PyResult<Opened> {
    let py = source.py();
    if source.is_instance_of::<PyString>() || source.hasattr("__fspath__")? {
        let path: PathBuf = source.extract()?;
        return py.detach(|| options.open(path)).map_err(|error| to_python(py, error));
    }
    if source.cast::<PyUntypedArray>().is_err() {
        if let Some((bytes, offset)) = in_memory(source)? {
            let memory = memory(&bytes)?;
            let opened = py.detach(|| options.open_memory(memory, offset));
            return advance(source, opened.map_err(|error| to_python(py, error))?);
        }
        if let Some(file) = open_file(source)? {
            return file.open(options);
        }
    }
    let found = source.get_type().fully_qualified_name()?;
    let cure = if source.cast::<PyUntypedArray>().is_ok() {
        "an ndarray is in memory already: use it as it is"
    } else {
        "of other things that can be read, pass .read()"
    };
    Err(unsupported(
        py,
        format!(
            "cannot open: expected a path, a file opened in binary mode ('rb'), or the bytes of a file, found \
             {found}; {cure}"
        ),
    ))
}

/// Moves the position of a file, or of a `BytesIO`, behind the array that was opened, as `numpy.load` does, so
/// that the next one can be opened.
fn advance(source: &Bound<'_, PyAny>, opened: Opened) -> PyResult<Opened> {
    match &opened {
        Opened::Array(array) if source.hasattr("seek")? => {
            source.call_method1("seek", (array.end_offset(),))?;
        }
        Opened::Array(_) | Opened::Archive(_) => {}
    }
    Ok(opened)
}

/// The bytes that `source` lends, and where in them to begin: a `BytesIO` and an `mmap` have a position.
fn in_memory<'py>(source: &Bound<'py, PyAny>) -> PyResult<Option<(Bound<'py, PyMemoryView>, usize)>> {
    let bytes = if source.hasattr("getbuffer")? {
        source.call_method0("getbuffer")?.cast_into()?
    } else if let Ok(bytes) = PyMemoryView::from(source) {
        bytes
    } else {
        return Ok(None);
    };
    let offset = if source.hasattr("tell")? { source.call_method0("tell")?.extract()? } else { 0 };
    Ok(Some((bytes, offset)))
}

/// Holds what a memoryview lends. A Python object, so that it is given back by a thread that Python knows.
#[pyclass(frozen, module = "npyfeed._native")]
struct Lent(#[expect(dead_code, reason = "held, not used")] PyBuffer<u8>);

/// The bytes of a memoryview as a source.
fn memory(bytes: &Bound<'_, PyMemoryView>) -> PyResult<Memory> {
    let py = bytes.py();
    if !bytes.getattr("c_contiguous")?.extract()? {
        let found = "expected bytes that lie side by side, found a memoryview with steps; pass bytes(view)";
        return Err(unsupported(py, format!("cannot open memory: {found}")));
    }
    let lent: PyBuffer<u8> = PyBuffer::get(&bytes.call_method1("cast", ("B",))?)?;
    let start = NonNull::new(lent.buf_ptr().cast::<u8>()).unwrap_or(NonNull::dangling());
    let slice = NonNull::slice_from_raw_parts(start, lent.len_bytes());
    let is_read_only = lent.readonly();
    let owner = Py::new(py, Lent(lent))?;
    // SAFETY: what the buffer protocol lends stays in place and readable until it is given back, and writable
    // unless it says read-only; the owner alone has it to give back. It is contiguous: the cast refuses others.
    // Someone may write to a `bytearray` meanwhile: SAFETY.md, "memory that others write".
    Ok(unsafe { if is_read_only { Memory::new(slice, owner) } else { Memory::writable(slice, owner) } })
}

/// A file that is open in Python.
struct OpenFile<'py> {
    object: Bound<'py, PyAny>,
    descriptor: i32,
}

/// `source` as an open file, if it reads the bytes of one as they are: `gzip.GzipFile` has a descriptor too, of
/// the bytes before they are unpacked.
fn open_file<'py>(source: &Bound<'py, PyAny>) -> PyResult<Option<OpenFile<'py>>> {
    let io = source.py().import("io")?;
    // What `tempfile` hands out wraps the file.
    let object = source.getattr("file").unwrap_or_else(|_| source.clone());
    let is_a = |object: &Bound<'_, PyAny>, class| object.is_instance(&io.getattr(class)?);
    let is_buffered = is_a(&object, "BufferedReader")? || is_a(&object, "BufferedRandom")?;
    let raw = if is_buffered { object.getattr("raw")? } else { object.clone() };
    if !is_a(&raw, "FileIO")? {
        return Ok(None);
    }
    let descriptor = raw.call_method0("fileno")?.extract()?;
    Ok(Some(OpenFile { object, descriptor }))
}

impl OpenFile<'_> {
    /// Opens what begins at the file's position.
    fn open(self, options: OpenOptions) -> PyResult<Opened> {
        let py = self.object.py();
        if self.object.hasattr("flush")? {
            self.object.call_method0("flush")?;
        }
        let offset: usize = self.object.call_method0("tell")?.extract()?;
        let (file, name) = (self.duplicate()?, self.name()?);
        let opened = py.detach(|| options.open_file(file, Path::new(&name), offset));
        advance(&self.object, opened.map_err(|error| to_python(py, error))?)
    }

    /// The same open file under a number of its own, so that closing one leaves the other open.
    fn duplicate(&self) -> PyResult<File> {
        if self.descriptor < 0 {
            return Err(PyValueError::new_err("cannot open a file without a descriptor"));
        }
        // SAFETY: a number of an open file, lent for the length of this call by the file object, which is held.
        let lent = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        Ok(lent.try_clone_to_owned()?.into())
    }

    /// The path that the file was opened by, or something to call it.
    fn name(&self) -> PyResult<PathBuf> {
        let name = self.object.getattr("name")?;
        if name.is_instance_of::<PyString>() || name.hasattr("__fspath__")? {
            return name.extract();
        }
        Ok(format!("<file descriptor {}>", self.descriptor).into())
    }
}
