//! `npyfeed.Archive`.

use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use npyfeed::{Archive, Content};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::answer::{AT_ONCE_BYTES, answering};
use crate::array::PyArray;
use crate::error::to_python;
use crate::reopen::{Reduced, reduced};

/// The arrays of an .npz file, by name: a lazy mapping. `npyfeed.open` makes it.
///
/// Names come without ".npy" and are looked up with or without it, in the order of the file, as
/// `numpy.load` has it. `archive["x"]` is an `Array`; a member that is no .npy file is its bytes.
///
/// A stored member (`numpy.savez`) is mapped where it lies and not copied; it may start at any byte, so an
/// ndarray over it may not be aligned (`array.flags.aligned`), unless `npyfeed.save_npz` wrote it. A deflated
/// one (`numpy.savez_compressed`) is inflated when it is asked for and checked against its CRC-32. It is
/// shared while an `Array` or ndarray over it lives, and the archive keeps those last used, 256 MiB at most,
/// so that `archive["x"][0]`, `archive["x"][1]` inflates once: asking again gives the same memory, with what
/// was written to it. Several threads inflate several members side by side, and so does `load`. After a fork
/// the child inflates what it needs for itself. Ctrl-C is answered meanwhile; the inflating goes on without
/// its caller, and whoever asks again gets what it makes.
///
/// A pickle carries the path and how the file was opened. Whoever unpickles opens it again, and gets an
/// `OSError` if it was written to or replaced meanwhile; so does `copy.deepcopy`. `copy.copy` is the same
/// archive. What lies in memory cannot be pickled.
///
/// Raises on `archive[name]`:
///     KeyError: there is no such member.
///     FormatError: its local header and the directory disagree, it does not inflate to the size or the
///         CRC-32 stated, or its .npy header is not sound. The message names file, member and byte.
///     UnsupportedError: it is encrypted or kept by bzip2, lzma and the like, or holds Python objects.
///
/// Source of the rules: `numpy.savez`, `numpy.lib.npyio.NpzFile`, APPNOTE.TXT.
///
/// >>> import numpy as np, npyfeed as nf, tempfile
/// >>> path = tempfile.mkdtemp() + "/arrays.npz"
/// >>> np.savez(path, x=np.zeros((2, 3)), y=np.arange(4, dtype="uint8"))
/// >>> archive = nf.open(path)
/// >>> list(archive), archive["x"].shape
/// (['x', 'y'], (2, 3))
/// >>> nf.Dataset(y=f"{path}:y").spec["y"]
/// ColumnSpec(dtype='uint8', shape=())
#[pyclass(frozen, mapping, name = "Archive", module = "npyfeed")]
pub(crate) struct PyArchive {
    /// `None` once it is closed.
    archive: RwLock<Option<Archive>>,
}

impl PyArchive {
    pub(crate) fn new(archive: Archive) -> PyArchive {
        PyArchive { archive: RwLock::new(Some(archive)) }
    }

    /// The engine's archive, unless it was closed.
    fn archive(&self) -> PyResult<Archive> {
        let archive = self.archive.read().unwrap_or_else(PoisonError::into_inner).clone();
        archive.ok_or_else(|| {
            PyValueError::new_err(
                "cannot use an npyfeed.Archive that was closed (open the file again; arrays made of it before \
                 stay valid)",
            )
        })
    }
}

#[pymethods]
impl PyArchive {
    /// The file, if it is one.
    #[getter]
    fn path(&self) -> PyResult<Option<PathBuf>> {
        Ok(self.archive()?.path().map(Into::into))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.archive().is_err()
    }

    /// Lets go of the file. Arrays made of it before stay valid; also what `with` does at its end.
    fn close(&self) {
        let closed = self.archive.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(closed);
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().archive()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.archive()?.len())
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        let archive = self.archive()?;
        Ok(name.extract::<&str>().is_ok_and(|name| archive.contains(name)))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let archive = self.archive()?;
        let known = name.extract::<&str>().ok().filter(|name| archive.contains(name));
        let name = known.ok_or_else(|| no_member(&archive, name))?;
        if !archive.is_at_hand(name, AT_ONCE_BYTES) {
            let name = name.to_owned();
            return to_object(py, answering(py, move || archive.get(&name))?);
        }
        let content = py.detach(|| archive.get(name)).map_err(|error| to_python(py, error))?;
        to_object(py, content)
    }

    /// The members of these names, or all, as `archive[name]` gives them, by the names asked for.
    ///
    /// Deflated ones are inflated side by side, by as many threads as the CPU has, which have ended when this
    /// returns. Stored ones are not read.
    ///
    /// Raises:
    ///     KeyError: there is no such member; nothing is inflated then.
    ///     FormatError, UnsupportedError: as `archive[name]`, for the earliest name that has an error.
    #[pyo3(signature = (*names))]
    fn load<'py>(&self, py: Python<'py>, names: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyDict>> {
        let archive = self.archive()?;
        for name in names {
            if !self.__contains__(&name)? {
                return Err(no_member(&archive, &name));
            }
        }
        let asked: Vec<String> = names.extract()?;
        let names = if asked.is_empty() { archive.names().map(str::to_owned).collect() } else { asked };
        let theirs = names.clone();
        let contents = answering(py, move || {
            let names: Vec<&str> = theirs.iter().map(String::as_str).collect();
            archive.load(&names)
        })?;
        let loaded = PyDict::new(py);
        for (name, content) in names.into_iter().zip(contents) {
            loaded.set_item(name, to_object(py, content)?)?;
        }
        Ok(loaded)
    }

    /// The member, or `default` if there is none of that name.
    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.__contains__(name)? { self.__getitem__(py, name).map(Some) } else { Ok(default) }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.archive()?.names())?.try_iter()?.into_any())
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduced(py, "an npyfeed.Archive", self.archive()?.reopening())
    }

    /// Another handle on the same archive, which `close` of this one leaves open.
    fn __copy__(&self) -> PyResult<PyArchive> {
        self.archive().map(PyArchive::new)
    }

    /// The names.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "KeysView")
    }

    /// The members, each opened when the view comes to it.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ValuesView")
    }

    /// Names and members, each opened when the view comes to it.
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ItemsView")
    }

    fn __repr__(&self) -> String {
        let Ok(archive) = self.archive() else { return "<npyfeed.Archive, closed>".to_owned() };
        format!("npyfeed.Archive('{}': {})", archive.name(), archive.listed())
    }
}

fn no_member(archive: &Archive, name: &Bound<'_, PyAny>) -> PyErr {
    let (file, names) = (archive.name(), archive.listed());
    PyKeyError::new_err(format!("there is no member {name:?} in '{file}', it has {names}"))
}

fn to_object(py: Python<'_>, content: Content) -> PyResult<Bound<'_, PyAny>> {
    match content {
        Content::Array(array) => Ok(Bound::new(py, PyArray::new(array))?.into_any()),
        Content::Bytes(bytes) => Ok(PyBytes::new(py, &bytes).into_any()),
    }
}

/// One of the views of `collections.abc`, which read the archive as they are read.
fn view<'py>(archive: &Bound<'py, PyArchive>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    archive.py().import("collections.abc")?.call_method1(class, (archive,))
}
