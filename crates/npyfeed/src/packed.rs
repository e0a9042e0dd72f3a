//! The elements of an array in memory of their own: as they lie, or as every framework takes them.

use std::sync::{Mutex, PoisonError};

use npyfeed_array::{Buffer, ByteOrder, Layout, MemoryOrder};
use npyfeed_io::{Memory, Mode};

use crate::array::Array;
use crate::error::{Error, Result};
use crate::side_by_side::{processor_count, side_by_side};

impl Array {
    /// The array itself, if its elements may be written, have this machine's byte order and lie at steps of whole
    /// elements; else a [`packed`](Array::packed) copy. What can take no less takes this.
    ///
    /// # Errors
    /// As [`packed`](Array::packed); [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) instead of a copy of
    /// what was opened to be written: what is written to the copy would reach no file.
    pub fn plain(&self) -> Result<Array> {
        if self.is_plain()? {
            return Ok(self.clone());
        }
        self.check_may_be_copied()?;
        self.packed()
    }

    /// Whether [`plain`](Array::plain) is the array itself, and no copy.
    ///
    /// # Errors
    /// As [`layout`](Array::layout).
    pub fn is_plain(&self) -> Result<bool> {
        let layout = self.layout()?;
        let item_bytes = layout.dtype().item_bytes();
        let steps_whole = layout.strides().iter().all(|step| step.is_multiple_of(item_bytes));
        Ok(steps_whole && !layout.is_swapped() && self.memory().is_some())
    }

    /// Whether a copy will do where nobody asked for one.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if not: what is written to it is to reach the file.
    pub fn check_may_be_copied(&self) -> Result<()> {
        match self.mode() {
            Mode::CopyOnWrite | Mode::ReadOnly => Ok(()),
            Mode::ReadWrite => Err(Error::mismatch(format!(
                "cannot hand out '{}' to be written: expected elements in this machine's byte order, at steps of \
                 whole elements, found others, of which only a copy could be had; write through .numpy(), or open \
                 it with mode 'c'",
                self.name()
            ))),
        }
    }

    /// A copy in memory of its own, in the order the elements lie in, or in C order if there are gaps between
    /// them. A large one is copied by several threads.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if there is no memory, or the file was cut short or written to
    /// since it was opened.
    pub fn copied(&self) -> Result<Array> {
        let grid = self.grid();
        let lies_whole = grid.is_c_contiguous() || grid.is_fortran_contiguous();
        let bytes = grid.packed_bytes();
        let mut buffer = Buffer::zeroed(bytes)
            .map_err(|why| Error::system(&format!("get {bytes} bytes to copy '{}'", self.name()), why))?;
        if lies_whole {
            copy(self.bytes(), buffer.bytes_mut());
        } else {
            npyfeed_kernel::pack(grid, self.bytes(), buffer.bytes_mut());
        }
        self.check()?;
        let memory_order = if self.is_fortran_ordered() { MemoryOrder::Fortran } else { MemoryOrder::C };
        self.packed_in(buffer, memory_order)
    }

    /// A copy in memory of its own that starts at a multiple of 64 bytes: C order, no gaps, this machine's
    /// byte order. It may be written, and neither this array nor a file sees it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("points.npy");
    /// use npyfeed::{ArrayView, ByteOrder, Dtype, Layout, MemoryOrder};
    ///
    /// let columns_first = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[2, 2], MemoryOrder::Fortran)?;
    /// npyfeed::save(&path, ArrayView::new(&columns_first, &[1, 3, 2, 4])?)?;
    /// assert_eq!(npyfeed::open(&path)?.packed()?.bytes(), [1, 2, 3, 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`layout`](Array::layout); [`ErrorKind::Io`](crate::ErrorKind::Io) if the system has no memory to
    /// give, or the file changed while it was read.
    pub fn packed(&self) -> Result<Array> {
        let name = self.name();
        let layout = self.layout()?;
        let mut buffer = Buffer::zeroed(layout.packed_bytes())
            .map_err(|why| Error::system(&format!("copy '{name}'"), why))?;
        npyfeed_kernel::pack_native(layout, self.bytes(), buffer.bytes_mut());
        self.check()?;
        let layout = Layout::new(layout.dtype(), ByteOrder::NATIVE, self.shape(), MemoryOrder::C)
            .map_err(|why| Error::mismatch(why.to_string()))?;
        Array::in_memory(Memory::own(name.to_owned(), buffer), layout)
    }
}

/// What a thread copies before it asks for more. Below this, starting a thread takes longer than it saves.
const COPY_PART_BYTES: usize = 4 << 20;

/// Copies `source` by as many threads as there are processors: page faults, of which the first touch of a
/// file's pages and of new memory are made, are served side by side.
fn copy(source: &[u8], target: &mut [u8]) {
    let part_count = source.len().div_ceil(COPY_PART_BYTES);
    let parts = Mutex::new(source.chunks(COPY_PART_BYTES).zip(target.chunks_mut(COPY_PART_BYTES)));
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    side_by_side(processor_count().min(part_count), || {
        while let Some((source, target)) = next() {
            target.copy_from_slice(source);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyfeed_array::{ALIGNMENT_BYTES, Dtype};

    #[test]
    fn a_packed_copy_has_this_machines_order_and_memory_of_its_own() {
        let layout = Layout::strided(Dtype::U16, ByteOrder::OTHER, &[2, 2], &[2, 5]).unwrap();
        let bytes = [1_u16, 2, 3, 4].map(|number| number.swap_bytes().to_ne_bytes());
        let memory = [&bytes[0][..], &bytes[1], &[0], &bytes[2], &bytes[3]].concat();
        let array = Array::in_memory(Memory::from(memory), layout).unwrap();
        let packed = array.packed().unwrap();
        assert_eq!(packed.view().unwrap().elements::<u16>(), Some(&[1, 3, 2, 4][..]));
        assert_eq!(packed.bytes().as_ptr().addr() % ALIGNMENT_BYTES, 0);
        assert!(packed.memory().is_some() && array.memory().is_none());
    }

    #[test]
    fn scalars_and_empty_arrays_are_packed_too() {
        for (shape, bytes) in [(&[][..], vec![1_u8, 2]), (&[3, 0][..], vec![])] {
            let layout = Layout::new(Dtype::U16, ByteOrder::NATIVE, shape, MemoryOrder::Fortran).unwrap();
            let packed = Array::in_memory(Memory::from(bytes.clone()), layout).unwrap().packed().unwrap();
            assert_eq!((packed.shape(), packed.bytes()), (shape, &bytes[..]));
        }
    }
}
