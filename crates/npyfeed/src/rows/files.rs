//! One row a file.
//!
//! A small file is opened, read and closed for each sample: its first bytes are held against the header of the first
//! file, and where they are the same, all that it says is known already. Where anything is otherwise, `open.rs` looks
//! at the file as at any other, and has the words for what is wrong with it. A large file is mapped, and stays so for
//! a while (`kept.rs`).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use npyfeed_array::{Buffer, Layout, MemoryOrder};
use npyfeed_io::{Memory, Mode, read_start};
use npyfeed_npy::MAX_AXES;

use super::alike::check_alike;
use super::kept::Kept;
use super::paths::Paths;
use crate::array::Array;
use crate::error::{Error, Result};
use crate::open::{OpenOptions, Opened};

/// A file of at most so many bytes is read for each sample, a larger one is mapped.
const READ_MAX_BYTES: usize = 1 << 20;

/// A file written less than this before it was read may have been written to while it was. Clocks of file systems
/// tick every few milliseconds, those of servers go wrong by more.
const CLOCK_LAG: Duration = Duration::from_secs(2);

/// Files of one sample each, all like the first.
#[derive(Clone, Debug)]
pub(crate) struct Files(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What the first is called.
    name: String,
    /// When they were named, less what the clocks of file systems may lag behind.
    since: SystemTime,
    paths: Paths,
    /// The header of the first file, as it is written there.
    head: Box<[u8]>,
    /// How the sample behind it lies.
    row: Layout,
    way: Way,
}

/// How a file is brought into memory.
#[derive(Debug)]
enum Way {
    /// Read for each sample.
    Read,
    /// Mapped, and kept for a while.
    Mapped(Kept),
}

impl Files {
    /// The files, of which the first is opened, and no other.
    ///
    /// # Errors
    /// As [`open`](crate::open) of the first; [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if there are none;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if one is an .npz file, or the first holds no numbers.
    pub(crate) fn new(paths: Paths) -> Result<Files> {
        let Some(first) = paths.iter().next() else {
            return Err(Error::mismatch(
                "cannot make samples of no files: expected at least one path, found an empty list",
            ));
        };
        if let Some(archive) =
            paths.iter().find(|path| path.extension().is_some_and(|ending| ending == "npz"))
        {
            return Err(refuse_archive(archive));
        }
        let array = open_one(first)?;
        let row = array.layout()?.clone();
        if row.shape().len() == MAX_AXES {
            let name = array.name();
            return Err(Error::unsupported(format!(
                "cannot make batches of '{name}': expected samples of fewer than {MAX_AXES} axes, found {MAX_AXES}"
            ))
            .about(array.path()));
        }
        let head: Box<[u8]> = array.head().into();
        let is_small = head.len() + row.span_bytes() <= READ_MAX_BYTES;
        let way = if is_small { Way::Read } else { Way::Mapped(Kept::default()) };
        let name = array.name().to_owned();
        let since = SystemTime::now() - CLOCK_LAG;
        Ok(Files(Arc::new(Inner { name, since, paths, head, row, way })))
    }

    pub(super) fn count(&self) -> u64 {
        self.0.paths.len() as u64
    }

    /// What stands for them in reports: the first.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// All of them, read into one array.
    pub(super) fn copied(&self) -> Result<Array> {
        let (row, count) = (&self.0.row, self.0.paths.len());
        let shape = [&[count], row.shape()].concat();
        let too_large = |why: &dyn std::fmt::Display| {
            Error::mismatch(format!("cannot read {count} files into memory: {why}"))
        };
        let layout = Layout::new(row.dtype(), row.byte_order(), &shape, MemoryOrder::C)
            .map_err(|why| too_large(&why))?;
        let mut buffer = Buffer::zeroed(layout.packed_bytes()).map_err(|why| too_large(&why))?;
        let mut scratch = Vec::new();
        let row_bytes = row.packed_bytes().max(1);
        for (number, slot) in (0..).zip(buffer.bytes_mut().chunks_exact_mut(row_bytes)) {
            self.with_row(number, &mut scratch, |bytes| npyfeed_kernel::pack(row.grid(), bytes, slot))?;
        }
        Array::in_memory(Memory::own(self.0.name.clone(), buffer), layout)
    }

    pub(super) fn row_layout(&self) -> &Layout {
        &self.0.row
    }

    /// Has what was read through maps no longer count as this process's memory.
    pub(super) fn forget_resident(&self) {
        match &self.0.way {
            Way::Read => {}
            Way::Mapped(kept) => kept.forget_resident(),
        }
    }

    /// Whether each sample is read as a whole.
    pub(crate) fn are_read(&self) -> bool {
        match self.0.way {
            Way::Read => true,
            Way::Mapped(_) => false,
        }
    }

    /// Gives the bytes of row `row`, from its first element to the end of the last, to `take`. `scratch` is memory
    /// that may be used, and kept for the next row. After an error, what was taken is to be thrown away.
    ///
    /// # Errors
    /// As [`open`](crate::open) and [`Array::check`]; [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the file
    /// is not like the first.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn with_row(&self, row: u64, scratch: &mut Vec<u8>, take: impl FnOnce(&[u8])) -> Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "a path that lies in memory")]
        let path = self.0.paths.get(row as usize);
        match &self.0.way {
            Way::Read => {
                if let Some(bytes) = self.read(path, scratch) {
                    take(bytes);
                    return Ok(());
                }
                let array = self.open(path)?;
                take(array.bytes());
                array.check()
            }
            Way::Mapped(kept) => {
                let array = self.mapped(kept, row, path)?;
                take(array.bytes());
                array.check().inspect_err(|_| kept.forget(row))
            }
        }
    }

    /// Adds the names of the files to a checksum, and not where their folder lies.
    pub(crate) fn mark(&self, names: &mut flate2::Crc) {
        for path in self.0.paths.iter() {
            names.update(path.file_name().map_or(b"", |name| name.as_encoded_bytes()));
            names.update(&[0]);
        }
    }

    /// The size of a file like the first.
    pub(crate) fn file_bytes(&self) -> usize {
        self.0.head.len() + self.0.row.span_bytes()
    }

    /// The file of row `row`, to be read as a whole.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn path(&self, row: usize) -> &Path {
        self.0.paths.get(row)
    }

    /// The elements of the file of row `row`, of which `file` was read by someone who did not hold its size and time
    /// before and after against each other. `None` if it does not begin as the first one does, or was written to or
    /// cut short since these files were named: [`with_row`](Files::with_row) has a closer look.
    pub(crate) fn settled_elements<'a>(&self, row: usize, file: &'a [u8]) -> Option<&'a [u8]> {
        let found = self.path(row).metadata().ok()?;
        let is_settled = found.modified().is_ok_and(|modified| modified < self.0.since);
        self.elements(file).filter(|_| is_settled && found.len() >= self.file_bytes() as u64)
    }

    /// The elements in the first [`file_bytes`](Files::file_bytes) of a file that begins as the first one does;
    /// `None` for all others.
    fn elements<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        file.strip_prefix(&*self.0.head)?.get(..self.0.row.span_bytes())
    }

    /// The elements of a file that begins as the first one does and has as many bytes; `None` for all others, and
    /// for those that cannot be read.
    fn read<'a>(&self, path: &Path, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        self.elements(read_start(path, self.file_bytes(), scratch).ok()?)
    }

    fn mapped(&self, kept: &Kept, row: u64, path: &Path) -> Result<Array> {
        if let Some(array) = kept.get(row) {
            return Ok(array);
        }
        let array = self.open(path)?;
        kept.keep(row, &array);
        Ok(array)
    }

    /// A file whose elements lie as those of the first, whatever its header looks like.
    fn open(&self, path: &Path) -> Result<Array> {
        let array = open_one(path)?;
        let first = self.0.paths.get(0).display().to_string();
        check_alike((&first, &self.0.row), (array.name(), array.layout()?))
            .map_err(|error| error.about(array.path()))?;
        Ok(array)
    }
}

/// Opens an .npy file that is one sample.
fn open_one(path: &Path) -> Result<Array> {
    match OpenOptions::new().mode(Mode::ReadOnly).open(path)? {
        Opened::Array(array) => Ok(array),
        Opened::Archive(_) => Err(refuse_archive(path)),
    }
}

fn refuse_archive(path: &Path) -> Error {
    let message = format!(
        "cannot make a sample of '{0}': expected .npy files, one sample each, found an .npz file; name the member \
         whose rows are the samples, as in '{0}:name', those of several files with nf.rows",
        path.display()
    );
    Error::unsupported(message).on(path)
}
