//! Pickles of arrays and archives: the path and how it was opened, never the elements.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use npyfeed::{CrcCheck, Reopening, Stamp, Step};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::answer::answering;
use crate::error::{mismatch, to_python, unsupported};
use crate::open;

/// What `__reduce__` gives: `reopen`, and what to call it with.
pub(crate) type Reduced<'py> = (Bound<'py, PyAny>, (Bound<'py, PyDict>,));

/// The pickle of `what`. The file is looked at: what could not be opened again is told here, not in a child.
pub(crate) fn reduced<'py>(
    py: Python<'py>,
    what: &str,
    reopening: Option<Reopening>,
) -> PyResult<Reduced<'py>> {
    let no_file = || {
        let message = format!(
            "cannot pickle or copy {what} of no file: a pickle carries paths, not data; save it and open the \
             file, or take the elements: .numpy(copy=True)"
        );
        unsupported(py, message)
    };
    let reopening = reopening.ok_or_else(no_file)?;
    py.detach(|| reopening.check()).map_err(|error| to_python(py, error))?;
    let function = py.import("npyfeed._native")?.getattr("reopen")?;
    Ok((function, (to_dict(py, &reopening)?,)))
}

/// Opens again what a pickle was made of.
///
/// Raises:
///     FileNotFoundError: the file is no longer there.
///     OSError: it was written to or replaced since it was opened.
#[pyfunction]
pub(crate) fn reopen<'py>(py: Python<'py>, opened: Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    let reopening = from_dict(&opened)?;
    // A member may have to be inflated.
    let opened = answering(py, move || reopening.open())?;
    open::to_object(py, opened)
}

fn to_dict<'py>(py: Python<'py>, reopening: &Reopening) -> PyResult<Bound<'py, PyDict>> {
    // As text, which pickles on one system and unpickles on another, as a `PosixPath` does not.
    let path = reopening.path.as_os_str();
    let steps = reopening.steps.iter().map(|step| step_to_python(py, step));
    let kept = PyDict::new(py);
    kept.set_item("path", path)?;
    kept.set_item("bytes", reopening.stamp.len_bytes)?;
    kept.set_item("modified_ns", reopening.stamp.modified.map(nanoseconds))?;
    kept.set_item("offset", reopening.offset)?;
    kept.set_item("mode", open::mode_letter(reopening.mode))?;
    kept.set_item("dtype", reopening.dtype.map(npyfeed::Dtype::name))?;
    kept.set_item("max_header_size", reopening.header_bytes)?;
    kept.set_item("check_crc", reopening.crc_check == CrcCheck::All)?;
    kept.set_item("memory", reopening.kept_bytes)?;
    kept.set_item("steps", PyTuple::new(py, steps.collect::<PyResult<Vec<_>>>()?)?)?;
    Ok(kept)
}

fn from_dict(kept: &Bound<'_, PyDict>) -> PyResult<Reopening> {
    let item = |name: &str| kept.as_any().get_item(name);
    let dtype = |name: Option<String>| name.map(|name| parsed_dtype(kept.py(), &name)).transpose();
    let modified: Option<i128> = item("modified_ns")?.extract()?;
    let steps: Vec<(String, String)> = item("steps")?.extract()?;
    let steps = steps.into_iter().map(|step| step_from_python(kept.py(), step));
    Ok(Reopening {
        path: item("path")?.extract::<PathBuf>()?,
        stamp: Stamp { len_bytes: item("bytes")?.extract()?, modified: modified.and_then(time) },
        offset: item("offset")?.extract()?,
        mode: open::parse_mode(kept.py(), item("mode")?.extract()?)?,
        dtype: dtype(item("dtype")?.extract()?)?,
        header_bytes: item("max_header_size")?.extract()?,
        crc_check: if item("check_crc")?.extract()? { CrcCheck::All } else { CrcCheck::Deflated },
        kept_bytes: item("memory")?.extract()?,
        steps: steps.collect::<PyResult<_>>()?,
    })
}

fn step_to_python<'py>(py: Python<'py>, step: &Step) -> PyResult<Bound<'py, PyTuple>> {
    match step {
        Step::Member(name) => PyTuple::new(py, ["member", name]),
        Step::Field(name) => PyTuple::new(py, ["field", name]),
        Step::ReadAs(dtype) => PyTuple::new(py, ["dtype", dtype.name()]),
    }
}

fn step_from_python(py: Python<'_>, (kind, name): (String, String)) -> PyResult<Step> {
    match kind.as_str() {
        "member" => Ok(Step::Member(name)),
        "field" => Ok(Step::Field(name)),
        "dtype" => parsed_dtype(py, &name).map(Step::ReadAs),
        _ => Err(mismatch(py, format!("cannot open again: this npyfeed knows no step '{kind}' of a pickle"))),
    }
}

fn parsed_dtype(py: Python<'_>, name: &str) -> PyResult<npyfeed::Dtype> {
    let unknown = |_| mismatch(py, format!("cannot open again: this npyfeed knows no dtype '{name}'"));
    name.parse().map_err(unknown)
}

/// Nanoseconds since 1970, as `os.stat_result.st_mtime_ns`.
fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    }
}

/// `None` for a time that the system cannot tell.
fn time(nanoseconds: i128) -> Option<SystemTime> {
    let distance = Duration::from_nanos(u64::try_from(nanoseconds.unsigned_abs()).ok()?);
    if nanoseconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}
