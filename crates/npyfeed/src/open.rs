//! Where bytes meet meaning: a source and a header become an array, or an error that says why not.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use npyfeed_array::{Buffer, Dtype};
use npyfeed_io::{MappedFile, Memory, Mode, RegularFile, Source};
use npyfeed_npy::{Directory, Header, HeaderError, Limits};

use crate::archive::{Archive, CrcCheck};
use crate::array::{Array, Items, Origin};
use crate::error::{Error, Result};
use crate::inflated::DEFAULT_KEPT_BYTES;
use crate::reopen::{OpenedFile, Way};

/// What an .npy file starts with; a member of an archive that does is an array, whatever its name.
pub(crate) const NPY_MAGIC: &[u8] = b"\x93NUMPY";

/// A file of at most so many bytes is read when it is opened, a larger one is mapped. A map costs two system
/// calls, a file that stays open, and one of the 65,530 maps that Linux gives a process.
const READ_MAX_BYTES: u64 = 16 << 10;

/// Opens an .npy file: checks its header against its size and maps it. No element is read, unless the file is
/// as small as a page or four.
///
/// # Errors
/// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the system will not open it, it is no regular file, or
///   someone changes it meanwhile;
/// - [`ErrorKind::Format`](crate::ErrorKind::Format) if it is no .npy file, or shorter than its header says;
/// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for elements that are Python objects, or that
///   mean something else on another machine.
///
/// Source of the format: NEP 1 and `numpy.lib.format`.
pub fn open(path: impl AsRef<Path>) -> Result<Array> {
    let (path, options) = (path.as_ref(), OpenOptions::new());
    let file = RegularFile::open(path, Mode::default()).map_err(|why| Error::cannot_open(path, why))?;
    let shared: Arc<Path> = path.into();
    let way = Way::to(&OpenedFile::new(&file, &shared, 0, options));
    let source = options.source(file, path)?;
    let origin = Origin { path: Some(shared), way: Some(way), ..Origin::default() };
    options.array(source, origin, 0).map_err(|error| error.on(path))
}

/// What a file turned out to be: its bytes decide, not its name.
#[derive(Clone, Debug)]
pub enum Opened {
    /// An .npy file.
    Array(Array),
    /// An .npz file.
    Archive(Archive),
}

/// How a file is opened, where the defaults will not do.
///
/// ```no_run
/// use npyfeed::{Dtype, Mode, OpenOptions, Opened};
///
/// let options = OpenOptions::new().mode(Mode::ReadOnly).dtype(Dtype::Bf16);
/// if let Opened::Array(weights) = options.open("weights.npy")? {
///     println!("{:?}", weights.shape());
/// }
/// # Ok::<(), npyfeed::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    pub(crate) mode: Mode,
    pub(crate) dtype: Option<Dtype>,
    pub(crate) limits: Limits,
    pub(crate) crc_check: CrcCheck,
    pub(crate) kept_bytes: usize,
}

impl OpenOptions {
    /// The defaults: copy-on-write, elements as the header says, headers of at most
    /// [`DEFAULT_HEADER_BYTES`](crate::DEFAULT_HEADER_BYTES), the CRC of what is inflated.
    pub fn new() -> OpenOptions {
        OpenOptions {
            mode: Mode::default(),
            dtype: None,
            limits: Limits::DEFAULT,
            crc_check: CrcCheck::default(),
            kept_bytes: DEFAULT_KEPT_BYTES,
        }
    }

    /// What may be done with the elements.
    #[must_use]
    pub fn mode(self, mode: Mode) -> OpenOptions {
        OpenOptions { mode, ..self }
    }

    /// What the elements are, for those that NumPy has no name for: bfloat16 and float8 kept as raw bytes or
    /// integers of their size, dates as int64. Nothing is converted. For an archive: those of each member used.
    #[must_use]
    pub fn dtype(self, dtype: Dtype) -> OpenOptions {
        OpenOptions { dtype: Some(dtype), ..self }
    }

    /// The most bytes that a header may have.
    #[must_use]
    pub fn max_header_bytes(self, header_bytes: usize) -> OpenOptions {
        OpenOptions { limits: Limits { header_bytes }, ..self }
    }

    /// Which members of an archive are held against their CRC-32.
    #[must_use]
    pub fn crc_check(self, crc_check: CrcCheck) -> OpenOptions {
        OpenOptions { crc_check, ..self }
    }

    /// The most bytes of inflated members that an archive keeps for their next use, those last used, instead of
    /// [`DEFAULT_KEPT_BYTES`](crate::DEFAULT_KEPT_BYTES). A member larger than that is not kept. 0: none.
    #[must_use]
    pub fn memory(self, kept_bytes: usize) -> OpenOptions {
        OpenOptions { kept_bytes, ..self }
    }

    /// Opens an .npy or an .npz file, whichever it is.
    ///
    /// # Errors
    /// Those of [`open`] and of [`Archive::open`]; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)
    /// if an archive is to be written, or [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the elements
    /// cannot be of the dtype asked for.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Opened> {
        let path = path.as_ref();
        let file = RegularFile::open(path, self.mode).map_err(|why| Error::cannot_open(path, why))?;
        self.open_regular(file, path, 0)
    }

    /// Opens what begins at byte `offset` of a file that is open already, and that errors call `path`.
    ///
    /// # Errors
    /// As [`open`](OpenOptions::open).
    pub fn open_file(&self, file: File, path: &Path, offset: usize) -> Result<Opened> {
        let file = RegularFile::of(file, path, self.mode).map_err(|why| Error::cannot_open(path, why))?;
        self.open_regular(file, path, offset)
    }

    pub(crate) fn open_regular(&self, file: RegularFile, path: &Path, offset: usize) -> Result<Opened> {
        let shared: Arc<Path> = path.into();
        let way = Way::to(&OpenedFile::new(&file, &shared, offset, *self));
        let origin = Origin { path: Some(shared), way: Some(way), ..Origin::default() };
        self.opened(self.source(file, path)?, origin, offset).map_err(|error| error.on(path))
    }

    /// Opens what begins at byte `offset` of the bytes of a file that are in memory. They are not copied, and
    /// written to only in [`Mode::ReadWrite`].
    ///
    /// # Errors
    /// As [`open`](OpenOptions::open), without those of the system;
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) for memory that cannot be written and is to be.
    pub fn open_memory(&self, memory: Memory, offset: usize) -> Result<Opened> {
        let memory = match self.mode {
            Mode::CopyOnWrite | Mode::ReadOnly => memory.read_only(),
            Mode::ReadWrite if memory.memory().is_some() => memory,
            Mode::ReadWrite => {
                let found =
                    "expected memory that can be written for mode 'r+', found bytes that can only be read";
                return Err(Error::mismatch(format!("cannot open memory: {found}")));
            }
        };
        self.opened(Arc::new(memory), Origin::default(), offset)
    }

    /// The bytes of a file: read if it is small, else mapped.
    pub(crate) fn source(&self, file: RegularFile, path: &Path) -> Result<Arc<dyn Source>> {
        if file.len_bytes() > READ_MAX_BYTES || self.mode == Mode::ReadWrite {
            let map = MappedFile::new(file).map_err(|why| Error::cannot_open(path, why))?;
            return Ok(Arc::new(map));
        }
        let cannot = |why: std::io::Error| Error::cannot_open(path, why.into());
        #[expect(clippy::cast_possible_truncation, reason = "at most READ_MAX_BYTES")]
        let mut buffer = Buffer::zeroed(file.len_bytes() as usize).map_err(cannot)?;
        let name = path.display().to_string();
        file.read(buffer.bytes_mut()).map_err(|why| Error::changed(&name, why).on(path))?;
        let memory = Memory::own(name, buffer);
        Ok(Arc::new(if self.mode == Mode::ReadOnly { memory.read_only() } else { memory }))
    }

    fn opened(&self, source: Arc<dyn Source>, origin: Origin, offset: usize) -> Result<Opened> {
        let from_offset = source.bytes().get(offset..).unwrap_or_default();
        // An archive is known by its end.
        if !from_offset.starts_with(NPY_MAGIC) && Directory::is_archive(source.bytes()) {
            return Archive::read(source, origin, *self).map(Opened::Archive);
        }
        self.array(source, origin, offset).map(Opened::Array)
    }

    /// The array that begins at byte `offset` of `source`: a file, or a member of an archive.
    pub(crate) fn array(&self, source: Arc<dyn Source>, origin: Origin, offset: usize) -> Result<Array> {
        let bad_header = |why: HeaderError| Error::bad_header(source.name(), offset, &why);
        let bytes = source.bytes().get(offset..).unwrap_or_default();
        let header_bytes = Header::prefix_bytes(bytes, &self.limits).map_err(bad_header)?;
        // A copy: its text must hold still while it is read, and a mapped file need not.
        let start: Vec<u8> = bytes[..header_bytes.min(bytes.len())].into();
        let header = Header::parse(&start, &self.limits).map_err(bad_header)?;
        header.check_data(bytes.len() as u64).map_err(bad_header)?;
        let items = self.items(&header, source.name())?;
        let origin = Origin { version: Some(header.version()), mode: self.mode, ..origin };
        Array::new(source, origin, items, offset + header.data_offset())
    }

    /// What lies behind a header, and where.
    fn items(&self, header: &Header, name: &str) -> Result<Items> {
        let items = match self.dtype {
            None => {
                let refuse = |why| {
                    Error::unsupported(format!(
                        "cannot open '{name}': expected elements that NumPy reads without pickle, but {why}"
                    ))
                };
                header.descr().check_readable().map_err(refuse)?;
                Items::on(header.grid(), header.descr())
            }
            Some(dtype) => {
                let read_as = header.descr().read_as(dtype);
                let descr = read_as.map_err(|why| Error::mismatch(format!("cannot open '{name}': {why}")))?;
                Items::on(header.grid(), &descr)
            }
        };
        items.ok_or_else(|| Error::new(crate::ErrorKind::Internal, "elements of another size than their own"))
    }
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions::new()
    }
}

/// Opens what a column names: an .npy file, `"file.npz:member"`, or a field of either, `"file.npy:field"`. A file of
/// that whole name comes first.
pub(crate) fn open_column(path: &Path) -> Result<Array> {
    // What nobody can write to in memory may also be read from its file.
    let options = OpenOptions::new().mode(Mode::ReadOnly);
    let Some((file, inside)) = file_and_inside(path) else {
        return match options.open(path)? {
            Opened::Array(array) => Ok(array),
            Opened::Archive(archive) => {
                let (path, names) = (path.display(), archive.listed());
                let message = format!(
                    "'{path}' is an .npz file: expected the name of a member too, as in '{path}:name'; it has {names}"
                );
                Err(Error::mismatch(message))
            }
        };
    };
    match options.open(file)? {
        Opened::Array(array) => field_of(&array, inside),
        Opened::Archive(archive) => {
            let colons =
                inside.rmatch_indices(':').map(|(colon, _)| (&inside[..colon], &inside[colon + 1..]));
            match colons.into_iter().find(|(member, _)| archive.contains(member)) {
                Some((member, field)) if !archive.contains(inside) => {
                    field_of(&archive.array(member)?, field)
                }
                Some(_) | None => archive.array(inside),
            }
        }
    }
}

/// Whether a column of this name would be something inside a file.
pub(crate) fn names_inside_a_file(path: &Path) -> bool {
    file_and_inside(path).is_some()
}

/// A field, or one inside another: `"point:x"`. A field of that whole name comes first.
fn field_of(array: &Array, name: &str) -> Result<Array> {
    match name.split_once(':') {
        Some((outer, inner)) if array.descr().field(name).is_none() => field_of(&array.field(outer)?, inner),
        Some(_) | None => array.field(name),
    }
}

/// The two halves of `"file:inside"`, if there is such a file and none of the whole name.
fn file_and_inside(path: &Path) -> Option<(&Path, &str)> {
    let text = path.to_str().filter(|_| !path.exists())?;
    let mut halves =
        text.rmatch_indices(':').map(|(colon, _)| (Path::new(&text[..colon]), &text[colon + 1..]));
    halves.find(|(file, _)| file.is_file())
}
