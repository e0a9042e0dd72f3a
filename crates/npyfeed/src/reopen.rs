//! How something was opened, so that it can be opened again: by another process, on another day.
//!
//! A [`Reopening`] is plain data and carries a path, never elements: what a pickle of an array is made of. What
//! came from memory has none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use npyfeed_array::Dtype;
use npyfeed_io::{Mode, RegularFile, Stamp};

use crate::archive::{Archive, CrcCheck};
use crate::array::Array;
use crate::dataset::{Dataset, Selection};
use crate::error::{Error, ErrorKind, Result};
use crate::open::{OpenOptions, Opened};

/// How an [`Array`] or an [`Archive`] was opened.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("x.npy");
/// # use npyfeed::{ArrayView, ByteOrder, Dtype, Layout, MemoryOrder, Opened};
/// # let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[3], MemoryOrder::C)?;
/// # npyfeed::save(&path, ArrayView::new(&layout, &[1, 2, 3])?)?;
/// let reopening = npyfeed::open(&path)?.reopening().expect("it is a file's");
/// let Opened::Array(again) = reopening.open()? else { panic!("no archive") };
/// assert_eq!(again.bytes(), [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopening {
    /// The file, from the root on, so that the working directory does not matter.
    pub path: PathBuf,
    /// What tells its content from a later one.
    pub stamp: Stamp,
    /// The byte at which what was opened begins.
    pub offset: usize,
    /// What may be done with the elements.
    pub mode: Mode,
    /// What the elements were said to be.
    pub dtype: Option<Dtype>,
    /// The most bytes that a header may have.
    pub header_bytes: usize,
    /// Which members of an archive are held against their CRC-32.
    pub crc_check: CrcCheck,
    /// The most bytes of inflated members that an archive keeps.
    pub kept_bytes: usize,
    /// From the file to the array, in this order.
    pub steps: Vec<Step>,
}

/// From an archive to its array, or from an array to one over the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of an archive.
    Member(String),
    /// A field of records.
    Field(String),
    /// The same bytes as numbers of this dtype.
    ReadAs(Dtype),
}

impl Reopening {
    /// Opens it again.
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`]; [`ErrorKind::Io`](crate::ErrorKind::Io) if there is another file at the
    /// path by now, or it was written to: it has another size or modification time. A file opened to be
    /// written need only be as long as it was.
    pub fn open(&self) -> Result<Opened> {
        let file =
            RegularFile::open(&self.path, self.mode).map_err(|why| Error::cannot_open(&self.path, why))?;
        self.check_stamp(file.stamp())?;
        let mut opened = self.options().open_regular(file, &self.path, self.offset)?;
        for step in &self.steps {
            opened = step.taken(&opened).map_err(|error| error.about(Some(&self.path)))?;
        }
        Ok(opened)
    }

    /// Whether the file is still there, and what it was.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io), as [`open`](Reopening::open), if not.
    pub fn check(&self) -> Result<()> {
        let metadata = std::fs::metadata(&self.path);
        let metadata = metadata.map_err(|why| Error::cannot_open(&self.path, why.into()))?;
        self.check_stamp(Stamp::of(&metadata))
    }

    fn check_stamp(&self, found: Stamp) -> Result<()> {
        let is_same = match self.mode {
            Mode::CopyOnWrite | Mode::ReadOnly => found == self.stamp,
            // Its time changes with what is written to it, which is what it was opened for.
            Mode::ReadWrite => found.len_bytes >= self.stamp.len_bytes,
        };
        if is_same { Ok(()) } else { Err(Error::other_file(&self.path, self.stamp, found)) }
    }

    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new()
            .mode(self.mode)
            .max_header_bytes(self.header_bytes)
            .crc_check(self.crc_check)
            .memory(self.kept_bytes);
        if let Some(dtype) = self.dtype {
            options = options.dtype(dtype);
        }
        options
    }
}

impl Step {
    fn taken(&self, from: &Opened) -> Result<Opened> {
        match (self, from) {
            (Step::Member(name), Opened::Archive(archive)) => archive.array(name),
            (Step::Field(name), Opened::Array(array)) => array.field(name),
            (Step::ReadAs(dtype), Opened::Array(array)) => array.read_as(*dtype),
            (Step::Member(_), Opened::Array(_)) | (Step::Field(_) | Step::ReadAs(_), Opened::Archive(_)) => {
                Err(Error::new(ErrorKind::Mismatch, "what is at the path is of another kind than it was"))
            }
        }
        .map(Opened::Array)
    }
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    path: Arc<Path>,
    stamp: Stamp,
    offset: usize,
    options: OpenOptions,
}

impl OpenedFile {
    pub(crate) fn new(
        file: &RegularFile,
        path: &Arc<Path>,
        offset: usize,
        options: OpenOptions,
    ) -> Arc<OpenedFile> {
        // One that begins at the root is itself; where there is no working directory, the path stays as it is,
        // and whoever opens it again finds nothing.
        let absolute = path.is_relative().then(|| std::path::absolute(path).ok()).flatten();
        let path = absolute.map_or_else(|| Arc::clone(path), Into::into);
        Arc::new(OpenedFile { path, stamp: file.stamp(), offset, options })
    }

    fn reopening(&self, steps: &[Step]) -> Reopening {
        Reopening {
            path: self.path.to_path_buf(),
            stamp: self.stamp,
            offset: self.offset,
            mode: self.options.mode,
            dtype: self.options.dtype,
            header_bytes: self.options.limits.header_bytes,
            crc_check: self.options.crc_check,
            kept_bytes: self.options.kept_bytes,
            steps: steps.to_vec(),
        }
    }
}

/// Where an array comes from: a file, and the way from there.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) file: Arc<OpenedFile>,
    pub(crate) steps: Vec<Step>,
}

impl Way {
    /// The whole file.
    pub(crate) fn to(file: &Arc<OpenedFile>) -> Way {
        Way { file: Arc::clone(file), steps: Vec::new() }
    }

    /// The way that goes on by `step`.
    #[must_use]
    pub(crate) fn and(&self, step: Step) -> Way {
        let mut way = self.clone();
        way.steps.push(step);
        way
    }
}

impl Array {
    /// How to open it again. `None` for what lies in memory only: copies, memory that was opened, and the
    /// elements of an ndarray.
    pub fn reopening(&self) -> Option<Reopening> {
        self.way().map(|way| way.file.reopening(&way.steps))
    }
}

impl Archive {
    /// How to open it again. `None` if it lies in memory.
    pub fn reopening(&self) -> Option<Reopening> {
        self.opened_file().map(|file| file.reopening(&[]))
    }
}

impl Dataset {
    /// The arrays whose rows the samples are made of, before any transform, by the names of their columns.
    /// `None` for a column of several files.
    pub fn arrays(&self) -> impl ExactSizeIterator<Item = (&str, Option<&Array>)> {
        self.columns().iter().map(|column| (&*column.name, column.rows.array()))
    }

    /// What tells the files of its columns from others: their number of rows, and a checksum of the names of files
    /// that are one sample each. Not of what is in them.
    pub fn names_mark(&self) -> u64 {
        let mut names = flate2::Crc::new();
        self.columns()
            .iter()
            .filter_map(|column| column.rows.files())
            .for_each(|files| files.mark(&mut names));
        let rows = self.columns().first().map_or(0, |column| column.rows.count());
        (rows << 32) | u64::from(names.sum())
    }

    /// Of each sample, the row it is. `None` if they are all rows in their order.
    pub fn rows(&self) -> Option<&[u64]> {
        match self.selection() {
            Selection::All(_) => None,
            Selection::Picked(rows) => Some(rows),
        }
    }
}
