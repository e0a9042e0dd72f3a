//! The refusal of elements that are not numbers, with the way out.

use crate::descr::Descr;

/// A file is sound, but its elements are not numbers of a [`Dtype`](npyfeed_array::Dtype).
///
/// ```
/// use npyfeed_npy::{Descr, UnsupportedDescr};
///
/// let refusal = UnsupportedDescr { descr: Descr::Object };
/// let message = refusal.to_string();
/// assert!(message.starts_with("its elements are Python objects: the file is a pickle"));
/// assert!(message.contains("pickle"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its elements are {descr}: {}", cure(descr))]
pub struct UnsupportedDescr {
    /// What the elements are.
    pub descr: Descr,
}

const OBJECT_CURE: &str = "the file is a pickle, which may run code when read; \
    save numpy.stack(list(array)) if its items are arrays of one shape, \
    array.astype('float32') if they are numbers";

fn cure(descr: &Descr) -> &'static str {
    if descr.contains_object() {
        return OBJECT_CURE;
    }
    match descr {
        Descr::Number { .. } => "they are numbers",
        Descr::Float { .. } => "save array.astype('float64')",
        Descr::Complex { .. } => "save array.astype('complex128')",
        Descr::Text { .. } | Descr::Bytes { .. } => {
            "make numbers of them, numpy.unique(array, return_inverse=True)[1]"
        }
        Descr::Void { item_bytes: 2, byte_order: Some(_) } => {
            "if they are bfloat16, open it with dtype='bfloat16'"
        }
        Descr::Void { item_bytes: 1, byte_order: Some(_) } => {
            "if they are float8_e4m3fn, open it with dtype='float8_e4m3fn'"
        }
        Descr::Void { .. } => "open it with the dtype= that they are, such as dtype='bfloat16' for 2 bytes",
        Descr::Datetime { .. } | Descr::Timedelta { .. } => "open it with dtype='int64'",
        Descr::Record { .. } => "take one field, 'file.npy:field' or array.field('field')",
        Descr::Subarray { .. } => "save the array with their axes as its last axes",
        Descr::Object => OBJECT_CURE,
    }
}
