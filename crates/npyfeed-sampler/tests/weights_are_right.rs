//! Samples are drawn as often as their weights say: counted, against exact probabilities. Seeds are fixed,
//! and a limit is exceeded by right draws once in a million, so a test that passes once passes always.

#[expect(dead_code, reason = "the other users of these statistics need all of them")]
mod statistics;

use std::collections::HashMap;

use npyfeed_sampler::{ClassBalanced, EpochOrder, Order, Replacement, Weighted};
use statistics::{chi_square_deviation, uniform_deviation};

/// A normal variable is farther from its mean, to either side, once in a million.
const DEVIATION_MAX: f64 = 4.892;

#[expect(clippy::cast_possible_truncation, reason = "an epoch that is held whole")]
fn samples(order: &Order, sample_count: u64, seed: u64, epoch: u64) -> Vec<u64> {
    let epoch = EpochOrder::new(order, sample_count, seed, epoch);
    let mut samples = vec![0; epoch.epoch_len() as usize];
    epoch.fill(0, &mut samples);
    samples
}

fn weighted(weights: &[f64], draw_count: u64, replacement: Replacement) -> Order {
    Order::Weighted(Weighted::new(weights, draw_count, replacement).expect("weights that can be"))
}

#[test]
fn with_replacement_samples_come_as_often_as_their_weights_say() {
    let weights: Vec<f64> = (1..=50).map(|index| f64::from(index).powi(2)).collect();
    let sum: f64 = weights.iter().sum();
    for seed in 0..4 {
        let mut counts = [0; 50];
        for sample in samples(&weighted(&weights, 200_000, Replacement::With), 50, seed, seed) {
            counts[usize::try_from(sample).unwrap()] += 1;
        }
        let expected: Vec<f64> = weights.iter().map(|weight| weight / sum * 200_000.0).collect();
        let deviation = chi_square_deviation(&counts, &expected);
        assert!(deviation.abs() < DEVIATION_MAX, "seed {seed}: {deviation:.1}");
    }
}

#[test]
fn draws_with_replacement_know_nothing_of_the_one_before_nor_of_the_last_epoch() {
    let order = weighted(&[1.0, 2.0, 3.0, 4.0], 100_000, Replacement::With);
    let (one, next) = (samples(&order, 4, 0, 0), samples(&order, 4, 0, 1));
    let chance = |sample: u64| f64::from(u32::try_from(sample + 1).unwrap()) / 10.0;
    for pairs in [one.iter().zip(&one[1..]).collect::<Vec<_>>(), one.iter().zip(&next).collect()] {
        let mut counts = [0; 16];
        for (a, b) in &pairs {
            counts[usize::try_from(4 * **a + **b).unwrap()] += 1;
        }
        let pair_count = f64::from(u32::try_from(pairs.len()).unwrap());
        let expected: Vec<f64> = (0..16).map(|ab| chance(ab / 4) * chance(ab % 4) * pair_count).collect();
        let deviation = chi_square_deviation(&counts, &expected);
        assert!(deviation.abs() < DEVIATION_MAX, "{deviation:.1}");
    }
}

/// All 24 orders of four samples, each with the product of its successive chances.
#[test]
fn without_replacement_every_order_has_its_exact_chance() {
    let weights = [1.0, 2.0, 3.0, 10.0];
    let order = weighted(&weights, 4, Replacement::Without);
    let mut counts: HashMap<Vec<u64>, u32> = HashMap::new();
    for epoch in 0..100_000 {
        *counts.entry(samples(&order, 4, 7, epoch)).or_default() += 1;
    }
    let chance = |order: &Vec<u64>| {
        let mut left: f64 = weights.iter().sum();
        order.iter().fold(1.0, |chance, &sample| {
            let weight = weights[usize::try_from(sample).unwrap()];
            let chance = chance * weight / left;
            left -= weight;
            chance
        })
    };
    assert_eq!(counts.len(), 24);
    let expected: Vec<f64> = counts.keys().map(|order| chance(order) * 100_000.0).collect();
    let deviation = chi_square_deviation(&counts.values().copied().collect::<Vec<_>>(), &expected);
    assert!(deviation.abs() < DEVIATION_MAX, "{deviation:.1}");
}

/// `torch.multinomial` refuses more than 2²⁴ weights; a table in single precision would lose the last.
#[test]
fn beyond_two_to_the_24_samples_weights_are_right_still() {
    const LIGHT: u64 = 1 << 24;
    let mut weights = vec![1.0; usize::try_from(LIGHT).unwrap()];
    weights.extend([16_777_216.0 / 100.0; 100]); // as much as all the others together
    for (replacement, draw_count) in [(Replacement::With, 100_000), (Replacement::Without, 100)] {
        let samples = samples(&weighted(&weights, draw_count, replacement), LIGHT + 100, 0, 0);
        let mut heavy = [0; 100];
        let mut light = [0; 16];
        for sample in samples {
            match sample.checked_sub(LIGHT) {
                Some(index) => heavy[usize::try_from(index).unwrap()] += 1,
                None => light[usize::try_from(sample >> 20).unwrap()] += 1,
            }
        }
        let halves = [heavy.iter().sum::<u32>(), light.iter().sum()];
        match replacement {
            Replacement::With => {
                for deviation in [uniform_deviation(&heavy), uniform_deviation(&light)] {
                    assert!(deviation.abs() < DEVIATION_MAX, "{deviation:.1}");
                }
                assert!(halves[0].abs_diff(50_000) < 800, "{halves:?}"); // five standard deviations of 158
            }
            // Each at most once: as the heavy run out, the light catch up. 43 are expected, give or take 4.
            Replacement::Without => {
                assert!(heavy.iter().all(|&count| count <= 1));
                assert!((25..=60).contains(&halves[0]), "{halves:?}");
            }
        }
    }
}

#[test]
fn over_epochs_a_balanced_order_shows_all_samples_of_a_class_alike() {
    let labels: Vec<u64> = (0..100).map(|sample| u64::from(sample >= 95)).collect();
    let order = Order::ClassBalanced(ClassBalanced::new(&labels, None).unwrap());
    let mut counts = [0u32; 100];
    for epoch in 0..2000 {
        for sample in samples(&order, 100, 1, epoch) {
            counts[usize::try_from(sample).unwrap()] += 1;
        }
    }
    assert!(counts[95..].iter().all(|&count| count == 20_000), "{:?}", &counts[95..]);
    // Draws without replacement of 50 out of 95 spread less than independent ones, so this only bounds.
    let deviation = uniform_deviation(&counts[..95]);
    assert!(deviation < DEVIATION_MAX, "{deviation:.1}");
    assert_eq!(counts[..95].iter().sum::<u32>(), 100_000);
}
