//! Pieces whose bytes are on their way: what they want of files is sorted, brought together where it is near, and
//! read with many requests underway; as bytes arrive, slots are filled.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use npyfeed_io::reader::{InTurn, IoPath, Place, ReadAhead, ReadError, Reader, Request, Uring};
use slab::Slab;

use super::slots::Piece;
use crate::column_plan::{ColumnPlan, Unit};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::stats::{Counters, count, nanoseconds};

/// So much is wanted before it is sorted: the more, the more of it lies together.
const WINDOW_BYTES: usize = 16 << 20;

/// One request brings at least this much, where so much lies together: larger ones are not faster.
const REQUEST_BYTES: usize = 256 << 10;

/// Reading what nobody asked for, up to this much, is faster than one more request.
const GAP_BYTES: u64 = 16 << 10;

/// What one worker is reading.
#[derive(Debug)]
pub(super) struct Reading {
    plan: Arc<Plan>,
    counters: Arc<Counters>,
    reader: Option<Box<dyn Reader>>,
    /// Taken on, some bytes of each not there yet.
    pieces: Slab<Underway>,
    /// Filled, or failed, and not given back.
    finished: VecDeque<Underway>,
    /// Wanted and not yet sorted.
    wanted: Vec<Wanted>,
    wanted_bytes: usize,
    /// Sorted and not yet asked for.
    unsent: VecDeque<Extent>,
    /// Asked for, by tag.
    sent: Slab<Extent>,
    packed: Vec<u8>,
}

/// A piece, and how much of it is not filled.
#[derive(Debug)]
struct Underway {
    piece: Piece,
    unfilled: usize,
    /// What it is read from: columns, and which of their files.
    files: Vec<(usize, usize)>,
    error: Option<Error>,
}

/// Some bytes that a part of a slot is filled from.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    column: usize,
    /// Which file of the column, and where in it; in a small file, which is read as a whole, counted from the first
    /// element.
    part: usize,
    start: u64,
    len_bytes: usize,
    piece: usize,
    /// The place of the sample in its piece, and of the bytes in the sample.
    sample: usize,
    unit: Unit,
}

/// Neighbouring bytes of one file, and who wants them.
#[derive(Debug)]
struct Extent {
    column: usize,
    part: usize,
    bytes: Range<u64>,
    wanted: Vec<Wanted>,
}

impl Reading {
    pub(super) fn new(plan: &Arc<Plan>, counters: &Arc<Counters>) -> Reading {
        Reading {
            plan: Arc::clone(plan),
            counters: Arc::clone(counters),
            reader: None,
            pieces: Slab::new(),
            finished: VecDeque::new(),
            wanted: Vec::new(),
            wanted_bytes: 0,
            unsent: VecDeque::new(),
            sent: Slab::new(),
            packed: Vec::new(),
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.pieces.is_empty() && self.finished.is_empty()
    }

    /// Whether more pieces would keep the disk busier.
    pub(super) fn has_room(&self) -> bool {
        self.wanted_bytes < WINDOW_BYTES && self.unsent.is_empty()
    }

    /// Whether a piece waits to be given back.
    pub(super) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// The first of the batches that pieces on their way are of.
    pub(super) fn first_batch(&self) -> Option<u64> {
        let underway = self.pieces.iter().map(|(_, underway)| underway);
        underway.chain(&self.finished).map(|underway| underway.piece.batch()).min()
    }

    /// Takes on a piece of which these columns are read from their files; `place_of` says in which file of
    /// a column, and where in it, what is taken of a sample of the piece begins. Gives the piece back if nothing is to
    /// be read.
    pub(super) fn take_on(
        &mut self,
        piece: Piece,
        columns: &[usize],
        place_of: impl Fn(&ColumnPlan, usize) -> (usize, u64),
    ) -> Option<Piece> {
        let (place, before) = (self.pieces.vacant_key(), self.wanted.len());
        for &column in columns {
            let plan = &self.plan.columns[column];
            for sample in 0..piece.samples().len() {
                let (part, sample_start) = place_of(plan, sample);
                for (unit, bytes) in plan.wanted_units(piece.portion()) {
                    let (start, len_bytes) = (sample_start + bytes.start as u64, bytes.len());
                    self.wanted_bytes += len_bytes;
                    self.wanted.push(Wanted { column, part, start, len_bytes, piece: place, sample, unit });
                }
            }
        }
        let unfilled = self.wanted.len() - before;
        if unfilled == 0 {
            return Some(piece);
        }
        let mut files: Vec<_> =
            self.wanted[before..].iter().map(|wanted| (wanted.column, wanted.part)).collect();
        files.sort_unstable();
        files.dedup();
        self.pieces.insert(Underway { piece, unfilled, files, error: None });
        None
    }

    /// Waits for bytes and fills what they are for, until a piece is done with.
    ///
    /// # Panics
    /// If none is on its way.
    pub(super) fn next_done(&mut self) -> (Piece, Result<()>) {
        loop {
            if let Some(done) = self.finished.pop_front() {
                let read = done.error.map_or(Ok(()), Err).and_then(|()| check(&self.plan, &done.files));
                return (done.piece, read);
            }
            let begin = Instant::now();
            self.send();
            count(&self.counters.read_ns, nanoseconds(begin.elapsed()));
            self.receive();
        }
    }

    /// Asks for as much as the reader has room for.
    fn send(&mut self) {
        if self.unsent.is_empty() && !self.wanted.is_empty() {
            self.unsent = neighbours(&mut self.wanted, self.plan.request_bytes(REQUEST_BYTES) as u64);
            self.wanted_bytes = 0;
            self.choose_reader();
        }
        let Some(reader) = &mut self.reader else { return };
        while reader.has_room() {
            let Some(extent) = self.unsent.pop_front() else { return };
            let place = extent.place(&self.plan.columns[extent.column]);
            let tag = self.sent.insert(extent);
            reader.submit(Request { tag: tag as u64, place });
        }
    }

    /// A reader of the kind that the columns are to be read by, unless the one at hand is busy.
    fn choose_reader(&mut self) {
        let wanted = self.unsent.iter().map(|extent| self.plan.columns[extent.column].choice.path());
        let io_path = wanted.max_by_key(|&path| path == IoPath::Uring).unwrap_or(IoPath::Pread);
        if self.reader.as_ref().is_some_and(|reader| reader.io_path() == io_path || reader.in_flight() > 0) {
            return;
        }
        let request_bytes = self.plan.request_bytes(REQUEST_BYTES);
        let ring = (io_path == IoPath::Uring).then(|| Uring::new(request_bytes, Uring::BUDGET_BYTES));
        self.reader = Some(match ring {
            Some(Ok(ring)) => Box::new(ring),
            Some(Err(refused)) => {
                self.plan.columns.iter().for_each(|column| column.choice.refuse(refused.clone()));
                Box::new(InTurn::pread(request_bytes, ReadAhead::Asked))
            }
            None => Box::new(InTurn::pread(request_bytes, ReadAhead::Asked)),
        });
    }

    /// Waits for some bytes and fills what they are for.
    fn receive(&mut self) {
        let begin = Instant::now();
        let arrival = self.reader.as_mut().and_then(|reader| reader.next()).expect("bytes on their way");
        count(&self.counters.read_ns, nanoseconds(begin.elapsed()));
        let extent = self.sent.remove(usize::try_from(arrival.tag).expect("a tag of ours"));
        let begin = Instant::now();
        let column = &self.plan.columns[extent.column];
        let (bytes, failed) = match arrival.bytes {
            Ok(bytes) => (bytes, None),
            Err(why) => (&[][..], Some(unreadable(column, extent.part, why))),
        };
        for wanted in &extent.wanted {
            let underway = &mut self.pieces[wanted.piece];
            if let Some(error) = &failed {
                underway.error.get_or_insert_with(|| error.again());
            } else if column.rows.files().is_some() {
                underway.fill_from_file(column, wanted, bytes, &mut self.packed);
            } else {
                underway.fill(column, wanted, wanted.within(&extent, bytes), &mut self.packed);
            }
            underway.unfilled -= 1;
            if underway.unfilled == 0 {
                self.finished.push_back(self.pieces.remove(wanted.piece));
            }
        }
        count(&self.counters.fill_ns, nanoseconds(begin.elapsed()));
    }
}

impl Extent {
    /// Where the bytes are.
    fn place(&self, column: &ColumnPlan) -> Place {
        match column.rows.files() {
            None => {
                let file = Arc::clone(&column.choice.files()[self.part].file);
                Place::Range { file, bytes: self.bytes.clone() }
            }
            Some(files) => {
                Place::Whole { path: files.path(self.part).into(), limit_bytes: files.file_bytes() }
            }
        }
    }
}

impl Wanted {
    /// The bytes wanted, of those of the extent.
    #[expect(clippy::cast_possible_truncation, reason = "within a request, which lies in memory")]
    fn within<'a>(&self, extent: &Extent, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[(self.start - extent.bytes.start) as usize..][..self.len_bytes]
    }
}

impl Underway {
    /// Fills what `wanted` is for.
    fn fill(&mut self, column: &ColumnPlan, wanted: &Wanted, source: &[u8], packed: &mut Vec<u8>) {
        let sample_count = self.piece.samples().len();
        let slots = self.piece.slots_mut(wanted.column);
        let slot_bytes = slots.len() / sample_count;
        let slot = &mut slots[wanted.sample * slot_bytes..][..slot_bytes];
        column.fill_unit(wanted.unit, source, slot, packed);
    }

    /// Fills what `wanted` is for from the bytes of a small file; looks at the file itself if it does not begin as the
    /// first one does.
    fn fill_from_file(&mut self, column: &ColumnPlan, wanted: &Wanted, bytes: &[u8], packed: &mut Vec<u8>) {
        let files = column.rows.files().expect("a column of files");
        let start = usize::try_from(wanted.start).expect("within a row, which lies in memory");
        let within = start..start + wanted.len_bytes;
        if let Some(row) = files.settled_elements(wanted.part, bytes) {
            return self.fill(column, wanted, &row[within], packed);
        }
        let fill = |row: &[u8]| self.fill(column, wanted, &row[within], packed);
        if let Err(error) = files.with_row(wanted.part as u64, &mut Vec::new(), fill) {
            self.error.get_or_insert(named(column, error));
        }
    }
}

/// Brings together what lies near each other in one file, into requests of at most `request_bytes`, in the order in
/// which it lies. Nothing is left in `wanted`.
fn neighbours(wanted: &mut Vec<Wanted>, request_bytes: u64) -> VecDeque<Extent> {
    wanted.sort_unstable_by_key(|wanted| (wanted.column, wanted.part, wanted.start));
    let mut extents: VecDeque<Extent> = VecDeque::new();
    for wanted in wanted.drain(..) {
        let end = wanted.start + wanted.len_bytes as u64;
        match extents.back_mut() {
            Some(last)
                if (last.column, last.part) == (wanted.column, wanted.part)
                    && wanted.start <= last.bytes.end + GAP_BYTES
                    && end.saturating_sub(last.bytes.start) <= request_bytes =>
            {
                last.bytes.end = last.bytes.end.max(end);
                last.wanted.push(wanted);
            }
            Some(_) | None => {
                let Wanted { column, part, start, .. } = wanted;
                extents.push_back(Extent { column, part, bytes: start..end, wanted: vec![wanted] });
            }
        }
    }
    extents
}

/// Whether the files are those that were opened. Those that were read as a whole have been asked.
fn check(plan: &Plan, files: &[(usize, usize)]) -> Result<()> {
    files.iter().try_for_each(|&(column, part)| {
        let column = &plan.columns[column];
        match column.choice.files().get(part) {
            None => Ok(()),
            Some(span) => span.file.check().map_err(|why| unreadable(column, part, ReadError::Change(why))),
        }
    })
}

fn unreadable(column: &ColumnPlan, part: usize, why: ReadError) -> Error {
    let path = match column.rows.files() {
        Some(files) => files.path(part),
        None => column.choice.files()[part].file.path(),
    };
    let error = match why {
        ReadError::Change(why) => Error::changed(&path.display().to_string(), why).on(path),
        ReadError::Open(why) => Error::cannot_open(path, why),
    };
    named(column, error)
}

fn named(column: &ColumnPlan, error: Error) -> Error {
    error.while_doing(&format!("column '{}'", column.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(column: usize, start: u64, len_bytes: usize) -> Wanted {
        Wanted { column, part: 0, start, len_bytes, piece: 0, sample: 0, unit: Unit::All { portion: 0 } }
    }

    #[test]
    fn what_lies_near_is_read_together_and_what_lies_far_apart() {
        let far = 1000 + GAP_BYTES + 1;
        let mut all = vec![wanted(0, far, 10), wanted(1, 0, 5), wanted(0, 0, 1000), wanted(0, 400, 100)];
        let extents = neighbours(&mut all, 1 << 20);
        let found = extents.iter().map(|extent| (extent.column, extent.bytes.clone(), extent.wanted.len()));
        assert_eq!(found.collect::<Vec<_>>(), [(0, 0..1000, 2), (0, far..far + 10, 1), (1, 0..5, 1)]);
        assert!(all.is_empty());
    }

    #[test]
    fn no_request_is_larger_than_agreed_unless_one_sample_is() {
        let mut all: Vec<Wanted> = (0..10).map(|row| wanted(0, row * 100, 100)).collect();
        let extents = neighbours(&mut all, 350);
        assert_eq!(extents.iter().map(|extent| extent.wanted.len()).collect::<Vec<_>>(), [3, 3, 3, 1]);
    }
}
