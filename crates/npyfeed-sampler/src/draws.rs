//! What random transforms draw: numbers that depend on (seed, epoch, sample, transform) and on nothing else.
//!
//! No state is kept: whoever asks again, on whatever thread and in whatever order, is given the same.
//!
//! Frozen: the tests below pin the values.

use crate::key::{Key, Purpose};

/// The draws of one epoch.
///
/// ```
/// use npyfeed_sampler::Draws;
///
/// let epoch = Draws::new(0, 1);
/// let corner = epoch.of(42, 0).below(0, 161); // sample 42, its first random transform, its first number
/// assert!(corner < 161);
/// assert_eq!(corner, Draws::new(0, 1).of(42, 0).below(0, 161));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws(Key);

/// The draws of one transform of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(Key);

impl Draws {
    /// The draws of `epoch` under `seed`.
    pub const fn new(seed: u64, epoch: u64) -> Draws {
        Draws(Key::new(seed, epoch, Purpose::Transform))
    }

    /// Those for the sample with this index in its dataset, of this random transform of its chain: the first, the
    /// second and so on. Whatever else stands in the chain does not count.
    pub const fn of(self, sample: u64, transform: u64) -> Draw {
        Draw(self.0.child(sample).child(transform))
    }
}

impl Draw {
    /// Number `index` of this draw, uniform over `0..bound`; 0 if `bound` is 0. Some values are likelier than
    /// others by at most `bound` in 2⁶⁴.
    pub const fn below(self, index: u64, bound: u64) -> u64 {
        // The high half of the product (D. Lemire, "Fast random integer generation in an interval", 2019).
        ((self.0.word(index) as u128 * bound as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_these_for_ever() {
        let draw =
            |seed, epoch, sample, transform| Draws::new(seed, epoch).of(sample, transform).below(0, 1000);
        let found =
            [draw(0, 0, 0, 0), draw(0, 0, 0, 1), draw(0, 0, 1, 0), draw(0, 1, 0, 0), draw(1, 0, 0, 0)];
        assert_eq!(found, [758, 294, 696, 42, 973]);
    }

    #[test]
    fn every_value_below_the_bound_comes_about_equally_often() {
        let (draws, mut counts) = (Draws::new(7, 3), [0_u32; 7]);
        for sample in 0..70_000 {
            let value = usize::try_from(draws.of(sample, 0).below(0, 7)).unwrap();
            counts[value] += 1;
        }
        // 10,000 each are expected, with a standard deviation of 93.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 500), "{counts:?}");
    }

    #[test]
    fn numbers_of_one_draw_differ() {
        let draw = Draws::new(0, 0).of(0, 0);
        assert_ne!(draw.below(0, u64::MAX), draw.below(1, u64::MAX));
        assert_eq!((draw.below(0, 1), draw.below(0, 0)), (0, 0));
    }
}
