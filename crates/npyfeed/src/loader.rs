//! Batches of a dataset, epoch after epoch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use npyfeed_sampler::State;

use crate::batch::{Batch, ColumnSpec};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::explain::explain;
use crate::options::LoaderBuilder;
use crate::plan::Plan;
use crate::run::{Home, Next, Run};
use crate::standing::{Standing, Taken};
use crate::stats::{Counters, Stats};

/// A Rust consumer waits without an end in sight; this is how often it looks up.
const PATIENCE: Duration = Duration::from_secs(3600);

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
    standing: Standing,
    home: Home,
}

impl Loader {
    /// Begins to describe a loader.
    pub fn builder(dataset: Dataset) -> LoaderBuilder {
        LoaderBuilder::new(dataset)
    }

    pub(crate) fn new(plan: Arc<Plan>, seed: u64, epoch: u64) -> Loader {
        Loader { plan, counters: Arc::default(), standing: Standing::new(seed, epoch), home: Home::here() }
    }

    /// Begins the next epoch, or goes on with one in whose midst a state was loaded. An epoch that was
    /// begun is not begun again: to leave it early is to be done with it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system has no threads to give,
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) in a process forked from the one that built it.
    pub fn begin_epoch(&self) -> Result<Epoch> {
        self.home.check()?;
        let (seed, position, taken) = self.standing.begin(&self.plan);
        let run = Run::start(&self.plan, &self.counters, seed, position)?;
        Ok(Epoch { run: Some(run), taken, failed: None })
    }

    /// The next epoch; if it cannot begin, its first and only item is the error.
    pub fn iter(&self) -> Epoch {
        self.begin_epoch().unwrap_or_else(|error| Epoch {
            run: None,
            taken: Taken::default(),
            failed: Some(error),
        })
    }

    /// Batches in a whole epoch, the same for every rank.
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
        self.standing.next_epoch()
    }

    /// Chooses the epoch that the next [`begin_epoch`](Loader::begin_epoch) begins. If that is the epoch in
    /// whose midst a state was loaded, it is gone on with.
    pub fn set_epoch(&self, epoch: u64) {
        self.standing.set_epoch(epoch);
    }

    /// Where the consumer stands: behind the last batch it has taken. Batches that are being filled ahead do
    /// not count, so going on from here repeats no sample and leaves none out. After the last batch of an epoch
    /// it is the beginning of the next. Of several epochs in motion, it is that of the one begun last.
    ///
    /// All ranks are at the same state after equally many batches: one of them may save it for all.
    ///
    /// A few integers, in less than a microsecond.
    pub fn state(&self) -> State {
        self.standing.state(&self.plan)
    }

    /// Goes on from a state: the next [`begin_epoch`](Loader::begin_epoch) gives the samples that were not
    /// yet taken, in their order, whatever the batch size, world size, threads and prefetch depth of the
    /// loader that saved it. The seed is the state's from now on. An epoch in motion is not touched.
    ///
    /// ```
    /// # use npyfeed::{ArrayView, ByteOrder, Dtype, Layout, MemoryOrder};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("x.npy");
    /// # let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[6], MemoryOrder::C)?;
    /// # npyfeed::save(&path, ArrayView::new(&layout, &[0, 1, 2, 3, 4, 5])?)?;
    /// let dataset = npyfeed::Dataset::builder().column("x", path)?.build()?;
    /// let loader = npyfeed::Loader::builder(dataset.clone()).batch_size(2).build()?;
    /// let mut epoch = loader.iter();
    /// epoch.next();
    /// let state = loader.state();
    ///
    /// let later = npyfeed::Loader::builder(dataset).batch_size(4).build()?;
    /// later.load_state(&state)?;
    /// let rest = later.iter().next().expect("a batch")?;
    /// assert_eq!(rest.columns()[0].bytes(), [2, 3, 4, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if it was saved by a loader with another order or
    /// another number of samples, by a version whose numbers mean something else, or lies beyond the epoch.
    pub fn load_state(&self, state: &State) -> Result<()> {
        let checked = state.check(self.plan.fingerprint(), self.plan.batches.sample_count);
        checked.map_err(|why| Error::mismatch(format!("cannot load the state: {why}")))?;
        self.standing.load(state);
        Ok(())
    }

    /// Worker threads of each epoch.
    pub fn threads(&self) -> usize {
        self.plan.threads
    }

    /// Batches filled ahead: as many as have proved to be needed so far, unless a number was asked for.
    pub fn prefetch(&self) -> usize {
        self.counters.depth.load(Ordering::Relaxed).max(self.plan.prefetch.start)
    }

    /// What was chosen and why, and what limits the loop, for people to read.
    pub fn explain(&self) -> String {
        explain(&self.plan, self.prefetch(), &self.stats())
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
    taken: Taken,
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
        match &next {
            Ok(Next::Batch(_)) => self.taken.one_more(),
            Ok(Next::Pending) => {}
            Ok(Next::End) | Err(_) => self.run = None,
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
