//! A file mapped into memory.
//!
//! Unless asked for [`Mode::ReadWrite`], the map is private: writing to it changes the pages of this process
//! and never the file. It reserves no swap, so that a file larger than the machine's memory opens too.
//!
//! # When the file changes
//!
//! | what someone does to the file | bytes read from then on | `check` |
//! |---|---|---|
//! | another file is renamed over it; it is unlinked or renamed | those that were opened | passes |
//! | its permissions, owner or access time change | those that were opened | passes |
//! | it is cut short | zeros where bytes are missing | fails |
//! | it is written to in place (`np.save` to the same path), or appended to | old or new, page by page | fails |
//! | its modification time is set (`touch`) | those that were opened | fails, out of caution |
//! | a page cannot be read from the disk | zeros in that page | fails |
//!
//! Size and *modification* time tell: the time of the last status change (ctime) also moves when a file
//! is renamed, replaced or given other permissions, none of which touches its bytes. Not noticed: a
//! change of the same size after which someone sets the modification time back, one through a shared map
//! that has not been written back yet, and, before Linux 6.13, one within the tick of the clock (1 to
//! 10 ms) in which the opened bytes were written. In a file opened to be written, only what is missing is
//! noticed: its modification time changes with every write, our own among them. What is then written to the
//! missing part reaches no file, nor does what is written where a sparse file has no block and the disk no room
//! for one: `flush` fails, and so does `check` from then on.

use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};

use crate::guard::Guard;
use crate::{ChangeError, Mode, OpenError, ReadFile, RegularFile, Source};

/// A regular file, mapped whole. Mapping reads nothing.
#[derive(Debug)]
pub struct MappedFile {
    name: String,
    /// `None` for an empty file, which the system does not map. Fields are dropped in their order: the
    /// guard before what it watches.
    map: Option<Guarded>,
    /// Open as long as the map, so that a change is noticed under whatever name the file has by then.
    file: Arc<ReadFile>,
}

#[derive(Debug)]
struct Guarded {
    guard: Guard,
    map: MmapRaw,
}

impl MappedFile {
    /// Maps a file that was opened.
    ///
    /// # Errors
    /// The system's own.
    pub fn new(file: RegularFile) -> Result<MappedFile, OpenError> {
        let file = Arc::new(ReadFile::new(file));
        let len_bytes = file.len_bytes();
        let map =
            if len_bytes == 0 { None } else { Some(Guarded::new(file.file(), len_bytes, file.mode())?) };
        Ok(MappedFile { name: file.path().display().to_string(), map, file })
    }
}

impl Source for MappedFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> &[u8] {
        let Some(Guarded { map, .. }) = &self.map else { return &[] };
        // SAFETY: the map is `len` readable bytes and lives as long as `self`. Its content may change
        // under the slice, by a writer of the file or of `memory()`; SAFETY.md, "memory that others
        // write", says why the engine bears that.
        unsafe { std::slice::from_raw_parts(map.as_ptr(), map.len()) }
    }

    fn check(&self) -> Result<(), ChangeError> {
        // What was read before is read before.
        fence(Ordering::SeqCst);
        self.file.check()?;
        let expected_bytes = self.file.len_bytes();
        if self.map.as_ref().is_some_and(|map| map.guard.is_damaged()) {
            return Err(ChangeError::Missing { expected_bytes });
        }
        Ok(())
    }

    fn memory(&self) -> Option<NonNull<[u8]>> {
        let Guarded { map, .. } = self.map.as_ref().filter(|_| self.file.mode() != Mode::ReadOnly)?;
        let start = NonNull::new(map.as_mut_ptr())?;
        Some(NonNull::slice_from_raw_parts(start, map.len()))
    }

    fn flush(&self) -> Result<(), ChangeError> {
        match (&self.map, self.file.mode()) {
            (Some(Guarded { map, .. }), Mode::ReadWrite) => {
                map.flush()?;
                // Zeros of our own lie where a write met no room: the system does not know them.
                self.check()
            }
            (Some(_) | None, Mode::CopyOnWrite | Mode::ReadOnly | Mode::ReadWrite) => Ok(()),
        }
    }

    fn file(&self) -> Option<(&Arc<ReadFile>, u64)> {
        match self.file.mode() {
            Mode::ReadOnly => Some((&self.file, 0)),
            Mode::CopyOnWrite | Mode::ReadWrite => None,
        }
    }

    fn forget_resident(&self) {
        let Some((Guarded { map, .. }, Mode::ReadOnly)) =
            self.map.as_ref().map(|map| (map, self.file.mode()))
        else {
            return;
        };
        // SAFETY: the map is private and nobody could write to it, so no page is lost that the file does not have:
        // a slice of it reads the file's bytes again, or zeros where the guard put them, which were marked then.
        let _granted = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
    }
}

impl Guarded {
    fn new(file: &File, len_bytes: u64, mode: Mode) -> io::Result<Guarded> {
        let map = map_file(file, len_bytes, mode)?;
        Ok(Guarded { guard: Guard::watch(&map, file)?, map })
    }
}

fn map_file(file: &File, len_bytes: u64, mode: Mode) -> io::Result<MmapRaw> {
    let mut options = MmapOptions::new();
    options.no_reserve_swap();
    // The length that was seen when the file was opened: whatever is made of the map was checked against it.
    options.len(usize::try_from(len_bytes).map_err(|_| io::ErrorKind::OutOfMemory)?);
    match mode {
        // SAFETY: a private map of a regular file. That others may change or cut the file is the state of
        // every mapped file; SAFETY.md, "memory that others write", says what follows from it.
        Mode::CopyOnWrite => unsafe { options.map_copy(file) }.map(MmapRaw::from),
        // SAFETY: as above.
        Mode::ReadOnly => unsafe { options.map_copy_read_only(file) }.map(MmapRaw::from),
        // A shared one: what is written to it reaches the file, which is what its user asked for.
        Mode::ReadWrite => options.map_raw(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::path::Path;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn opened(path: &Path, mode: Mode) -> MappedFile {
        MappedFile::new(RegularFile::open(path, mode).unwrap()).unwrap()
    }

    fn mapped(path: &Path) -> MappedFile {
        opened(path, Mode::CopyOnWrite)
    }

    #[test]
    fn a_file_gives_its_bytes_and_its_name() {
        let file = file_of(b"0123456789");
        let source = mapped(file.path());
        assert_eq!(source.bytes(), b"0123456789");
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

    #[test]
    fn what_is_written_to_a_file_opened_to_be_written_is_in_the_file() {
        let file = file_of(b"abc");
        let source = opened(file.path(), Mode::ReadWrite);
        let start = source.memory().unwrap().cast::<u8>();
        // SAFETY: the first byte of a live, writable map that nobody reads meanwhile.
        unsafe { start.write(b'X') };
        source.flush().unwrap();
        source.check().unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"Xbc");
        file.as_file().set_len(2).unwrap();
        assert!(matches!(source.check(), Err(ChangeError::CutShort { .. })));
    }

    #[test]
    fn a_file_opened_to_be_read_lends_no_memory_to_write() {
        let file = file_of(b"abc");
        let source = opened(file.path(), Mode::ReadOnly);
        assert_eq!(source.bytes(), b"abc");
        assert!(source.memory().is_none());
    }

    #[test]
    fn only_bytes_that_nobody_can_have_written_to_are_those_of_the_file() {
        let file = file_of(b"abc");
        let source = opened(file.path(), Mode::ReadOnly);
        let (behind, offset) = source.file().unwrap();
        assert_eq!((behind.path(), behind.len_bytes(), offset), (file.path(), 3, 0));
        for mode in [Mode::CopyOnWrite, Mode::ReadWrite] {
            assert!(opened(file.path(), mode).file().is_none());
        }
    }

    #[test]
    fn forgetting_pages_loses_nothing_that_was_written() {
        let file = file_of(&vec![1; 1 << 20]);
        for mode in [Mode::CopyOnWrite, Mode::ReadOnly, Mode::ReadWrite] {
            let source = opened(file.path(), mode);
            let mut expected = std::fs::read(file.path()).unwrap();
            if let Some(memory) = source.memory() {
                // SAFETY: the first byte of a live, writable map that nobody reads meanwhile.
                unsafe { memory.cast::<u8>().write(b'X') };
                expected[0] = b'X';
            }
            source.forget_resident();
            assert!(source.bytes() == expected, "{mode:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn pages_that_were_forgotten_are_not_ours_any_more() {
        /// `Rss` of the map at `address`, in `proc_pid_smaps(5)`.
        fn resident_kibibytes(address: usize) -> String {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let from = maps.find(&format!("\n{address:x}-")).unwrap();
            let line = maps[from..].lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
            line.trim().to_owned()
        }
        let file = file_of(&vec![1; 1 << 20]);
        let source = opened(file.path(), Mode::ReadOnly);
        assert!(source.bytes().iter().all(|&byte| byte == 1));
        let address = source.bytes().as_ptr().addr();
        assert_eq!(resident_kibibytes(address), "1024 kB");
        source.forget_resident();
        assert_eq!(resident_kibibytes(address), "0 kB");
        assert!(source.bytes().iter().all(|&byte| byte == 1));
        source.check().unwrap();
    }

    #[cfg(target_os = "linux")]
    mod changed {
        use super::*;
        use std::fs::Permissions;
        use std::io::Seek;
        use std::os::unix::fs::PermissionsExt;
        use std::time::Duration;

        /// No page is larger than this on a machine that we know.
        const PAGES: usize = 1 << 16;

        fn ones(len_bytes: usize) -> (tempfile::NamedTempFile, MappedFile) {
            let file = file_of(&vec![1; len_bytes]);
            let source = mapped(file.path());
            source.check().unwrap();
            (file, source)
        }

        #[test]
        fn a_file_cut_short_reads_as_zeros_and_says_so() {
            let (file, source) = ones(10 * PAGES);
            let (_other, neighbour) = ones(10 * PAGES);
            file.as_file().set_len(PAGES as u64).unwrap();
            let (kept, lost) = source.bytes().split_at(PAGES);
            assert!(kept.iter().all(|&byte| byte == 1));
            // One fault brings zeros for all that is lost, on both sides.
            assert_eq!((lost[5 * PAGES], lost[0]), (0, 0));
            assert!(lost.iter().all(|&byte| byte == 0));
            let (expected_bytes, found_bytes) = (10 * PAGES as u64, PAGES as u64);
            assert!(
                matches!(source.check(), Err(ChangeError::CutShort { expected_bytes: e, found_bytes: f })
                if (e, f) == (expected_bytes, found_bytes))
            );
            neighbour.check().unwrap();
            assert!(neighbour.bytes().iter().all(|&byte| byte == 1));
            // The zeros stay, so the mark does, even if the file is made whole.
            file.as_file().set_len(expected_bytes).unwrap();
            file.as_file().set_modified(source.file.opened.modified.unwrap()).unwrap();
            assert!(matches!(source.check(), Err(ChangeError::Missing { .. })));
        }

        #[test]
        fn many_threads_bear_the_same_loss() {
            let (file, source) = ones(64 * PAGES);
            file.as_file().set_len(0).unwrap();
            std::thread::scope(|scope| {
                for thread in 0..8 {
                    let source = &source;
                    scope.spawn(move || {
                        for place in (0..64).map(|n| (n * 29 + thread * 7) % 64 * PAGES) {
                            assert_eq!(source.bytes()[place], 0);
                            source.check().unwrap_err();
                        }
                    });
                }
            });
        }

        #[test]
        fn writing_in_place_is_noticed_even_without_a_change_of_size() {
            let (mut file, source) = ones(100);
            let before = source.file.opened.modified.unwrap() - Duration::from_secs(1);
            file.as_file().set_modified(before).unwrap();
            let source = mapped(file.path());
            source.check().unwrap();
            file.rewind().unwrap();
            file.write_all(&[2; 100]).unwrap();
            assert!(matches!(source.check(), Err(ChangeError::Rewritten { .. })));
            file.write_all(&[2]).unwrap();
            assert!(matches!(source.check(), Err(ChangeError::Rewritten { found_bytes: 101, .. })));
        }

        #[test]
        fn what_does_not_touch_the_bytes_is_no_change() {
            let (file, source) = ones(PAGES);
            std::fs::set_permissions(file.path(), Permissions::from_mode(0o400)).unwrap();
            std::fs::read(file.path()).unwrap();
            let replacement = file_of(&[2; 10]);
            std::fs::rename(replacement.path(), file.path()).unwrap();
            source.check().unwrap();
            std::fs::remove_file(file.path()).unwrap();
            source.check().unwrap();
            assert!(source.bytes().iter().all(|&byte| byte == 1));
        }

        #[test]
        fn a_file_that_is_no_longer_mapped_is_no_longer_watched() {
            let file = file_of(&[1; 10]);
            for _ in 0..10_000 {
                let source = mapped(file.path());
                assert_eq!(source.bytes()[9], 1);
            }
            let source = mapped(file.path());
            let address = source.bytes().as_ptr().addr();
            assert!(crate::guard::is_watched(address));
            drop(source);
            assert!(!crate::guard::is_watched(address));
        }
    }
}
