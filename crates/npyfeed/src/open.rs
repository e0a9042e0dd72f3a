//! Where bytes meet meaning: a source and a header become an array, or an error that says why not.

use std::path::Path;
use std::sync::Arc;

use npyfeed_array::Layout;
use npyfeed_io::{MappedFile, RegularFile, Source};
use npyfeed_npy::{Directory, Header, HeaderError, Limits};

use crate::archive::{Archive, NPY_MAGIC};
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
/// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for elements that are not numbers.
///
/// Source of the format: NEP 1 and `numpy.lib.format`.
pub fn open(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let file = RegularFile::open(path).map_err(|why| Error::cannot_map(path, why))?;
    let start = read_on(&file, FIRST_READ_BYTES, Vec::new(), path)?;
    open_array(file, start, path).map_err(|error| error.on(path))
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
    let file = RegularFile::open(path).map_err(|why| Error::cannot_map(path, why))?;
    let start = read_on(&file, FIRST_READ_BYTES, Vec::new(), path)?;
    let Err(why) = Header::prefix_bytes(&start, &Limits::DEFAULT) else {
        return open_array(file, start, path).map(Opened::Array).map_err(|error| error.on(path));
    };
    // An archive is known by its end, which is looked at in the map.
    let map = MappedFile::new(file).map_err(|why| Error::cannot_map(path, why))?;
    if !start.starts_with(NPY_MAGIC) && Directory::is_archive(map.bytes()) {
        return Archive::read(Arc::new(map), path).map(Opened::Archive);
    }
    Err(Error::bad_header(map.name(), &why).on(path))
}

/// Maps a file whole.
pub(crate) fn map_file(path: &Path) -> Result<MappedFile> {
    let map = RegularFile::open(path).and_then(MappedFile::new);
    map.map_err(|why| Error::cannot_map(path, why))
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

/// The array of a file of which `start` has been read. Its header is read out before it is parsed, and
/// its size is checked before it is mapped.
fn open_array(file: RegularFile, start: Vec<u8>, path: &Path) -> Result<Array> {
    let name = path.display().to_string();
    let bad_header = |why: HeaderError| Error::bad_header(&name, &why);
    let header_bytes = Header::prefix_bytes(&start, &Limits::DEFAULT).map_err(bad_header)?;
    let start = read_on(&file, header_bytes.saturating_sub(start.len()), start, path)?;
    let header = Header::parse(&start, &Limits::DEFAULT).map_err(bad_header)?;
    header.check_data(file.len_bytes()).map_err(bad_header)?;
    let layout = check_layout(&header, &name)?;
    let map = MappedFile::new(file).map_err(|why| Error::cannot_map(path, why))?;
    Array::of_file(Arc::new(map), path, header.version(), layout, header.data_offset())
}

/// `start` and the next `count` bytes of the file.
fn read_on(file: &RegularFile, count: usize, mut start: Vec<u8>, path: &Path) -> Result<Vec<u8>> {
    file.read_on(count, &mut start).map_err(|why| Error::cannot_map(path, why.into()))?;
    Ok(start)
}

/// The array of a member of the archive at `path`, whose bytes are at hand.
pub(crate) fn open_member(source: Arc<dyn Source>, path: &Path) -> Result<Array> {
    let bad_header = |why: HeaderError| Error::bad_header(source.name(), &why);
    let bytes = source.bytes();
    let header_bytes = Header::prefix_bytes(bytes, &Limits::DEFAULT).map_err(bad_header)?;
    // A copy: its text must hold still while it is read, and a mapped file need not.
    let start: Vec<u8> = bytes[..header_bytes.min(bytes.len())].into();
    let header = Header::parse(&start, &Limits::DEFAULT).map_err(bad_header)?;
    header.check_data(bytes.len() as u64).map_err(bad_header)?;
    let layout = check_layout(&header, source.name())?;
    source.check().map_err(|why| Error::changed(source.name(), why))?;
    Array::of_file(source, path, header.version(), layout, header.data_offset())
}

fn check_layout(header: &Header, name: &str) -> Result<Layout> {
    let refuse = |why: &str| Error::unsupported(format!("cannot open '{name}': {why}"));
    header.layout().map_err(|why| refuse(&why.to_string()))
}
