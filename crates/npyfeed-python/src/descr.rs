//! What elements are, as NumPy's dtypes.

use npyfeed::{Array, Descr, Dtype, Field, UnknownDtype};
use numpy::PyArrayDescr;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::error::unsupported;

/// NumPy's dtype for ours. Of a dtype that NumPy lacks the bits are handed out, and the Python side gives
/// them their name.
pub(crate) fn of_dtype(py: Python<'_>, dtype: Dtype) -> PyResult<Bound<'_, PyArrayDescr>> {
    PyArrayDescr::new(py, dtype.numpy_dtype().name())
}

/// The names of the dtypes that NumPy lacks, so that [`of_dtype`] is for their bits, and their type strings.
pub(crate) fn numpy_lacks(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let lacking = PyDict::new(py);
    for dtype in Dtype::ALL.into_iter().filter(|dtype| dtype.is_unknown_to_numpy()) {
        lacking.set_item(dtype.name(), dtype.type_string())?;
    }
    Ok(lacking)
}

/// NumPy's dtype for the elements of an array, with their byte order.
pub(crate) fn of_array<'py>(py: Python<'py>, array: &Array) -> PyResult<Bound<'py, PyArrayDescr>> {
    let Ok(layout) = array.layout() else { return of_descr(py, &array.descr()) };
    let native = of_dtype(py, layout.dtype())?;
    if layout.is_swapped() {
        return Ok(native.call_method1("newbyteorder", ("S",))?.cast_into()?);
    }
    Ok(native)
}

/// By NumPy's own reading of what `numpy.save` writes, padding and titles included.
fn of_descr<'py>(py: Python<'py>, descr: &Descr) -> PyResult<Bound<'py, PyArrayDescr>> {
    let written = literal(py, descr)?;
    Ok(py.import("numpy.lib.format")?.call_method1("descr_to_dtype", (written,))?.cast_into()?)
}

/// A descr as `numpy.lib.format.dtype_to_descr` gives it.
fn literal<'py>(py: Python<'py>, descr: &Descr) -> PyResult<Bound<'py, PyAny>> {
    if let Ok((dtype, _)) = descr.number()
        && dtype.is_unknown_to_numpy()
    {
        return Ok(dtype.numpy_dtype().type_string().into_pyobject(py)?.into_any());
    }
    if let Some(type_string) = descr.type_string() {
        return Ok(type_string.into_pyobject(py)?.into_any());
    }
    let (element, shape) = descr.flattened();
    if shape.is_empty() {
        let fields: Vec<_> =
            descr.fields().iter().map(|field| field_literal(py, field)).collect::<PyResult<_>>()?;
        return Ok(PyList::new(py, fields)?.into_any());
    }
    Ok((literal(py, element)?, PyTuple::new(py, shape)?).into_pyobject(py)?.into_any())
}

/// `(name, type)` or `((title, name), type)`.
fn field_literal<'py>(py: Python<'py>, field: &Field) -> PyResult<Bound<'py, PyTuple>> {
    let written = literal(py, &field.descr)?;
    match &field.title {
        None => (&*field.name, written).into_pyobject(py),
        Some(title) => ((&**title, &*field.name), written).into_pyobject(py),
    }
}

/// The dtype that a user means: a name, `numpy.float32`, `numpy.dtype`, `torch.bfloat16`, `ml_dtypes.bfloat16`.
pub(crate) fn meant(doing: &str, dtype: &Bound<'_, PyAny>) -> PyResult<Dtype> {
    let py = dtype.py();
    let name: String = py.import("npyfeed.transforms")?.call_method1("dtype_name", (dtype,))?.extract()?;
    name.parse().map_err(|why: UnknownDtype| unsupported(py, format!("{doing}: {why}")))
}
