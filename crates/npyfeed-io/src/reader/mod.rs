//! The ways to bring wanted bytes of files into memory, behind one trait.
//!
//! | reader | ranges of files, whole files | for |
//! |---|---|---|
//! | [`InTurn`], as [`IoPath::Map`] or [`IoPath::Memory`] | `pread` | what is held in place |
//! | [`InTurn`], as [`IoPath::Pread`] | `pread` into a scratch that stays in the CPU's cache | what the system has cached |
//! | [`Uring`] | `io_uring`, many underway, past the page cache | what lies on a disk |
//!
//! What a [`Source`] holds in memory or in a map ([`Place::Held`]) is answered where it lies by all of them.
//!
//! # Contract
//!
//! `tests/reader_contract/` holds every reader to it, on every file system at hand.
//!
//! 1. **Once each.** A request that was submitted is answered by one call of [`Reader::next`], with its tag: with
//!    exactly its bytes, or with an error. In which order, nobody says.
//! 2. **Bounds.** No more are underway than [`Reader::has_room`] allows, and a reader's memory is what it was built
//!    with: a range, and the limit of a whole file, is at most `max_request_bytes`. More is a bug of the asker's, and
//!    panics.
//! 3. **The slice** of an arrival is valid until the reader is used again. The borrow checker sees to it.
//! 4. **Failure** of a request is its own: the others are answered as if it had not been. A read that fails is tried
//!    once more by `pread`, so that what remains an error is the file's fault, and not that of the way to read it. A
//!    file that ends before the range does says what has happened to it ([`ChangeError`]).
//! 5. **Changes.** A reader does not notice that a file was written to, or that a map lost bytes, while it read. As
//!    with a [`Source`], whoever has read asks [`ReadFile::check`] afterwards, once for many reads.
//! 6. **Progress.** What was submitted is underway at the latest when `next` waits, and an error of the system ends
//!    that wait too. Interrupted and short reads are gone on with.
//! 7. **Drop** waits for the requests underway: the system is writing to our memory. They are no more than the depth of
//!    the reader, 16 MiB as a rule.
//! 8. **Fork.** A child may go on with its copy of a reader: it does not touch what belongs to its parent, and is
//!    answered by `pread`. What the child drops of it, it leaks.

mod in_turn;
mod refused;
#[cfg(target_os = "linux")]
mod uring;
#[cfg(not(target_os = "linux"))]
#[path = "uring/absent.rs"]
mod uring;
mod whole;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::{ChangeError, OpenError, ReadFile, Source};

pub use in_turn::{InTurn, ReadAhead};
pub use refused::Refused;
pub use uring::Uring;

/// What is wanted. The tag is the asker's, and comes back with the bytes.
#[derive(Clone, Debug)]
pub struct Request {
    /// Any number.
    pub tag: u64,
    /// Where the bytes are.
    pub place: Place,
}

/// Where wanted bytes are.
#[derive(Clone, Debug)]
pub enum Place {
    /// Some bytes of an open file.
    Range {
        /// The file.
        file: Arc<ReadFile>,
        /// Which of its bytes.
        bytes: Range<u64>,
    },
    /// A whole small file, which is opened, read and closed.
    Whole {
        /// Where it lies.
        path: Arc<Path>,
        /// As many bytes are read, and one more, so that a longer file is noticed.
        limit_bytes: usize,
    },
    /// Some bytes of a source, where they lie: nothing is copied, and nothing read before it is touched.
    Held {
        /// The source.
        source: Arc<dyn Source>,
        /// Which of its bytes.
        bytes: Range<usize>,
    },
}

/// Bytes that were wanted, or why they did not come.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The tag of the request.
    pub tag: u64,
    /// What was asked for. Of a whole file longer than its limit: that many bytes and one more.
    pub bytes: Result<&'a [u8], ReadError>,
}

/// Why wanted bytes did not come. The file is not named here: whoever asked knows it by the tag.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A whole file could not be opened, or is none.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file is not what it was when it was opened, or the system cannot read it.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// The ways to the bytes, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoPath {
    /// Mapped pages.
    Map,
    /// One `pread` after another, through the page cache.
    Pread,
    /// `io_uring`, past the page cache where the file system can.
    Uring,
    /// Memory that holds the bytes already.
    Memory,
}

impl IoPath {
    /// Its name, in reports and options.
    ///
    /// ```
    /// assert_eq!(npyfeed_io::reader::IoPath::Uring.name(), "uring");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            IoPath::Map => "map",
            IoPath::Pread => "pread",
            IoPath::Uring => "uring",
            IoPath::Memory => "memory",
        }
    }
}

/// One way to bring wanted bytes into memory. Each worker has its own. The contract stands above.
///
/// ```
/// use std::sync::Arc;
/// use npyfeed_io::Memory;
/// use npyfeed_io::reader::{InTurn, Place, Reader, Request};
///
/// let mut reader = InTurn::memory(1 << 20);
/// let source = Arc::new(Memory::from(vec![1, 2, 3, 4]));
/// reader.submit(Request { tag: 7, place: Place::Held { source, bytes: 1..3 } });
/// let arrival = reader.next().expect("one is underway");
/// assert_eq!((arrival.tag, arrival.bytes?), (7, &[2, 3][..]));
/// assert!(reader.next().is_none());
/// # Ok::<(), npyfeed_io::reader::ReadError>(())
/// ```
pub trait Reader: Send + std::fmt::Debug {
    /// Which way it is.
    fn io_path(&self) -> IoPath;

    /// Whether one more request may be submitted now. What arrived last counts as gone.
    fn has_room(&self) -> bool;

    /// Takes a request, and returns at once.
    ///
    /// # Panics
    /// If there is no room, or it asks for more than the reader was built for, or for what its source does not have.
    fn submit(&mut self, request: Request);

    /// Waits for any request underway. `None` if there is none.
    fn next(&mut self) -> Option<Arrival<'_>>;

    /// How many were submitted and have not arrived.
    fn in_flight(&self) -> usize;
}

impl Request {
    /// Panics if a reader built for `max_request_bytes` cannot answer it.
    fn assert_fits(&self, max_request_bytes: usize) {
        let (len_bytes, most_bytes) = match &self.place {
            Place::Range { bytes, .. } => {
                assert!(
                    bytes.start <= bytes.end,
                    "expected a range that ends after it begins, found {bytes:?}"
                );
                (bytes.end - bytes.start, max_request_bytes as u64)
            }
            Place::Whole { limit_bytes, .. } => (*limit_bytes as u64, max_request_bytes as u64),
            Place::Held { source, bytes } => {
                assert!(
                    bytes.start <= bytes.end,
                    "expected a range that ends after it begins, found {bytes:?}"
                );
                (bytes.end as u64, source.bytes().len() as u64)
            }
        };
        assert!(
            len_bytes <= most_bytes,
            "expected a request of at most {most_bytes} bytes, found {len_bytes}"
        );
    }
}

/// Answers a place the plain way: into `scratch`, which has a byte more than the largest request, or from memory.
fn read_plainly<'a>(place: &'a Place, scratch: &'a mut [u8]) -> Result<&'a [u8], ReadError> {
    match place {
        Place::Range { file, bytes } => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most `max_request_bytes`: see `assert_fits`"
            )]
            let scratch = &mut scratch[..(bytes.end - bytes.start) as usize];
            file.read_at(scratch, bytes.start)?;
            Ok(scratch)
        }
        Place::Whole { path, limit_bytes } => {
            let scratch = &mut scratch[..limit_bytes + 1];
            let len_bytes = whole::read_whole(path, scratch)?;
            Ok(&scratch[..len_bytes])
        }
        Place::Held { source, bytes } => Ok(&source.bytes()[bytes.clone()]),
    }
}
