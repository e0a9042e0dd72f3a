//! A regular file, open and not yet mapped: so that its first bytes and its size can be looked at before.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::ChangeError;

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

/// What may be done with the bytes of a file: the letters of `numpy.memmap`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `"c"`: they may be changed, and the file never is.
    #[default]
    CopyOnWrite,
    /// `"r"`: they may be read.
    ReadOnly,
    /// `"r+"`: what is changed is changed in the file.
    ReadWrite,
}

/// A regular file, open for reading, or for writing too.
#[derive(Debug)]
pub struct RegularFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) metadata: Metadata,
    pub(crate) mode: Mode,
}

impl RegularFile {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// [`OpenError`]; a pipe is refused before it is opened, since opening one waits for its writer.
    pub fn open(path: &Path, mode: Mode) -> Result<RegularFile, OpenError> {
        check_regular(&std::fs::metadata(path)?)?;
        let mut options = OpenOptions::new();
        options.read(true).write(mode == Mode::ReadWrite);
        // A pipe may have taken the file's place meanwhile.
        let file = options.custom_flags(libc::O_NONBLOCK).open(path)?;
        let file = RegularFile::of(file, path, mode)?;
        // Now that it is none, reads shall wait: io_uring would give up where others do not ask for the flag.
        let flags = rustix::fs::fcntl_getfl(&file.file).map_err(io::Error::from)?;
        rustix::fs::fcntl_setfl(&file.file, flags - rustix::fs::OFlags::NONBLOCK).map_err(io::Error::from)?;
        Ok(file)
    }

    /// A file that is open already, called `path`. Where it was read up to is neither asked nor changed.
    ///
    /// # Errors
    /// [`OpenError`] if it is no regular file.
    pub fn of(file: File, path: &Path, mode: Mode) -> Result<RegularFile, OpenError> {
        let metadata = file.metadata()?;
        check_regular(&metadata)?;
        Ok(RegularFile { path: path.to_owned(), file, metadata, mode })
    }

    /// What the file was like when it was opened.
    pub fn stamp(&self) -> Stamp {
        Stamp::of(&self.metadata)
    }

    /// The size in bytes, when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.metadata.len()
    }

    /// Reads the whole file into `bytes`, which are as many as it has.
    ///
    /// # Errors
    /// [`ChangeError`] if it was cut short or written to since it was opened, or the system fails.
    pub fn read(&self, bytes: &mut [u8]) -> Result<(), ChangeError> {
        let read = self.file.read_exact_at(bytes, 0);
        // What has happened to the file says more than that its end came too early.
        self.stamp().check(&self.file, self.mode)?;
        Ok(read?)
    }
}

/// What tells one content of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its size.
    pub len_bytes: u64,
    /// When it was last written to. `None` where the system does not know.
    pub modified: Option<SystemTime>,
}

impl Stamp {
    /// The stamp of the file that `metadata` is of.
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp { len_bytes: metadata.len(), modified: metadata.modified().ok() }
    }

    /// Whether `file` still has this stamp. One that is open for writing has as many bytes at least: its time
    /// changes with what is written through the map.
    pub(crate) fn check(&self, file: &File, mode: Mode) -> Result<(), ChangeError> {
        let found = Stamp::of(&file.metadata()?);
        let (expected_bytes, found_bytes) = (self.len_bytes, found.len_bytes);
        if found_bytes < expected_bytes {
            return Err(ChangeError::CutShort { expected_bytes, found_bytes });
        }
        match mode {
            Mode::CopyOnWrite | Mode::ReadOnly if found != *self => {
                Err(ChangeError::Rewritten { expected_bytes, found_bytes })
            }
            Mode::CopyOnWrite | Mode::ReadOnly | Mode::ReadWrite => Ok(()),
        }
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
    fn a_file_is_read_whole_whoever_opened_it() {
        let mut temporary = tempfile::NamedTempFile::new().unwrap();
        temporary.write_all(b"0123456789").unwrap();
        let opened = RegularFile::open(temporary.path(), Mode::default()).unwrap();
        let adopted =
            RegularFile::of(temporary.reopen().unwrap(), temporary.path(), Mode::default()).unwrap();
        for file in [opened, adopted] {
            let mut bytes = [0; 10];
            file.read(&mut bytes).unwrap();
            assert_eq!((&bytes, file.len_bytes()), (b"0123456789", 10));
            let beyond = file.read(&mut [0; 11]).unwrap_err();
            assert!(matches!(beyond, ChangeError::Io(why) if why.kind() == io::ErrorKind::UnexpectedEof));
        }
    }

    #[test]
    fn a_file_that_grew_is_another_unless_it_was_opened_to_be_written() {
        let mut temporary = tempfile::NamedTempFile::new().unwrap();
        temporary.write_all(b"0123456789").unwrap();
        let [read_only, read_write] =
            [Mode::ReadOnly, Mode::ReadWrite].map(|mode| RegularFile::open(temporary.path(), mode).unwrap());
        temporary.write_all(b"10").unwrap();
        let mut bytes = [0; 10];
        assert!(matches!(read_only.read(&mut bytes), Err(ChangeError::Rewritten { found_bytes: 12, .. })));
        read_write.read(&mut bytes).unwrap();
        temporary.as_file().set_len(9).unwrap();
        assert!(matches!(read_write.read(&mut bytes), Err(ChangeError::CutShort { found_bytes: 9, .. })));
    }

    #[test]
    fn directories_and_missing_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(RegularFile::open(folder.path(), Mode::default()), Err(OpenError::Directory)));
        let missing = RegularFile::open(&folder.path().join("none.npy"), Mode::default());
        assert!(matches!(missing, Err(OpenError::Io(e)) if e.kind() == io::ErrorKind::NotFound));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        assert!(matches!(
            RegularFile::open(Path::new("/dev/null"), Mode::default()),
            Err(OpenError::NotRegular)
        ));
    }
}
