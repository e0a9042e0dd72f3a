//! The block shuffle against one that makes lists, and its bounds counted.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;

fn blocks(block_size: u64, window: u64) -> Blocks {
    Blocks { block_size: NonZeroU64::new(block_size).unwrap(), window: NonZeroU64::new(window).unwrap() }
}

fn all_samples(shuffle: &BlockShuffle) -> Vec<u64> {
    let mut samples = vec![0; usize::try_from(shuffle.sample_count()).unwrap()];
    shuffle.fill(0, &mut samples);
    samples
}

/// What the documentation says, with lists: shuffle the blocks, cut them into windows, shuffle each.
fn by_lists(sample_count: u64, blocks: Blocks, seed: u64, epoch: u64) -> Vec<Vec<u64>> {
    let samples: Vec<u64> = (0..sample_count).collect();
    let stored: Vec<&[u64]> = samples.chunks(usize::try_from(blocks.block_size.get()).unwrap()).collect();
    let shuffle = Shuffle::new(stored.len() as u64, Key::new(seed, epoch, Purpose::Blocks));
    let order: Vec<&[u64]> =
        (0..stored.len()).map(|slot| stored[usize::try_from(shuffle.at(slot as u64)).unwrap()]).collect();
    let window = |(index, blocks): (usize, &[&[u64]])| {
        let samples = blocks.concat();
        let key = Key::new(seed, epoch, Purpose::Window).child(index as u64);
        let shuffle = Shuffle::new(samples.len() as u64, key);
        (0..samples.len() as u64).map(|place| samples[usize::try_from(shuffle.at(place)).unwrap()]).collect()
    };
    order.chunks(usize::try_from(blocks.window.get()).unwrap()).enumerate().map(window).collect()
}

#[test]
fn it_is_the_shuffle_by_lists_for_every_small_size() {
    for sample_count in 0..40 {
        for (block_size, window) in (1..9).flat_map(|size| (1..6).map(move |window| (size, window))) {
            let blocks = blocks(block_size, window);
            for seed in 0..3 {
                let found = all_samples(&BlockShuffle::new(sample_count, blocks, seed, 5));
                let expected = by_lists(sample_count, blocks, seed, 5).concat();
                assert_eq!(found, expected, "{sample_count} samples, {blocks:?}, seed {seed}");
            }
        }
    }
}

#[test]
fn a_block_is_used_in_one_run_of_places_and_window_blocks_at_a_time() {
    let (sample_count, block_size, window) = (10_007, 16, 8);
    let samples = all_samples(&BlockShuffle::new(sample_count, blocks(block_size, window), 1, 2));
    let mut places = vec![Vec::new(); usize::try_from(sample_count.div_ceil(block_size)).unwrap()];
    for (place, sample) in (0u64..).zip(&samples) {
        places[usize::try_from(sample / block_size).unwrap()].push(place);
    }
    for places in &places {
        assert!(places.last().unwrap() - places[0] < block_size * window, "{places:?}");
    }
    for place in 0..sample_count {
        let in_use = places.iter().filter(|places| places[0] <= place && place <= *places.last().unwrap());
        assert!(in_use.count() <= 8, "at place {place}");
    }
}

#[test]
fn following_places_share_a_block_as_often_as_stated() {
    let samples = all_samples(&BlockShuffle::new(1 << 20, blocks(32, 16), 3, 0));
    let shared = samples.windows(2).filter(|pair| pair[0] / 32 == pair[1] / 32).count();
    let expected = f64::from(1 << 20) * 31.0 / 511.0; // 63,613; its standard deviation is about 245
    let shared = f64::from(u32::try_from(shared).unwrap());
    assert!((shared - expected).abs() < 5.0 * 245.0, "{shared}, expected {expected}");
}

#[test]
fn a_sample_comes_in_any_window_of_the_epoch() {
    let mut counts = [0u32; 8];
    for epoch in 0..4000 {
        let samples = all_samples(&BlockShuffle::new(64, blocks(4, 2), 0, epoch));
        counts[samples.iter().position(|&sample| sample == 13).unwrap() / 8] += 1;
    }
    // 500 each; chi-square of 7 degrees of freedom exceeds 40 once in a million.
    let chi_square: f64 = counts.iter().map(|&count| (f64::from(count) - 500.0).powi(2) / 500.0).sum();
    assert!(chi_square < 40.0, "{counts:?}");
}

#[test]
fn any_place_among_2_to_the_40_is_had_at_once() {
    let count = (1 << 40) + 3;
    let shuffle = BlockShuffle::new(count, blocks(4096, 64), 9, 1);
    let mut seen = std::collections::HashSet::new();
    for start in [0, 1 << 20, 1_000_000_000, 1 << 39, count - 1000] {
        let mut samples = [0; 1000];
        shuffle.fill(start, &mut samples);
        assert!(samples.iter().all(|&sample| sample < count && seen.insert(sample)));
    }
}

proptest! {
    #[test]
    fn any_part_is_that_part_of_the_whole_and_each_sample_comes_once(
        sample_count in 1u64..3000, (block_size, window) in (1u64..300, 1u64..20), seed: u64,
        start: prop::sample::Index, len in 0usize..200,
    ) {
        let shuffle = BlockShuffle::new(sample_count, blocks(block_size, window), seed, 0);
        let whole = all_samples(&shuffle);
        let start = start.index(whole.len());
        let mut part = vec![0; len.min(whole.len() - start)];
        shuffle.fill(start as u64, &mut part);
        prop_assert_eq!(&part[..], &whole[start..start + part.len()]);
        let mut sorted = whole;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..sample_count).collect::<Vec<_>>());
    }

    #[test]
    fn the_largest_sizes_do_not_overflow(sample_count in 1u64 << 62..=1 << 63, block_size in 1u64.., window in 1u64..) {
        let mut last = [0; 3];
        BlockShuffle::new(sample_count, blocks(block_size, window), 0, 0).fill(sample_count - 3, &mut last);
        prop_assert!(last.iter().all(|&sample| sample < sample_count));
    }
}
