//! A regular file, open and not yet mapped: so that its first bytes and its size can be looked at before.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Why a file could not be opened or mapped. The path is not repeated here: whoever asked knows it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system said no: not found, not permitted, out of memory.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A directory, where a file was expected.
    #[error("it is a directory, expected a file")]
    Directory,
    /// A pipe, socket or device, which has no size and cannot be mapped.
    #[error("it is a pipe, socket or device, expected a regular file")]
    NotRegular,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct RegularFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) metadata: Metadata,
}

impl RegularFile {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`]; a pipe is refused before it is opened, since opening one waits for its writer.
    pub fn open(path: &Path) -> Result<RegularFile, OpenError> {
        check_regular(&std::fs::metadata(path)?)?;
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        check_regular(&metadata)?;
        Ok(RegularFile { path: path.to_owned(), file, metadata })
    }

    /// The size in bytes, when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.metadata.len()
    }

    /// The next bytes of the file, `count` of them or as many as there are, added to those in `read`.
    ///
    /// # Errors
    /// The system's own.
    pub fn read_on(&self, count: usize, read: &mut Vec<u8>) -> io::Result<()> {
        (&self.file).take(count as u64).read_to_end(read).map(drop)
    }
}

fn check_regular(metadata: &Metadata) -> Result<(), OpenError> {
    if metadata.is_dir() {
        return Err(OpenError::Directory);
    }
    if metadata.is_file() { Ok(()) } else { Err(OpenError::NotRegular) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_read_piece_by_piece_to_its_end() {
        let mut temporary = tempfile::NamedTempFile::new().unwrap();
        temporary.write_all(b"0123456789").unwrap();
        let file = RegularFile::open(temporary.path()).unwrap();
        let mut read = Vec::new();
        file.read_on(4, &mut read).unwrap();
        assert_eq!((&read[..], file.len_bytes()), (&b"0123"[..], 10));
        file.read_on(100, &mut read).unwrap();
        assert_eq!(read, b"0123456789");
    }

    #[test]
    fn directories_and_missing_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(RegularFile::open(folder.path()), Err(OpenError::Directory)));
        let missing = RegularFile::open(&folder.path().join("none.npy"));
        assert!(matches!(missing, Err(OpenError::Io(e)) if e.kind() == io::ErrorKind::NotFound));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        assert!(matches!(RegularFile::open(Path::new("/dev/null")), Err(OpenError::NotRegular)));
    }
}
