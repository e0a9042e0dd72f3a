//! The order of an epoch: the wish ([`Order`]) and the plan made of it ([`EpochOrder`]).

use crate::shuffle::assert_places;
use crate::{Key, Purpose, Shuffle};

/// In which order an epoch takes the samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// As they are stored, in every epoch.
    #[default]
    Sequential,
    /// Each sample once, in an order of its own for each (seed, epoch): see [`Shuffle`].
    Shuffled,
}

/// The order of one epoch: which sample lies at which place. It takes a few hundred bytes, whatever the
/// number of samples, and any part of it can be had at any time, from any thread.
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
    sample_count: u64,
    samples: Samples,
}

#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a loader, and a box would cost an allocation an epoch"
)]
enum Samples {
    Sequential,
    Shuffled(Shuffle),
}

impl EpochOrder {
    /// The order in which `epoch` takes `sample_count` samples under `seed`.
    pub fn new(order: &Order, sample_count: u64, seed: u64, epoch: u64) -> EpochOrder {
        let samples = match order {
            Order::Sequential => Samples::Sequential,
            Order::Shuffled => {
                Samples::Shuffled(Shuffle::new(sample_count, Key::new(seed, epoch, Purpose::Shuffle)))
            }
        };
        EpochOrder { sample_count, samples }
    }

    /// How many samples the epoch takes.
    pub fn sample_count(&self) -> u64 {
        self.sample_count
    }

    /// Writes the samples at the places from `start` on, one for each element of `samples`.
    ///
    /// # Panics
    /// If the places reach beyond the epoch.
    pub fn fill(&self, start: u64, samples: &mut [u64]) {
        assert_places(start, samples.len(), self.sample_count);
        match &self.samples {
            Samples::Sequential => {
                for (sample, place) in samples.iter_mut().zip(start..) {
                    *sample = place;
                }
            }
            Samples::Shuffled(shuffle) => shuffle.fill(start, samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(order: &Order, sample_count: u64, seed: u64, epoch: u64) -> Vec<u64> {
        let order = EpochOrder::new(order, sample_count, seed, epoch);
        let mut samples = vec![0; usize::try_from(order.sample_count()).unwrap()];
        order.fill(0, &mut samples);
        samples
    }

    #[test]
    fn sequential_epochs_are_alike_whatever_the_seed() {
        for (seed, epoch) in [(0, 0), (0, 1), (7, 0)] {
            assert_eq!(samples(&Order::Sequential, 5, seed, epoch), [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn shuffled_epochs_take_each_sample_once_and_differ_by_seed_and_epoch() {
        let orders =
            [(0, 0), (0, 1), (1, 0)].map(|(seed, epoch)| samples(&Order::Shuffled, 100, seed, epoch));
        for order in &orders {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        }
        assert!(orders[0] != orders[1] && orders[0] != orders[2] && orders[1] != orders[2]);
    }

    #[test]
    fn any_part_of_an_epoch_is_that_part_of_the_whole() {
        for order in [Order::Sequential, Order::Shuffled] {
            let whole = samples(&order, 1000, 3, 9);
            let epoch = EpochOrder::new(&order, 1000, 3, 9);
            for (start, end) in [(0, 0), (0, 1), (17, 49), (999, 1000), (1000, 1000)] {
                let mut part = vec![0; end - start];
                epoch.fill(start as u64, &mut part);
                assert_eq!(part, whole[start..end], "{order:?} {start}..{end}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "2 places from 9 on reach beyond an order of 10 samples")]
    fn places_beyond_a_sequential_epoch_are_refused() {
        EpochOrder::new(&Order::Sequential, 10, 0, 0).fill(9, &mut [0; 2]);
    }

    #[test]
    fn a_sequential_epoch_of_every_number_there_is_has_an_end() {
        let mut last = [0; 2];
        EpochOrder::new(&Order::Sequential, u64::MAX, 0, 0).fill(u64::MAX - 2, &mut last);
        assert_eq!(last, [u64::MAX - 2, u64::MAX - 1]);
    }
}
