//! How an epoch falls into batches.

use std::num::NonZeroU64;
use std::ops::Range;

use crate::Shard;

/// What becomes of a last batch that is not full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LastBatch {
    /// It comes, shorter than the others (`drop_last=False` in PyTorch, `drop_remainder=False` in tf.data).
    #[default]
    Keep,
    /// It does not come: every batch is full.
    Drop,
}

/// The batches that one process takes of one epoch, or of the rest of one: runs of places in its order.
///
/// ```
/// use npyfeed_sampler::{Batches, LastBatch};
/// use std::num::NonZeroU64;
///
/// let batches = Batches::new(10, NonZeroU64::new(4).unwrap(), LastBatch::Keep);
/// assert_eq!(batches.count(), 3);
/// assert_eq!(batches.range(2), 8..10);
///
/// let rest = Batches { start: batches.done_after(0), batch_size: NonZeroU64::new(5).unwrap(), ..batches };
/// assert_eq!(rest.range(0), 4..9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batches {
    /// How many samples the epoch takes.
    pub sample_count: u64,
    /// How many samples a full batch has.
    pub batch_size: NonZeroU64,
    /// What becomes of a last batch that is not full.
    pub last: LastBatch,
    /// Which share of each step this process takes.
    pub shard: Shard,
    /// The first place of the first batch; those before are done.
    pub start: u64,
}

impl Batches {
    /// All batches of an epoch, for a process that is alone.
    pub fn new(sample_count: u64, batch_size: NonZeroU64, last: LastBatch) -> Batches {
        Batches { sample_count, batch_size, last, shard: Shard::WHOLE, start: 0 }
    }

    /// The number of batches, the same for every rank.
    pub fn count(&self) -> u64 {
        let share = self.last_share();
        let comes = match self.last {
            LastBatch::Keep => share > 0,
            // Padded, it may be as long as any other.
            LastBatch::Drop => share == self.batch_size.get(),
        };
        self.full_count() + u64::from(comes)
    }

    /// The places of the batch `batch_index`, counted from 0. They may reach beyond the epoch's last place,
    /// where a share is padded: after the last place the first comes again.
    ///
    /// # Panics
    /// If there is no such batch.
    pub fn range(&self, batch_index: u64) -> Range<u64> {
        let count = self.count();
        assert!(batch_index < count, "batch {batch_index} is beyond an epoch of {count} batches");
        let is_full = batch_index < self.full_count();
        let share = if is_full { self.batch_size.get() } else { self.last_share() };
        // Cannot overflow: the step begins inside the epoch, and a full one ends inside.
        let first = self.start + batch_index * self.step() + self.shard.rank() * share;
        first..first + share
    }

    /// How many places of the epoch are done when every rank has had its batch `batch_index`.
    pub fn done_after(&self, batch_index: u64) -> u64 {
        let steps = batch_index.saturating_add(1).saturating_mul(self.step());
        self.start.saturating_add(steps).min(self.sample_count)
    }

    /// How many places all ranks take together, each a full batch.
    fn step(&self) -> u64 {
        self.batch_size.get().saturating_mul(self.shard.world_size().get())
    }

    fn remaining(&self) -> u64 {
        self.sample_count.saturating_sub(self.start)
    }

    fn full_count(&self) -> u64 {
        self.remaining() / self.step()
    }

    /// How many places each rank takes of the last step, if that is not full.
    fn last_share(&self) -> u64 {
        self.shard.share(self.remaining() % self.step())
    }
}

#[cfg(test)]
#[path = "batches_tests.rs"]
mod tests;
