//! A layout and the bytes it is laid over, proven to fit.

use crate::{Element, Layout, LayoutError};

/// Bytes seen as an array. Holding one is the proof that the bytes are as many as the layout needs.
#[derive(Clone, Copy, Debug)]
pub struct ArrayView<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
}

impl<'a> ArrayView<'a> {
    /// Lays `layout` over `bytes`.
    ///
    /// # Errors
    /// [`LayoutError::BytesMismatch`] unless `bytes` has exactly `layout.span_bytes()` bytes.
    pub fn new(layout: &'a Layout, bytes: &'a [u8]) -> Result<ArrayView<'a>, LayoutError> {
        if bytes.len() != layout.span_bytes() {
            return Err(LayoutError::BytesMismatch {
                expected_bytes: layout.span_bytes(),
                found_bytes: bytes.len(),
            });
        }
        Ok(ArrayView { layout, bytes })
    }

    /// How the elements lie.
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements in the order of memory, if `T` is their type, they have the machine's byte order, and
    /// they lie without gaps on addresses where a `T` may lie.
    pub fn elements<T: Element>(&self) -> Option<&'a [T]> {
        let lies_whole = self.layout.is_c_contiguous() || self.layout.is_fortran_contiguous();
        let fits = self.layout.dtype() == T::DTYPE && !self.layout.is_swapped() && lies_whole;
        if fits { bytemuck::try_cast_slice(self.bytes).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ByteOrder, Dtype, MemoryOrder};

    #[test]
    fn a_view_needs_exactly_its_bytes() {
        let layout = Layout::new(Dtype::I16, ByteOrder::NATIVE, &[3], MemoryOrder::C).unwrap();
        assert!(ArrayView::new(&layout, &[0; 6]).is_ok());
        for wrong in [0, 5, 7] {
            assert!(ArrayView::new(&layout, &vec![0; wrong]).is_err(), "{wrong} bytes");
        }
    }

    #[test]
    fn elements_are_given_only_as_what_they_are() {
        let bytes: Vec<i16> = vec![1, -2, 3];
        let layout = Layout::new(Dtype::I16, ByteOrder::NATIVE, &[3], MemoryOrder::C).unwrap();
        let view = ArrayView::new(&layout, bytemuck::cast_slice(&bytes)).unwrap();
        assert_eq!(view.elements::<i16>(), Some(&[1, -2, 3][..]));
        assert_eq!(view.elements::<u16>(), None);
    }
}
