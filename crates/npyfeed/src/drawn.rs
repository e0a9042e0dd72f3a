//! What random transforms drew, told to those who ask: to look at a sample again, or to test.

use npyfeed_sampler::Draws;

/// What one random transform drew for one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Its place in the chain of its column, counted from 1.
    pub step: usize,
    /// Its name.
    pub transform: &'static str,
    /// The first index of the box along each axis that is cropped, in the sample as it comes to the transform.
    pub corner: Vec<u64>,
}

/// A transform that draws where along each axis its box begins.
#[derive(Clone, Debug)]
pub(crate) struct RandomStep {
    /// Its place in the chain, counted from 0.
    pub(crate) place: usize,
    /// How many random transforms stand before it: what draws are keyed by, so that an image and its mask are
    /// cropped alike whatever else is done to each.
    pub(crate) number: u64,
    pub(crate) name: &'static str,
    /// Positions to choose from, for each axis that is cropped.
    pub(crate) choices: Box<[u64]>,
}

impl RandomStep {
    /// What it draws for sample `sample`. Moves of a [`Region`](crate::region::Region) are made of the same numbers.
    pub(crate) fn drawn(&self, draws: Draws, sample: u64) -> Drawn {
        let draw = draws.of(sample, self.number);
        let corner = (0..).zip(&self.choices).map(|(number, &choices)| draw.below(number, choices)).collect();
        Drawn { step: self.place + 1, transform: self.name, corner }
    }
}
