//! From a range of positions to filled slots: order → rows → bytes → kernel → slot.

use std::sync::Arc;
use std::time::Instant;

use npyfeed_kernel::prefetch;
use npyfeed_sampler::EpochOrder;

use super::slots::Part;
use crate::error::Result;
use crate::plan::{ColumnPlan, Plan};
use crate::stats::{Counters, count, nanoseconds};

/// How many samples ahead of the one being filled the CPU is asked to fetch. One row of 256 bytes takes
/// about 40 ns to gather and 100 ns to arrive from memory.
const SAMPLES_AHEAD: usize = 8;

/// What a worker needs to fill parts of one epoch.
pub(super) struct Filler {
    plan: Arc<Plan>,
    counters: Arc<Counters>,
    order: EpochOrder,
    rows: Vec<u64>,
}

impl Filler {
    pub(super) fn new(plan: &Arc<Plan>, counters: &Arc<Counters>, epoch: u64) -> Filler {
        let order = plan.order(epoch);
        Filler { plan: Arc::clone(plan), counters: Arc::clone(counters), order, rows: Vec::new() }
    }

    /// Fills every slot of the part.
    ///
    /// # Errors
    /// If a file is no longer what was opened: the slots may hold zeros then, or bytes of two versions.
    pub(super) fn fill(&mut self, part: &mut Part) -> Result<()> {
        let begin = Instant::now();
        let samples = part.samples();
        let first = self.plan.batches.range(part.batch()).start + samples.start as u64;
        self.rows.resize(samples.len(), 0);
        self.order.fill(first, &mut self.rows);
        self.plan.selection.resolve(&mut self.rows);
        for (index, column) in self.plan.columns.iter().enumerate() {
            let gathered = gather(column, &self.rows, part.slots_mut(index));
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
    let (bytes, row_bytes) = (column.array.bytes(), column.row_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "a row of an array that lies in memory")]
    let row = |row: u64| &bytes[row as usize * row_bytes..][..row_bytes];
    let slot_bytes = column.slot_bytes();
    if slot_bytes == 0 {
        return Ok(());
    }
    for (index, slot) in slots.chunks_exact_mut(slot_bytes).enumerate() {
        if let Some(&later) = rows.get(index + SAMPLES_AHEAD) {
            prefetch(row(later));
        }
        column.kernel.fill(row(rows[index]), slot);
    }
    column.array.check()
}
