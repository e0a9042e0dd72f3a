//! An exact shuffle of any number of samples in a few hundred bytes.
//!
//! A [`Network`] permutes `0..2^bits`, a domain that may be larger than the number of samples. A number
//! that lands outside `0..sample_count` is sent through the network again until it lands inside
//! ("cycle walking": Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). The walk
//! follows a cycle of a permutation that begins inside, so it ends, and no two walks end alike: what is
//! left is a permutation of the samples, exactly. From 256 samples on, the domain is less than twice as
//! large, and a walk has less than two steps on average.

use crate::Key;
use crate::network::{LANE_COUNT, Network};

/// A shuffle of the samples `0..sample_count`: a bijection from places in the order to samples.
///
/// Every place is computed on its own, at a cost that does not grow with the number of samples. There is
/// no list of samples to build before an epoch, to hold during it, or to replay after a restart. The same
/// (`sample_count`, key) gives the same order on every machine and in every version.
///
/// All orders come equally often as far as tests tell them apart from a Fisher–Yates shuffle, which is
/// far enough for training and not for secrets. (A key has 64 bits: of more than 20 samples, no generator
/// with such a seed reaches all orders.)
///
/// ```
/// use npyfeed_sampler::{Key, Purpose, Shuffle};
///
/// let shuffle = Shuffle::new(1_000_000_000, Key::new(0, 3, Purpose::Shuffle));
/// let mut batch = [0; 4];
/// shuffle.fill(500_000_000, &mut batch);
/// assert_eq!(batch[2], shuffle.at(500_000_002));
/// assert_eq!(shuffle.place_of(batch[2]), 500_000_002);
/// ```
#[derive(Clone, Debug)]
pub struct Shuffle {
    sample_count: u64,
    network: Network,
}

impl Shuffle {
    /// The shuffle of `0..sample_count` under `key`.
    pub fn new(sample_count: u64, key: Key) -> Shuffle {
        Shuffle { sample_count, network: Network::over(sample_count, key) }
    }

    /// The number of samples, which is also the number of places.
    pub fn sample_count(&self) -> u64 {
        self.sample_count
    }

    /// The sample at `place`.
    ///
    /// # Panics
    /// If `place` is not below the number of samples.
    pub fn at(&self, place: u64) -> u64 {
        self.assert_inside(place);
        self.walk(place)
    }

    /// The place of `sample`: the inverse of [`Shuffle::at`].
    ///
    /// # Panics
    /// If `sample` is not below the number of samples.
    pub fn place_of(&self, sample: u64) -> u64 {
        self.assert_inside(sample);
        let mut number = self.network.backward(sample);
        while number >= self.sample_count {
            number = self.network.backward(number);
        }
        number
    }

    /// Writes the samples at the places from `start` on, one for each element of `samples`.
    ///
    /// Equal to [`Shuffle::at`] for each place, and two to four times as fast for up to 2³² samples.
    ///
    /// # Panics
    /// If the places reach beyond the number of samples.
    pub fn fill(&self, start: u64, samples: &mut [u64]) {
        assert_places(start, samples.len(), self.sample_count);
        if self.network.is_narrow() {
            for (block, samples) in (0..).zip(samples.chunks_mut(BLOCK_LEN)) {
                self.fill_block(start + block * BLOCK_LEN as u64, samples);
            }
        } else {
            for (sample, place) in samples.iter_mut().zip(start..) {
                *sample = self.at(place);
            }
        }
    }

    /// Sends all places through the network, then those that landed outside, then those of them that
    /// landed outside again. Walking together keeps the lanes full; walking one by one waits for each step.
    fn fill_block(&self, start: u64, samples: &mut [u64]) {
        for (chunk, samples) in (0..).zip(samples.chunks_mut(LANE_COUNT)) {
            let start = start + chunk * LANE_COUNT as u64;
            // The last chunk may be short: its lanes beyond the last place are computed and not kept.
            let mut lanes = std::array::from_fn(|lane| narrow(start + lane as u64));
            self.network.forward_narrow(&mut lanes);
            samples.iter_mut().zip(lanes).for_each(|(sample, lane)| *sample = u64::from(lane));
        }
        let mut slots = EVERY_SLOT;
        let mut outside_count = self.keep_outside(samples, &mut slots[..samples.len()]);
        while outside_count >= FEW {
            for slots in slots[..outside_count].chunks(LANE_COUNT) {
                self.forward_slots(samples, slots);
            }
            outside_count = self.keep_outside(samples, &mut slots[..outside_count]);
        }
        for &slot in &slots[..outside_count] {
            let sample = &mut samples[usize::from(slot)];
            *sample = self.walk(*sample);
        }
    }

    /// Replaces the numbers in `slots` of `samples` by where the network sends them.
    fn forward_slots(&self, samples: &mut [u64], slots: &[u16]) {
        let mut lanes = [0; LANE_COUNT];
        for (lane, &slot) in lanes.iter_mut().zip(slots) {
            *lane = narrow(samples[usize::from(slot)]);
        }
        self.network.forward_narrow(&mut lanes);
        for (&lane, &slot) in lanes.iter().zip(slots) {
            samples[usize::from(slot)] = u64::from(lane);
        }
    }

    /// Moves the slots whose number is outside to the front; how many they are. Without a branch: which
    /// numbers are outside is random, so half of the branches could be mispredicted.
    fn keep_outside(&self, samples: &[u64], slots: &mut [u16]) -> usize {
        let mut kept = 0;
        for index in 0..slots.len() {
            let slot = slots[index];
            slots[kept] = slot;
            kept += usize::from(samples[usize::from(slot)] >= self.sample_count);
        }
        kept
    }

    /// The first number inside on the way that begins at `number`.
    fn walk(&self, number: u64) -> u64 {
        let mut number = self.network.forward(number);
        while number >= self.sample_count {
            number = self.network.forward(number);
        }
        number
    }

    #[track_caller]
    fn assert_inside(&self, number: u64) {
        assert!(number < self.sample_count, "{number} is outside a shuffle of {} samples", self.sample_count);
    }
}

/// How many places are walked together: enough that the last rounds of a walk, which fill few lanes, are
/// few among many, and few enough to stay in the first-level cache.
const BLOCK_LEN: usize = 512;

/// Fewer than this, and walking one by one is faster than a round of mostly empty lanes.
const FEW: usize = 8;

#[expect(clippy::cast_possible_truncation, reason = "a slot is below 512")]
const EVERY_SLOT: [u16; BLOCK_LEN] = {
    let mut slots = [0; BLOCK_LEN];
    let mut slot = 0;
    while slot < BLOCK_LEN {
        slots[slot] = slot as u16;
        slot += 1;
    }
    slots
};

#[expect(clippy::cast_possible_truncation, reason = "the numbers of a narrow network fit into a u32")]
fn narrow(number: u64) -> u32 {
    number as u32
}

/// Refuses places that the order does not have.
#[track_caller]
pub(crate) fn assert_places(start: u64, count: usize, sample_count: u64) {
    let inside = start <= sample_count && count as u64 <= sample_count - start;
    assert!(inside, "{count} places from {start} on reach beyond an order of {sample_count} samples");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Purpose;
    use proptest::prelude::*;

    fn shuffle(sample_count: u64, seed: u64, epoch: u64) -> Shuffle {
        Shuffle::new(sample_count, Key::new(seed, epoch, Purpose::Shuffle))
    }

    fn all_samples(shuffle: &Shuffle) -> Vec<u64> {
        let mut samples = vec![0; usize::try_from(shuffle.sample_count()).unwrap()];
        shuffle.fill(0, &mut samples);
        samples
    }

    fn is_permutation(samples: &[u64]) -> bool {
        let mut seen = vec![false; samples.len()];
        samples.iter().all(|&sample| !std::mem::replace(&mut seen[usize::try_from(sample).unwrap()], true))
    }

    /// Computed by a plain version in Python, written from the description at the head of `network.rs`.
    #[test]
    fn orders_are_these_for_ever() {
        assert_eq!(all_samples(&shuffle(10, 0, 0)), [4, 1, 9, 2, 6, 7, 3, 5, 0, 8]);
        let golden: [(u64, u64, u64, [u64; 3]); 6] = [
            (1000, 0, 0, [235, 371, 780]),
            (1000, 0, 1, [287, 934, 383]),
            (2_000_000, 7, 3, [1_486_871, 968_576, 985_325]),
            (1 << 32, 1, 0, [2_426_049_555, 2_399_791_807, 3_431_157_115]),
            ((1 << 32) + 1, 1, 0, [3_395_361_706, 806_664_821, 796_752_446]),
            (u64::MAX, 5, 5, [534_355_068_915_001_295, 9_601_422_374_340_131_726, 8_478_346_384_815_088_532]),
        ];
        for (sample_count, seed, epoch, samples) in golden {
            let shuffle = shuffle(sample_count, seed, epoch);
            let places = [0, 1, sample_count - 1];
            assert_eq!(places.map(|place| shuffle.at(place)), samples, "{sample_count} samples");
        }
    }

    #[test]
    fn each_sample_comes_once_in_every_small_number_of_samples() {
        for sample_count in 0..=300 {
            let shuffle = shuffle(sample_count, 1, 2);
            let samples = all_samples(&shuffle);
            assert!(is_permutation(&samples), "{sample_count} samples");
            for (place, sample) in (0..).zip(samples) {
                assert_eq!(shuffle.place_of(sample), place, "{sample_count} samples");
            }
        }
    }

    #[test]
    fn places_and_samples_match_one_to_one_in_very_many_samples() {
        for sample_count in [1_000_000_000, 1 << 32, (1 << 32) + 1, 1 << 40, (1 << 63) + 1, u64::MAX] {
            let shuffle = shuffle(sample_count, 3, 4);
            let mut samples = [0; 700];
            for start in [0, sample_count / 3, sample_count - 700] {
                shuffle.fill(start, &mut samples);
                for (sample, place) in samples.into_iter().zip(start..) {
                    assert!(sample < sample_count);
                    assert_eq!(shuffle.place_of(sample), place, "{sample_count} samples");
                }
            }
        }
    }

    #[test]
    #[ignore = "half a minute and 125 MB in a release build; far more in a debug build"]
    fn each_of_a_billion_samples_comes_once() {
        let shuffle = shuffle(1_000_000_000, 0, 0);
        let mut seen = vec![0u64; 1_000_000_000 / 64];
        let mut samples = [0; 2000];
        for start in (0..shuffle.sample_count()).step_by(samples.len()) {
            shuffle.fill(start, &mut samples);
            for sample in samples {
                seen[usize::try_from(sample / 64).unwrap()] |= 1 << (sample % 64);
            }
        }
        assert!(seen.into_iter().all(|bits| bits == u64::MAX));
    }

    #[test]
    #[should_panic(expected = "3 places from 8 on reach beyond an order of 10 samples")]
    fn places_beyond_the_samples_are_refused() {
        shuffle(10, 0, 0).fill(8, &mut [0; 3]);
    }

    #[test]
    #[should_panic(expected = "10 is outside a shuffle of 10 samples")]
    fn a_sample_that_is_not_there_has_no_place() {
        shuffle(10, 0, 0).place_of(10);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn each_sample_comes_once(sample_count in 0u64..=1_000_000, seed: u64) {
            prop_assert!(is_permutation(&all_samples(&shuffle(sample_count, seed, 0))));
        }
    }

    proptest! {
        #[test]
        fn a_run_of_places_holds_what_each_place_holds(
            sample_count in prop_oneof![1u64..2000, 1u64..=1 << 33],
            seed: u64,
            start: prop::sample::Index,
            count in 0u64..1200,
        ) {
            let shuffle = shuffle(sample_count, seed, 0);
            let start = start.index(usize::try_from(sample_count).unwrap()) as u64;
            let places = start..sample_count.min(start + count);
            let mut samples = vec![0; places.clone().count()];
            shuffle.fill(start, &mut samples);
            prop_assert_eq!(samples, places.map(|place| shuffle.at(place)).collect::<Vec<_>>());
        }
    }
}
