//! Which way the bytes of a column come, and why: chosen when they are first asked for, and looked at again while
//! epochs run, since what lies in the system's page cache changes.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use npyfeed_io::reader::{IoPath, Refused, Uring};
use npyfeed_io::{Reach, ReadFile};

use crate::figures::{percent, share, size};

/// Which way the bytes of files come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Io {
    /// Chosen for each column by what of it lies in memory already and by what the system can, again and again.
    #[default]
    Auto,
    /// Through mapped pages.
    Map,
    /// By `pread`, through the system's page cache.
    Pread,
    /// By `io_uring`, past the page cache.
    Uring,
    /// Columns are read into memory as a whole when the loader is built.
    Memory,
}

impl Io {
    /// All of them, as users type them.
    pub const NAMES: [(&'static str, Io); 5] = [
        ("auto", Io::Auto),
        ("map", Io::Map),
        ("pread", Io::Pread),
        ("uring", Io::Uring),
        ("memory", Io::Memory),
    ];
}

/// A choice holds for so long.
const HOLDS: Duration = Duration::from_millis(500);

const SMALL_FILE: &str = "each sample is a small file, opened, read and closed";

/// A small file that takes longer comes from a disk: out of the page cache it takes a tenth of that, and
/// [`SLOW_BYTE`] for each byte, which is transformed in that time too.
const SLOW_FILE: Duration = Duration::from_micros(60);
const SLOW_BYTE: Duration = Duration::from_nanos(4);

/// With this share of its bytes in the page cache, a file is read through its map: there is nothing to wait for.
const WARM_SHARE: f64 = 0.95;

/// A file up to this share of the memory that this process may use is kept by the page cache for the next epoch.
const CACHED_SHARE: f64 = 0.5;

/// Where a column lies, and which way its bytes come by now.
#[derive(Debug)]
pub(crate) struct IoChoice {
    wish: Io,
    place: Lying,
    now: Mutex<Chosen>,
    /// Pieces of small files in a row that took long.
    slow_pieces: AtomicU32,
    /// Why no ring could be made after all.
    refused: OnceLock<Refused>,
}

/// Where the bytes of a column lie.
#[derive(Clone, Debug)]
pub(crate) enum Lying {
    /// In memory, or in files small enough to have been read when they were opened.
    Memory,
    /// In a map whose pages someone may have written to: its file may say something else.
    Map,
    /// In a map too: what is wanted of a file lies spread over so much of it that reading all in between takes more
    /// memory and time than it saves, as a row of an array in Fortran order does.
    Scattered,
    /// In some bytes of each of these files.
    Files(Arc<[FileSpan]>),
    /// Each row in a file of its own, which is opened, read and closed.
    SmallFiles,
    /// Each row in a file of its own, which is mapped.
    LargeFiles,
}

/// Some bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileSpan {
    pub(crate) file: Arc<ReadFile>,
    pub(crate) bytes: Range<u64>,
}

impl Lying {
    /// Where the parts of a column lie together: in their files, if that is where each lies.
    pub(crate) fn joined(parts: impl Iterator<Item = Lying>) -> Lying {
        let (mut spans, mut in_memory) = (Vec::new(), true);
        let mut in_files = true;
        for part in parts {
            in_memory &= matches!(part, Lying::Memory);
            match part {
                Lying::Files(files) => spans.extend_from_slice(&files),
                Lying::Memory | Lying::Map | Lying::Scattered | Lying::SmallFiles | Lying::LargeFiles => {
                    in_files = false;
                }
            }
        }
        match (in_files, in_memory) {
            (true, _) => Lying::Files(spans.into()),
            (false, true) => Lying::Memory,
            (false, false) => Lying::Map,
        }
    }

    /// Bytes in files, from the first to the last of each.
    pub(crate) fn len_bytes(&self) -> u64 {
        match self {
            Lying::Memory | Lying::Map | Lying::Scattered | Lying::SmallFiles | Lying::LargeFiles => 0,
            Lying::Files(spans) => spans.iter().map(|span| span.bytes.end - span.bytes.start).sum(),
        }
    }
}

#[derive(Clone, Debug)]
struct Chosen {
    path: IoPath,
    why: String,
    looked: Option<Instant>,
}

impl IoChoice {
    pub(crate) fn new(wish: Io, place: Lying) -> IoChoice {
        let place = if wish == Io::Memory { Lying::Memory } else { place };
        let now = Chosen { path: IoPath::Map, why: String::new(), looked: None };
        IoChoice {
            wish,
            place,
            now: Mutex::new(now),
            refused: OnceLock::new(),
            slow_pieces: AtomicU32::new(0),
        }
    }

    /// The files that they may be read from; none if they are not to be.
    pub(crate) fn files(&self) -> &[FileSpan] {
        match &self.place {
            Lying::Files(spans) => spans,
            Lying::Memory | Lying::Map | Lying::Scattered | Lying::SmallFiles | Lying::LargeFiles => &[],
        }
    }

    /// Whether the bytes are to be read from their file now: they do not lie where a kernel can take them.
    pub(crate) fn is_read(&self) -> bool {
        match &self.place {
            Lying::Memory | Lying::Map | Lying::Scattered | Lying::LargeFiles => false,
            Lying::Files(spans) => !spans.is_empty() && matches!(self.path(), IoPath::Pread | IoPath::Uring),
            Lying::SmallFiles => self.path() == IoPath::Uring,
        }
    }

    /// No ring could be made: it is not asked for again.
    pub(crate) fn refuse(&self, why: Refused) {
        // The first reason is as good as the second.
        drop(self.refused.set(why));
        self.lock().looked = None;
    }

    fn ring(&self) -> Result<(), Refused> {
        self.refused.get().map_or_else(Uring::probe, |why| Err(why.clone()))
    }

    /// The way that the bytes come now.
    pub(crate) fn path(&self) -> IoPath {
        self.current(&mut self.lock()).path
    }

    /// The way that the bytes come now, and why, for people.
    pub(crate) fn told(&self) -> String {
        // A child that was forked while a worker held the lock waits for nobody.
        let Ok(mut now) = self.now.try_lock() else { return "being chosen".to_owned() };
        let Chosen { path, why, .. } = self.current(&mut now);
        format!("{}: {why}", path.name())
    }

    /// What was chosen, if that still holds; else what is chosen now.
    fn current<'a>(&self, now: &'a mut Chosen) -> &'a Chosen {
        let is_fixed = !matches!((self.wish, &self.place), (Io::Auto, Lying::Files(_) | Lying::SmallFiles));
        if now.looked.is_none_or(|looked| !is_fixed && looked.elapsed() > HOLDS) {
            let (path, why) = self.choose();
            *now = Chosen { path, why, looked: Some(Instant::now()) };
        }
        now
    }

    fn lock(&self) -> MutexGuard<'_, Chosen> {
        // Each change is one assignment.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choose(&self) -> (IoPath, String) {
        let spans = match &self.place {
            Lying::Memory if self.wish == Io::Memory => {
                return (IoPath::Memory, "it was read when the loader was built, as asked for".to_owned());
            }
            Lying::Memory => {
                return (IoPath::Memory, "it lies in memory, as a file of at most 16 KiB does".to_owned());
            }
            Lying::Map => {
                let why =
                    "a column of an open array, which may have been written to in memory; give its path";
                return (IoPath::Map, why.to_owned());
            }
            Lying::Scattered => {
                let why =
                    "what is taken of a sample lies spread over the file; a copy in C order would be read";
                return (IoPath::Map, why.to_owned());
            }
            Lying::SmallFiles => return self.for_small_files(),
            Lying::LargeFiles => {
                let why = "each sample is a file above 1 MiB, which is mapped whatever is asked for; those used \
                           last stay open";
                return (IoPath::Map, why.to_owned());
            }
            Lying::Files(spans) => spans,
        };
        match self.wish {
            Io::Auto => self.by_residency(spans),
            Io::Map | Io::Memory => (IoPath::Map, "as asked for".to_owned()),
            Io::Pread => (IoPath::Pread, "as asked for".to_owned()),
            Io::Uring => self.uring_or_pread(spans, "as asked for"),
        }
    }

    /// One by one, which is fastest where the system has them in memory. Whether it has, only trying tells: if it took
    /// long, [`note_small_files`](IoChoice::note_small_files) says otherwise, for a while.
    fn for_small_files(&self) -> (IoPath, String) {
        match (self.wish, self.ring()) {
            (Io::Uring, Ok(())) => (IoPath::Uring, format!("{SMALL_FILE}, many at once, as asked for")),
            (Io::Uring, Err(refused)) => (IoPath::Pread, format!("{SMALL_FILE}; {refused}")),
            (Io::Auto | Io::Map | Io::Pread | Io::Memory, _) => (IoPath::Pread, SMALL_FILE.to_owned()),
        }
    }

    /// So many small files were read one by one in this time.
    pub(crate) fn note_small_files(&self, file_count: usize, file_bytes: usize, elapsed: Duration) {
        let each = elapsed.checked_div(u32::try_from(file_count).unwrap_or(u32::MAX)).unwrap_or_default();
        let slow = SLOW_FILE + SLOW_BYTE * u32::try_from(file_bytes).unwrap_or(u32::MAX);
        if self.wish != Io::Auto || each < slow {
            return self.slow_pieces.store(0, Ordering::Relaxed);
        }
        // Once, it may be a thread that had to wait for a processor.
        if self.slow_pieces.fetch_add(1, Ordering::Relaxed) == 0 || self.ring().is_err() {
            return;
        }
        let why = format!("{SMALL_FILE}, many at once: one took {} \u{b5}s", each.as_micros());
        *self.lock() = Chosen { path: IoPath::Uring, why, looked: Some(Instant::now()) };
    }

    /// Through the map what lies in memory already; else the way that the disk is fastest.
    fn by_residency(&self, spans: &[FileSpan]) -> (IoPath, String) {
        let total_bytes = spans.iter().map(|span| span.bytes.end - span.bytes.start).sum();
        let resident_bytes: Option<u64> =
            spans.iter().map(|span| span.file.resident_bytes(span.bytes.clone())).sum();
        let Some(resident_bytes) = resident_bytes else {
            return (IoPath::Map, "the system does not say what of it lies in the page cache".to_owned());
        };
        let resident = share(resident_bytes, total_bytes);
        let cached = format!("{} of its {} lie in the page cache", percent(resident), size(total_bytes));
        if resident >= WARM_SHARE {
            return (IoPath::Map, cached);
        }
        if let Some(system) =
            spans.iter().map(|span| span.file.file_system()).find(|system| system.reach == Reach::Network)
        {
            return self.uring_or_pread(spans, &format!("{cached}, which is far away, on {}", system.name));
        }
        let limit_bytes = npyfeed_io::memory_limit_bytes();
        if share(total_bytes, limit_bytes) <= CACHED_SHARE {
            return (IoPath::Pread, format!("{cached}, which has room for the rest"));
        }
        self.uring_or_pread(
            spans,
            &format!("{cached}, and memory of {} has no room for all", size(limit_bytes)),
        )
    }

    fn uring_or_pread(&self, spans: &[FileSpan], why: &str) -> (IoPath, String) {
        if let Err(refused) = self.ring() {
            return (IoPath::Pread, format!("{why}; {refused}"));
        }
        match spans.first().map(|span| span.file.direct()) {
            None | Some(Ok(_)) => (IoPath::Uring, why.to_owned()),
            Some(Err(refused)) => (IoPath::Uring, format!("{why}; through the page cache, {refused}")),
        }
    }
}
