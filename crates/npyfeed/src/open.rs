//! Where bytes meet meaning: a source and a header become an array, or an error that says why not.

use std::path::Path;
use std::sync::Arc;

use npyfeed_array::{ByteOrder, Layout, MemoryOrder};
use npyfeed_io::{MappedFile, RegularFile};
use npyfeed_npy::{Header, HeaderError, Limits};

use crate::array::Array;
use crate::error::{Error, Result};

/// As much of a file is read at first. Most headers have 128 bytes; a longer one takes a second read.
const FIRST_READ_BYTES: usize = 512;

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
    let file = RegularFile::open(path).map_err(|why| Error::cannot_map(path, why))?;
    let header = read_header(&file, path).map_err(|error| error.on(path))?;
    let layout = check_layout(&header, path).map_err(|error| error.on(path))?;
    let map = MappedFile::new(file).map_err(|why| Error::cannot_map(path, why))?;
    Array::of_file(Arc::new(map), path, header.version(), layout, header.data_offset())
}

/// The header, read out of the file, and known to promise no more than the file has.
fn read_header(file: &RegularFile, path: &Path) -> Result<Header> {
    let io_error = |why: std::io::Error| Error::cannot_map(path, why.into());
    let format_error = |why: HeaderError| Error::bad_header(path, &why);
    let mut start = Vec::new();
    file.read_on(FIRST_READ_BYTES, &mut start).map_err(io_error)?;
    let header_bytes = Header::prefix_bytes(&start, &Limits::DEFAULT).map_err(format_error)?;
    if let Some(missing @ 1..) = header_bytes.checked_sub(start.len()) {
        file.read_on(missing, &mut start).map_err(io_error)?;
    }
    let header = Header::parse(&start, &Limits::DEFAULT).map_err(format_error)?;
    header.check_data(file.len_bytes()).map_err(format_error)?;
    Ok(header)
}

fn check_layout(header: &Header, path: &Path) -> Result<Layout> {
    let refuse = |why: &str| Error::unsupported(format!("cannot open '{}': {why}", path.display()));
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
    Ok(layout)
}
