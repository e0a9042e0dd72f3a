//! One array in a file or in memory: its layout, and its bytes where they lie.

use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use npyfeed_array::{ArrayView, Dtype, Layout};
use npyfeed_io::{Memory, Source};
use npyfeed_npy::Version;

use crate::error::{Error, ErrorKind, Result};

/// One array. Opening it has checked the header and mapped the bytes; none is read before it is used.
///
/// Clones share the bytes. [`open`](crate::open) makes one out of a file.
#[derive(Clone, Debug)]
pub struct Array {
    source: Arc<dyn Source>,
    /// What only a file has.
    file: Option<FileFacts>,
    layout: Layout,
    data_offset: usize,
}

#[derive(Clone, Debug)]
struct FileFacts {
    path: Arc<Path>,
    version: Version,
}

impl Array {
    /// The array of an .npy file that was checked to hold it whole.
    pub(crate) fn of_file(
        source: Arc<dyn Source>,
        path: &Path,
        version: Version,
        layout: Layout,
        data_offset: usize,
    ) -> Result<Array> {
        // The file may have been cut short since its size was looked at.
        let end = data_offset.checked_add(layout.span_bytes());
        if end.is_none_or(|end| end > source.bytes().len()) {
            return Err(Error::new(
                ErrorKind::Format,
                format!("cannot open '{}': it was cut short while it was opened", path.display()),
            )
            .on(path));
        }
        let file = Some(FileFacts { path: path.into(), version });
        Ok(Array { source, file, layout, data_offset })
    }

    /// An array that lies in memory already.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) unless `memory` has exactly the bytes of `layout`.
    pub fn in_memory(memory: Memory, layout: Layout) -> Result<Array> {
        ArrayView::new(&layout, memory.bytes()).map_err(|why| Error::mismatch(why.to_string()))?;
        Ok(Array { source: Arc::new(memory), file: None, layout, data_offset: 0 })
    }

    /// Dtype, byte order, shape and strides.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.layout.dtype()
    }

    /// Whether the first axis runs fastest, and the last does not as well.
    pub fn is_fortran_ordered(&self) -> bool {
        self.layout.is_fortran_contiguous() && !self.layout.is_c_contiguous()
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| &*file.path)
    }

    /// The version of the file format, if it is a file.
    pub fn version(&self) -> Option<Version> {
        self.file.as_ref().map(|file| file.version)
    }

    /// What errors call it: the path of its file, or `"memory"`.
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// Whether the bytes are still those of the file that was opened. Ask after reading them, and throw
    /// away what was read if they are not: what a file cut short has lost reads as zeros.
    ///
    /// One system call, about 0.3 µs. Batches and samples of a [`Dataset`](crate::Dataset) have been
    /// checked; what is read through [`bytes`](Array::bytes), [`view`](Array::view) and
    /// [`memory`](Array::memory) has not. A file that another one was renamed over, and one that was
    /// unlinked, is unchanged.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file was cut short or written to since, or could not
    /// be read.
    pub fn check(&self) -> Result<()> {
        let error = match self.source.check() {
            Ok(()) => return Ok(()),
            Err(why) => Error::changed(self.name(), why),
        };
        Err(match self.path() {
            Some(path) => error.on(path),
            None => error,
        })
    }

    /// The bytes from the first element to the end of the last, as they lie.
    pub fn bytes(&self) -> &[u8] {
        &self.source.bytes()[self.data_offset..self.data_offset + self.layout.span_bytes()]
    }

    /// The elements as bytes that may be written: a change is seen through every clone of this array
    /// and never reaches the file. `None` for arrays in memory that someone else owns.
    pub fn memory(&self) -> Option<NonNull<[u8]>> {
        let all = self.source.memory()?;
        // The offset is inside: the bytes of the layout were checked to fit behind it.
        let start = NonNull::new(all.cast::<u8>().as_ptr().wrapping_add(self.data_offset))?;
        Some(NonNull::slice_from_raw_parts(start, self.layout.span_bytes()))
    }

    /// The elements with their layout.
    ///
    /// # Errors
    /// None in practice: the bytes were counted when the array was made.
    pub fn view(&self) -> Result<ArrayView<'_>> {
        ArrayView::new(&self.layout, self.bytes()).map_err(|why| Error::mismatch(why.to_string()))
    }
}
