//! How much of a file is in memory already, so that reading it asks no disk.
//!
//! Linux answers by `cachestat` (6.5 and newer), which counts pages without touching any. Elsewhere, and on file
//! systems whose pages belong to another one (overlay), a map of the range is asked by `mincore`. Neither system call
//! says what others have in memory: of a file that this user may not write, `mincore` would call all resident and
//! `cachestat` refuses, so the answer is unknown.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use memmap2::{MmapOptions, MmapRaw};

use crate::file_system::FileSystem;

/// How many of the bytes `range` of `file` are in memory, rounded out to pages and no more than there are. `None` if
/// the system does not say.
pub(crate) fn resident_bytes(file: &File, range: Range<u64>) -> Option<u64> {
    if range.is_empty() {
        return Some(0);
    }
    let asked_bytes = range.end - range.start;
    let counted = match FileSystem::of(file).name {
        "overlay" => None,
        _ => cached_pages(file, &range),
    };
    let pages = match counted {
        Some(pages) => pages,
        None => mapped_pages(file, &range)?,
    };
    Some(pages.saturating_mul(page_bytes()?).min(asked_bytes))
}

/// What `cachestat` takes and gives; libc has neither yet on every target.
#[cfg(target_os = "linux")]
#[repr(C)]
#[derive(Default)]
struct CachestatRange {
    offset: u64,
    len_bytes: u64,
}

/// All counts are of pages.
#[cfg(target_os = "linux")]
#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

#[cfg(target_os = "linux")]
fn cached_pages(file: &File, range: &Range<u64>) -> Option<u64> {
    use std::os::fd::AsRawFd;

    /// The same on every architecture but alpha.
    const CACHESTAT: libc::c_long = 451;
    let asked = CachestatRange { offset: range.start, len_bytes: range.end - range.start };
    let mut found = Cachestat::default();
    // SAFETY: both structs are laid out as the kernel's (cachestat(2)) and live through the call, which reads the
    // one and writes the other. A kernel without the call says so.
    let failed = unsafe {
        libc::syscall(
            CACHESTAT,
            file.as_raw_fd(),
            std::ptr::from_ref(&asked),
            std::ptr::from_mut(&mut found),
            0_u32,
        )
    };
    (failed == 0).then_some(found.cached)
}

#[cfg(not(target_os = "linux"))]
fn cached_pages(_: &File, _: &Range<u64>) -> Option<u64> {
    None
}

/// The pages of `range` that `mincore` calls resident.
fn mapped_pages(file: &File, range: &Range<u64>) -> Option<u64> {
    if !is_told(&file.metadata().ok()?) {
        return None;
    }
    let page_bytes = page_bytes()?;
    let start = range.start / page_bytes * page_bytes;
    let map = map_unread(file, start..range.end).ok()?;
    let page_count = map.len().div_ceil(usize::try_from(page_bytes).ok()?);
    let mut pages = vec![0_u8; page_count];
    // SAFETY: the map lives through the call, starts at a page, and `pages` has a byte for each page of it. The last
    // argument is of another type on each system, a pointer to bytes on all.
    let failed = unsafe { libc::mincore(map.as_mut_ptr().cast(), map.len(), pages.as_mut_ptr().cast()) };
    // The other bits are reserved.
    (failed == 0).then(|| pages.iter().filter(|&&page| page & 1 == 1).count() as u64)
}

/// A map whose bytes nobody looks at.
fn map_unread(file: &File, range: Range<u64>) -> io::Result<MmapRaw> {
    let len = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // SAFETY: no byte of the map is ever read or written, so it does not matter what others do to the file.
    let map =
        unsafe { MmapOptions::new().no_reserve_swap().offset(range.start).len(len).map_copy_read_only(file) };
    map.map(MmapRaw::from)
}

/// Whether this process is told which pages of a file are in memory: its owner is, and root. (Whoever may write it is
/// too, which is not worth asking.)
fn is_told(metadata: &Metadata) -> bool {
    // SAFETY: asks for a number, and always succeeds.
    let user = unsafe { libc::geteuid() };
    user == 0 || user == metadata.uid()
}

fn page_bytes() -> Option<u64> {
    // SAFETY: asks for a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok().filter(|&bytes| bytes > 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn both_ways_count_the_same_pages() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 300_000]).unwrap();
        let page_bytes = page_bytes().unwrap();
        for range in [0_u64..300_000, 5000..123_456, 299_999..300_000] {
            let pages = range.end.div_ceil(page_bytes) - range.start / page_bytes;
            assert_eq!(mapped_pages(&file, &range), Some(pages));
            match cached_pages(&file, &range) {
                Some(counted) => assert_eq!(counted, pages),
                None => eprintln!("not run: this kernel has no cachestat"),
            }
            assert_eq!(resident_bytes(&file, range.clone()), Some(range.end - range.start));
        }
        assert_eq!(resident_bytes(&file, 5..5), Some(0));
    }

    #[test]
    fn a_hole_that_nobody_has_read_is_not_in_memory() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        assert_eq!(resident_bytes(&file, 0..1 << 20), Some(0));
        assert_eq!(mapped_pages(&file, &(0..1 << 20)), Some(0));
    }
}
