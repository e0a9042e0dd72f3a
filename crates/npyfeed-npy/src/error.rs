//! What keeps bytes from being an .npy file, and at which byte.

/// What is wrong with a file, and where.
///
/// Every `offset` counts bytes from the start of the file. The messages leave the name of the file to
/// the caller, who knows it.
///
/// ```
/// use npyfeed_npy::{Header, HeaderError, Limits};
///
/// let error = Header::parse(b"PK\x03\x04 and so on", &Limits::DEFAULT).unwrap_err();
/// assert_eq!(error.offset(), 0);
/// assert_eq!(
///     error.to_string(),
///     r"expected the magic string \x93NUMPY at byte 0, found 'PK\x03\x04 a' (a zip archive; an .npz file?)"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The file is of another kind.
    #[error(
        r"expected the magic string \x93NUMPY at byte 0, found '{}'{}",
        found.escape_ascii(), hint(found)
    )]
    Magic {
        /// The first six bytes.
        found: [u8; 6],
    },
    /// The file ends inside its header.
    #[error(
        "expected {expected_bytes} bytes of {part} at byte {offset}, found {found_bytes} (file cut short?)"
    )]
    Truncated {
        /// Where the part starts.
        offset: usize,
        /// The part that is not whole.
        part: &'static str,
        /// The size of the part.
        expected_bytes: usize,
        /// How much of it there is.
        found_bytes: usize,
    },
    /// The file is of a version that NumPy never wrote.
    #[error("expected format version 1.0, 2.0 or 3.0 at byte {offset}, found {major}.{minor}")]
    UnknownVersion {
        /// Where the version stands.
        offset: usize,
        /// The number before the dot.
        major: u8,
        /// The number after the dot.
        minor: u8,
    },
    /// The header states a size beyond [`Limits::header_bytes`](crate::Limits::header_bytes).
    #[error("expected a header of at most {limit_bytes} bytes, found {header_bytes} stated at byte {offset}")]
    HeaderTooLong {
        /// Where the length of the header stands.
        offset: usize,
        /// The size of the whole header.
        header_bytes: u64,
        /// The size allowed.
        limit_bytes: usize,
    },
    /// The header is not the Python literal that the format asks for.
    #[error("expected {expected} at byte {offset}, found {found}")]
    Syntax {
        /// Where it stops making sense.
        offset: usize,
        /// What may stand there.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// A string of a version 3.0 header is not UTF-8.
    #[error("expected UTF-8, the encoding of version 3.0, at byte {offset}, found byte 0x{found:02x}")]
    NotUtf8 {
        /// The first byte that is not.
        offset: usize,
        /// Its value.
        found: u8,
    },
    /// Brackets are nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("expected at most {limit} brackets inside each other, found one more at byte {offset}")]
    TooDeep {
        /// The bracket that is one too many.
        offset: usize,
        /// The depth allowed.
        limit: usize,
    },
    /// A shape has more axes than [`MAX_AXES`](crate::MAX_AXES).
    #[error("expected at most {limit} axes, found one more at byte {offset}")]
    TooManyAxes {
        /// The axis that is one too many.
        offset: usize,
        /// The axes allowed.
        limit: usize,
    },
    /// The dict has a key that the format does not know.
    #[error("expected one of the keys 'descr', 'fortran_order', 'shape' at byte {offset}, found {key}")]
    UnknownKey {
        /// Where the key stands.
        offset: usize,
        /// The key, quoted and shortened.
        key: String,
    },
    /// A key of the dict or a field of a record is there twice. Python would silently keep the last key.
    #[error("expected each {what} once, found {name} again at byte {offset}")]
    Repeated {
        /// Where it stands the second time.
        offset: usize,
        /// Whether it is a key or a field name.
        what: &'static str,
        /// Its name, quoted and shortened.
        name: String,
    },
    /// The dict lacks a key.
    #[error("expected the key '{key}' in the dict that ends at byte {offset}, found none")]
    MissingKey {
        /// Where the dict ends.
        offset: usize,
        /// The key.
        key: &'static str,
    },
    /// A type string is none that NumPy writes.
    #[error("expected a NumPy type string, such as '<f4', at byte {offset}, found {found}")]
    UnknownType {
        /// Where the type string stands.
        offset: usize,
        /// The type string, quoted and shortened.
        found: String,
    },
    /// One element would be larger than [`MAX_ITEM_BYTES`](crate::MAX_ITEM_BYTES).
    #[error("expected an element of at most {limit_bytes} bytes, found a larger one at byte {offset}")]
    ItemTooLarge {
        /// Where its type starts.
        offset: usize,
        /// The size allowed.
        limit_bytes: usize,
    },
    /// The array would not fit into the address space. An axis of length 0 does not excuse the others;
    /// NumPy refuses the same shapes.
    #[error("expected a shape that this machine can address at byte {offset}, found {found}")]
    ShapeTooLarge {
        /// Where the shape, or the length of an axis, stands.
        offset: usize,
        /// The shape and what one element is, or the length.
        found: String,
    },
    /// The file ends before its last element.
    #[error(
        "shape {shape} of {item} needs {expected_bytes} bytes after the header, at byte {offset}, \
         the file has {found_bytes} (truncated download?)"
    )]
    DataTruncated {
        /// Where the elements start.
        offset: usize,
        /// The shape, as Python writes it.
        shape: String,
        /// What one element is.
        item: String,
        /// The bytes that the elements take.
        expected_bytes: u64,
        /// The bytes after the header.
        found_bytes: u64,
    },
}

impl HeaderError {
    /// The byte of the file at which reading stopped, counted from 0.
    pub fn offset(&self) -> usize {
        match self {
            HeaderError::Magic { .. } => 0,
            HeaderError::Truncated { offset, .. }
            | HeaderError::UnknownVersion { offset, .. }
            | HeaderError::HeaderTooLong { offset, .. }
            | HeaderError::Syntax { offset, .. }
            | HeaderError::NotUtf8 { offset, .. }
            | HeaderError::TooDeep { offset, .. }
            | HeaderError::TooManyAxes { offset, .. }
            | HeaderError::UnknownKey { offset, .. }
            | HeaderError::Repeated { offset, .. }
            | HeaderError::MissingKey { offset, .. }
            | HeaderError::UnknownType { offset, .. }
            | HeaderError::ItemTooLarge { offset, .. }
            | HeaderError::ShapeTooLarge { offset, .. }
            | HeaderError::DataTruncated { offset, .. } => *offset,
        }
    }
}

/// What the first bytes of other files people try to open as .npy tell.
fn hint(first: &[u8]) -> &'static str {
    match first {
        [b'P', b'K', ..] => " (a zip archive; an .npz file?)",
        [0x80, 2..=5, ..] => " (a Python pickle?)",
        [0x1f, 0x8b, ..] => " (gzip; unpack it first)",
        [0x89, b'H', b'D', b'F', ..] => " (an HDF5 file?)",
        [0x89, b'P', b'N', b'G', ..] => " (a PNG image?)",
        [0xff, 0xd8, ..] => " (a JPEG image?)",
        _ => "",
    }
}

/// How much of a hostile string an error message repeats.
const EXCERPT_CHARS: usize = 40;

/// `text` in quotes, cut to a length that fits a message. What does not print, or would turn the rest of
/// a terminal's line around, is escaped.
pub(crate) fn excerpt(text: &str) -> String {
    let mut kept = String::new();
    for letter in text.chars().take(EXCERPT_CHARS) {
        match letter {
            '\'' | '"' | '\\' => kept.push(letter),
            _ => kept.extend(letter.escape_debug()),
        }
    }
    if text.chars().nth(EXCERPT_CHARS).is_some() {
        kept.push('…');
    }
    format!("'{kept}'")
}
