//! How a loader is asked to go through a dataset.

use std::sync::Arc;

use npyfeed_sampler::{Order, Uneven};

use crate::dataset::Dataset;
use crate::error::Result;
use crate::io_choice::Io;
use crate::loader::Loader;
use crate::plan::Plan;

/// What the user asked for, as plain data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) batch_size: usize,
    pub(crate) order: Order,
    /// Rank and world size.
    pub(crate) shard: Option<(u64, u64)>,
    pub(crate) uneven: Uneven,
    pub(crate) seed: u64,
    pub(crate) drop_last: bool,
    pub(crate) threads: Option<usize>,
    pub(crate) prefetch: Option<usize>,
    pub(crate) memory_bytes: Option<usize>,
    pub(crate) io: Io,
    pub(crate) epoch: u64,
}

impl Options {
    pub(crate) fn new() -> Options {
        Options { batch_size: 1, ..Options::default() }
    }
}

/// Says how a [`Loader`] goes through a dataset. What is left out has the value of the example:
///
/// ```no_run
/// # let dataset = npyfeed::Dataset::builder().column("x", "x.npy")?.build()?;
/// let loader = npyfeed::Loader::builder(dataset)
///     .batch_size(1)
///     .shuffle(false)
///     .seed(0)
///     .drop_last(false)
///     .epoch(0)
///     .build()?; // threads, prefetch, memory and io: chosen
/// # Ok::<(), npyfeed::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "build() makes the loader"]
pub struct LoaderBuilder {
    dataset: Dataset,
    options: Options,
}

impl LoaderBuilder {
    pub(crate) fn new(dataset: Dataset) -> LoaderBuilder {
        LoaderBuilder { dataset, options: Options::new() }
    }

    /// Samples in a batch.
    pub fn batch_size(mut self, batch_size: usize) -> LoaderBuilder {
        self.options.batch_size = batch_size;
        self
    }

    /// Whether each epoch has an order of its own, an exact shuffle of all samples, or the dataset's.
    pub fn shuffle(self, shuffle: bool) -> LoaderBuilder {
        self.order(if shuffle { Order::Shuffled } else { Order::Sequential })
    }

    /// In which order each epoch takes which samples; the last of this and [`shuffle`](Self::shuffle) holds.
    ///
    /// ```no_run
    /// use npyfeed::{Order, Replacement, Weighted};
    /// # let dataset = npyfeed::Dataset::builder().column("x", "x.npy")?.build()?;
    /// let weighted = Weighted::new(&[0.1, 3.0, 1.0], 300, Replacement::With)?;
    /// let loader = npyfeed::Loader::builder(dataset).order(Order::Weighted(weighted)).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn order(mut self, order: Order) -> LoaderBuilder {
        self.options.order = order;
        self
    }

    /// Takes the share of process `rank` among `world_size`, which all have the same dataset, order and seed.
    /// Their batches are equally many and equally large; [`Shard`](crate::Shard) has the rule.
    pub fn shard(mut self, rank: u64, world_size: u64) -> LoaderBuilder {
        self.options.shard = Some((rank, world_size));
        self
    }

    /// What becomes of the last samples where they cannot be shared out evenly: by default, the first of the
    /// epoch come once more.
    pub fn uneven(mut self, uneven: Uneven) -> LoaderBuilder {
        self.options.uneven = uneven;
        self
    }

    /// What orders and random transforms are drawn from. The same seed gives the same bytes, on any machine.
    pub fn seed(mut self, seed: u64) -> LoaderBuilder {
        self.options.seed = seed;
        self
    }

    /// Whether a last batch with fewer samples is left out.
    pub fn drop_last(mut self, drop_last: bool) -> LoaderBuilder {
        self.options.drop_last = drop_last;
        self
    }

    /// Worker threads; by default one for each processor at hand.
    pub fn threads(mut self, threads: usize) -> LoaderBuilder {
        self.options.threads = Some(threads);
        self
    }

    /// Batches filled ahead, at most; by default as many as fit 64 MiB, between 2 and 64.
    pub fn prefetch(mut self, prefetch: usize) -> LoaderBuilder {
        self.options.prefetch = Some(prefetch);
        self
    }

    /// Bytes of batches filled ahead, at most; ignored if [`prefetch`](Self::prefetch) is given.
    pub fn memory_bytes(mut self, memory_bytes: usize) -> LoaderBuilder {
        self.options.memory_bytes = Some(memory_bytes);
        self
    }

    /// Which way the bytes of files come: chosen by measurement unless it is said here. The bytes of a batch do not
    /// depend on it.
    pub fn io(mut self, io: Io) -> LoaderBuilder {
        self.options.io = io;
        self
    }

    /// The number of the first epoch.
    pub fn epoch(mut self, epoch: u64) -> LoaderBuilder {
        self.options.epoch = epoch;
        self
    }

    /// Checks everything and chooses what was left open.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if an option is zero or does not fit the dataset.
    pub fn build(self) -> Result<Loader> {
        let plan = Arc::new(Plan::new(&self.dataset, &self.options)?);
        Ok(Loader::new(plan, self.options.seed, self.options.epoch))
    }
}
