//! Orders in which samples come as often as their weights say.

use std::sync::Arc;

use crate::alias::AliasTable;
use crate::arrival::first_arrivals;
use crate::key::hash_words;
use crate::order_error::check_epoch_len;
use crate::{Key, OrderError, Purpose};

/// Whether a sample that was drawn can be drawn again in the same epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replacement {
    /// It can: every draw has the same chances, whatever came before.
    With,
    /// It cannot: each draw is from those that are left.
    Without,
}

/// Draws from samples by their weights, `draw_count` in an epoch.
///
/// *With replacement*, each draw gives a sample with the probability of its weight over the sum of all, to
/// within 2⁻⁵¹ of it, for any number of samples. A draw is a function of (seed, epoch, number of the draw):
/// any is had without those before. The table takes 16 bytes a sample, once.
///
/// *Without replacement*, each draw gives a sample with the probability of its weight over the sum of those
/// that are left: exactly the distribution of NumPy's `Generator.choice(replace=False, p=...)`. Its first
/// use in an epoch costs a pass and a sort, O(n log n), and 16 bytes a sample meanwhile; the weights and
/// the order are kept, 8 bytes each.
///
/// The names are those of `torch.utils.data.WeightedRandomSampler`; the draws are not, and weights need not
/// sum to 1 there either.
///
/// ```
/// use npyfeed_sampler::{EpochOrder, Order, Replacement, Weighted};
///
/// let rarely = Weighted::new(&[1.0, 0.0, 1e-9], 5, Replacement::With)?;
/// let mut samples = [9; 5];
/// EpochOrder::new(&Order::Weighted(rarely), 3, 0, 0).fill(0, &mut samples);
/// assert_eq!(samples, [0, 0, 0, 0, 0]);
/// # Ok::<(), npyfeed_sampler::OrderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Weighted {
    sample_count: u64,
    draw_count: u64,
    hash: u64,
    chances: Chances,
}

#[derive(Clone, Debug)]
enum Chances {
    With(AliasTable),
    Without(Arc<[f64]>),
}

/// The draws of one epoch.
#[derive(Clone, Debug)]
pub(crate) enum Draws {
    /// Each on its own.
    Alone(AliasTable, Key),
    /// All of them, drawn when the epoch began.
    Listed(Arc<[u64]>),
}

impl Weighted {
    /// Draws by `weights`, one for each sample, relative to each other.
    ///
    /// # Errors
    /// [`OrderError`] if a weight is negative, infinite or not a number, if none is above 0, if `draw_count`
    /// is 0 or beyond 2⁶², or if without replacement fewer than `draw_count` weights are above 0.
    pub fn new(weights: &[f64], draw_count: u64, replacement: Replacement) -> Result<Weighted, OrderError> {
        let is_fit = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        if let Some((index, weight)) = (0..).zip(weights).find(|(_, weight)| !is_fit(weight)) {
            return Err(OrderError::WeightOutOfRange { index, weight: *weight });
        }
        let positive_count = weights.iter().filter(|&&weight| weight > 0.0).count() as u64;
        if positive_count == 0 {
            return Err(OrderError::NoPositiveWeight);
        }
        check_epoch_len(draw_count)?;
        let bits = weights.iter().map(|weight| (weight + 0.0).to_bits()); // -0.0 is 0.0
        let (kind, chances) = match replacement {
            Replacement::With => (0, Chances::With(AliasTable::new(weights))),
            Replacement::Without if positive_count < draw_count => {
                return Err(OrderError::TooFewPositiveWeights { draw_count, positive_count });
            }
            Replacement::Without => (1, Chances::Without(weights.into())),
        };
        let hash = hash_words([kind, draw_count].into_iter().chain(bits));
        Ok(Weighted { sample_count: weights.len() as u64, draw_count, hash, chances })
    }

    /// How many samples have a weight.
    pub fn sample_count(&self) -> u64 {
        self.sample_count
    }

    /// How many samples an epoch draws.
    pub fn draw_count(&self) -> u64 {
        self.draw_count
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn draws(&self, seed: u64, epoch: u64) -> Draws {
        match &self.chances {
            Chances::With(table) => Draws::Alone(table.clone(), Key::new(seed, epoch, Purpose::Draw)),
            Chances::Without(weights) => {
                let key = Key::new(seed, epoch, Purpose::Arrival);
                let draw_count = usize::try_from(self.draw_count).unwrap_or(usize::MAX);
                Draws::Listed(first_arrivals(weights, draw_count, key))
            }
        }
    }
}

impl Draws {
    pub(crate) fn fill(&self, start: u64, samples: &mut [u64]) {
        match self {
            Draws::Alone(table, key) => {
                for (sample, place) in samples.iter_mut().zip(start..) {
                    *sample = table.draw(*key, place);
                }
            }
            Draws::Listed(listed) => copy_places(listed, start, samples),
        }
    }
}

/// Copies the places from `start` on out of a list that has them.
#[expect(clippy::cast_possible_truncation, reason = "a place in a slice")]
pub(crate) fn copy_places(listed: &[u64], start: u64, samples: &mut [u64]) {
    samples.copy_from_slice(&listed[start as usize..][..samples.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_cannot_be_are_refused() {
        let new =
            |weights: &[f64], count, replacement| Weighted::new(weights, count, replacement).unwrap_err();
        for weight in [f64::NAN, f64::INFINITY, -1.0] {
            let error = new(&[1.0, weight], 1, Replacement::With);
            assert!(error.to_string().ends_with(&format!("found {weight} at index 1")), "{error}");
        }
        assert_eq!(new(&[0.0, -0.0], 1, Replacement::With), OrderError::NoPositiveWeight);
        assert_eq!(new(&[], 1, Replacement::With), OrderError::NoPositiveWeight);
        assert_eq!(new(&[1.0], 0, Replacement::With), OrderError::LengthOutOfRange { epoch_len: 0 });
        let expected = OrderError::TooFewPositiveWeights { draw_count: 3, positive_count: 2 };
        assert_eq!(new(&[1.0, 0.0, 1.0], 3, Replacement::Without), expected);
    }

    #[test]
    fn the_hash_knows_weights_count_and_replacement_but_not_the_sign_of_zero() {
        let hash =
            |weights: &[f64], count, replacement| Weighted::new(weights, count, replacement).unwrap().hash();
        let one = hash(&[1.0, 0.0], 1, Replacement::With);
        assert_eq!(one, hash(&[1.0, -0.0], 1, Replacement::With));
        assert_ne!(one, hash(&[0.0, 1.0], 1, Replacement::With));
        assert_ne!(one, hash(&[1.0, 0.0], 2, Replacement::With));
        assert_ne!(one, hash(&[1.0, 0.0], 1, Replacement::Without));
    }
}
