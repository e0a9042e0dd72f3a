//! How many samples go into each split.

/// What keeps fractions from being a split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SplitError {
    /// A fraction that is not a number from 0 to 1.
    FractionOutOfRange {
        /// Which fraction, counted from 0.
        index: usize,
        /// The fraction given.
        fraction: f64,
    },
    /// The fractions leave samples out, or take some twice.
    SumNotOne {
        /// The sum of the fractions given.
        sum: f64,
    },
}

impl std::fmt::Display for SplitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SplitError::FractionOutOfRange { index, fraction } => {
                write!(f, "fraction {index} of the split is {fraction}, expected a number from 0 to 1")
            }
            SplitError::SumNotOne { sum } if *sum < 1.0 => {
                write!(f, "the fractions of the split sum to {sum}, expected 1 ")?;
                write!(f, "(samples to be left out need a fraction of their own)")
            }
            SplitError::SumNotOne { sum } => {
                write!(f, "the fractions of the split sum to {sum}, expected 1 ")?;
                write!(f, "(no sample can be in two splits)")
            }
        }
    }
}

impl std::error::Error for SplitError {}

/// How far the sum of fractions may be from 1: far more than the rounding of sums such as 0.1 + 0.2 + 0.7,
/// far less than one sample of a dataset. PyTorch's tolerance, Python's `math.isclose`, is the same below
/// 1 and none above, where it refuses some fractions for the order in which they are added.
const SUM_TOLERANCE: f64 = 1e-9;

/// The number of samples in each split of `sample_count` samples by `fractions`: the sum of the lengths is
/// `sample_count`.
///
/// Each length is `floor(sample_count * fraction)`; the samples that remain go one each to the first
/// splits, round and round. The rule is that of PyTorch's `torch.utils.data.random_split`, and the lengths
/// are the same for all fractions that it takes. A length may be 0, which PyTorch warns of.
///
/// Which samples they are is not said here: cut a [`Shuffle`](crate::Shuffle) under a key for
/// [`Purpose::Split`](crate::Purpose::Split) into runs of these lengths.
///
/// ```
/// use npyfeed_sampler::split_lengths;
/// assert_eq!(split_lengths(103, &[0.7, 0.2, 0.1])?, [73, 20, 10]);
/// assert!(split_lengths(103, &[0.7, 0.2]).is_err());
/// # Ok::<(), npyfeed_sampler::SplitError>(())
/// ```
///
/// # Errors
/// [`SplitError::FractionOutOfRange`] for a fraction that is negative, above 1 or not a number, else
/// [`SplitError::SumNotOne`] unless the fractions sum to 1 within 10⁻⁹; no fractions at all sum to 0.
pub fn split_lengths(sample_count: u64, fractions: &[f64]) -> Result<Vec<u64>, SplitError> {
    check_fractions(fractions)?;
    let mut remaining = sample_count;
    let mut lengths = Vec::with_capacity(fractions.len());
    for &fraction in fractions {
        // Rounded products can exceed the count by a few samples when it is beyond 2⁵³.
        let length = floor_product(sample_count, fraction).min(remaining);
        remaining -= length;
        lengths.push(length);
    }
    let split_count = fractions.len() as u64;
    for (index, length) in (0..).zip(&mut lengths) {
        *length += remaining / split_count + u64::from(index < remaining % split_count);
    }
    Ok(lengths)
}

fn check_fractions(fractions: &[f64]) -> Result<(), SplitError> {
    for (index, &fraction) in fractions.iter().enumerate() {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(SplitError::FractionOutOfRange { index, fraction });
        }
    }
    // From 0.0, since the sum of nothing is -0.0 and would be shown as such.
    let sum = fractions.iter().fold(0.0, |sum, fraction| sum + fraction);
    if (sum - 1.0).abs() > SUM_TOLERANCE { Err(SplitError::SumNotOne { sum }) } else { Ok(()) }
}

/// `floor(count * fraction)` in the arithmetic of Python, whose integers become floats when they meet one.
#[expect(clippy::cast_precision_loss, reason = "Python rounds the count in the same way")]
#[expect(clippy::cast_possible_truncation, reason = "the cast is the floor, and saturates")]
#[expect(clippy::cast_sign_loss, reason = "neither factor is negative")]
fn floor_product(count: u64, fraction: f64) -> u64 {
    (count as f64 * fraction) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `torch.utils.data.random_split` of PyTorch 2.15 answered.
    #[test]
    fn lengths_are_pytorchs() {
        let third = 1.0 / 3.0;
        let cases: [(u64, &[f64], &[u64]); 12] = [
            (0, &[0.5, 0.5], &[0, 0]),
            (1, &[0.5, 0.5], &[1, 0]),
            (10, &[0.8, 0.2], &[8, 2]),
            (10, &[third, third, third], &[4, 3, 3]),
            (11, &[third, third, third], &[4, 4, 3]),
            (103, &[0.7, 0.2, 0.1], &[73, 20, 10]),
            (7, &[0.25, 0.25, 0.25, 0.25], &[2, 2, 2, 1]),
            (1000, &[0.29, 0.71], &[290, 710]),
            (60_000, &[0.9, 0.05, 0.05], &[54_000, 3_000, 3_000]),
            (99_999, &[0.123, 0.877], &[12_300, 87_699]),
            (5, &[1.0], &[5]),
            (5, &[0.0, 1.0], &[0, 5]),
        ];
        for (sample_count, fractions, lengths) in cases {
            let found = split_lengths(sample_count, fractions);
            assert_eq!(found.as_deref(), Ok(lengths), "{sample_count} by {fractions:?}");
        }
    }

    #[test]
    fn fractions_whose_sum_is_rounded_up_are_taken_though_pytorch_refuses_them() {
        let fractions = [0.2, 0.4, 0.3, 0.1];
        assert!(fractions.iter().sum::<f64>() > 1.0);
        assert_eq!(split_lengths(100, &fractions), Ok(vec![20, 40, 30, 10]));
    }

    #[test]
    fn what_is_not_a_number_from_0_to_1_is_refused_by_its_index() {
        for wrong in [f64::NAN, -0.2, 1.2, f64::INFINITY, f64::NEG_INFINITY, 80.0] {
            let error = split_lengths(10, &[0.5, wrong]).unwrap_err();
            assert!(matches!(error, SplitError::FractionOutOfRange { index: 1, .. }), "{error}");
        }
        let error = split_lengths(10, &[0.8, -0.2]).unwrap_err();
        assert_eq!(error.to_string(), "fraction 1 of the split is -0.2, expected a number from 0 to 1");
    }

    #[test]
    fn fractions_that_leave_samples_out_or_take_them_twice_are_refused() {
        for (fractions, sum) in [(&[0.5, 0.25][..], 0.75), (&[0.75, 0.5], 1.25), (&[], 0.0), (&[0.0], 0.0)] {
            assert_eq!(split_lengths(10, fractions), Err(SplitError::SumNotOne { sum }));
        }
        let left_out = SplitError::SumNotOne { sum: 0.75 }.to_string();
        assert!(left_out.contains("sum to 0.75, expected 1 (samples to be left out"), "{left_out}");
        let twice = SplitError::SumNotOne { sum: 1.25 }.to_string();
        assert!(twice.contains("sum to 1.25, expected 1 (no sample"), "{twice}");
    }

    proptest! {
        #[test]
        fn every_sample_is_in_one_split(sample_count: u64, weights in proptest::collection::vec(0u32.., 1..20)) {
            let total: f64 = weights.iter().copied().map(f64::from).sum();
            prop_assume!(total > 0.0);
            let fractions: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / total).collect();
            let lengths = split_lengths(sample_count, &fractions).unwrap();
            prop_assert_eq!(lengths.len(), fractions.len());
            prop_assert_eq!(lengths.iter().map(|&length| u128::from(length)).sum::<u128>(), sample_count.into());
        }
    }
}
