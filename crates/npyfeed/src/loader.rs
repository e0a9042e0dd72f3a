//! Batches of a dataset, epoch after epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use npyfeed_sampler::Position;

use crate::batch::{Batch, ColumnSpec};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::plan::Plan;
use crate::run::{Home, Next, Run};
use crate::stats::{Counters, Stats};

/// A Rust consumer waits without an end in sight; this is how often it looks up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What the user asked for, as plain data.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) batch_size: usize,
    pub(crate) shuffle: bool,
    pub(crate) seed: u64,
    pub(crate) drop_last: bool,
    pub(crate) threads: Option<usize>,
    pub(crate) prefetch: Option<usize>,
    pub(crate) memory_bytes: Option<usize>,
    pub(crate) epoch: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            batch_size: 1,
            shuffle: false,
            seed: 0,
            drop_last: false,
            threads: None,
            prefetch: None,
            memory_bytes: None,
            epoch: 0,
        }
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
///     .build()?; // threads, prefetch and memory: chosen
/// # Ok::<(), npyfeed::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "build() makes the loader"]
pub struct LoaderBuilder {
    dataset: Dataset,
    options: Options,
}

impl LoaderBuilder {
    /// Samples in a batch.
    pub fn batch_size(mut self, batch_size: usize) -> LoaderBuilder {
        self.options.batch_size = batch_size;
        self
    }

    /// Whether each epoch has an order of its own, an exact shuffle of all samples, or the dataset's.
    pub fn shuffle(mut self, shuffle: bool) -> LoaderBuilder {
        self.options.shuffle = shuffle;
        self
    }

    /// What the shuffle is drawn from. The same seed gives the same bytes, on any machine.
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
        let next_epoch = AtomicU64::new(self.options.epoch);
        Ok(Loader { plan, counters: Arc::default(), next_epoch, home: Home::here() })
    }
}

/// Batches of a dataset, epoch after epoch: each [`iter`](Loader::iter) is one, with threads of its own
/// that fill ahead. Buffers are shared by all epochs.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("x.npy");
/// # let mut file = npyfeed_npy::header_bytes(
/// #     npyfeed_array::Dtype::U8, npyfeed_array::ByteOrder::Little, npyfeed_array::MemoryOrder::C, &[6])?;
/// # file.extend([0, 1, 2, 3, 4, 5]);
/// # std::fs::write(&path, file)?;
/// let dataset = npyfeed::Dataset::builder().column("x", path)?.build()?;
/// let loader = npyfeed::Loader::builder(dataset).batch_size(4).build()?;
/// let mut sizes = Vec::new();
/// for batch in &loader {
///     let batch = batch?;
///     let x: ndarray::ArrayView1<u8> = batch.view("x")?;
///     sizes.push(x.len());
/// }
/// assert_eq!(sizes, [4, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Loader {
    plan: Arc<Plan>,
    counters: Arc<Counters>,
    next_epoch: AtomicU64,
    home: Home,
}

impl Loader {
    /// Begins to describe a loader.
    pub fn builder(dataset: Dataset) -> LoaderBuilder {
        LoaderBuilder { dataset, options: Options::default() }
    }

    /// Begins the next epoch.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system has no threads to give,
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) in a process forked from the one that built it.
    pub fn begin_epoch(&self) -> Result<Epoch> {
        self.home.check()?;
        let epoch = self.next_epoch.fetch_add(1, Ordering::Relaxed);
        Run::start(&self.plan, &self.counters, Position { epoch, sample: 0 })
            .map(|run| Epoch { run: Some(run), failed: None })
    }

    /// The next epoch; if it cannot begin, its first and only item is the error.
    pub fn iter(&self) -> Epoch {
        self.begin_epoch().unwrap_or_else(|error| Epoch { run: None, failed: Some(error) })
    }

    /// Batches in an epoch.
    pub fn len(&self) -> u64 {
        self.plan.batches.count()
    }

    /// Whether an epoch has no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What each column of a batch is.
    pub fn spec(&self) -> &[ColumnSpec] {
        &self.plan.specs
    }

    /// The epoch that the next [`begin_epoch`](Loader::begin_epoch) begins.
    pub fn epoch(&self) -> u64 {
        self.next_epoch.load(Ordering::Relaxed)
    }

    /// Chooses the epoch that the next [`begin_epoch`](Loader::begin_epoch) begins.
    pub fn set_epoch(&self, epoch: u64) {
        self.next_epoch.store(epoch, Ordering::Relaxed);
    }

    /// Worker threads of each epoch.
    pub fn threads(&self) -> usize {
        self.plan.threads
    }

    /// Batches filled ahead, at most.
    pub fn prefetch(&self) -> usize {
        self.plan.prefetch
    }

    /// What has been done so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }
}

impl IntoIterator for &Loader {
    type Item = Result<Batch>;
    type IntoIter = Epoch;

    /// As [`Loader::iter`].
    fn into_iter(self) -> Epoch {
        self.iter()
    }
}

/// One pass over the dataset, in motion. Dropping it stops its threads.
#[derive(Debug)]
pub struct Epoch {
    run: Option<Run>,
    failed: Option<crate::Error>,
}

impl Epoch {
    /// Waits at most `patience` for the next batch, for callers who must look at something else in between.
    ///
    /// # Errors
    /// What went wrong while the batch was filled. After an error there are no more batches.
    pub fn next_within(&mut self, patience: Duration) -> Result<Next> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(run) = &self.run else { return Ok(Next::End) };
        let next = run.next_within(patience);
        if matches!(next, Err(_) | Ok(Next::End)) {
            self.run = None;
        }
        next
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        loop {
            match self.next_within(PATIENCE) {
                Ok(Next::Batch(batch)) => return Some(Ok(batch)),
                Ok(Next::Pending) => {}
                Ok(Next::End) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use npyfeed_array::{ByteOrder, Dtype, Layout, MemoryOrder};

    #[test]
    fn a_panic_in_a_worker_is_an_error_in_place_of_its_batch() {
        let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[6], MemoryOrder::C).unwrap();
        let array = crate::Array::in_memory(npyfeed_io::Memory::from(vec![0; 6]), layout).unwrap();
        let dataset = Dataset::builder().column("x", array).unwrap().build().unwrap();
        let beyond_the_end = dataset.with_unchecked_rows(&[0, 1, 2, 3, 999, 5]);
        let loader = Loader::builder(beyond_the_end).batch_size(2).threads(2).build().unwrap();
        let mut epoch = loader.begin_epoch().unwrap();
        assert!(epoch.next().unwrap().is_ok());
        assert!(epoch.next().unwrap().is_ok());
        assert_eq!(epoch.next().unwrap().unwrap_err().kind(), ErrorKind::Internal);
        assert!(epoch.next().is_none());
    }
}
