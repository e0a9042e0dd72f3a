//! `__dlpack__`: an array as the capsule that `torch.from_dlpack`, `jax.dlpack.from_dlpack` and others take.
//!
//! The structs are those of `dlpack.h` 1.1, the protocol is that of the Python array API standard 2024.12.
//! What a capsule leads to holds the array of the engine, so its consumer may let go of it on any thread, with or
//! without the GIL. A Python object below it, as of an array over `bytes`, is let go of at once by a thread that is
//! attached to the interpreter, else when the next one is.
//!
//! Not by the crate `dlpark`: 0.10, whose interface broke with that of 0.9 eleven days before, cannot copy,
//! and leaves to its user's `unsafe` what has to be proven here.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

use npyfeed::{Array, ByteOrder, Dtype, Layout, MemoryOrder};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::to_python;

/// What the consumer asks for: the arguments of `__dlpack__`.
pub(crate) struct Request<'py> {
    pub(crate) stream: Option<Bound<'py, PyAny>>,
    pub(crate) max_version: Option<(u32, u32)>,
    pub(crate) dl_device: Option<(i32, i32)>,
    pub(crate) copy: Option<bool>,
}

/// The only device: the memory of the CPU, `kDLCPU`.
pub(crate) const CPU: (i32, i32) = (1, 0);

/// A capsule over the memory of `array`, or over that of a copy if one is asked for.
pub(crate) fn export<'py>(
    py: Python<'py>,
    array: &Array,
    request: &Request<'py>,
) -> PyResult<Bound<'py, PyCapsule>> {
    let minor = request.check(array)?;
    let is_copied = match request.copy {
        Some(is_copied) => is_copied,
        // Some consumers write to what is flagged read-only: unless they ask for it as it is, they get a copy.
        None => array.memory().is_none() || lengths(array).is_err(),
    };
    let (array, flags) = if is_copied {
        if request.copy.is_none() {
            array.check_may_be_copied().map_err(|error| to_python(py, error))?;
        }
        (py.detach(|| array.packed()).map_err(|error| to_python(py, error))?, IS_COPIED)
    } else {
        (array.clone(), if array.memory().is_some() { 0 } else { READ_ONLY })
    };
    match request.max_version {
        None | Some((0, _)) if flags == READ_ONLY => {
            let found = "found an array that may only be read, which a capsule without a version cannot say";
            Err(refused(&array, found, "pass max_version=(1, 0), or leave out copy=False"))
        }
        None | Some((0, _)) => capsule::<Legacy>(py, array, Facts { flags, minor }),
        Some(_) => capsule::<Versioned>(py, array, Facts { flags, minor }),
    }
}

impl Request<'_> {
    /// The minor version of DLPack 1 that can say it, if all that is asked for can be done.
    fn check(&self, array: &Array) -> PyResult<u32> {
        if self.stream.is_some() {
            return Err(refused(array, "found a stream, which the CPU has none of", "pass stream=None"));
        }
        if let Some((kind, number)) = self.dl_device.filter(|&device| device != CPU) {
            let found = format!("expected the CPU, device (1, 0), found device ({kind}, {number})");
            return Err(refused(array, &found, "take it to the device from there"));
        }
        let dtype = layout_of(array)?.dtype();
        let (_, minor) = type_code(dtype);
        let most = match self.max_version {
            None | Some((0, _)) => 0,
            Some((1, most)) => most,
            Some(_) => u32::MAX,
        };
        if minor > most {
            let found = format!("{dtype} is of DLPack 1.{minor}, which the consumer does not know");
            return Err(refused(array, &found, "take its bytes, .numpy().view(\"uint8\")"));
        }
        Ok(minor)
    }
}

/// The code of `dlpack.h`, and the minor version of DLPack 1 that brought it; 0 also for older ones.
fn type_code(dtype: Dtype) -> (u8, u32) {
    match dtype {
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => (0, 0),
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => (1, 0),
        Dtype::F16 | Dtype::F32 | Dtype::F64 => (2, 0),
        Dtype::Bf16 => (4, 0),
        Dtype::C64 | Dtype::C128 => (5, 0),
        Dtype::Bool => (6, 0),
        Dtype::F8E4M3 => (10, 1),
        Dtype::F8E5M2 => (12, 1),
    }
}

/// Shape and strides in elements, in one list; or what keeps the array from having them.
fn lengths(array: &Array) -> PyResult<Vec<i64>> {
    let layout = layout_of(array)?;
    let dtype = layout.dtype();
    let cure = "leave out copy=False, or take .numpy()";
    if layout.is_swapped() {
        return Err(refused(array, "its elements do not have this machine's byte order", cure));
    }
    // NumPy, too, aligns a complex number as its parts.
    let (start, alignment_bytes) = (array.bytes().as_ptr().addr(), dtype.swapped_bytes());
    if !start.is_multiple_of(alignment_bytes) {
        let found = format!("its first element does not lie at a multiple of {alignment_bytes} bytes");
        return Err(refused(array, &found, cure));
    }
    let strides = element_strides(layout).ok_or_else(|| {
        let (strides, item_bytes) = (layout.strides(), dtype.item_bytes());
        let found =
            format!("strides of {strides:?} bytes are no multiples of the {item_bytes} of an element");
        refused(array, &found, cure)
    })?;
    let shape = layout.shape().iter().map(|&length| length.cast_signed() as i64);
    Ok(shape.chain(strides).collect())
}

/// `None` if a step is no whole number of elements. Where there is no next element, steps do not matter, and
/// are those of C order, which every consumer knows.
fn element_strides(layout: &Layout) -> Option<Vec<i64>> {
    let item_bytes = layout.dtype().item_bytes();
    let in_elements = |step: usize| (step / item_bytes).cast_signed() as i64;
    if layout.is_c_contiguous() {
        let packed = Layout::new(layout.dtype(), ByteOrder::NATIVE, layout.shape(), MemoryOrder::C).ok()?;
        return Some(packed.strides().iter().map(|&step| in_elements(step)).collect());
    }
    let mut steps = layout.shape().iter().zip(layout.strides());
    let are_whole = steps.all(|(&length, step)| length == 1 || step.is_multiple_of(item_bytes));
    are_whole.then(|| layout.strides().iter().map(|&step| in_elements(step)).collect())
}

fn layout_of(array: &Array) -> PyResult<&Layout> {
    array.layout().map_err(|why| PyBufferError::new_err(why.to_string()))
}

fn refused(array: &Array, found: &str, cure: &str) -> PyErr {
    PyBufferError::new_err(format!("cannot export '{}' through DLPack: {found}; {cure}", array.name()))
}

// -- dlpack.h ------------------------------------------------------------------------------------------------

const READ_ONLY: u64 = 1 << 0;
const IS_COPIED: u64 = 1 << 1;

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device: Device,
    axis_count: i32,
    element: Element,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct Device {
    kind: i32,
    number: i32,
}

#[repr(C)]
struct Element {
    code: u8,
    bits: u8,
    lanes: u16,
}

/// `DLManagedTensor`
#[repr(C)]
struct Legacy {
    tensor: Tensor,
    context: *mut c_void,
    deleter: Deleter<Legacy>,
}

/// `DLManagedTensorVersioned`
#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Deleter<Versioned>,
    flags: u64,
    tensor: Tensor,
}

type Deleter<M> = unsafe extern "C" fn(*mut M);

/// What a versioned capsule says beyond the tensor.
struct Facts {
    flags: u64,
    minor: u32,
}

trait Managed: Sized {
    const NAME: &'static CStr;

    fn new(tensor: Tensor, deleter: Deleter<Self>, facts: Facts) -> Self;
}

impl Managed for Legacy {
    const NAME: &'static CStr = c"dltensor";

    fn new(tensor: Tensor, deleter: Deleter<Self>, _: Facts) -> Self {
        Legacy { tensor, context: std::ptr::null_mut(), deleter }
    }
}

impl Managed for Versioned {
    const NAME: &'static CStr = c"dltensor_versioned";

    fn new(tensor: Tensor, deleter: Deleter<Self>, Facts { flags, minor }: Facts) -> Self {
        Versioned { major: 1, minor, context: std::ptr::null_mut(), deleter, flags, tensor }
    }
}

impl Tensor {
    /// The tensor over the memory of `array`; `lengths` are those of [`lengths`].
    fn new(array: &Array, lengths: &mut [i64]) -> PyResult<Tensor> {
        let (kind, number) = CPU;
        let axis_count = array.shape().len();
        let start = array.memory().map_or_else(|| NonNull::from(array.bytes()).cast(), NonNull::cast);
        let shape = lengths.as_mut_ptr();
        Ok(Tensor {
            // The header wants no address where there is no element.
            data: if array.bytes().is_empty() { std::ptr::null_mut() } else { start.as_ptr() },
            device: Device { kind, number },
            axis_count: i32::try_from(axis_count)?,
            element: Element {
                code: type_code(layout_of(array)?.dtype()).0,
                bits: u8::try_from(array.grid().item_bytes() * 8)?,
                lanes: 1,
            },
            shape,
            strides: shape.wrapping_add(axis_count),
            byte_offset: 0,
        })
    }
}

// -- ownership -----------------------------------------------------------------------------------------------

/// What a capsule leads to: the struct of the header, and behind it what its pointers lead to.
#[repr(C)]
struct Export<M> {
    managed: M,
    _lengths: Vec<i64>,
    _array: Array,
}

fn capsule<M: Managed>(py: Python<'_>, array: Array, facts: Facts) -> PyResult<Bound<'_, PyCapsule>> {
    let mut lengths = lengths(&array)?;
    let managed = M::new(Tensor::new(&array, &mut lengths)?, release::<M>, facts);
    let export = NonNull::from(Box::leak(Box::new(Export { managed, _lengths: lengths, _array: array })));
    // SAFETY: the pointer leads to an `M`, the first field of the `Export`, as the name says, and is valid
    // until `release` has run. Neither shape, strides nor elements move with the `Export`. The destructor may
    // run on any thread, since what it drops may be (`may_be_released_anywhere`).
    let made = unsafe {
        let free = Some(free_unconsumed::<M> as ffi::PyCapsule_Destructor);
        PyCapsule::new_with_pointer_and_destructor(py, export.cast(), M::NAME, free)
    };
    if made.is_err() {
        // SAFETY: made above, and nobody has got hold of it.
        unsafe { release::<M>(export.as_ptr().cast()) };
    }
    made
}

/// What `release` drops and the header does not describe; the rest of an `Export` are plain numbers.
const _: () = {
    const fn may_be_released_anywhere<T: Send + Sync + 'static>() {}
    may_be_released_anywhere::<(Vec<i64>, Array)>();
};

/// The deleter: called once, by whoever took the tensor out of its capsule, on whatever thread.
///
/// # Safety
/// `managed` is the pointer of a capsule made by [`capsule`], and is not used again.
unsafe extern "C" fn release<M>(managed: *mut M) {
    // SAFETY: the pointer was made from a box of an `Export<M>`, and leads to its first field; the caller
    // gives it up.
    let export = unsafe { Box::from_raw(managed.cast::<Export<M>>()) };
    // SAFETY: both may be called on any thread at any time.
    let is_attached = unsafe { ffi::Py_IsInitialized() != 0 && ffi::PyGILState_Check() == 1 };
    if is_attached {
        // CPython has called this without telling PyO3, which would put off what it does not know to be safe.
        Python::attach(|_| drop(export));
    }
}

/// The destructor of a capsule. A consumer has renamed what it took; what still has its name is ours.
///
/// # Safety
/// `capsule` was made by [`capsule`] for the same `M`, and this is its end.
unsafe extern "C" fn free_unconsumed<M: Managed>(capsule: *mut ffi::PyObject) {
    // SAFETY: CPython calls this with the capsule that dies, attached to the interpreter. Neither call sets or
    // clears an exception where the name is right. Nobody else releases what is under the unused name.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, M::NAME.as_ptr()) == 1 {
            release::<M>(ffi::PyCapsule_GetPointer(capsule, M::NAME.as_ptr()).cast());
        }
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    // What a C compiler makes of the header.
    assert!(size_of::<Tensor>() == 48 && size_of::<Legacy>() == 64 && size_of::<Versioned>() == 80);
};
