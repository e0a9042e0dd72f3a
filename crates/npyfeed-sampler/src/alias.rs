//! Draws from any distribution over *n* samples in constant time: the alias method (Walker, 1977; the
//! linear construction is Vose's, "A linear algorithm for generating random numbers with a given
//! distribution", IEEE Transactions on Software Engineering, 1991).
//!
//! Each of *n* buckets of equal size belongs to one sample up to a threshold, and to another, its alias,
//! beyond. The usual implementation adds and subtracts floats, so that errors pile up from bucket to
//! bucket. Here a weight becomes an integer mass, the masses sum to exactly *n*·2⁶⁴, and everything after
//! that is exact: a sample is drawn with just the probability that its mass says. The mass is off by the
//! rounding of one product of floats, 2⁻⁵¹ of itself, and of the sum of the weights, which is compensated;
//! and what is below 2⁻⁶⁴ of the mean weight is never drawn.
//!
//! Nothing here depends on how many samples there are: `torch.multinomial` counts in single precision, and
//! refuses more than 2²⁴.

use std::sync::Arc;

use crate::Key;

/// A bucket holds this much.
const BUCKET: u128 = 1 << 64;

/// The table of *n* samples: 16 bytes for each, shared by all epochs and threads.
#[derive(Clone, Debug)]
pub(crate) struct AliasTable {
    buckets: Arc<[Bucket]>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// How much of the bucket belongs to the sample of its own number.
    threshold: u64,
    /// Who gets the rest: itself, where nobody else has a share.
    alias: u64,
}

impl AliasTable {
    /// The table of weights that were checked: finite, not negative, one of them positive.
    pub(crate) fn new(weights: &[f64]) -> AliasTable {
        let mut masses = masses(weights);
        let mut buckets: Vec<Bucket> =
            (0..weights.len() as u64).map(|alias| Bucket { threshold: 0, alias }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..masses.len()).partition(|&index| masses[index] < BUCKET);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            buckets[poor] = Bucket { threshold: low_half(masses[poor]), alias: rich as u64 };
            masses[rich] -= BUCKET - masses[poor];
            if masses[rich] < BUCKET {
                large.pop();
                small.push(rich);
            }
        }
        debug_assert!(small.is_empty(), "the masses sum to as much as the buckets hold");
        AliasTable { buckets: buckets.into() }
    }

    /// The sample that draw `number` of `key` gives.
    pub(crate) fn draw(&self, key: Key, number: u64) -> u64 {
        // 128 random bits as a fraction, times the number of buckets: the whole part is the bucket, each
        // equally often to within 2⁻⁶⁴, the next 64 bits say where in it.
        let (high, low) = (key.word(2 * number), key.word(2 * number + 1));
        let count = self.buckets.len() as u128;
        let scaled = u128::from(high) * count + ((u128::from(low) * count) >> 64);
        let (index, inside) = (low_half(scaled >> 64), low_half(scaled));
        #[expect(clippy::cast_possible_truncation, reason = "an index into the table")]
        let bucket = self.buckets[index as usize];
        if inside < bucket.threshold { index } else { bucket.alias }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn low_half(number: u128) -> u64 {
    number as u64
}

/// Integers that relate as the weights do and sum to exactly *n*·2⁶⁴.
#[expect(clippy::cast_precision_loss, reason = "2⁶⁴ is a float, and so is each count of weights in memory")]
#[expect(clippy::cast_possible_truncation, reason = "the cast is the floor")]
#[expect(clippy::cast_sign_loss, reason = "no weight is negative")]
fn masses(weights: &[f64]) -> Vec<u128> {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    // Relative to the largest, no sum overflows and no weight is too small to be multiplied.
    let sum = compensated_sum(weights.iter().map(|weight| weight / largest));
    let count = weights.len() as f64;
    let scale = count / sum * BUCKET as f64;
    let mut masses: Vec<u128> = weights.iter().map(|weight| (weight / largest * scale) as u128).collect();
    let excess = masses.iter().sum::<u128>().cast_signed() - (weights.len() as u128 * BUCKET).cast_signed();
    // The largest mass is at least the mean, and the excess 2⁻⁵⁰ of the sum: a bucket is far more than that.
    if let Some(largest) = masses.iter_mut().max() {
        *largest = largest.saturating_add_signed(-excess);
    }
    masses
}

/// The sum to within the rounding of one number, however many there are (Neumaier, 1974).
fn compensated_sum(numbers: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for number in numbers {
        let next = sum + number;
        lost += if sum >= number { (sum - next) + number } else { (number - next) + sum };
        sum = next;
    }
    sum + lost
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "compared to within a tolerance")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The mass of each sample, counted back from the table.
    fn masses_in(table: &AliasTable) -> Vec<u128> {
        let mut masses = vec![0; table.buckets.len()];
        for (index, bucket) in table.buckets.iter().enumerate() {
            masses[index] += u128::from(bucket.threshold);
            masses[usize::try_from(bucket.alias).unwrap()] += BUCKET - u128::from(bucket.threshold);
        }
        masses
    }

    #[test]
    fn equal_weights_have_equal_masses() {
        for count in [1, 2, 3, 7, 1000] {
            assert_eq!(masses_in(&AliasTable::new(&vec![0.1; count])), vec![BUCKET; count]);
        }
    }

    #[test]
    fn extreme_weights_neither_overflow_nor_vanish() {
        let table = AliasTable::new(&[f64::MAX, f64::MAX, 0.0, f64::MAX]);
        assert_eq!(masses_in(&table)[2], 0);
        let table = AliasTable::new(&[5e-324, 0.0, 1e-323]);
        let masses = masses_in(&table);
        assert_eq!((masses[1], masses[0] * 2), (0, masses[2]));
    }

    #[test]
    fn a_sum_keeps_what_plain_addition_loses() {
        let numbers = std::iter::once(1e16).chain(std::iter::repeat_n(1.0, 1000));
        assert_eq!(compensated_sum(numbers).to_bits(), (1e16f64 + 1000.0).to_bits());
    }

    proptest! {
        #[test]
        fn the_table_holds_exactly_the_mass_of_each_weight(
            weights in prop::collection::vec(prop_oneof![Just(0.0), 0.0f64..1.0, 0.0f64..1e6], 1..300)
        ) {
            prop_assume!(weights.iter().any(|&weight| weight > 0.0));
            let table = AliasTable::new(&weights);
            let found = masses_in(&table);
            prop_assert_eq!(&found, &masses(&weights));
            let sum: f64 = weights.iter().sum();
            for (&weight, &mass) in weights.iter().zip(&found) {
                prop_assert_eq!(weight == 0.0, mass == 0);
                let expected = weight / sum * weights.len() as f64;
                let found = mass as f64 / BUCKET as f64;
                prop_assert!((found - expected).abs() <= 1e-12 * expected + 1e-18, "{found} {expected}");
            }
        }
    }
}
