//! What an .npy file says of itself before its first element.
//!
//! What comes in are the first bytes of a file, as many as [`Header::prefix_bytes`] asks for; what goes
//! out is a [`Header`] or the byte that is wrong. Source of the rules: NEP 1 and `numpy.lib.format`.

use npyfeed_array::{Grid, Layout, MemoryOrder};

use crate::descr::Descr;
use crate::error::{HeaderError, excerpt};
use crate::limits::Limits;
use crate::literal::{Brackets, Encoding, Reader, shape_text};
use crate::record;
use crate::unsupported::UnsupportedDescr;

/// What every .npy file starts with.
pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";

const VERSION_OFFSET: usize = 6;
const LENGTH_OFFSET: usize = 8;

/// The format version of a file. It tells how long a header may be and how its text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.0: at most 64 KiB of Latin-1, what NumPy writes unless it cannot.
    V1,
    /// 2.0: at most 4 GiB of Latin-1, for records of thousands of fields.
    V2,
    /// 3.0: at most 4 GiB of UTF-8, for field names beyond Latin-1.
    V3,
}

impl Version {
    /// The numbers before and after the dot.
    ///
    /// ```
    /// assert_eq!(npyfeed_npy::Version::V1.numbers(), (1, 0));
    /// ```
    pub const fn numbers(self) -> (u8, u8) {
        match self {
            Version::V1 => (1, 0),
            Version::V2 => (2, 0),
            Version::V3 => (3, 0),
        }
    }

    /// How many bytes hold the length of the header.
    const fn length_bytes(self) -> usize {
        match self {
            Version::V1 => 2,
            Version::V2 | Version::V3 => 4,
        }
    }

    const fn encoding(self) -> Encoding {
        match self {
            Version::V1 | Version::V2 => Encoding::Latin1,
            Version::V3 => Encoding::Utf8,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.numbers();
        write!(f, "{major}.{minor}")
    }
}

/// A header that was read and checked.
///
/// Holding one is the proof that the shape can be addressed: its axes are at most
/// [`MAX_AXES`](crate::MAX_AXES), and the product of their lengths with the size of an element, each
/// length of 0 counted as 1, fits into `isize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    version: Version,
    descr: Descr,
    memory_order: MemoryOrder,
    shape: Vec<usize>,
    data_offset: usize,
}

impl Header {
    /// As many bytes from the start of a file as [`prefix_bytes`](Header::prefix_bytes) needs.
    pub const PREAMBLE_BYTES: usize = 12;

    /// The size of a whole header in bytes, told from its first [`PREAMBLE_BYTES`](Header::PREAMBLE_BYTES):
    /// how much of the file [`parse`](Header::parse) needs. `first` may be longer; it may be shorter only
    /// if the file is.
    ///
    /// ```
    /// use npyfeed_npy::{Header, Limits};
    ///
    /// let first = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'for";
    /// assert_eq!(Header::prefix_bytes(first, &Limits::DEFAULT)?, 10 + 0x76);
    /// # Ok::<(), npyfeed_npy::HeaderError>(())
    /// ```
    ///
    /// # Errors
    /// [`HeaderError::Magic`], [`UnknownVersion`](HeaderError::UnknownVersion),
    /// [`Truncated`](HeaderError::Truncated), or [`HeaderTooLong`](HeaderError::HeaderTooLong) if the size
    /// is beyond `limits`.
    pub fn prefix_bytes(first: &[u8], limits: &Limits) -> Result<usize, HeaderError> {
        Ok(Preamble::read(first, limits.header_bytes)?.data_offset)
    }

    /// The header of a file that starts with `bytes`: the whole header at least, or the whole file.
    ///
    /// ```
    /// use npyfeed_npy::{Header, Limits};
    ///
    /// let text = "{'shape': (3), 'descr': '<f4', 'fortran_order': False}";
    /// let file = [b"\x93NUMPY\x01\x00\x36\x00", text.as_bytes()].concat();
    /// let error = Header::parse(&file, &Limits::DEFAULT).unwrap_err();
    /// let message = "expected ',' after the only length, as in (3,), at byte 22, found ')'";
    /// assert_eq!(error.to_string(), message);
    /// ```
    ///
    /// # Errors
    /// [`HeaderError`], with the byte of the file where it stopped making sense.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Header, HeaderError> {
        let Preamble { version, text_offset, data_offset } = Preamble::read(bytes, limits.header_bytes)?;
        let header = whole("the header", bytes, text_offset, data_offset)?;
        let mut reader = Reader::new(header, text_offset, version.encoding());
        let entries = Entries::read(&mut reader)?;
        reader.end()?;
        let Entries { descr, memory_order, shape, shape_offset } = entries;
        check_shape(&shape, &descr, shape_offset)?;
        Ok(Header { version, descr, memory_order, shape, data_offset })
    }

    /// The format version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What one element is.
    pub fn descr(&self) -> &Descr {
        &self.descr
    }

    /// Which axis runs fastest through the file.
    pub fn memory_order(&self) -> MemoryOrder {
        self.memory_order
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Where the first element starts, in bytes from the start of the file; also the size of the header.
    /// NumPy makes it a multiple of 64 (of 16 before version 1.14), other writers of anything.
    pub fn data_offset(&self) -> usize {
        self.data_offset
    }

    /// Where the elements lie behind [`data_offset`](Header::data_offset), whatever they are.
    #[expect(clippy::missing_panics_doc, reason = "the shape was checked when the header was parsed")]
    pub fn grid(&self) -> Grid {
        let grid = Grid::new(self.descr.item_bytes(), &self.shape, self.memory_order);
        grid.expect("a header that was parsed has a shape that can be addressed")
    }

    /// How the elements lie behind [`data_offset`](Header::data_offset), if they are numbers.
    ///
    /// # Errors
    /// [`UnsupportedDescr`] if they are not.
    #[expect(clippy::missing_panics_doc, reason = "a number has the size of its dtype")]
    pub fn layout(&self) -> Result<Layout, UnsupportedDescr> {
        let (dtype, byte_order) = self.descr.number()?;
        Ok(Layout::on(self.grid(), dtype, byte_order).expect("a grid of items of that size"))
    }

    /// The size of the elements in bytes; `None` if they are a pickle, whose size no header tells.
    pub fn data_bytes(&self) -> Option<usize> {
        // Cannot overflow: the product was checked when the header was parsed.
        let data_bytes = || self.shape.iter().product::<usize>() * self.descr.item_bytes();
        (!self.descr.contains_object()).then(data_bytes)
    }

    /// Checks that a file of `file_bytes` bytes has all the elements its header promises. Bytes behind
    /// the last element are allowed, as NumPy allows them.
    ///
    /// # Errors
    /// [`HeaderError::DataTruncated`] if it has not. Never for a pickle.
    pub fn check_data(&self, file_bytes: u64) -> Result<(), HeaderError> {
        let expected_bytes = self.data_bytes().unwrap_or(0) as u64;
        let found_bytes = file_bytes.saturating_sub(self.data_offset as u64);
        if found_bytes >= expected_bytes {
            return Ok(());
        }
        Err(HeaderError::DataTruncated {
            offset: self.data_offset,
            shape: shape_text(&self.shape),
            item: self.descr.to_string(),
            expected_bytes,
            found_bytes,
        })
    }
}

/// What stands before the text of a header.
struct Preamble {
    version: Version,
    text_offset: usize,
    data_offset: usize,
}

impl Preamble {
    fn read(bytes: &[u8], limit_bytes: usize) -> Result<Preamble, HeaderError> {
        check_magic(bytes)?;
        let version = read_version(bytes)?;
        let text_offset = LENGTH_OFFSET + version.length_bytes();
        let length = whole("the length of the header", bytes, LENGTH_OFFSET, text_offset)?;
        // Little-endian, whatever the elements are.
        let length = length[LENGTH_OFFSET..].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let header_bytes = length + text_offset as u64;
        let data_offset = usize::try_from(header_bytes).ok().filter(|&bytes| bytes <= limit_bytes);
        let data_offset = data_offset.ok_or(HeaderError::HeaderTooLong {
            offset: LENGTH_OFFSET,
            header_bytes,
            limit_bytes,
        })?;
        Ok(Preamble { version, text_offset, data_offset })
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), HeaderError> {
    match bytes.first_chunk() {
        Some(MAGIC) => Ok(()),
        Some(&found) => Err(HeaderError::Magic { found }),
        None => whole("the magic string", bytes, 0, MAGIC.len()).map(drop),
    }
}

fn read_version(bytes: &[u8]) -> Result<Version, HeaderError> {
    let numbers = whole("the version", bytes, VERSION_OFFSET, LENGTH_OFFSET)?;
    match numbers[VERSION_OFFSET..] {
        [1, 0] => Ok(Version::V1),
        [2, 0] => Ok(Version::V2),
        [3, 0] => Ok(Version::V3),
        _ => {
            let [major, minor] = [numbers[VERSION_OFFSET], numbers[VERSION_OFFSET + 1]];
            Err(HeaderError::UnknownVersion { offset: VERSION_OFFSET, major, minor })
        }
    }
}

/// The first `end` bytes of a file, of which `part` takes those from `start` on.
fn whole<'a>(part: &'static str, bytes: &'a [u8], start: usize, end: usize) -> Result<&'a [u8], HeaderError> {
    bytes.get(..end).ok_or_else(|| HeaderError::Truncated {
        offset: start,
        part,
        expected_bytes: end - start,
        found_bytes: bytes.len().saturating_sub(start),
    })
}

/// What the dict says.
struct Entries {
    descr: Descr,
    memory_order: MemoryOrder,
    shape: Vec<usize>,
    shape_offset: usize,
}

impl Entries {
    /// Reads the dict, whose keys may come in any order.
    fn read(reader: &mut Reader<'_>) -> Result<Entries, HeaderError> {
        let (mut descr, mut is_fortran, mut shape) = (None, None, None);
        let end = reader.items(Brackets::Dict, "a dict, '{'", |reader| {
            let offset = reader.offset();
            let key = reader.string("a key, such as 'shape'")?;
            reader.need(b':', "':' after the key")?;
            match &*key {
                "descr" => put(&mut descr, "'descr'", offset, record::descr(reader)?),
                "fortran_order" => put(&mut is_fortran, "'fortran_order'", offset, reader.boolean()?),
                "shape" => put(&mut shape, "'shape'", offset, (reader.offset(), reader.shape()?)),
                unknown => Err(HeaderError::UnknownKey { offset, key: excerpt(unknown) }),
            }
        })?;
        let missing = |key| HeaderError::MissingKey { offset: end, key };
        let (shape_offset, shape) = shape.ok_or_else(|| missing("shape"))?;
        let is_fortran = is_fortran.ok_or_else(|| missing("fortran_order"))?;
        let memory_order = if is_fortran { MemoryOrder::Fortran } else { MemoryOrder::C };
        Ok(Entries { descr: descr.ok_or_else(|| missing("descr"))?, memory_order, shape, shape_offset })
    }
}

fn put<T>(slot: &mut Option<T>, key: &str, offset: usize, value: T) -> Result<(), HeaderError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(HeaderError::Repeated { offset, what: "key", name: key.to_owned() }),
    }
}

/// The rule of [`Layout::new`], here also for elements that are not numbers. Elements of no bytes count
/// as one byte each, so that their number fits too.
fn check_shape(shape: &[usize], descr: &Descr, offset: usize) -> Result<(), HeaderError> {
    let spanned =
        shape.iter().try_fold(descr.item_bytes().max(1), |bytes, &length| bytes.checked_mul(length.max(1)));
    let fits = spanned.is_some_and(|bytes| isize::try_from(bytes).is_ok());
    let found = || format!("{} of {descr}", shape_text(shape));
    if fits { Ok(()) } else { Err(HeaderError::ShapeTooLarge { offset, found: found() }) }
}
