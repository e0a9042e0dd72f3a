//! What the tests of fairness count with: shuffles to compare with ours, and deviations.

use npyfeed_sampler::{Key, Purpose, Shuffle};

/// Gives one order of `len` samples, always the same for the same number.
pub(crate) type Method = fn(len: u32, number: u64) -> Vec<u32>;

/// The shuffle under test, over seeds.
pub(crate) fn our_seeds(len: u32, seed: u64) -> Vec<u32> {
    all_samples(len, Key::new(seed, 0, Purpose::Shuffle))
}

/// The shuffle under test, over the epochs of one seed.
pub(crate) fn our_epochs(len: u32, epoch: u64) -> Vec<u32> {
    all_samples(len, Key::new(0, epoch, Purpose::Shuffle))
}

#[expect(clippy::cast_possible_truncation, reason = "samples are below `len`")]
fn all_samples(len: u32, key: Key) -> Vec<u32> {
    let mut samples = vec![0; len as usize];
    Shuffle::new(len.into(), key).fill(0, &mut samples);
    samples.into_iter().map(|sample| sample as u32).collect()
}

/// The textbook's shuffle: fair if its random numbers are, so a measure that it fails is wrong.
pub(crate) fn fisher_yates(len: u32, number: u64) -> Vec<u32> {
    let mut samples: Vec<u32> = (0..len).collect();
    let mut random = random_below(number);
    for last in (1..len).rev() {
        samples.swap(last as usize, random(last + 1) as usize);
    }
    samples
}

/// A bad shuffle, equal steps round and round: each sample lies at each place equally often, which is all
/// that can be said for it.
pub(crate) fn equal_steps(len: u32, number: u64) -> Vec<u32> {
    let mut random = random_below(number);
    let start = random(len);
    let step =
        std::iter::repeat_with(|| random(len)).find(|&step| common_divisor(step, len) == 1).unwrap_or(1);
    (0..len).map(|place| (start + place * step) % len).collect()
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Random numbers below a bound, from another mixer than the one in our keys: Degski's, over a counter.
fn random_below(seed: u64) -> impl FnMut(u32) -> u32 {
    let mut state = seed.wrapping_mul(0xD134_2543_DE82_EF95);
    move |bound| {
        state = state.wrapping_add(0x2545_F491_4F6C_DD1D);
        let mixed = (state ^ (state >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (((mixed >> 32) * u64::from(bound)) >> 32) as u32
    }
}

/// How far counts lie from what is expected of them, in standard deviations of a normal variable:
/// Pearson's chi-square, made normal by the cube root of Wilson and Hilferty (1931).
pub(crate) fn chi_square_deviation(counts: &[u32], expected: &[f64]) -> f64 {
    let terms = counts.iter().zip(expected);
    let chi_square: f64 = terms.map(|(&count, mean)| (f64::from(count) - mean).powi(2) / mean).sum();
    let freedom = len_f64(counts) - 1.0;
    let spread = 2.0 / (9.0 * freedom);
    ((chi_square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// [`chi_square_deviation`] of counts that are expected to be equal.
pub(crate) fn uniform_deviation(counts: &[u32]) -> f64 {
    let total: f64 = counts.iter().copied().map(f64::from).sum();
    chi_square_deviation(counts, &vec![total / len_f64(counts); counts.len()])
}

/// [`chi_square_deviation`] of events per order, expected to be Poisson's with the given mean.
pub(crate) fn poisson_deviation(events: &[u32], mean: f64) -> f64 {
    const CLASS_COUNT: usize = 6;
    let mut counts = [0; CLASS_COUNT];
    for &event_count in events {
        counts[(event_count as usize).min(CLASS_COUNT - 1)] += 1;
    }
    let mut chance = (-mean).exp();
    let mut chances = [chance; CLASS_COUNT];
    for (class, later) in (1..).zip(&mut chances[1..]) {
        chance *= mean / f64::from(class);
        *later = chance;
    }
    chances[CLASS_COUNT - 1] = 1.0 - chances[..CLASS_COUNT - 1].iter().sum::<f64>();
    chi_square_deviation(&counts, &chances.map(|chance| chance * len_f64(events)))
}

/// How far the mean of values lies from the expected one, in standard deviations of such a mean.
pub(crate) fn mean_deviation(values: &[f64], mean: f64, variance: f64) -> f64 {
    (values.iter().sum::<f64>() / len_f64(values) - mean) / (variance / len_f64(values)).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2⁵³")]
fn len_f64<T>(values: &[T]) -> f64 {
    values.len() as f64
}
