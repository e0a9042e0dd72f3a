//! A file mapped into memory, copy-on-write.
//!
//! The map is private: writing to it changes the pages of this process and never the file. It reserves
//! no swap, so that a file larger than the machine's memory opens too.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};

use crate::{OpenError, RegularFile, Source};

/// A regular file, mapped whole and copy-on-write. Opening reads nothing.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    name: String,
    /// `None` for an empty file, which the system does not map.
    map: Option<MmapRaw>,
}

impl MappedFile {
    /// Maps a file that was opened.
    ///
    /// # Errors
    /// The system's own.
    pub fn new(file: RegularFile) -> Result<MappedFile, OpenError> {
        let RegularFile { path, file, metadata } = file;
        let map = if metadata.len() == 0 { None } else { Some(map_copy_on_write(&file)?) };
        Ok(MappedFile { name: path.display().to_string(), path, map })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Source for MappedFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> &[u8] {
        let Some(map) = &self.map else { return &[] };
        // SAFETY: the map is `len` readable bytes and lives as long as `self`. Its content may change
        // under the slice, by a writer of the file or of `memory()`; SAFETY.md, "memory that others
        // write", says why the engine bears that.
        unsafe { std::slice::from_raw_parts(map.as_ptr(), map.len()) }
    }

    fn memory(&self) -> Option<NonNull<[u8]>> {
        let map = self.map.as_ref()?;
        let start = NonNull::new(map.as_mut_ptr())?;
        Some(NonNull::slice_from_raw_parts(start, map.len()))
    }
}

fn map_copy_on_write(file: &File) -> io::Result<MmapRaw> {
    let mut options = MmapOptions::new();
    options.no_reserve_swap();
    // SAFETY: a private map of a regular file. That others may change or cut the file is the state of
    // every mapped file; SAFETY.md, "memory that others write", says what follows from it.
    unsafe { options.map_copy(file) }.map(MmapRaw::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn mapped(path: &Path) -> MappedFile {
        MappedFile::new(RegularFile::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_file_gives_its_bytes_and_its_path() {
        let file = file_of(b"0123456789");
        let source = mapped(file.path());
        assert_eq!(source.bytes(), b"0123456789");
        assert_eq!(source.path(), file.path());
        assert_eq!(source.name(), file.path().display().to_string());
    }

    #[test]
    fn an_empty_file_opens_as_no_bytes() {
        let file = file_of(b"");
        let source = mapped(file.path());
        assert_eq!(source.bytes(), b"");
        assert!(source.memory().is_none());
    }

    #[test]
    fn writing_to_the_memory_changes_later_reads_and_not_the_file() {
        let file = file_of(b"abc");
        let source = mapped(file.path());
        let start = source.memory().unwrap().cast::<u8>();
        // SAFETY: the first byte of a live, writable, private map that nobody reads meanwhile.
        unsafe { start.write(b'X') };
        assert_eq!(source.bytes(), b"Xbc");
        assert_eq!(std::fs::read(file.path()).unwrap(), b"abc");
    }
}
