//! Everything checked and chosen before the first batch: what the workers carry out without a question.

use std::num::NonZeroUsize;
use std::sync::Arc;

use npyfeed_array::Layout;
use npyfeed_kernel::{Cpu, Kernel, Stores};
use npyfeed_sampler::{Batches, EpochOrder, LastBatch, Order, Position, Shard};

use crate::array::Array;
use crate::batch::ColumnSpec;
use crate::chain::Outcome;
use crate::dataset::{Column, Dataset, Selection};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::pool::Pool;

/// Batches are filled ahead up to this size in all, unless the user says otherwise; two at least.
const PREFETCH_BYTES: usize = 64 << 20;

/// More batches ahead than this smooth nothing any more.
const PREFETCH_MAX: usize = 64;

/// More than this is a slip of the keyboard, and memory for it is not even asked for.
const PREFETCH_LIMIT: usize = 4096;

/// As above; no machine has so many processors.
const THREADS_LIMIT: usize = 4096;

/// A piece of a batch moves about this many bytes: some hundred microseconds of work, beside which the
/// queue's lock (0.1 µs) does not count, and short enough to stop soon.
const PIECE_BYTES: usize = 2 << 20;

/// From this size on, a column of a batch is written past the cache: it would not stay there until the
/// consumer reads it, and each of its lines would be read from memory before it is overwritten.
const STREAMING_MIN_BYTES: usize = 4 << 20;

/// Buffers that the pool keeps beyond those being filled: one in the consumer's hands, one on its way
/// back, and two for a consumer that is itself a batch or two ahead.
const SPARE_BUFFERS: usize = 4;

/// The checked and chosen way through a dataset.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) columns: Vec<ColumnPlan>,
    pub(crate) specs: Vec<ColumnSpec>,
    pub(crate) selection: Selection,
    /// Those of a whole epoch.
    pub(crate) batches: Batches,
    pub(crate) prefetch: usize,
    pub(crate) threads: usize,
    pub(crate) piece_samples: usize,
    order: Order,
    fingerprint: u64,
}

/// One column: where its rows are, what is done with them, where the results go.
#[derive(Debug)]
pub(crate) struct ColumnPlan {
    pub(crate) array: Array,
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) pool: Arc<Pool>,
    /// How one row lies, and how far the next is.
    pub(crate) row: Layout,
    pub(crate) row_stride_bytes: usize,
    row_bytes: usize,
    slot_bytes: usize,
}

impl ColumnPlan {
    /// The size of a sample before it is transformed.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// The size of a sample in the batch.
    pub(crate) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

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
        let stores = if batch_bytes >= STREAMING_MIN_BYTES { Stores::Streaming } else { Stores::Cached };
        let kernel = match stores {
            Stores::Cached => Arc::clone(&column.kernel),
            Stores::Streaming => Arc::new(kernel_for(&column.outcome, stores)?),
        };
        let pool = Pool::new(batch_bytes, kept);
        let (array, row) = (column.array.clone(), column.row.clone());
        let row_stride_bytes = array.grid().row_stride_bytes();
        Ok(ColumnPlan { array, kernel, pool, row, row_stride_bytes, row_bytes, slot_bytes })
    }
}

impl Plan {
    /// Checks the options against the dataset and chooses what they leave open.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] if they do not fit.
    pub(crate) fn new(dataset: &Dataset, options: &Options) -> Result<Plan> {
        let batch_size = within("batch_size", options.batch_size, isize::MAX.cast_unsigned())?;
        let specs = dataset.spec();
        let batches = choose_batches(dataset, options, batch_size)?;
        // A batch is never larger than the epoch, so buffers need not be either.
        let filled_at_most =
            batch_size.get().min(usize::try_from(batches.sample_count).unwrap_or(usize::MAX));
        let sample_bytes: usize = specs.iter().map(ColumnSpec::sample_bytes).sum();
        let prefetch = choose_prefetch(options, sample_bytes.saturating_mul(filled_at_most))?;
        let columns = dataset
            .columns()
            .iter()
            .map(|column| ColumnPlan::new(column, filled_at_most, prefetch + SPARE_BUFFERS))
            .collect::<Result<Vec<_>>>()?;
        let moved_bytes: usize = columns.iter().map(|column| column.row_bytes + column.slot_bytes).sum();
        Ok(Plan {
            columns,
            specs,
            selection: dataset.selection().clone(),
            batches,
            prefetch,
            threads: choose_threads(options)?,
            piece_samples: (PIECE_BYTES / moved_bytes.max(1)).clamp(1, filled_at_most.max(1)),
            order: options.order.clone(),
            fingerprint: options.order.fingerprint(dataset.len()),
        })
    }

    /// The order of the samples in epoch `epoch` under `seed`.
    pub(crate) fn order(&self, seed: u64, epoch: u64) -> EpochOrder {
        EpochOrder::new(&self.order, self.selection.len(), seed, epoch)
    }

    /// What is left of an epoch at `position`.
    pub(crate) fn batches_from(&self, position: Position) -> Batches {
        Batches { start: position.sample, ..self.batches }
    }

    /// What tells this order of this many samples from others.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

/// The batches of an epoch in the order that was asked for, of the process that asks.
fn choose_batches(dataset: &Dataset, options: &Options, batch_size: NonZeroUsize) -> Result<Batches> {
    let misfit = |why: &dyn std::fmt::Display| Error::mismatch(format!("cannot make a loader: {why}"));
    options.order.check(dataset.len()).map_err(|why| misfit(&why))?;
    let shard = match options.shard {
        None => Shard::WHOLE,
        Some((rank, world_size)) => {
            Shard::new(rank, world_size, options.uneven).map_err(|why| misfit(&why))?
        }
    };
    let batch_size = batch_size.try_into().map_err(|_| Error::mismatch("batch_size beyond u64"))?;
    let last = if options.drop_last { LastBatch::Drop } else { LastBatch::Keep };
    let whole = Batches::new(options.order.epoch_len(dataset.len()), batch_size, last);
    Ok(Batches { shard, ..whole })
}

/// The kernel for what a chain came to.
///
/// # Errors
/// None in practice: a chain that was folded has a pass with a meaning.
pub(crate) fn kernel_for(outcome: &Outcome, stores: Stores) -> Result<Kernel> {
    Kernel::new(outcome.pass.clone(), stores, Cpu::detect())
        .map_err(|why| Error::new(ErrorKind::Internal, format!("a chain of transforms has no kernel: {why}")))
}

fn within(name: &str, found: usize, limit: usize) -> Result<NonZeroUsize> {
    NonZeroUsize::new(found).filter(|found| found.get() <= limit).ok_or_else(|| {
        Error::mismatch(format!("cannot make a loader: expected {name} from 1 to {limit}, found {found}"))
    })
}

fn choose_threads(options: &Options) -> Result<usize> {
    match options.threads {
        Some(threads) => Ok(within("threads", threads, THREADS_LIMIT)?.get()),
        // Respects the affinity mask and the quota of a cgroup.
        None => std::thread::available_parallelism()
            .map(NonZeroUsize::get)
            .map_err(|why| Error::system("count the processors", why)),
    }
}

fn choose_prefetch(options: &Options, batch_bytes: usize) -> Result<usize> {
    if let Some(prefetch) = options.prefetch {
        return Ok(within("prefetch", prefetch, PREFETCH_LIMIT)?.get());
    }
    let Some(memory_bytes) = options.memory_bytes else {
        return Ok((PREFETCH_BYTES / batch_bytes.max(1)).clamp(2, PREFETCH_MAX));
    };
    if memory_bytes < batch_bytes {
        return Err(Error::mismatch(format!(
            "cannot make a loader: expected memory of at least one batch, {batch_bytes} bytes, found {memory_bytes}; \
             raise memory or lower batch_size"
        )));
    }
    Ok((memory_bytes / batch_bytes.max(1)).clamp(1, PREFETCH_MAX))
}
