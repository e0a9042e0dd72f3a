//! One column of a plan: where its rows are, which part of them is taken, and how it gets into a slot.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use npyfeed_kernel::{Kernel, Stores, pack};

use crate::dataset::{Column, kernel_for};
use crate::error::{Error, Result};
use crate::figures::grouped;
use crate::io_choice::{Io, IoChoice, Lying};
use crate::pool::Pool;
use crate::region::Region;
use crate::rows::Rows;
use crate::strips::Strips;

/// From this size on, a column of a batch is written past the cache: it would not stay there until the
/// consumer reads it, and each of its lines would be read from memory before it is overwritten.
const STREAMING_MIN_BYTES: usize = 4 << 20;

/// Of each column, so much is resident through its map at most, but for what was read meanwhile: an eighth of the
/// memory that this process may use.
fn mapped_max_bytes() -> u64 {
    static ANSWER: OnceLock<u64> = OnceLock::new();
    // Asked twice at worst: who is forked while someone else asks waits for nobody.
    ANSWER.get().copied().unwrap_or_else(|| {
        let bytes = npyfeed_io::memory_limit_bytes() / 8;
        let _first = ANSWER.set(bytes);
        bytes
    })
}

/// A page that is touched for the first time brings its neighbours along.
const FAULT_BYTES: usize = 64 << 10;

/// What is read at once for one sample may span this much, if little of it is the sample's.
const SPAN_MAX_BYTES: usize = 1 << 20;

/// One column: where its rows are, what is done with them, where the results go.
#[derive(Debug)]
pub(crate) struct ColumnPlan {
    pub(crate) name: Arc<str>,
    pub(crate) rows: Rows,
    pub(crate) region: Region,
    pub(crate) pool: Arc<Pool>,
    pub(crate) choice: IoChoice,
    kernel: Arc<Kernel>,
    way: Way,
    /// The elements of a slot that each portion of a sample fills.
    portions: Arc<[Range<usize>]>,
    /// The size of the column in its files.
    file_bytes: u64,
    /// Read through the map since its pages were let go.
    mapped_bytes: AtomicU64,
    /// Samples lie together and are not cut.
    is_whole: bool,
    /// Batches do not fit the cache, and are written past it.
    is_streamed: bool,
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

    /// Whether what is wanted at once for a sample lies spread over much more than itself.
    fn is_scattered(&self, region: &Region) -> bool {
        let grid = match self {
            Way::Whole => return false,
            Way::Strips(strips) => &strips.strip,
            Way::Packed => region.row.grid(),
        };
        grid.span_bytes() > SPAN_MAX_BYTES && grid.span_bytes() / 4 > grid.packed_bytes()
    }
}

/// A part of a sample whose bytes are wanted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// All that a portion of a slot is filled from.
    All { portion: usize },
    /// One strip of it; what lies together is one.
    Strip { portion: usize, strip: usize },
}

impl ColumnPlan {
    /// Chooses the kernel for batches of `batch_size`, of which the pool keeps `kept` buffers.
    pub(crate) fn new(column: &Column, batch_size: usize, kept: usize, io: Io) -> Result<ColumnPlan> {
        let column = if io == Io::Memory { &column.in_memory()? } else { column };
        let pass = &column.outcome.pass;
        let (row_bytes, slot_bytes) = (pass.source_bytes(), pass.output_bytes());
        let batch_bytes = slot_bytes.checked_mul(batch_size).ok_or_else(|| {
            Error::mismatch(format!(
                "batch_size={batch_size} of column '{}' needs more bytes than this machine can address",
                column.name
            ))
        })?;
        let is_streamed = batch_bytes >= STREAMING_MIN_BYTES;
        let kernel = if is_streamed {
            Arc::new(kernel_for(&column.outcome, Stores::Streaming)?)
        } else {
            Arc::clone(&column.kernel)
        };
        let region = column.outcome.region.clone();
        let way = Way::of(&region, &kernel);
        let is_whole = matches!(way, Way::Whole);
        let portions = std::iter::once(0..pass.element_count()).collect();
        let rows = column.rows.clone();
        let file_bytes = match rows.files() {
            Some(files) if !files.are_read() => rows.count().saturating_mul(files.file_bytes() as u64),
            Some(_) | None => rows.lying().len_bytes(),
        };
        let lying = if way.is_scattered(&region) { Lying::Scattered } else { rows.lying() };
        let (choice, pool) = (IoChoice::new(io, lying), Pool::new(batch_bytes, kept));
        let name = Arc::clone(&column.name);
        Ok(ColumnPlan {
            name,
            rows,
            region,
            pool,
            choice,
            kernel,
            way,
            portions,
            file_bytes,
            mapped_bytes: AtomicU64::new(0),
            is_whole,
            is_streamed,
            row_bytes,
            slot_bytes,
        })
    }

    /// Cuts its samples into `count` portions, for as many threads; some are empty if there is too little to cut.
    pub(crate) fn cut(&mut self, count: usize) {
        let all = 0..self.portions.last().map_or(0, |last| last.end);
        let mut portions: Vec<Range<usize>> = match &self.way {
            _ if self.rows.come_whole() => vec![all.clone()],
            // A large picture whose channels lie side by side would be read as a whole for each portion.
            Way::Whole if !self.kernel.keeps_order() && !self.choice.files().is_empty() => vec![all.clone()],
            Way::Whole => self.kernel.parts(count).collect(),
            Way::Strips(strips) => {
                let end = |portion| strips.elements(strips.count() * portion / count).start;
                (0..count).map(|portion| end(portion)..end(portion + 1)).collect()
            }
            Way::Packed => vec![all.clone()],
        };
        portions.resize(count, all.end..all.end);
        self.is_whole = count == 1 && matches!(self.way, Way::Whole);
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

    /// How samples get into their slots, for people.
    pub(crate) fn way(&self) -> String {
        let kernel = self.kernel.name();
        let (row, slot) = (grouped(self.row_bytes as u64), grouped(self.slot_bytes as u64));
        let gathered = match &self.way {
            Way::Whole => String::new(),
            Way::Strips(strips) => format!(", gathered in {} strips", grouped(strips.count() as u64)),
            Way::Packed => ", gathered first".to_owned(),
        };
        let stores = if self.is_streamed { ", past the cache" } else { "" };
        format!("kernel '{kernel}', {row} bytes in, {slot} out{gathered}{stores}")
    }

    /// Whether slots are their samples, byte for byte, and stay in the cache.
    pub(crate) fn copies(&self) -> bool {
        self.is_whole && !self.is_streamed && self.kernel.copies()
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

    /// What portion `portion` of a slot is filled from: units, and the bytes of each, counted from the first byte of
    /// what is taken of a row.
    pub(crate) fn units(&self, portion: usize) -> impl Iterator<Item = (Unit, Range<usize>)> {
        let elements = self.portions[portion].clone();
        let strips = match &self.way {
            Way::Strips(strips) => strips.numbers(&elements),
            Way::Whole | Way::Packed => 0..usize::from(!elements.is_empty()),
        };
        strips.map(move |strip| (Unit::Strip { portion, strip }, self.unit_bytes(strip, &elements)))
    }

    /// As [`units`](ColumnPlan::units), of what is read from files: of a small file, which is read as a whole, all of
    /// them are one.
    pub(crate) fn wanted_units(&self, portion: usize) -> impl Iterator<Item = (Unit, Range<usize>)> {
        let whole = self.rows.files().is_some() && !self.portions[portion].is_empty();
        let parts = if self.rows.files().is_some() { None } else { Some(self.units(portion)) };
        let whole = whole.then(|| (Unit::All { portion }, 0..self.span_bytes()));
        whole.into_iter().chain(parts.into_iter().flatten())
    }

    /// The largest request for bytes of a file that these portions of a slot need.
    pub(crate) fn request_bytes(&self, portions: Range<usize>) -> usize {
        if let Some(files) = self.rows.files() {
            return if files.are_read() { files.file_bytes() } else { 0 };
        }
        let units = portions.flat_map(|portion| self.units(portion).take(1)).map(|(_, bytes)| bytes.len());
        if self.choice.files().is_empty() { 0 } else { units.max().unwrap_or(0) }
    }

    fn unit_bytes(&self, strip: usize, elements: &Range<usize>) -> Range<usize> {
        match &self.way {
            Way::Whole if self.kernel.keeps_order() => {
                let item_bytes = self.region.row.dtype().item_bytes();
                elements.start * item_bytes..elements.end * item_bytes
            }
            Way::Whole | Way::Packed => 0..self.span_bytes(),
            Way::Strips(strips) => {
                let start = strips.start_bytes(strip);
                start..start + strips.strip.span_bytes()
            }
        }
    }

    /// Fills portion `portion` of a slot from what is taken of a row. Brings together in `packed` what does not lie so.
    pub(crate) fn fill(&self, source: &[u8], portion: usize, slot: &mut [u8], packed: &mut Vec<u8>) {
        if self.is_whole {
            return self.kernel.fill(source, slot);
        }
        for (unit, bytes) in self.units(portion) {
            self.fill_unit(unit, &source[bytes], slot, packed);
        }
    }

    /// Fills from the bytes of a unit what it is of in `slot`, which is the portion of a slot that it belongs to.
    pub(crate) fn fill_unit(&self, unit: Unit, source: &[u8], slot: &mut [u8], packed: &mut Vec<u8>) {
        let (portion, strip) = match unit {
            Unit::All { portion } => return self.fill(source, portion, slot, packed),
            Unit::Strip { portion, strip } => (portion, strip),
        };
        let elements = self.portions[portion].clone();
        match &self.way {
            Way::Whole if self.is_whole => self.kernel.fill(source, slot),
            Way::Whole if self.kernel.keeps_order() => self.kernel.fill_elements(source, elements, slot),
            Way::Whole => self.kernel.fill_part(source, elements, slot),
            Way::Strips(strips) => {
                packed.resize(strips.strip.packed_bytes(), 0);
                pack(&strips.strip, source, packed);
                let item_bytes = self.kernel.output_item_bytes();
                let (first, elements) = (elements.start, strips.elements(strip));
                let part =
                    &mut slot[(elements.start - first) * item_bytes..(elements.end - first) * item_bytes];
                self.kernel.fill_elements(packed, elements, part);
            }
            Way::Packed => {
                packed.resize(self.row_bytes, 0);
                pack(self.region.row.grid(), source, packed);
                self.kernel.fill(packed, slot);
            }
        }
    }

    /// So many samples were read through the map. Now and then the pages of a large file are let go: they stay in the
    /// system's cache as long as it has room, and no longer count as this process's memory.
    pub(crate) fn note_mapped(&self, sample_count: usize) {
        if self.file_bytes <= mapped_max_bytes() {
            return;
        }
        let read_bytes = (sample_count * self.row_bytes.max(FAULT_BYTES)) as u64;
        let before = self.mapped_bytes.fetch_add(read_bytes, Ordering::Relaxed);
        if before + read_bytes > mapped_max_bytes() {
            self.mapped_bytes.store(0, Ordering::Relaxed);
            self.rows.forget_resident();
        }
    }
}
