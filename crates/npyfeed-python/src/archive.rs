//! `npyfeed.Archive`.

use std::path::PathBuf;

use npyfeed::{Archive, Content, CrcCheck};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::array::PyArray;
use crate::error::to_python;

/// The arrays of an .npz file, by name.
#[pyclass(frozen, mapping, name = "Archive", module = "npyfeed")]
pub(crate) struct PyArchive {
    archive: Archive,
}

impl PyArchive {
    /// `check_crc`: hold every member against its CRC-32, not only those that are inflated. `memory_bytes`: how
    /// many bytes of inflated members are kept, if not as many as usual.
    pub(crate) fn new(archive: Archive, check_crc: bool, memory_bytes: Option<usize>) -> PyArchive {
        let archive = if check_crc { archive.with_crc_check(CrcCheck::All) } else { archive };
        let archive = memory_bytes.map_or_else(|| archive.clone(), |bytes| archive.with_memory(bytes));
        PyArchive { archive }
    }
}

#[pymethods]
impl PyArchive {
    #[getter]
    fn path(&self) -> PathBuf {
        self.archive.path().into()
    }

    fn __len__(&self) -> usize {
        self.archive.len()
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        name.extract::<&str>().is_ok_and(|name| self.archive.contains(name))
    }

    fn __getitem__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let known = name.extract::<&str>().ok().filter(|name| self.archive.contains(name));
        let name = known.ok_or_else(|| self.no_member(name))?;
        let content = py.detach(|| self.archive.get(name)).map_err(|error| to_python(py, error))?;
        to_object(py, content)
    }

    #[pyo3(signature = (*names))]
    fn load<'py>(&self, py: Python<'py>, names: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(missing) = names.iter().find(|name| !self.__contains__(name)) {
            return Err(self.no_member(&missing));
        }
        let asked: Vec<String> = names.extract()?;
        let names: Vec<&str> = match asked[..] {
            [] => self.archive.names().collect(),
            [..] => asked.iter().map(String::as_str).collect(),
        };
        let contents = py.detach(|| self.archive.load(&names)).map_err(|error| to_python(py, error))?;
        let loaded = PyDict::new(py);
        for (name, content) in names.into_iter().zip(contents) {
            loaded.set_item(name, to_object(py, content)?)?;
        }
        Ok(loaded)
    }

    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.__contains__(name) { self.__getitem__(py, name).map(Some) } else { Ok(default) }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyList::new(py, self.archive.names())?.try_iter()?.into_any())
    }

    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "KeysView")
    }

    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ValuesView")
    }

    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ItemsView")
    }

    fn __repr__(&self) -> String {
        format!("npyfeed.Archive('{}': {})", self.archive.path().display(), self.archive.listed())
    }
}

impl PyArchive {
    fn no_member(&self, name: &Bound<'_, PyAny>) -> PyErr {
        let (path, names) = (self.archive.path().display(), self.archive.listed());
        PyKeyError::new_err(format!("there is no member {name:?} in '{path}', it has {names}"))
    }
}

fn to_object(py: Python<'_>, content: Content) -> PyResult<Bound<'_, PyAny>> {
    match content {
        Content::Array(array) => Ok(Bound::new(py, PyArray { array })?.into_any()),
        Content::Bytes(bytes) => Ok(PyBytes::new(py, &bytes).into_any()),
    }
}

/// One of the views of `collections.abc`, which read the archive as they are read.
fn view<'py>(archive: &Bound<'py, PyArchive>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    archive.py().import("collections.abc")?.call_method1(class, (archive,))
}
