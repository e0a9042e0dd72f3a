//! What `npyfeed.open` takes: a path, an open file, or the bytes of a file in memory.
//!
//! Two promises of Python's are taken on trust here, in `unsafe`: the address that a memoryview lends, and the
//! number of an open file.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use npyfeed::{Memory, OpenOptions, Opened};
use numpy::PyUntypedArray;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyString};

use crate::error::{to_python, unsupported};

/// Opens what `source` is.
pub(crate) fn open(source: &Bound<'_, PyAny>, options: OpenOptions) -> PyResult<Opened> {
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
    let found = source.get_type().name()?;
    Err(unsupported(
        py,
        format!(
            "cannot open a {found}: expected a path, a file opened in binary mode ('rb'), or the bytes of a file; \
             of other things that can be read, pass .read()"
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

/// The bytes of a memoryview as a source. What keeps them in place is the memoryview, which is held.
fn memory(bytes: &Bound<'_, PyMemoryView>) -> PyResult<Memory> {
    let bytes = bytes.call_method1("cast", ("B",))?;
    let lent: PyBuffer<u8> = PyBuffer::get(&bytes)?;
    let start = NonNull::new(lent.buf_ptr().cast::<u8>()).unwrap_or(NonNull::dangling());
    let slice = NonNull::slice_from_raw_parts(start, lent.len_bytes());
    let owner = bytes.unbind();
    // SAFETY: a memoryview of bytes keeps what it lends in place and readable until it dies or is released;
    // nobody else has this one. It is contiguous: the cast refuses others. Someone may write to a `bytearray`
    // meanwhile: SAFETY.md, "memory that others write".
    Ok(unsafe { if lent.readonly() { Memory::new(slice, owner) } else { Memory::writable(slice, owner) } })
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
    for class in ["BufferedReader", "BufferedRandom", "FileIO"] {
        if object.is_instance(&io.getattr(class)?)? {
            let descriptor = object.call_method0("fileno")?.extract()?;
            return Ok(Some(OpenFile { object, descriptor }));
        }
    }
    Ok(None)
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
