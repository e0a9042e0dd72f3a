//! Many reads at once, by `io_uring`, past the page cache where the file system can.
//!
//! A range is read from the block that it begins in to the block that it ends in (`O_DIRECT` wants whole ones), into one
//! of a fixed number of buffers that the system knows beforehand. A whole file is opened, read and closed by three
//! linked entries, through the page cache: with many of them underway, the paths and inodes that are not cached are
//! waited for together. One that is cached is read at once. What fails there, or comes short, is read again by `pread` when its turn comes.

mod ring;

use std::collections::VecDeque;
use std::ffi::CString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use self::ring::{Ring, Step, Through};
use super::whole::read_whole_if_cached;
use super::{Arrival, IoPath, Place, ReadError, Reader, Refused, Request, read_plainly};
use crate::ReadFile;
use crate::read_file::BLOCK_BYTES;

const MIN_DEPTH: usize = 2;
const MAX_DEPTH: usize = 128;

/// Reads by `io_uring`.
pub struct Uring {
    ring: Ring,
    max_request_bytes: usize,
    /// What each slot of the ring is used for.
    tasks: Vec<Option<Task>>,
    free: Vec<u16>,
    /// Read and not delivered.
    ready: VecDeque<u16>,
    delivered: Option<u16>,
    /// For what has to be read plainly; empty until then.
    scratch: Vec<u8>,
}

/// A request, and what has come of it.
#[derive(Debug)]
struct Task {
    request: Request,
    /// Where in the file the buffer begins.
    start: u64,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// As many bytes are in the buffer.
    Read { read_bytes: usize },
    /// The ring could not, or was not asked.
    Plainly,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring")
            .field("ring", &self.ring)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl Uring {
    /// As much memory is used for buffers unless someone says otherwise.
    pub const BUDGET_BYTES: usize = 16 << 20;

    /// A ring of its own, for requests of up to `max_request_bytes`, with as many underway (2 to 128) as have buffers
    /// in `budget_bytes`.
    ///
    /// # Errors
    /// [`Refused`], which says why in a sentence.
    pub fn new(max_request_bytes: usize, budget_bytes: usize) -> Result<Uring, Refused> {
        // A ring that can be made and not be used is found out before anything depends on it.
        Uring::probe()?;
        // Up to a block before what is wanted, and up to one after it.
        let slot_bytes = max_request_bytes.next_multiple_of(BLOCK_BYTES) + 2 * BLOCK_BYTES;
        if u32::try_from(slot_bytes).is_err() {
            let reason = format!(
                "io_uring reads less than 4 GiB at once, found requests of {max_request_bytes} bytes"
            );
            return Err(Refused { reason });
        }
        let depth = (budget_bytes / slot_bytes).clamp(MIN_DEPTH, MAX_DEPTH);
        #[expect(clippy::cast_possible_truncation, reason = "at most `MAX_DEPTH`")]
        let depth = depth as u16;
        Ok(Uring {
            ring: Ring::new(depth, slot_bytes)?,
            max_request_bytes,
            tasks: (0..depth).map(|_| None).collect(),
            free: (0..depth).rev().collect(),
            ready: VecDeque::with_capacity(depth.into()),
            delivered: None,
            scratch: Vec::new(),
        })
    }

    /// Whether `io_uring` works here: asked once, by a small read.
    ///
    /// # Errors
    /// [`Refused`], which says why in a sentence.
    pub fn probe() -> Result<(), Refused> {
        static ANSWER: OnceLock<Result<(), Refused>> = OnceLock::new();
        // Asked twice at worst: who is forked while someone else asks waits for nobody.
        if let Some(answer) = ANSWER.get() {
            return answer.clone();
        }
        let answer = try_small_read();
        drop(ANSWER.set(answer.clone()));
        answer
    }

    /// Gives back the slot of what was delivered last.
    fn release(&mut self) {
        if let Some(slot) = self.delivered.take() {
            self.tasks[usize::from(slot)] = None;
            self.free.push(slot);
        }
    }

    /// Has the ring begin, and says what is known so far.
    fn start(&mut self, slot: u16, place: &Place) -> (u64, Outcome) {
        let untold = Outcome::Read { read_bytes: 0 };
        match place {
            Place::Range { bytes, .. } if bytes.is_empty() => (bytes.start, untold),
            Place::Range { file, bytes } => {
                let (through, window) = window(file, bytes);
                let start = window.start;
                self.ring.push_read(slot, file, through, window);
                (start, untold)
            }
            Place::Whole { path, limit_bytes } => (0, self.start_whole(slot, path, limit_bytes + 1)),
            Place::Held { .. } => (0, Outcome::Plainly),
        }
    }

    /// What is cached is read at once, which is less work than three entries and their completions are; the ring waits
    /// for the rest.
    fn start_whole(&mut self, slot: u16, path: &Path, len_bytes: usize) -> Outcome {
        if let Some(read_bytes) = read_whole_if_cached(path, &mut self.ring.buffer(slot)[..len_bytes]) {
            return Outcome::Read { read_bytes };
        }
        match CString::new(path.as_os_str().as_bytes()) {
            Ok(path) if self.ring.opens_files() => {
                self.ring.push_whole(slot, path, len_bytes);
                Outcome::Read { read_bytes: 0 }
            }
            Ok(_) | Err(_) => Outcome::Plainly,
        }
    }

    fn reap(&mut self) {
        let (tasks, ready) = (&mut self.tasks, &mut self.ready);
        self.ring.reap(|done| {
            let Some(task) = &mut tasks[usize::from(done.slot)] else { return };
            match (done.step, usize::try_from(done.result)) {
                (Step::Read, Ok(read_bytes)) => task.outcome = Outcome::Read { read_bytes },
                (Step::Read, Err(_)) => task.outcome = Outcome::Plainly,
                // If it was not opened, it was not read either.
                (Step::Open | Step::Close, _) => {}
            }
            if done.is_last {
                ready.push_back(done.slot);
            }
        });
    }

    /// The next slot whose request can be answered; waits for it.
    fn settled(&mut self) -> Option<u16> {
        loop {
            if self.ring.is_lost() {
                // Whatever the ring was asked for is read plainly.
                self.ready.clear();
                let slot = self.tasks.iter().position(Option::is_some)?;
                return u16::try_from(slot).ok();
            }
            if self.ready.is_empty() {
                self.reap();
            }
            if let Some(slot) = self.ready.pop_front() {
                return Some(slot);
            }
            if self.in_flight() == 0 {
                return None;
            }
            self.ring.wait();
        }
    }
}

impl Reader for Uring {
    fn io_path(&self) -> IoPath {
        IoPath::Uring
    }

    fn has_room(&self) -> bool {
        !self.free.is_empty() || self.delivered.is_some()
    }

    fn submit(&mut self, request: Request) {
        self.release();
        request.assert_fits(self.max_request_bytes);
        let slot = self.free.pop().expect("room for a request: see `has_room`");
        let (start, outcome) =
            if self.ring.is_lost() { (0, Outcome::Plainly) } else { self.start(slot, &request.place) };
        self.tasks[usize::from(slot)] = Some(Task { request, start, outcome });
        if self.ring.is_lost() {
            return;
        }
        if self.ring.is_settled(slot) {
            self.ready.push_back(slot);
        }
        // The rest goes with the next wait: a call of the system's is worth several reads of small things.
        if self.ring.unsubmitted() >= self.tasks.len() / 4 {
            self.ring.submit();
        }
    }

    fn next(&mut self) -> Option<Arrival<'_>> {
        self.release();
        let slot = self.settled()?;
        self.delivered = Some(slot);
        let task = self.tasks[usize::from(slot)].as_ref()?;
        let tag = task.request.tag;
        let found = if self.ring.is_lost() { None } else { in_buffer(task) };
        let bytes = match found {
            Some(range) => Ok(self.ring.bytes(slot, range)),
            None => plainly(&task.request.place, self.max_request_bytes, &mut self.scratch),
        };
        Some(Arrival { tag, bytes })
    }

    fn in_flight(&self) -> usize {
        self.tasks.len() - self.free.len() - usize::from(self.delivered.is_some())
    }
}

/// Where in its slot's buffer the bytes of a task are, if they are there.
fn in_buffer(task: &Task) -> Option<Range<usize>> {
    let Outcome::Read { read_bytes } = task.outcome else { return None };
    match &task.request.place {
        Place::Range { bytes, .. } => {
            let start = usize::try_from(bytes.start - task.start).ok()?;
            let end = usize::try_from(bytes.end - task.start).ok()?;
            (bytes.is_empty() || end <= read_bytes).then_some(start..end)
        }
        // A pipe without a writer looks empty too, and is found out plainly.
        Place::Whole { .. } => (read_bytes > 0).then_some(0..read_bytes),
        Place::Held { .. } => None,
    }
}

fn plainly<'a>(
    place: &'a Place,
    max_request_bytes: usize,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], ReadError> {
    if scratch.is_empty() && !matches!(place, Place::Held { .. }) {
        *scratch = vec![0; max_request_bytes + 1];
    }
    read_plainly(place, scratch)
}

/// What is read for `bytes`: whole blocks past the page cache, or just these through it.
fn window(file: &ReadFile, bytes: &Range<u64>) -> (Through, Range<u64>) {
    match file.direct() {
        Ok(direct) => {
            let start = bytes.start / direct.align_bytes * direct.align_bytes;
            (Through::Disk, start..bytes.end.next_multiple_of(direct.align_bytes))
        }
        Err(_) => (Through::PageCache, bytes.clone()),
    }
}

/// Reads something that every process may, to see what a sandbox refuses only then.
fn try_small_read() -> Result<(), Refused> {
    let path = Path::new("/proc/self/exe");
    let mut ring = Ring::new(2, 2 * BLOCK_BYTES)?;
    let cannot =
        |why: &dyn std::fmt::Display| Refused { reason: format!("io_uring cannot read a file here: {why}") };
    let regular = crate::RegularFile::open(path, crate::Mode::ReadOnly).map_err(|why| cannot(&why))?;
    let file = std::sync::Arc::new(ReadFile::new(regular));
    ring.push_read(0, &file, Through::PageCache, 0..16);
    let mut outcome = None;
    while outcome.is_none() {
        ring.wait();
        if ring.is_lost() {
            return Err(cannot(&"a ring can be made and not be entered"));
        }
        ring.reap(|done| outcome = Some(done.result));
    }
    match outcome {
        Some(16) => Ok(()),
        Some(_) | None => Err(cannot(&"this program's own file came short")),
    }
}
