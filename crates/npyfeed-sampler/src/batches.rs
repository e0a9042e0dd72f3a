//! How an epoch falls into batches.

use std::num::NonZeroU64;
use std::ops::Range;

/// What becomes of a last batch that is not full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LastBatch {
    /// It comes, shorter than the others (`drop_last=False` in PyTorch, `drop_remainder=False` in tf.data).
    #[default]
    Keep,
    /// It does not come: every batch is full.
    Drop,
}

/// The batches of one epoch: consecutive runs of places in its order.
///
/// ```
/// use npyfeed_sampler::{Batches, LastBatch};
/// use std::num::NonZeroU64;
///
/// let batch_size = NonZeroU64::new(4).unwrap();
/// let batches = Batches { sample_count: 10, batch_size, last: LastBatch::Keep };
/// assert_eq!(batches.count(), 3);
/// assert_eq!(batches.range(2), 8..10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batches {
    /// How many samples the epoch takes.
    pub sample_count: u64,
    /// How many samples a full batch has.
    pub batch_size: NonZeroU64,
    /// What becomes of a last batch that is not full.
    pub last: LastBatch,
}

impl Batches {
    /// The number of batches in the epoch.
    pub fn count(&self) -> u64 {
        match self.last {
            LastBatch::Keep => self.sample_count.div_ceil(self.batch_size.get()),
            LastBatch::Drop => self.sample_count / self.batch_size,
        }
    }

    /// The places of the batch `batch_index`, counted from 0.
    ///
    /// # Panics
    /// If the epoch has no such batch.
    pub fn range(&self, batch_index: u64) -> Range<u64> {
        let count = self.count();
        assert!(batch_index < count, "batch {batch_index} is beyond an epoch of {count} batches");
        // Cannot overflow: the batch begins inside the epoch.
        let start = batch_index * self.batch_size.get();
        start..start.saturating_add(self.batch_size.get()).min(self.sample_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batches(sample_count: u64, batch_size: u64, last: LastBatch) -> Batches {
        Batches { sample_count, batch_size: NonZeroU64::new(batch_size).unwrap(), last }
    }

    #[test]
    fn a_short_last_batch_is_kept_or_dropped_and_a_full_one_always_comes() {
        let cases = [(0, 4, 0, 0), (3, 4, 1, 0), (4, 4, 1, 1), (5, 4, 2, 1), (8, 4, 2, 2), (7, 1, 7, 7)];
        for (sample_count, batch_size, kept, dropped) in cases {
            assert_eq!(batches(sample_count, batch_size, LastBatch::Keep).count(), kept);
            assert_eq!(batches(sample_count, batch_size, LastBatch::Drop).count(), dropped);
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let max = u64::MAX;
        assert_eq!(batches(max, max, LastBatch::Keep).range(0), 0..max);
        assert_eq!(batches(max, max - 1, LastBatch::Keep).range(1), max - 1..max);
        assert_eq!(batches(max, 2, LastBatch::Keep).range(max / 2), max - 1..max);
        assert_eq!(batches(max, 1, LastBatch::Drop).range(max - 1), max - 1..max);
        assert_eq!(batches(5, max, LastBatch::Keep).range(0), 0..5);
        assert_eq!(batches(5, max, LastBatch::Drop).count(), 0);
    }

    #[test]
    #[should_panic(expected = "batch 1 is beyond an epoch of 1 batches")]
    fn a_dropped_batch_has_no_range() {
        batches(7, 4, LastBatch::Drop).range(1);
    }

    proptest! {
        #[test]
        fn batches_follow_each_other_and_are_full_but_for_the_last(
            sample_count in 0u64..5000,
            batch_size in 1u64..200,
            last in prop_oneof![Just(LastBatch::Keep), Just(LastBatch::Drop)],
        ) {
            let batches = batches(sample_count, batch_size, last);
            let mut end = 0;
            for batch_index in 0..batches.count() {
                let range = batches.range(batch_index);
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end - range.start == batch_size || range.end == sample_count);
                end = range.end;
            }
            match last {
                LastBatch::Keep => prop_assert_eq!(end, sample_count),
                LastBatch::Drop => prop_assert_eq!(end, sample_count - sample_count % batch_size),
            }
        }
    }
}
