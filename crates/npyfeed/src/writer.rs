//! An .npy file that grows by samples, and is a valid file all the while.
//!
//! # The contract with a crash
//! 1. The file takes its place whole, as one of no samples ([`AtomicFile`]); what lay there before is gone
//!    at once, and never half.
//! 2. Samples are written behind those already there. The header does not count them yet, and readers
//!    ignore what it does not count.
//! 3. A flush puts the samples on disk, *then* writes the header anew in place, in one write, then puts
//!    that on disk. The header has one size for every count, so no sample ever moves.
//!
//! So a process that is killed anywhere in this leaves a file that says and holds all samples of the last
//! flush that returned, and perhaps those of the one under way. This rests on a header being written whole
//! or not at all: the system does so within a page of 4,096 bytes, a disk that loses power within a sector
//! of 512. Every header of numbers is shorter than that, up to some 30 axes; one of a record with a hundred
//! fields is not, and may tear.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use npyfeed_array::{ArrayView, ByteOrder, Dtype};

use crate::atomic_file::AtomicFile;
use crate::error::{Error, ErrorKind, Result};
use crate::sample_element::SampleElement;

/// Appends samples of one dtype and shape to a new .npy file.
///
/// Samples are safe after a [`flush`](Writer::flush). Close a writer to learn whether the last ones
/// arrived; a dropped one flushes too, and cannot tell.
///
/// ```
/// use npyfeed::{ArrayView, ByteOrder, Dtype, Layout, MemoryOrder, Writer};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("pairs.npy");
///
/// let mut writer = Writer::create(&path, Dtype::U8, &[2])?;
/// for batch in [&[1, 2][..], &[3, 4, 5, 6]] {
///     let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[batch.len() / 2, 2], MemoryOrder::C)?;
///     writer.append(ArrayView::new(&layout, batch)?)?;
/// }
/// writer.close()?;
/// assert_eq!(npyfeed::open(&path)?.shape(), [3, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// `None` once closed.
    file: Option<File>,
    /// A fork has the file too, and must not write over what this process appends.
    process: u32,
    element: SampleElement,
    sample_shape: Box<[usize]>,
    sample_bytes: usize,
    header_bytes: usize,
    sample_count: usize,
    flushed_count: usize,
    /// A flush failed: the system forgets such an error, and the next flush would seem to succeed.
    has_failed: bool,
}

impl Writer {
    /// A new file of no samples, each to be of `dtype` and `sample_shape`, in place of an older file.
    ///
    /// # Errors
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be created;
    /// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for more axes than NumPy reads, or a
    ///   sample larger than memory.
    pub fn create(path: impl AsRef<Path>, dtype: Dtype, sample_shape: &[usize]) -> Result<Writer> {
        Writer::of_elements(path, SampleElement::Number(dtype), sample_shape)
    }

    /// As [`create`](Writer::create), for elements of any kind.
    ///
    /// # Errors
    /// Those of [`create`](Writer::create).
    pub fn of_elements(
        path: impl AsRef<Path>,
        element: SampleElement,
        sample_shape: &[usize],
    ) -> Result<Writer> {
        let path = path.as_ref();
        let refuse = |why: &str| Error::unsupported(format!("cannot write '{}': {why}", path.display()));
        let sample_bytes = element.sample_bytes(sample_shape).ok_or_else(|| {
            refuse(&format!("a sample of shape {sample_shape:?} is larger than the address space"))
        })?;
        let header = element.header(0, sample_shape).map_err(|why| refuse(&why))?;
        let mut file = AtomicFile::create(path)?;
        file.write(&header)?;
        Ok(Writer {
            path: path.to_owned(),
            file: Some(file.finish()?),
            process: std::process::id(),
            element,
            sample_shape: sample_shape.into(),
            sample_bytes,
            header_bytes: header.len(),
            sample_count: 0,
            flushed_count: 0,
            has_failed: false,
        })
    }

    /// Appends a batch, `[sample, ...sample_shape]` in C order and this machine's byte order.
    ///
    /// # Errors
    /// - [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) for another dtype, shape or order;
    /// - those of [`append_bytes`](Writer::append_bytes).
    pub fn append(&mut self, batch: ArrayView<'_>) -> Result<()> {
        let layout = batch.layout();
        let found = SampleElement::Number(layout.dtype());
        let is_native = layout.byte_order() == ByteOrder::NATIVE || layout.dtype().item_bytes() == 1;
        let Some((&sample_count, shape)) = layout.shape().split_first().filter(|_| layout.is_c_contiguous())
        else {
            return Err(self.mismatch("expected a batch in C order", "another order, or no axis"));
        };
        if found != self.element || !is_native || *shape != *self.sample_shape {
            let expected = format!("samples of {:?} {:?}", self.sample_shape, self.element);
            return Err(self.mismatch(&expected, &format!("{shape:?} {found:?}, {:?}", layout.byte_order())));
        }
        self.append_bytes(sample_count, batch.bytes())
    }

    /// Appends `sample_count` samples whose elements lie in C order in `bytes`.
    ///
    /// Fails it, the file is as before, and more may be appended.
    ///
    /// # Errors
    /// - [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) for too many or too few bytes, and after
    ///   [`close`](Writer::close);
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the system will not take them: a full disk, a quota.
    pub fn append_bytes(&mut self, sample_count: usize, bytes: &[u8]) -> Result<()> {
        let total_count = self.sample_count.checked_add(sample_count);
        let expected_bytes = sample_count.checked_mul(self.sample_bytes);
        let (Some(total_count), true) = (total_count, expected_bytes == Some(bytes.len())) else {
            let expected = format!("{sample_count} samples of {} bytes", self.sample_bytes);
            return Err(self.mismatch(&expected, &format!("{} bytes", bytes.len())));
        };
        let end = self.header_bytes as u64 + self.sample_count as u64 * self.sample_bytes as u64;
        let file = self.file()?;
        if let Err(why) = file.write_all_at(bytes, end) {
            // What did get written is counted by no header. To give its space back is all one can do.
            let _ = file.set_len(end);
            return Err(Error::cannot_write(&self.path, why));
        }
        self.sample_count = total_count;
        Ok(())
    }

    /// Puts all samples appended so far on disk. After it they outlive a kill, a crash and a power cut.
    ///
    /// # Errors
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the system fails. The samples of earlier flushes are
    ///   safe, and this writer writes no more;
    /// - [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) after [`close`](Writer::close).
    pub fn flush(&mut self) -> Result<()> {
        let file = self.file()?;
        if self.flushed_count == self.sample_count {
            return Ok(());
        }
        let header = self.element.header(self.sample_count, &self.sample_shape);
        let header = header.map_err(|why| Error::new(ErrorKind::Internal, why))?;
        debug_assert_eq!(header.len(), self.header_bytes, "a header keeps its size");
        let flushed =
            file.sync_data().and_then(|()| file.write_all_at(&header, 0)).and_then(|()| file.sync_data());
        match flushed {
            Ok(()) => self.flushed_count = self.sample_count,
            Err(why) => {
                self.has_failed = true;
                return Err(Error::cannot_write(&self.path, why));
            }
        }
        Ok(())
    }

    /// Flushes and closes the file. Closing twice is nothing.
    ///
    /// # Errors
    /// Those of [`flush`](Writer::flush); the file is closed all the same.
    pub fn close(&mut self) -> Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let flushed = self.flush();
        self.file = None;
        flushed
    }

    /// The samples appended, flushed or not.
    pub fn len(&self) -> usize {
        self.sample_count
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.sample_count == 0
    }

    /// Whether the file was closed.
    pub fn is_closed(&self) -> bool {
        self.file.is_none()
    }

    /// The file, if this writer may still write it.
    fn file(&self) -> Result<&File> {
        let Some(file) = &self.file else {
            return Err(self.mismatch("an open writer", "a closed one (a new one would replace the file)"));
        };
        if self.process != std::process::id() {
            return Err(self.mismatch("the process that created the writer", "a fork of it"));
        }
        if self.has_failed {
            let why = format!(
                "an earlier flush failed, {} of {} samples are safe (copy them to another disk)",
                self.flushed_count, self.sample_count
            );
            return Err(Error::cannot_write(&self.path, std::io::Error::other(why)));
        }
        Ok(file)
    }

    fn mismatch(&self, expected: &str, found: &str) -> Error {
        let path = self.path.display();
        Error::mismatch(format!("cannot write '{path}': expected {expected}, found {found}"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.file().is_ok() {
            // Nobody is there to hear of a failure: `close` is for those who want to.
            let _ = self.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use npyfeed_array::{Layout, MemoryOrder};

    use super::*;

    fn append(writer: &mut Writer, shape: &[usize], order: MemoryOrder) -> Result<()> {
        let layout = Layout::new(Dtype::I16, ByteOrder::NATIVE, shape, order).unwrap();
        writer.append(ArrayView::new(&layout, &vec![7; layout.span_bytes()]).unwrap())
    }

    #[test]
    fn samples_of_another_shape_dtype_or_order_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path().join("x.npy"), Dtype::I16, &[2, 3]).unwrap();
        assert!(append(&mut writer, &[5, 2, 3], MemoryOrder::C).is_ok());
        for (shape, order) in [
            (&[2, 3][..], MemoryOrder::C),
            (&[5, 3, 2], MemoryOrder::C),
            (&[5, 2, 3], MemoryOrder::Fortran),
            (&[], MemoryOrder::C),
        ] {
            let refused = append(&mut writer, shape, order).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Mismatch, "{shape:?} {order:?}");
        }
        let mut bytes = Writer::create(folder.path().join("y.npy"), Dtype::U8, &[2, 3]).unwrap();
        assert_eq!(append(&mut bytes, &[5, 2, 3], MemoryOrder::C).unwrap_err().kind(), ErrorKind::Mismatch);
        assert_eq!(bytes.append_bytes(2, &[0; 11]).unwrap_err().kind(), ErrorKind::Mismatch);
        assert_eq!((writer.len(), bytes.len()), (5, 0));
    }

    #[test]
    fn after_a_failed_flush_earlier_samples_are_safe_and_nothing_more_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        let mut writer = Writer::create(&path, Dtype::I16, &[]).unwrap();
        append(&mut writer, &[3], MemoryOrder::C).unwrap();
        writer.flush().unwrap();
        append(&mut writer, &[4], MemoryOrder::C).unwrap();
        // Open for reading only, a file can be synchronised, but its header cannot be written.
        writer.file = Some(File::open(&path).unwrap());
        assert_eq!(writer.flush().unwrap_err().kind(), ErrorKind::Io);
        writer.file = Some(File::options().write(true).open(&path).unwrap());
        let refused = writer.flush().unwrap_err().to_string();
        assert!(refused.contains("3 of 7 samples are safe"), "{refused}");
        assert!(append(&mut writer, &[1], MemoryOrder::C).is_err());
        assert!(writer.close().is_err() && writer.close().is_ok());
        assert_eq!(crate::open(&path).unwrap().shape(), [3]);
    }
}
