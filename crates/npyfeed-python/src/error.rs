//! From the engine's errors to Python's.

use npyfeed::{Error, ErrorKind};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The exception for `error`. Its classes are in `npyfeed.errors`, so that they pickle.
pub(crate) fn to_python(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    match error.kind() {
        ErrorKind::Format => defined(py, &FORMAT, "FormatError", message),
        ErrorKind::Mismatch => mismatch(py, message),
        ErrorKind::Unsupported => unsupported(py, message),
        ErrorKind::Io => system(&error, message),
        ErrorKind::Closed | ErrorKind::Internal => PyRuntimeError::new_err(message),
    }
}

/// A `MismatchError`.
pub(crate) fn mismatch(py: Python<'_>, message: String) -> PyErr {
    defined(py, &MISMATCH, "MismatchError", message)
}

/// An `UnsupportedError`.
pub(crate) fn unsupported(py: Python<'_>, message: String) -> PyErr {
    defined(py, &UNSUPPORTED, "UnsupportedError", message)
}

static FORMAT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static MISMATCH: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static UNSUPPORTED: PyOnceLock<Py<PyType>> = PyOnceLock::new();

fn defined(py: Python<'_>, class: &PyOnceLock<Py<PyType>>, name: &str, message: String) -> PyErr {
    match class.import(py, "npyfeed.errors", name) {
        Ok(class) => PyErr::from_type(class.clone(), message),
        Err(import_error) => import_error,
    }
}

/// `FileNotFoundError`, `PermissionError`, …: `OSError` chooses by the error number.
fn system(error: &Error, message: String) -> PyErr {
    let number = error.io_error().and_then(error_number);
    match (number, error.path()) {
        (Some(number), Some(path)) => {
            PyOSError::new_err((number, message, path.to_string_lossy().into_owned()))
        }
        (Some(number), None) => PyOSError::new_err((number, message)),
        (None, _) => PyOSError::new_err(message),
    }
}

/// The system's number, or the number of what we found out ourselves.
fn error_number(error: &std::io::Error) -> Option<i32> {
    use std::io::ErrorKind::{IsADirectory, OutOfMemory, StaleNetworkFileHandle};
    // ENOMEM, EISDIR, ESTALE
    const OWN: [(std::io::ErrorKind, i32); 3] =
        [(OutOfMemory, 12), (IsADirectory, 21), (StaleNetworkFileHandle, 116)];
    let own = OWN.iter().find(|(kind, _)| *kind == error.kind()).map(|(_, number)| *number);
    error.raw_os_error().or(own)
}
