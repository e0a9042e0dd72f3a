//! From a range of positions to filled slots: order → rows → bytes → kernel → slot.

use std::sync::Arc;
use std::time::Instant;

use npyfeed_kernel::prefetch;
use npyfeed_sampler::{Batches, Draws, EpochOrder};

use super::reading::Reading;
use super::slots::Piece;
use crate::column_plan::ColumnPlan;
use crate::error::Result;
use crate::plan::Plan;
use crate::rows::{Files, Rows};
use crate::stats::{Counters, count, nanoseconds};

/// So many samples ahead of the one being filled the CPU is asked to fetch, at least: enough that small samples,
/// which take tens of nanoseconds each, have arrived from memory when their turn comes.
const SAMPLES_AHEAD: usize = 8;

/// Of very small samples, so many bytes ahead.
const AHEAD_BYTES: usize = 512;

/// What a worker needs to fill pieces of one epoch. Each has its own; what is long is shared.
#[derive(Clone)]
pub(super) struct Filler {
    plan: Arc<Plan>,
    counters: Arc<Counters>,
    batches: Batches,
    order: EpochOrder,
    draws: Draws,
    samples: Vec<u64>,
    rows: Vec<u64>,
    scratch: Scratch,
}

/// Memory of a worker, used again for each sample.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// The elements of a sample, brought together.
    packed: Vec<u8>,
    /// A file.
    file: Vec<u8>,
}

/// The samples to be filled, in the order of their slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen<'a> {
    /// Their indices in the dataset.
    pub(crate) samples: &'a [u64],
    /// The rows of the columns that they are.
    pub(crate) rows: &'a [u64],
    /// What random transforms draw in this epoch.
    pub(crate) draws: Draws,
}

impl Filler {
    pub(super) fn new(
        plan: &Arc<Plan>,
        counters: &Arc<Counters>,
        batches: Batches,
        (seed, epoch): (u64, u64),
    ) -> Filler {
        let (order, draws) = (plan.order(seed, epoch), Draws::new(seed, epoch));
        let (plan, counters) = (Arc::clone(plan), Arc::clone(counters));
        Filler {
            plan,
            counters,
            batches,
            order,
            draws,
            samples: Vec::new(),
            rows: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// What a worker reads by.
    pub(super) fn reading(&self) -> Reading {
        Reading::new(&self.plan, &self.counters)
    }

    /// Fills the slots of the piece from what lies in memory, or in maps, and gives the piece back; unless some of
    /// its columns are to be read from their files: then `reading` takes it on.
    ///
    /// With it goes the error, if a file is no longer what was opened: the slots may hold zeros then, or bytes of two versions.
    pub(super) fn fill(&mut self, mut piece: Piece, reading: &mut Reading) -> Option<(Piece, Result<()>)> {
        let begin = Instant::now();
        let samples = piece.samples();
        let first = self.batches.range(piece.batch()).start + samples.start as u64;
        self.samples.resize(samples.len(), 0);
        self.order.fill_round(first, &mut self.samples);
        self.rows.clone_from(&self.samples);
        self.plan.selection.resolve(&mut self.rows);
        let chosen = Chosen { samples: &self.samples, rows: &self.rows, draws: self.draws };
        let mut read = Vec::new();
        for (index, column) in self.plan.columns.iter().enumerate() {
            let portion = piece.portion();
            let slots = piece.slots_mut(index);
            count(&self.counters.bytes_read, column.source_bytes_of(slots.len()) as u64);
            count(&self.counters.bytes_written, slots.len() as u64);
            if column.choice.is_read() {
                read.push(index);
            } else {
                let gathered = gather(column, &chosen, portion, slots, &mut self.scratch);
                if gathered.is_err() {
                    return Some((piece, gathered));
                }
            }
        }
        count(&self.counters.fill_ns, nanoseconds(begin.elapsed()));
        if read.is_empty() {
            return Some((piece, Ok(())));
        }
        let place_of = |column: &ColumnPlan, sample: usize| {
            let within = column.region.start_bytes(chosen.draws, chosen.samples[sample]);
            let (part, start) = column.rows.place(chosen.rows[sample]);
            (part, start + within as u64)
        };
        reading.take_on(piece, &read, place_of).map(|piece| (piece, Ok(())))
    }
}

/// Fills `slots`, side by side, with samples of a column; or the portion `portion` of one slot, if they are cut.
///
/// # Errors
/// If the column's file was found changed after its rows were read: one check for all of them. If one of its files
/// cannot be read, or is not like the first.
///
/// # Panics
/// If a row is not in the column. Selections are checked when they are made.
pub(crate) fn gather(
    column: &ColumnPlan,
    chosen: &Chosen<'_>,
    portion: usize,
    slots: &mut [u8],
    scratch: &mut Scratch,
) -> Result<()> {
    if slots.is_empty() {
        return Ok(());
    }
    let gathered = match &column.rows {
        Rows::Array(array) => {
            let (bytes, row_stride_bytes) = (array.bytes(), array.grid().row_stride_bytes());
            #[expect(clippy::cast_possible_truncation, reason = "a row of an array that lies in memory")]
            let row = |row| &bytes[row as usize * row_stride_bytes..];
            let target = Target { column, portion, slots };
            target.gather_from(chosen, row, &mut scratch.packed);
            column.rows.check(chosen.rows)
        }
        Rows::Joined(joined) => {
            let target = Target { column, portion, slots };
            target.gather_from(chosen, |row| joined.row(row), &mut scratch.packed);
            column.rows.check(chosen.rows)
        }
        Rows::Files(files) => {
            let begin = Instant::now();
            let gathered = Target { column, portion, slots }.gather_files(chosen, files, scratch);
            if files.are_read() {
                column.choice.note_small_files(chosen.rows.len(), files.file_bytes(), begin.elapsed());
            }
            gathered
        }
    };
    column.note_mapped(chosen.rows.len());
    gathered.map_err(|error| error.while_doing(&format!("column '{}'", column.name)))
}

/// The slots of a column that are to be filled.
struct Target<'a> {
    column: &'a ColumnPlan,
    portion: usize,
    slots: &'a mut [u8],
}

impl Target<'_> {
    /// From rows that lie in memory, each of which `row` gives from its first element on.
    fn gather_from<'a>(self, chosen: &Chosen<'_>, row: impl Fn(u64) -> &'a [u8], packed: &mut Vec<u8>) {
        let Target { column, portion, slots } = self;
        let span_bytes = column.span_bytes();
        let source = |index: usize| {
            let start = column.region.start_bytes(chosen.draws, chosen.samples[index]);
            &row(chosen.rows[index])[start..][..span_bytes]
        };
        let slot_bytes = slots.len() / chosen.rows.len();
        let ahead = SAMPLES_AHEAD.max(AHEAD_BYTES / slot_bytes);
        let fetched = |index: usize| {
            if index + ahead < chosen.rows.len() {
                prefetch(source(index + ahead));
            }
            source(index)
        };
        match (column.copies(), slot_bytes) {
            (true, 4) => copy::<4>(slots, fetched),
            (true, 8) => copy::<8>(slots, fetched),
            (true, _) => {
                for (index, slot) in slots.chunks_exact_mut(slot_bytes).enumerate() {
                    slot.copy_from_slice(fetched(index));
                }
            }
            (false, _) => {
                for (index, slot) in slots.chunks_exact_mut(slot_bytes).enumerate() {
                    column.fill(fetched(index), portion, slot, packed);
                }
            }
        }
    }

    /// From files, one after the other. Each is checked when it was read.
    fn gather_files(self, chosen: &Chosen<'_>, files: &Files, scratch: &mut Scratch) -> Result<()> {
        let Target { column, portion, slots } = self;
        let span_bytes = column.span_bytes();
        let slot_bytes = slots.len() / chosen.rows.len();
        let Scratch { packed, file } = scratch;
        for (index, slot) in slots.chunks_exact_mut(slot_bytes).enumerate() {
            let start = column.region.start_bytes(chosen.draws, chosen.samples[index]);
            let fill = |row: &[u8]| column.fill(&row[start..][..span_bytes], portion, slot, packed);
            files.with_row(chosen.rows[index], file, fill)?;
        }
        Ok(())
    }
}

/// Labels and the like: copies of a size that the compiler knows are single instructions.
fn copy<'a, const BYTES: usize>(slots: &mut [u8], source: impl Fn(usize) -> &'a [u8]) {
    for (index, slot) in slots.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
        slot.copy_from_slice(source(index));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use npyfeed_array::{ByteOrder, Dtype, Layout, MemoryOrder};
    use npyfeed_io::{ChangeError, Source};

    use super::*;
    use crate::array::{Array, Items, Origin};
    use crate::{Dataset, Error, ErrorKind, Loader};

    /// Is cut short at the very moment it is read, so that only a check afterwards can tell.
    #[derive(Debug, Default)]
    struct CutWhenRead {
        bytes: [u8; 6],
        is_cut: AtomicBool,
    }

    impl Source for CutWhenRead {
        fn name(&self) -> &'static str {
            "cut.npy"
        }

        fn bytes(&self) -> &[u8] {
            self.is_cut.store(true, Ordering::Relaxed);
            &self.bytes
        }

        fn check(&self) -> std::result::Result<(), ChangeError> {
            if self.is_cut.load(Ordering::Relaxed) {
                return Err(ChangeError::CutShort { expected_bytes: 6, found_bytes: 2 });
            }
            Ok(())
        }
    }

    fn dataset() -> Dataset {
        let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[6], MemoryOrder::C).unwrap();
        let source = Arc::new(CutWhenRead::default());
        let origin = Origin { path: Some(Path::new("cut.npy").into()), ..Origin::default() };
        let array = Array::new(source, origin, Items::Numbers(layout), 0).unwrap();
        Dataset::builder().column("x", array).unwrap().build().unwrap()
    }

    fn assert_names_the_file(error: &Error) {
        assert_eq!((error.kind(), error.path()), (ErrorKind::Io, Some(Path::new("cut.npy"))));
        let message = error.to_string();
        let expected =
            "column 'x': cannot read 'cut.npy': it was cut short while in use: expected 6 bytes, found 2";
        assert!(message.starts_with(expected), "{message}");
    }

    #[test]
    fn samples_read_while_the_file_was_cut_are_not_handed_out() {
        assert_names_the_file(&dataset().batch(&[0, 1]).unwrap_err());
    }

    #[test]
    fn an_epoch_ends_with_the_error_instead_of_the_batch() {
        for threads in [1, 4] {
            let mut epoch = Loader::builder(dataset()).batch_size(2).threads(threads).build().unwrap().iter();
            assert_names_the_file(&epoch.next().unwrap().unwrap_err());
            assert!(epoch.next().is_none());
        }
    }
}
