//! Where bytes meet meaning: a source and a header become an array, or an error that says why not.

use std::path::Path;
use std::sync::Arc;

use npyfeed_array::{ByteOrder, MemoryOrder};
use npyfeed_io::{MappedFile, Source};
use npyfeed_npy::{Header, HeaderError, Limits};

use crate::array::Array;
use crate::error::{Error, Result};

/// Opens an .npy file: checks its header against its size and maps it. No element is read.
///
/// # Errors
/// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the system will not open it, or it is no regular file;
/// - [`ErrorKind::Format`](crate::ErrorKind::Format) if it is no .npy file, or shorter than its header says;
/// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for elements that are not numbers, and
///   for now for big-endian and Fortran-ordered files.
///
/// Source of the format: NEP 1 and `numpy.lib.format`.
pub fn open(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let file = MappedFile::open(path).map_err(|why| Error::cannot_map(path, why))?;
    read_header(Arc::new(file), path).map_err(|error| error.on(path))
}

fn read_header(source: Arc<dyn Source>, path: &Path) -> Result<Array> {
    let header = parse_header(source.bytes()).map_err(|why| Error::bad_header(source.name(), &why))?;
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

/// Parses a copy of the header: its text must hold still while it is read, and a mapped file need not.
fn parse_header(bytes: &[u8]) -> std::result::Result<Header, HeaderError> {
    let header_bytes = Header::prefix_bytes(bytes, &Limits::DEFAULT)?.min(bytes.len());
    let copied: Vec<u8> = bytes[..header_bytes].into();
    let header = Header::parse(&copied, &Limits::DEFAULT)?;
    header.check_data(bytes.len() as u64)?;
    Ok(header)
}
