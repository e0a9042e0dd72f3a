//! Memory of the engine as ndarrays, and ndarrays as memory of the engine, without a copy.
//!
//! `unsafe`, since NumPy's C interface takes addresses. What each call rests on: the
//! memory has the shape, strides and dtype given, and the ndarray holds its owner.

use std::ffi::c_int;
use std::ptr::NonNull;

use npyfeed::{Array, BatchColumn, ByteOrder, Dtype, Layout, Memory};
use numpy::npyffi::{
    NPY_ARRAY_ALIGNED, NPY_ARRAY_CARRAY, NPY_ARRAY_CARRAY_RO, NpyTypes, PY_ARRAY_API, get_type_object,
    npy_intp,
};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::descr;
use crate::error::{to_python, unsupported};

/// Holds a column of a batch until the last ndarray over it dies; then the buffer is filled again.
#[pyclass(frozen, module = "npyfeed._native")]
struct BatchMemory(#[expect(dead_code, reason = "held, not used")] BatchColumn);

/// The column as a writable ndarray over its own memory.
pub(crate) fn column<'py>(
    py: Python<'py>,
    mut column: BatchColumn,
    descr: &Bound<'py, PyArrayDescr>,
) -> PyResult<Bound<'py, PyAny>> {
    let (shape, start) = (column.shape(), NonNull::from(column.bytes_mut()).cast());
    let owner = Bound::new(py, BatchMemory(column))?.into_any();
    // SAFETY: `start` leads to the bytes of `shape` elements of the dtype that `descr` is for, which the
    // owner keeps in place and out of everybody else's hands; moving a column moves no bytes of it.
    unsafe { ndarray(descr.clone(), (&shape, None), start, NPY_ARRAY_CARRAY, owner) }
}

/// Holds an array until the last ndarray over it dies, whatever becomes of the `npyfeed.Array`.
#[pyclass(frozen, module = "npyfeed._native")]
struct ArrayMemory(#[expect(dead_code, reason = "held, not used")] Array);

/// The array as an ndarray over its bytes; writable if they may be written.
pub(crate) fn array(py: Python<'_>, array: Array) -> PyResult<Bound<'_, PyAny>> {
    let descr = descr::of_array(py, &array)?;
    let (start, flags) = match array.memory() {
        Some(memory) => (memory.cast(), NPY_ARRAY_CARRAY),
        None => (NonNull::from(array.bytes()).cast(), NPY_ARRAY_CARRAY_RO),
    };
    // A member of an archive starts at any byte. NumPy reads such elements by way of a copy each.
    let is_aligned = start.addr().get().is_multiple_of(descr.alignment());
    let flags = if is_aligned { flags } else { flags & !NPY_ARRAY_ALIGNED };
    let grid = array.grid().clone();
    let strides: Vec<npy_intp> = grid.strides().iter().map(|step| step.cast_signed()).collect();
    let owner = Bound::new(py, ArrayMemory(array))?.into_any();
    // SAFETY: `start` leads to items on the array's grid, of which NumPy's dtype has the size; the owner holds
    // the array, and with it the bytes.
    unsafe { ndarray(descr, (grid.shape(), Some(strides)), start, flags, owner) }
}

/// An ndarray over `start`, which holds `owner`.
///
/// # Safety
/// `start` leads to elements of `shape` and `descr`, `strides` bytes apart or else C-contiguous, readable,
/// and writable if `flags` say so, until `owner` dies.
unsafe fn ndarray<'py>(
    descr: Bound<'py, PyArrayDescr>,
    (shape, mut strides): (&[usize], Option<Vec<npy_intp>>),
    start: NonNull<u8>,
    flags: c_int,
    owner: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let axis_count = c_int::try_from(shape.len())?;
    let mut shape: Vec<npy_intp> = shape.iter().map(|length| length.cast_signed()).collect();
    // SAFETY: NumPy is imported when its interface is first asked for; the call takes over `descr`,
    // copies shape and strides, and returns a new reference or null with an exception set.
    let array = unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            get_type_object(py, NpyTypes::PyArray_Type),
            descr.into_dtype_ptr(),
            axis_count,
            shape.as_mut_ptr(),
            strides.as_mut().map_or(std::ptr::null_mut(), Vec::as_mut_ptr),
            start.as_ptr().cast(),
            flags,
            std::ptr::null_mut(),
        );
        Bound::from_owned_ptr_or_err(py, array)?
    };
    // SAFETY: an ndarray without a base; the call takes over the reference to the owner.
    let failed = unsafe { PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), owner.into_ptr()) };
    if failed == 0 { Ok(array) } else { Err(PyErr::fetch(py)) }
}

/// An ndarray as an array of the engine, which keeps it alive and reads it where it lies.
pub(crate) fn from_ndarray(name: &str, array: &Bound<'_, PyUntypedArray>) -> PyResult<Array> {
    let py = array.py();
    let found = array.dtype();
    let dtype_name: String = found.getattr("name")?.extract()?;
    let dtype: Dtype = dtype_name.parse().map_err(|_| {
        unsupported(py, format!("column '{name}': cannot read an ndarray of {dtype_name}, expected numbers"))
    })?;
    let byte_order = match found.is_native_byteorder() {
        Some(false) => ByteOrder::OTHER,
        Some(true) | None => ByteOrder::NATIVE,
    };
    let layout = Layout::strided(dtype, byte_order, array.shape(), array.strides()).map_err(|why| {
        unsupported(py, format!("column '{name}': {why}; pass numpy.ascontiguousarray(array)"))
    })?;
    // SAFETY: an ndarray's data pointer leads to its elements, and is not null even for none.
    let start = unsafe { NonNull::new((*array.as_array_ptr()).fields.data.cast::<u8>()) };
    let start = start.unwrap_or(NonNull::dangling());
    let bytes = NonNull::slice_from_raw_parts(start, layout.span_bytes());
    // SAFETY: the elements of an ndarray without negative strides, as far as its layout spans, stay in place while
    // the ndarray lives, unless its owner forces it to let go of them (`resize(refcheck=False)`), which
    // the documentation forbids. Someone may write to them meanwhile; for both see SAFETY.md, "memory
    // that others write".
    let memory = unsafe { Memory::new(bytes, array.clone().unbind()) };
    Array::in_memory(memory, layout).map_err(|error| to_python(py, error))
}
