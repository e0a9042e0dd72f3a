//! Where bytes meet meaning: a source and a header become an array, or an error that says why not.

use std::path::Path;
use std::sync::Arc;

use npyfeed_array::{ByteOrder, MemoryOrder};
use npyfeed_io::{MappedFile, Source};
use npyfeed_npy::{Directory, Header, Limits};

use crate::archive::{Archive, NPY_MAGIC};
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

/// What a file turned out to be: its bytes decide, not its name.
#[derive(Clone, Debug)]
pub enum Opened {
    /// An .npy file.
    Array(Array),
    /// An .npz file.
    Archive(Archive),
}

/// Opens an .npy or an .npz file, whichever it is.
///
/// # Errors
/// Those of [`open`] and of [`Archive::open`].
pub fn open_any(path: impl AsRef<Path>) -> Result<Opened> {
    let path = path.as_ref();
    let file = MappedFile::open(path).map_err(|why| Error::cannot_map(path, why))?;
    if !file.bytes().starts_with(NPY_MAGIC) && Directory::is_archive(file.bytes()) {
        return Archive::read(Arc::new(file), path).map(Opened::Archive);
    }
    read_header(Arc::new(file), path).map(Opened::Array).map_err(|error| error.on(path))
}

/// Opens what a column names: an .npy file, or `"file.npz:member"`. A file of that whole name comes first.
pub(crate) fn open_column(path: &Path) -> Result<Array> {
    let Some((file, member)) = archive_and_member(path) else {
        return match open_any(path)? {
            Opened::Array(array) => Ok(array),
            Opened::Archive(archive) => {
                let (path, names) = (path.display(), archive.listed());
                let message = format!(
                    "'{path}' is an .npz file: expected the name of a member too, as in '{path}:name'; it has {names}"
                );
                Err(Error::mismatch(message).on(archive.path()))
            }
        };
    };
    Archive::open(file)?.array(member)
}

/// The two halves of `"file.npz:member"`, if there is such a file and none of the whole name.
fn archive_and_member(path: &Path) -> Option<(&Path, &str)> {
    let text = path.to_str().filter(|_| !path.exists())?;
    let halves = text.rmatch_indices(':').map(|(colon, _)| (Path::new(&text[..colon]), &text[colon + 1..]));
    halves.into_iter().find(|(file, _)| file.is_file())
}

pub(crate) fn read_header(source: Arc<dyn Source>, path: &Path) -> Result<Array> {
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
