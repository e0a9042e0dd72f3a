//! One column of a plan: where its rows are, which part of them is taken, and how it gets into a slot.

use std::ops::Range;
use std::sync::Arc;

use npyfeed_kernel::{Kernel, Stores, pack};

use crate::dataset::{Column, kernel_for};
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::region::Region;
use crate::rows::Rows;
use crate::strips::Strips;

/// From this size on, a column of a batch is written past the cache: it would not stay there until the
/// consumer reads it, and each of its lines would be read from memory before it is overwritten.
const STREAMING_MIN_BYTES: usize = 4 << 20;

/// One column: where its rows are, what is done with them, where the results go.
#[derive(Debug)]
pub(crate) struct ColumnPlan {
    pub(crate) name: Arc<str>,
    pub(crate) rows: Rows,
    pub(crate) region: Region,
    pub(crate) pool: Arc<Pool>,
    kernel: Arc<Kernel>,
    way: Way,
    /// The elements of a slot that each portion of a sample fills.
    portions: Arc<[Range<usize>]>,
    row_bytes: usize,
    slot_bytes: usize,
}

/// How the elements of a sample reach the kernel.
#[derive(Debug)]
pub(crate) enum Way {
    /// They lie together.
    Whole,
    /// They do not, and come strip by strip.
    Strips(Strips),
    /// They do not, and the kernel wants them all at once.
    Packed,
}

impl Way {
    pub(crate) fn of(region: &Region, kernel: &Kernel) -> Way {
        if region.row.is_c_contiguous() {
            Way::Whole
        } else if kernel.keeps_order() {
            Way::Strips(Strips::of(region.row.grid()))
        } else {
            Way::Packed
        }
    }
}

impl ColumnPlan {
    /// Chooses the kernel for batches of `batch_size`, of which the pool keeps `kept` buffers.
    pub(crate) fn new(column: &Column, batch_size: usize, kept: usize) -> Result<ColumnPlan> {
        let pass = &column.outcome.pass;
        let (row_bytes, slot_bytes) = (pass.source_bytes(), pass.output_bytes());
        let batch_bytes = slot_bytes.checked_mul(batch_size).ok_or_else(|| {
            Error::mismatch(format!(
                "batch_size={batch_size} of column '{}' needs more bytes than this machine can address",
                column.name
            ))
        })?;
        let kernel = if batch_bytes < STREAMING_MIN_BYTES {
            Arc::clone(&column.kernel)
        } else {
            Arc::new(kernel_for(&column.outcome, Stores::Streaming)?)
        };
        let region = column.outcome.region.clone();
        let way = Way::of(&region, &kernel);
        let portions = std::iter::once(0..pass.element_count()).collect();
        let (name, rows, pool) =
            (Arc::clone(&column.name), column.rows.clone(), Pool::new(batch_bytes, kept));
        Ok(ColumnPlan { name, rows, region, pool, kernel, way, portions, row_bytes, slot_bytes })
    }

    /// Cuts its samples into `count` portions, for as many threads; some are empty if there is too little to cut.
    pub(crate) fn cut(&mut self, count: usize) {
        let all = 0..self.portions.last().map_or(0, |last| last.end);
        let mut portions: Vec<Range<usize>> = match &self.way {
            Way::Whole => self.kernel.parts(count).collect(),
            Way::Strips(strips) => {
                let end = |portion| strips.elements(strips.count() * portion / count).start;
                (0..count).map(|portion| end(portion)..end(portion + 1)).collect()
            }
            Way::Packed => vec![all.clone()],
        };
        portions.resize(count, all.end..all.end);
        self.portions = portions.into();
    }

    /// The size of what is taken of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// The size of a sample in the batch.
    pub(crate) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// How much is read of the rows for so many bytes in slots.
    pub(crate) fn source_bytes_of(&self, written_bytes: usize) -> usize {
        (written_bytes as u128 * self.row_bytes as u128)
            .checked_div(self.slot_bytes as u128)
            .map_or(0, |bytes| bytes as usize)
    }

    /// From the first byte of what is taken of a row to the end of the last.
    pub(crate) fn span_bytes(&self) -> usize {
        self.region.row.span_bytes()
    }

    /// The bytes of a slot that each portion of a sample fills: they cover it, and do not overlap.
    pub(crate) fn slot_portions(&self) -> impl Iterator<Item = Range<usize>> {
        let item_bytes = self.kernel.output_item_bytes();
        self.portions.iter().map(move |elements| elements.start * item_bytes..elements.end * item_bytes)
    }

    /// Fills portion `portion` of a slot from what is taken of a row, which begins at its first element. Brings
    /// together in `packed` what does not lie so.
    pub(crate) fn fill(&self, source: &[u8], portion: usize, slot: &mut [u8], packed: &mut Vec<u8>) {
        let elements = self.portions[portion].clone();
        match &self.way {
            Way::Whole if self.portions.len() == 1 => self.kernel.fill(source, slot),
            Way::Whole => self.kernel.fill_part(source, elements, slot),
            Way::Strips(strips) => {
                packed.resize(strips.strip.packed_bytes(), 0);
                let strip_bytes = strips.strip.item_count() * self.kernel.output_item_bytes();
                for (number, part) in strips.numbers(&elements).zip(slot.chunks_exact_mut(strip_bytes.max(1)))
                {
                    pack(&strips.strip, &source[strips.start_bytes(number)..], packed);
                    self.kernel.fill_elements(packed, strips.elements(number), part);
                }
            }
            Way::Packed if elements.is_empty() => {}
            Way::Packed => {
                packed.resize(self.row_bytes, 0);
                pack(self.region.row.grid(), source, packed);
                self.kernel.fill(packed, slot);
            }
        }
    }
}
