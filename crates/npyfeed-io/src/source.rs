//! Random access to bytes, wherever they are.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::ReadFile;

/// Why the bytes of a source are not, or may not be, those that it was opened with.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The file is shorter than it was.
    #[error("it was cut short while in use: expected {expected_bytes} bytes, found {found_bytes}")]
    CutShort {
        /// Its size when it was opened.
        expected_bytes: u64,
        /// Its size now.
        found_bytes: u64,
    },
    /// The file was written to.
    #[error(
        "it was written to while in use: expected the {expected_bytes} bytes that were opened, found \
         {found_bytes} bytes of a later date"
    )]
    Rewritten {
        /// Its size when it was opened.
        expected_bytes: u64,
        /// Its size now.
        found_bytes: u64,
    },
    /// The file looks as it did, but bytes were missing when they were read: the disk or the network
    /// failed, or the file was cut short and made whole again.
    #[error("some of its bytes were missing when they were read: expected all {expected_bytes}")]
    Missing {
        /// Its size when it was opened.
        expected_bytes: u64,
    },
    /// The system cannot say.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Random access to bytes that do not change their number, from several threads at once.
pub trait Source: Send + Sync + std::fmt::Debug {
    /// What errors call it: the path of a file, `"memory"`.
    fn name(&self) -> &str;

    /// All bytes. Nothing is read before it is touched.
    fn bytes(&self) -> &[u8];

    /// Whether the bytes are still those that were opened. Whoever has read asks *afterwards*, and throws
    /// away what was read if they are not: missing bytes read as zeros.
    ///
    /// Costs one system call at most, so it is asked once for many reads.
    ///
    /// # Errors
    /// [`ChangeError`], which says what has happened to them.
    fn check(&self) -> Result<(), ChangeError> {
        Ok(())
    }

    /// The same bytes, writable, if they may be written: what is written there is seen by later reads, and by
    /// the file only if it was opened for that.
    fn memory(&self) -> Option<NonNull<[u8]>> {
        None
    }

    /// Has what was written put on disk, where it reaches a file at all.
    ///
    /// # Errors
    /// The system's own, and those of [`check`](Source::check): what was written where a file had lost its bytes,
    /// or where the disk had no room for them, is lost.
    fn flush(&self) -> Result<(), ChangeError> {
        Ok(())
    }

    /// The file that the bytes lie in unchanged, from which offset on, if there is one: then they may also be read
    /// from there. `None` where someone may have written to the memory and not to the file.
    fn file(&self) -> Option<(&Arc<ReadFile>, u64)> {
        None
    }

    /// Takes the pages of a map that were read out of the memory that counts as this process's. They are read
    /// again when they are touched again, from the system's cache if they are still there. Does nothing to other
    /// sources, and nothing to a map that may have been written to, whose changes would be lost.
    fn forget_resident(&self) {}
}
