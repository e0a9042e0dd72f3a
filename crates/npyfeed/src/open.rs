//! Where bytes meet meaning: a source and a header become an array, or an error that says why not.

use std::path::Path;
use std::sync::Arc;

use npyfeed_array::{ByteOrder, MemoryOrder};
use npyfeed_io::{MappedFile, Source};
use npyfeed_npy::{Header, Limits};

use crate::array::Array;
use crate::error::{Error, Result};

/// Opens an .npy file: checks its header against its size and maps it. No element is read.
///
/// # Errors
/// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the system will not open it, it is no regular file, or
///   someone changes it meanwhile;
/// - [`ErrorKind::Format`](crate::ErrorKind::Format) if it is no .npy file, or shorter than its header says;
/// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for elements that are not numbers, and
///   for now for big-endian and Fortran-ordered files.
///
/// Source of the format: NEP 1 and `numpy.lib.format`.
pub fn open(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let file = MappedFile::open(path).map_err(|why| Error::cannot_map(path, why))?;
    let source: Arc<dyn Source> = Arc::new(file);
    let array = read_header(Arc::clone(&source), path);
    // Whatever the header said, it was read from bytes that may be gone.
    source
        .check()
        .map_err(|why| Error::changed(source.name(), why))
        .and(array)
        .map_err(|error| error.on(path))
}

fn read_header(source: Arc<dyn Source>, path: &Path) -> Result<Array> {
    let bytes = source.bytes();
    let header = Header::parse(bytes, &Limits::DEFAULT)
        .and_then(|header| header.check_data(bytes.len() as u64).map(|()| header))
        .map_err(|why| Error::bad_header(source.name(), &why))?;
    let refuse = |why: &str| Error::unsupported(format!("cannot open '{}': {why}", source.name()));
    let layout = header.layout().map_err(|why| refuse(&why.to_string()))?;
    if layout.byte_order() != ByteOrder::NATIVE && layout.dtype().item_bytes() > 1 {
        return Err(refuse(
            "expected little-endian elements, found big-endian ones: save array.astype(array.dtype.newbyteorder('='))",
        ));
    }
    if layout.memory_order() == MemoryOrder::Fortran && !layout.is_c_contiguous() {
        return Err(refuse(
            "expected C order, found Fortran order (fortran_order: True): save numpy.ascontiguousarray(array)",
        ));
    }
    let (version, data_offset) = (header.version(), header.data_offset());
    Ok(Array::of_file(source, path, version, layout, data_offset))
}
