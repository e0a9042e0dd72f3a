//! From a range of positions to filled slots: order → rows → bytes → kernel → slot.

use std::sync::Arc;
use std::time::Instant;

use npyfeed_kernel::{pack, prefetch};
use npyfeed_sampler::{Batches, EpochOrder};

use super::slots::Piece;
use crate::error::Result;
use crate::plan::{ColumnPlan, Plan};
use crate::stats::{Counters, count, nanoseconds};

/// How many samples ahead of the one being filled the CPU is asked to fetch: enough that small samples,
/// which take tens of nanoseconds each, have arrived from memory when their turn comes.
const SAMPLES_AHEAD: usize = 8;

/// What a worker needs to fill pieces of one epoch. Each has its own; what is long is shared.
#[derive(Clone)]
pub(super) struct Filler {
    plan: Arc<Plan>,
    counters: Arc<Counters>,
    batches: Batches,
    order: EpochOrder,
    rows: Vec<u64>,
}

impl Filler {
    pub(super) fn new(
        plan: &Arc<Plan>,
        counters: &Arc<Counters>,
        batches: Batches,
        order: EpochOrder,
    ) -> Filler {
        let (plan, counters) = (Arc::clone(plan), Arc::clone(counters));
        Filler { plan, counters, batches, order, rows: Vec::new() }
    }

    /// Fills every slot of the piece.
    ///
    /// # Errors
    /// If a file is no longer what was opened: the slots may hold zeros then, or bytes of two versions.
    pub(super) fn fill(&mut self, piece: &mut Piece) -> Result<()> {
        let begin = Instant::now();
        let samples = piece.samples();
        let first = self.batches.range(piece.batch()).start + samples.start as u64;
        self.rows.resize(samples.len(), 0);
        self.order.fill_round(first, &mut self.rows);
        self.plan.selection.resolve(&mut self.rows);
        for (index, column) in self.plan.columns.iter().enumerate() {
            let gathered = gather(column, &self.rows, piece.slots_mut(index));
            gathered
                .map_err(|error| error.while_doing(&format!("column '{}'", self.plan.specs[index].name)))?;
            count(&self.counters.bytes_read, (samples.len() * column.row_bytes()) as u64);
            count(&self.counters.bytes_written, (samples.len() * column.slot_bytes()) as u64);
        }
        count(&self.counters.fill_ns, nanoseconds(begin.elapsed()));
        Ok(())
    }
}

/// Fills `slots`, side by side, with the rows `rows` of a column.
///
/// # Errors
/// If the column's file was found changed after its rows were read. One check for all of them.
///
/// # Panics
/// If a row is not in the column. Selections are checked when they are made.
pub(crate) fn gather(column: &ColumnPlan, rows: &[u64], slots: &mut [u8]) -> Result<()> {
    let slot_bytes = column.slot_bytes();
    if slot_bytes == 0 {
        return Ok(());
    }
    let (bytes, span_bytes) = (column.array.bytes(), column.row.span_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "a row of an array that lies in memory")]
    let row = |row: u64| &bytes[row as usize * column.row_stride_bytes..][..span_bytes];
    let is_packed = column.row.is_c_contiguous();
    let mut packed = vec![0; if is_packed { 0 } else { column.row_bytes() }];
    for (index, slot) in slots.chunks_exact_mut(slot_bytes).enumerate() {
        if is_packed {
            if let Some(&later) = rows.get(index + SAMPLES_AHEAD) {
                prefetch(row(later));
            }
            column.kernel.fill(row(rows[index]), slot);
        } else {
            pack(column.row.grid(), row(rows[index]), &mut packed);
            column.kernel.fill(&packed, slot);
        }
    }
    column.array.check()
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
