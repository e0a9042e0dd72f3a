//! Everything checked and chosen before the first batch: what the workers carry out without a question.

use std::num::NonZeroUsize;

use npyfeed_sampler::{Batches, EpochOrder, LastBatch, Position, Shard};

use crate::batch::ColumnSpec;
use crate::column_plan::ColumnPlan;
use crate::dataset::{Dataset, Selection};
use crate::error::{Error, Result};
use crate::options::Options;
use crate::run::Cutting;

/// Batches are filled ahead up to this size in all, unless the user says otherwise; two at least.
pub(crate) const PREFETCH_BYTES: usize = 64 << 20;

/// Batches filled ahead at first.
const PREFETCH_START: usize = 4;

/// More batches ahead than this smooth nothing any more.
const PREFETCH_MAX: usize = 64;

/// More than this is a slip of the keyboard, and memory for it is not even asked for.
const PREFETCH_LIMIT: usize = 4096;

/// As above; no machine has so many processors.
const THREADS_LIMIT: usize = 4096;

/// A piece of a batch moves about this many bytes: some hundred microseconds of work, beside which the
/// queue's lock (0.1 µs) does not count, and short enough to stop soon.
const PIECE_BYTES: usize = 2 << 20;

/// A sample is cut into this many portions at most: more than there are threads on most machines.
const PORTIONS_MAX: usize = 64;

/// Buffers that the pool keeps beyond those being filled: one in the consumer's hands, one on its way
/// back, and two for a consumer that is itself a batch or two ahead.
const SPARE_BUFFERS: usize = 4;

/// How many batches are filled ahead: at first, and at most, once stalls have shown that it takes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefetch {
    pub(crate) start: usize,
    pub(crate) most: usize,
}

/// The checked and chosen way through a dataset.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) columns: Vec<ColumnPlan>,
    pub(crate) specs: Vec<ColumnSpec>,
    pub(crate) selection: Selection,
    /// Those of a whole epoch.
    pub(crate) batches: Batches,
    pub(crate) prefetch: Prefetch,
    pub(crate) threads: usize,
    pub(crate) cutting: Cutting,
    /// What was asked for.
    pub(crate) options: Options,
    fingerprint: u64,
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
        let mut columns = dataset
            .columns()
            .iter()
            .map(|column| ColumnPlan::new(column, filled_at_most, prefetch.most + SPARE_BUFFERS, options.io))
            .collect::<Result<Vec<_>>>()?;
        let moved_bytes: usize = columns.iter().map(|column| column.row_bytes() + column.slot_bytes()).sum();
        let cutting = choose_cutting(moved_bytes, filled_at_most);
        for column in &mut columns {
            column.cut(cutting.portions);
        }
        Ok(Plan {
            columns,
            specs,
            selection: dataset.selection().clone(),
            batches,
            prefetch,
            threads: choose_threads(options)?,
            cutting,
            options: options.clone(),
            fingerprint: options.order.fingerprint(dataset.len()),
        })
    }

    /// The order of the samples in epoch `epoch` under `seed`.
    pub(crate) fn order(&self, seed: u64, epoch: u64) -> EpochOrder {
        EpochOrder::new(&self.options.order, self.selection.len(), seed, epoch)
    }

    /// What is left of an epoch at `position`.
    pub(crate) fn batches_from(&self, position: Position) -> Batches {
        Batches { start: position.sample, ..self.batches }
    }

    /// The largest request for bytes of a file that the columns may need, `least` if that is more.
    pub(crate) fn request_bytes(&self, least: usize) -> usize {
        let units = |column: &ColumnPlan| {
            let portions = 0..self.cutting.portions;
            portions.flat_map(|portion| column.units(portion).take(1)).map(|(_, bytes)| bytes.len()).max()
        };
        let read = self.columns.iter().filter(|column| !column.choice.files().is_empty());
        read.filter_map(units).fold(least, usize::max)
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

/// Pieces of whole samples, or of a part of one if that is large.
fn choose_cutting(moved_bytes: usize, batch_size: usize) -> Cutting {
    let samples = (PIECE_BYTES / moved_bytes.max(1)).clamp(1, batch_size.max(1));
    Cutting { samples, portions: (moved_bytes / PIECE_BYTES).clamp(1, PORTIONS_MAX) }
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

fn choose_prefetch(options: &Options, batch_bytes: usize) -> Result<Prefetch> {
    if let Some(prefetch) = options.prefetch {
        let depth = within("prefetch", prefetch, PREFETCH_LIMIT)?.get();
        return Ok(Prefetch { start: depth, most: depth });
    }
    let most = match options.memory_bytes {
        None => (PREFETCH_BYTES / batch_bytes.max(1)).clamp(2, PREFETCH_MAX),
        Some(memory_bytes) if memory_bytes < batch_bytes => {
            return Err(Error::mismatch(format!(
                "cannot make a loader: expected memory of at least one batch, {batch_bytes} bytes, found {memory_bytes}; \
                 raise memory or lower batch_size"
            )));
        }
        Some(memory_bytes) => (memory_bytes / batch_bytes.max(1)).clamp(1, PREFETCH_MAX),
    };
    Ok(Prefetch { start: most.min(PREFETCH_START), most })
}
