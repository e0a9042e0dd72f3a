//! Whether two samples can stand in one batch as they lie: what differs, in words.

use npyfeed_array::{ByteOrder, Layout};

use crate::error::Error;

/// Nothing if rows that lie as `found` can be read as those that lie as `expected`. Else an error that calls them
/// `name` and the others `first`.
///
/// # Errors
/// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch), with the first of dtype, shape, byte order and memory order
/// that differs.
pub(super) fn check_alike(
    (first, expected): (&str, &Layout),
    (name, found): (&str, &Layout),
) -> Result<(), Error> {
    let (expected_words, found_words, cure) = if expected.dtype() != found.dtype() {
        (expected.dtype().name().to_owned(), found.dtype().name().to_owned(), "")
    } else if expected.shape() != found.shape() {
        (format!("shape {:?}", expected.shape()), format!("{:?}", found.shape()), "")
    } else if expected.is_swapped() != found.is_swapped() {
        let cure = "; write it again in the byte order of the others";
        (byte_order(expected).to_owned(), byte_order(found).to_owned(), cure)
    } else if !lie_alike(expected, found) {
        let cure = "; write it again in the memory order of the others";
        (steps(expected), steps(found), cure)
    } else {
        return Ok(());
    };
    Err(Error::mismatch(format!(
        "cannot read samples of '{name}': expected {expected_words} as in '{first}', found {found_words}{cure}"
    )))
}

/// The stride of an axis of length 1 does not matter, nor do those of nothing.
fn lie_alike(one: &Layout, other: &Layout) -> bool {
    one.strides() == other.strides() || one.is_c_contiguous() && other.is_c_contiguous()
}

fn byte_order(layout: &Layout) -> &'static str {
    match layout.byte_order() {
        ByteOrder::Little => "little-endian elements",
        ByteOrder::Big => "big-endian elements",
    }
}

fn steps(layout: &Layout) -> String {
    format!("elements that lie with strides {:?}", layout.strides())
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyfeed_array::{Dtype, MemoryOrder};

    fn found(dtype: Dtype, byte_order: ByteOrder, shape: &[usize], memory_order: MemoryOrder) -> String {
        let expected = Layout::new(Dtype::F32, ByteOrder::Little, &[2, 3], MemoryOrder::C).unwrap();
        let other = Layout::new(dtype, byte_order, shape, memory_order).unwrap();
        match check_alike(("a.npy", &expected), ("b.npy", &other)) {
            Ok(()) => "alike".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_differs_is_named() {
        use ByteOrder::{Big, Little};
        use MemoryOrder::{C, Fortran};
        assert_eq!(found(Dtype::F32, Little, &[2, 3], C), "alike");
        let f64s = "cannot read samples of 'b.npy': expected float32 as in 'a.npy', found float64";
        assert_eq!(found(Dtype::F64, Little, &[2, 3], C), f64s);
        let shape = "cannot read samples of 'b.npy': expected shape [2, 3] as in 'a.npy', found [3, 2]";
        assert_eq!(found(Dtype::F32, Little, &[3, 2], C), shape);
        assert!(found(Dtype::F32, Big, &[2, 3], C).contains("found big-endian elements; write it again"));
        assert!(
            found(Dtype::F32, Little, &[2, 3], Fortran)
                .contains("found elements that lie with strides [4, 8]")
        );
    }

    #[test]
    fn a_stride_that_is_never_taken_is_none() {
        let layout = |order| Layout::new(Dtype::U8, ByteOrder::Little, &[1, 5], order).unwrap();
        let alike = check_alike(("a", &layout(MemoryOrder::C)), ("b", &layout(MemoryOrder::Fortran)));
        assert!(alike.is_ok());
    }
}
