//! Weighted draws without replacement, exactly: a race.
//!
//! Each sample arrives after a time that is exponentially distributed, with its weight as the rate. The
//! first to arrive is a given sample with the probability of its weight among all; since such times have no
//! memory, the next is drawn so from those that are left, and so on: the order of arrival is the order of
//! successive draws without replacement. (Efraimidis and Spirakis, "Weighted random sampling with a
//! reservoir", Information Processing Letters, 2006; the times are minus the logarithms of their keys.)
//!
//! The logarithm is our own, since that of a platform may round as it likes, and an order is the same
//! on every machine. It uses additions, products and quotients only, which IEEE 754 settles to the last bit.

use std::f64::consts::LN_2;
use std::sync::Arc;

use crate::Key;

/// The first `draw_count` samples to arrive, in their order. `weights` were checked: finite, not negative,
/// at least `draw_count` of them positive. Two that arrive together, within 2⁻⁵² of their time, come in the
/// order of their indices.
pub(crate) fn first_arrivals(weights: &[f64], draw_count: usize, key: Key) -> Arc<[u64]> {
    let arrival = |(sample, &weight): (u64, &f64)| {
        // Times are positive, so they are ordered as their bits are, and infinity comes last.
        (weight > 0.0).then(|| ((exponential(key.word(sample)) / weight).to_bits(), sample))
    };
    let mut arrivals: Vec<(u64, u64)> = (0..).zip(weights).filter_map(arrival).collect();
    if draw_count < arrivals.len() {
        arrivals.select_nth_unstable(draw_count);
        arrivals.truncate(draw_count);
    }
    arrivals.sort_unstable();
    arrivals.into_iter().map(|(_, sample)| sample).collect()
}

/// A time of rate 1 from 64 random bits: `-ln(1 - word / 2⁶⁴)`. It has its full precision for the earliest
/// times too, which among many samples are the ones that decide.
#[expect(clippy::cast_precision_loss, reason = "rounded to 53 bits, as every float")]
fn exponential(word: u64) -> f64 {
    // 1 - word / 2⁶⁴ = fraction / 2^halvings, with a fraction from 1/2 to 1.
    let left = (!word).max(1);
    let halvings = left.leading_zeros();
    let gap = (left << halvings).wrapping_neg() as f64 / TWO_TO_64; // 1 - fraction, without cancellation
    let s = gap / (2.0 - gap);
    // -ln((1 - s) / (1 + s)) = 2 (s + s³/3 + s⁵/5 + …), with s at most 1/3: the next term is below 2⁻⁵⁹.
    let square = s * s;
    let series = (0..TERM_COUNT).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    f64::from(halvings) * LN_2 + 2.0 * s * series
}

const TERM_COUNT: u32 = 18;

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "compared to within a tolerance")]
mod tests {
    use super::*;
    use crate::Purpose;
    use proptest::prelude::*;

    fn key(epoch: u64) -> Key {
        Key::new(0, epoch, Purpose::Arrival)
    }

    #[test]
    fn of_all_samples_each_arrives_once_and_those_of_weight_zero_never() {
        let weights = [1.0, 0.0, 3.0, 1e-300, 0.0, 1e300];
        let mut arrivals = first_arrivals(&weights, 4, key(0)).to_vec();
        assert_eq!(arrivals[0], 5);
        arrivals.sort_unstable();
        assert_eq!(arrivals, [0, 2, 3, 5]);
    }

    #[test]
    fn the_first_few_are_the_beginning_of_all() {
        let weights: Vec<f64> = (1..500).map(f64::from).collect();
        let all = first_arrivals(&weights, 499, key(7));
        for count in [0, 1, 10, 498] {
            assert_eq!(first_arrivals(&weights, count, key(7))[..], all[..count]);
        }
    }

    #[test]
    fn the_extreme_words_have_finite_positive_times() {
        assert!((exponential(0) * TWO_TO_64 - 1.0).abs() < 1e-15);
        assert!((exponential(u64::MAX) - 64.0 * LN_2).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn times_are_the_logarithm_that_the_system_has(word: u64, shift in 0u32..50) {
            let word = word >> shift;
            let expected = -(-(word as f64 / TWO_TO_64)).ln_1p();
            let found = exponential(word);
            prop_assume!(expected.is_finite() && expected < 30.0 && expected > 1e-10);
            prop_assert!((found / expected - 1.0).abs() < 1e-9, "{word}: {found}, expected {expected}");
        }
    }
}
