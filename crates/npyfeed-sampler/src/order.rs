//! The order of an epoch: the wish ([`Order`]) and the plan made of it ([`EpochOrder`]).

use std::sync::Arc;

use crate::balanced::BalancedOrder;
use crate::key::hash_words;
use crate::order_error::{EPOCH_LEN_MAX, OrderError};
use crate::shuffle::assert_places;
use crate::weighted::{Draws, copy_places};
use crate::{BlockShuffle, Blocks, ClassBalanced, Key, Purpose, Shuffle, Weighted};

/// In which order an epoch takes the samples, and which.
#[derive(Clone, Debug, Default)]
pub enum Order {
    /// As they are stored, in every epoch.
    #[default]
    Sequential,
    /// Each sample once, in an order of its own for each (seed, epoch): see [`Shuffle`].
    Shuffled,
    /// Each sample once, a few blocks of following samples at a time: see [`BlockShuffle`].
    BlockShuffled(Blocks),
    /// As often as weights say.
    Weighted(Weighted),
    /// Every class equally often.
    ClassBalanced(ClassBalanced),
    /// These samples in this order, in every epoch. Some may be missing, others come often.
    Explicit(Arc<[u64]>),
}

impl Order {
    /// Whether it is an order of `sample_count` samples.
    ///
    /// # Errors
    /// [`OrderError`] if weights or labels are not as many, an index is no sample, or there are more than
    /// 2⁶² samples.
    pub fn check(&self, sample_count: u64) -> Result<(), OrderError> {
        let as_many = |of, found| {
            if found == sample_count {
                Ok(())
            } else {
                Err(OrderError::CountMismatch { of, found, sample_count })
            }
        };
        match self {
            Order::Sequential | Order::Shuffled | Order::BlockShuffled(_) => Ok(()),
            Order::Weighted(weighted) => as_many("weights", weighted.sample_count()),
            Order::ClassBalanced(classes) => as_many("labels", classes.sample_count()),
            Order::Explicit(indices) => {
                match (0..).zip(indices.iter()).find(|&(_, &index)| index >= sample_count) {
                    None => Ok(()),
                    Some((place, &index)) => Err(OrderError::IndexOutOfRange { place, index, sample_count }),
                }
            }
        }?;
        match self.epoch_len(sample_count) {
            0..=EPOCH_LEN_MAX => Ok(()),
            epoch_len => Err(OrderError::LengthOutOfRange { epoch_len }),
        }
    }

    /// How many samples an epoch takes.
    pub fn epoch_len(&self, sample_count: u64) -> u64 {
        match self {
            Order::Sequential | Order::Shuffled | Order::BlockShuffled(_) => sample_count,
            Order::Weighted(weighted) => weighted.draw_count(),
            Order::ClassBalanced(classes) => classes.epoch_len(),
            Order::Explicit(indices) => indices.len() as u64,
        }
    }

    /// A hash of all that the order depends on beside seed and epoch. Two orders with the same fingerprint are
    /// the same, but for the chance of a 64-bit hash. It is the same on every machine and in every version.
    pub fn fingerprint(&self, sample_count: u64) -> u64 {
        match self {
            Order::Sequential => hash_words([1, sample_count]),
            Order::Shuffled => hash_words([2, sample_count]),
            Order::BlockShuffled(blocks) => {
                hash_words([3, sample_count, blocks.block_size.get(), blocks.window.get()])
            }
            Order::Weighted(weighted) => hash_words([4, sample_count, weighted.hash()]),
            Order::ClassBalanced(classes) => hash_words([5, sample_count, classes.hash()]),
            Order::Explicit(indices) => {
                hash_words([6, sample_count].into_iter().chain(indices.iter().copied()))
            }
        }
    }
}

/// The order of one epoch: which sample lies at which place. Any part of it can be had at any time, from any
/// thread. A clone shares what is long.
///
/// The order depends on nothing but the four values given to [`EpochOrder::new`]: not on the batch size,
/// nor on how many processes share the epoch.
///
/// ```
/// use npyfeed_sampler::{EpochOrder, Order};
///
/// let order = EpochOrder::new(&Order::Shuffled, 6, 0, 0);
/// let (mut all, mut last_two) = ([0; 6], [0; 2]);
/// order.fill(0, &mut all);
/// order.fill(4, &mut last_two);
/// assert_eq!(all[4..], last_two);
/// ```
#[derive(Clone, Debug)]
pub struct EpochOrder {
    epoch_len: u64,
    samples: Samples,
}

#[derive(Clone, Debug)]
enum Samples {
    Sequential,
    Shuffled(Shuffle),
    BlockShuffled(BlockShuffle),
    Drawn(Draws),
    Balanced(BalancedOrder),
    Listed(Arc<[u64]>),
}

impl EpochOrder {
    /// The order in which `epoch` takes `sample_count` samples under `seed`.
    ///
    /// # Panics
    /// If it is none of so many samples: [`Order::check`] says.
    pub fn new(order: &Order, sample_count: u64, seed: u64, epoch: u64) -> EpochOrder {
        debug_assert_eq!(order.check(sample_count), Ok(()), "an order that was not checked");
        let samples = match order {
            Order::Sequential => Samples::Sequential,
            Order::Shuffled => {
                Samples::Shuffled(Shuffle::new(sample_count, Key::new(seed, epoch, Purpose::Shuffle)))
            }
            Order::BlockShuffled(blocks) => {
                Samples::BlockShuffled(BlockShuffle::new(sample_count, *blocks, seed, epoch))
            }
            Order::Weighted(weighted) => Samples::Drawn(weighted.draws(seed, epoch)),
            Order::ClassBalanced(classes) => Samples::Balanced(classes.order(seed, epoch)),
            Order::Explicit(indices) => Samples::Listed(Arc::clone(indices)),
        };
        EpochOrder { epoch_len: order.epoch_len(sample_count), samples }
    }

    /// How many samples the epoch takes.
    pub fn epoch_len(&self) -> u64 {
        self.epoch_len
    }

    /// Writes the samples at the places from `start` on, one for each element of `samples`.
    ///
    /// # Panics
    /// If the places reach beyond the epoch.
    pub fn fill(&self, start: u64, samples: &mut [u64]) {
        assert_places(start, samples.len(), self.epoch_len);
        match &self.samples {
            Samples::Sequential => {
                for (sample, place) in samples.iter_mut().zip(start..) {
                    *sample = place;
                }
            }
            Samples::Shuffled(shuffle) => shuffle.fill(start, samples),
            Samples::BlockShuffled(shuffle) => shuffle.fill(start, samples),
            Samples::Drawn(draws) => draws.fill(start, samples),
            Samples::Balanced(order) => order.fill(start, samples),
            Samples::Listed(listed) => copy_places(listed, start, samples),
        }
    }

    /// As [`EpochOrder::fill`], but after the last place the first comes again: for shares that are padded.
    ///
    /// # Panics
    /// If the epoch has no samples, and some are asked for.
    pub fn fill_round(&self, start: u64, samples: &mut [u64]) {
        let (mut place, mut rest) = (start, samples);
        while !rest.is_empty() {
            place %= self.epoch_len;
            let count = usize::try_from(self.epoch_len - place).unwrap_or(usize::MAX).min(rest.len());
            let (inside, later) = rest.split_at_mut(count);
            self.fill(place, inside);
            (place, rest) = (0, later);
        }
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
