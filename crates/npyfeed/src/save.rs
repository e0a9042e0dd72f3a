//! One array to one .npy file, whole or not at all.

use std::path::Path;

use npyfeed_array::{ArrayView, MemoryOrder};
use npyfeed_npy::header_bytes;

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};

/// Saves an array as the .npy file that `numpy.save` writes, byte for byte, in the order it lies in.
///
/// The file is there whole or not at all: [`AtomicFile`] says how. The path is taken as it is.
///
/// ```
/// use npyfeed::{ArrayView, ByteOrder, Dtype, Layout, MemoryOrder};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("points.npy");
///
/// let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[2, 3], MemoryOrder::C)?;
/// npyfeed::save(&path, ArrayView::new(&layout, &[1, 2, 3, 4, 5, 6])?)?;
/// assert_eq!(npyfeed::open(&path)?.shape(), [2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be written; an older one is untouched;
/// - [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if there are gaps between the elements;
/// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for more axes than NumPy reads.
///
/// Source of the format: NEP 1 and `numpy.lib.format`.
pub fn save(path: impl AsRef<Path>, array: ArrayView<'_>) -> Result<()> {
    let path = path.as_ref();
    let header = header_of(path, &array)?;
    let mut file = AtomicFile::create(path)?;
    file.write(&header)?;
    file.write(array.bytes())?;
    file.finish()?;
    Ok(())
}

/// The header of an array that is to be written to `path`, in the order it lies in.
pub(crate) fn header_of(path: &Path, array: &ArrayView<'_>) -> Result<Vec<u8>> {
    let layout = array.layout();
    let memory_order = match (layout.is_c_contiguous(), layout.is_fortran_contiguous()) {
        (true, _) => MemoryOrder::C,
        (false, true) => MemoryOrder::Fortran,
        (false, false) => {
            let (path, strides) = (path.display(), layout.strides());
            let message =
                format!("cannot write '{path}': expected elements without gaps, found strides {strides:?}");
            return Err(Error::mismatch(message));
        }
    };
    header_bytes(layout.dtype(), layout.byte_order(), memory_order, layout.shape())
        .map_err(|why| Error::unsupported(format!("cannot write '{}': {why}", path.display())))
}
