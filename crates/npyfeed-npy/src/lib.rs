//! What the bytes of an .npy file mean: its header, its descr, and how to write them; and what is in an .npz.
//!
//! An .npy file is a few bytes that say what follows, a Python dict written as text, padding, and the
//! elements without gaps ([NEP 1], `numpy.lib.format`):
//!
//! ```text
//! \x93NUMPY  1 0      118     {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n  elements
//! magic    version  length  text                                               padding      data offset
//! ```
//!
//! | question | answer | file |
//! |---|---|---|
//! | how much of the file is header? | [`Header::prefix_bytes`] | `header.rs` |
//! | what does it say? | [`Header::parse`] | `header.rs`, over `literal.rs` |
//! | what is one element? | [`Descr`], [`Field`], [`TimeUnit`] | `descr.rs` |
//! | how is that written? | type strings and lists of fields | `type_string.rs`, `record.rs` |
//! | are they numbers, and if not? | [`Header::layout`], [`UnsupportedDescr`] | `unsupported.rs` |
//! | what else may they be taken for? | [`Descr::read_as`], [`Descr::check_readable`] | `read_as.rs` |
//! | are the elements all there? | [`Header::check_data`] | `header.rs` |
//! | what went wrong, at which byte? | [`HeaderError`] | `error.rs` |
//! | how large may things get? | [`Limits`], [`MAX_AXES`], [`MAX_DEPTH`], [`MAX_ITEM_BYTES`] | `limits.rs` |
//! | what is in an .npz, and where? | [`Directory`], [`Member`], [`ArchiveError`] | `npz/` |
//! | what stands around the members of a new .npz? | [`ArchiveWriter`] | `npz/write.rs` |
//! | which header does NumPy write? | [`header_bytes`], [`header_bytes_of_descr`] | `write.rs` |
//!
//! # Promises about hostile bytes
//! No input makes the parser panic. It evaluates nothing: Python's grammar is read, not run. Its time is
//! linear in the header, its memory below 20 times its size, its recursion at most [`MAX_DEPTH`] deep, and
//! no size that a file states is believed before it was held against a named limit. Each error names the
//! byte of the file where reading stopped. A header that we read and NumPy reads too means the same to
//! both; where Python would be more lenient than NumPy's own writer is (comments, repeated keys, `1_000`,
//! `True` as a length), we refuse.
//!
//! Not here: files, maps and threads (the caller brings the bytes), the elements themselves, and pickle.
//!
//! ```
//! use npyfeed_array::{ByteOrder, Dtype, MemoryOrder};
//! use npyfeed_npy::{Descr, Header, Limits, header_bytes};
//!
//! let mut file = header_bytes(Dtype::F32, ByteOrder::Little, MemoryOrder::C, &[2, 3])?;
//! file.extend([0; 24]);
//!
//! let header = Header::parse(&file, &Limits::DEFAULT)?;
//! assert_eq!(header.shape(), [2, 3]);
//! assert_eq!(header.descr(), &Descr::Number { dtype: Dtype::F32, byte_order: ByteOrder::Little });
//! header.check_data(file.len() as u64)?;
//! assert_eq!(header.layout()?.span_bytes(), file.len() - header.data_offset());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [NEP 1]: https://numpy.org/neps/nep-0001-npy-format.html
#![forbid(unsafe_code)]

mod descr;
mod error;
mod header;
mod limits;
mod literal;
mod npz;
mod read_as;
mod record;
mod type_string;
mod unsupported;
mod write;

pub use descr::{Descr, Field, TimeUnit};
pub use error::HeaderError;
pub use header::{Header, Version};
pub use limits::{
    DEFAULT_HEADER_BYTES, Limits, MAX_AXES, MAX_DEPTH, MAX_DIRECTORY_BYTES, MAX_INFLATE_RATIO,
    MAX_ITEM_BYTES, MAX_MEMBERS,
};
pub use npz::{ArchiveError, ArchiveWriter, Crc, Directory, Member, Method, NewMember, Written};
pub use read_as::CannotReadAs;
pub use unsupported::UnsupportedDescr;
pub use write::{DescrTooLong, TooManyAxes, header_bytes, header_bytes_of_descr};
