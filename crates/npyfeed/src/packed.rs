//! The elements of an array in memory of their own, as every framework takes them.

use npyfeed_array::{Buffer, ByteOrder, Layout, MemoryOrder};
use npyfeed_io::Memory;

use crate::array::Array;
use crate::error::{Error, Result};

impl Array {
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
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system has no memory to give, or the file changed while
    /// it was read.
    pub fn packed(&self) -> Result<Array> {
        let name = self.name();
        let mut buffer = Buffer::zeroed(self.layout().packed_bytes())
            .map_err(|why| Error::system(&format!("copy '{name}'"), why))?;
        npyfeed_kernel::pack_native(self.layout(), self.bytes(), buffer.bytes_mut());
        self.check()?;
        let layout = Layout::new(self.dtype(), ByteOrder::NATIVE, self.shape(), MemoryOrder::C)
            .map_err(|why| Error::mismatch(why.to_string()))?;
        Array::in_memory(Memory::own(name.to_owned(), buffer), layout)
    }
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
