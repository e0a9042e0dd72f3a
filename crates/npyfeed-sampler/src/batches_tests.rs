//! Batches of one process and of many.

use proptest::prelude::*;

use super::*;
use crate::Uneven;

fn batches(sample_count: u64, batch_size: u64, last: LastBatch) -> Batches {
    Batches::new(sample_count, NonZeroU64::new(batch_size).unwrap(), last)
}

#[test]
fn a_short_last_batch_is_kept_or_dropped_and_a_full_one_always_comes() {
    let cases = [(0, 4, 0, 0), (3, 4, 1, 0), (4, 4, 1, 1), (5, 4, 2, 1), (8, 4, 2, 2), (7, 1, 7, 7)];
    for (sample_count, batch_size, kept, dropped) in cases {
        assert_eq!(batches(sample_count, batch_size, LastBatch::Keep).count(), kept);
        assert_eq!(batches(sample_count, batch_size, LastBatch::Drop).count(), dropped);
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let max = u64::MAX;
    assert_eq!(batches(max, max, LastBatch::Keep).range(0), 0..max);
    assert_eq!(batches(max, max - 1, LastBatch::Keep).range(1), max - 1..max);
    assert_eq!(batches(max, 2, LastBatch::Keep).range(max / 2), max - 1..max);
    assert_eq!(batches(max, 1, LastBatch::Drop).range(max - 1), max - 1..max);
    assert_eq!(batches(5, max, LastBatch::Keep).range(0), 0..5);
    assert_eq!(batches(5, max, LastBatch::Drop).count(), 0);
    assert_eq!(batches(5, max, LastBatch::Keep).done_after(max), 5);
    let shard = Shard::new((1 << 32) - 1, 1 << 32, Uneven::Pad).unwrap();
    let large = Batches { shard, ..batches(1 << 62, max, LastBatch::Keep) };
    assert_eq!(large.range(0), (1 << 62) - (1 << 30)..1 << 62);
}

#[test]
#[should_panic(expected = "batch 1 is beyond an epoch of 1 batches")]
fn a_dropped_batch_has_no_range() {
    batches(7, 4, LastBatch::Drop).range(1);
}

/// The numbers of samples in each batch are those of `DistributedSampler` under a `DataLoader` in
/// PyTorch 2.15, for (dataset, world size, batch size, sampler's `drop_last`, loader's `drop_last`).
#[test]
fn batches_are_as_many_and_as_large_as_pytorchs() {
    use LastBatch::{Drop as Full, Keep};
    use Uneven::{Drop, Pad};
    let cases = [
        (11, 2, 4, Pad, Keep, vec![4, 2]),
        (11, 2, 4, Drop, Keep, vec![4, 1]),
        (11, 2, 4, Pad, Full, vec![4]),
        (15, 2, 4, Pad, Full, vec![4, 4]),
        (15, 2, 4, Drop, Full, vec![4]),
        (3, 8, 4, Pad, Keep, vec![1]),
        (3, 8, 4, Drop, Keep, vec![]),
        (16, 2, 4, Drop, Full, vec![4, 4]),
    ];
    for (sample_count, world_size, batch_size, uneven, last, expected) in cases {
        for rank in 0..world_size {
            let shard = Shard::new(rank, world_size, uneven).unwrap();
            let batches = Batches { shard, ..batches(sample_count, batch_size, last) };
            let len = |batch| batches.range(batch).end - batches.range(batch).start;
            let found: Vec<u64> = (0..batches.count()).map(len).collect();
            assert_eq!(found, expected, "{sample_count} samples, {shard:?}, {last:?}");
        }
    }
}

proptest! {
    #[test]
    fn batches_follow_each_other_and_are_full_but_for_the_last(
        sample_count in 0u64..5000,
        batch_size in 1u64..200,
        last in prop_oneof![Just(LastBatch::Keep), Just(LastBatch::Drop)],
    ) {
        let batches = batches(sample_count, batch_size, last);
        let mut end = 0;
        for batch_index in 0..batches.count() {
            let range = batches.range(batch_index);
            prop_assert_eq!(range.start, end);
            prop_assert!(range.end - range.start == batch_size || range.end == sample_count);
            prop_assert_eq!(batches.done_after(batch_index), range.end);
            end = range.end;
        }
        match last {
            LastBatch::Keep => prop_assert_eq!(end, sample_count),
            LastBatch::Drop => prop_assert_eq!(end, sample_count - sample_count % batch_size),
        }
    }

    /// The batches of all ranks, joined, are the places in their order, from `start` to the end, whoever
    /// the world is: with some at the front once more, or fewer than `world_size` left out.
    #[test]
    fn ranks_together_take_each_place_from_the_start_on_in_order(
        sample_count in 1u64..500,
        start: prop::sample::Index,
        batch_size in 1u64..20,
        world_size in 1u64..12,
        uneven in prop_oneof![Just(Uneven::Pad), Just(Uneven::Drop)],
    ) {
        let start = start.index(usize::try_from(sample_count + 1).unwrap()) as u64;
        let of_rank = |rank| {
            let shard = Shard::new(rank, world_size, uneven).unwrap();
            Batches { shard, start, ..batches(sample_count, batch_size, LastBatch::Keep) }
        };
        let mut places = Vec::new();
        for batch in 0..of_rank(0).count() {
            let step: Vec<u64> = (0..world_size).flat_map(|rank| of_rank(rank).range(batch)).collect();
            places.extend(step);
            prop_assert_eq!(of_rank(0).done_after(batch).min(places.len() as u64 + start), (places.len() as u64 + start).min(sample_count));
        }
        let expected = match uneven {
            Uneven::Pad => start..start + (sample_count - start).next_multiple_of(world_size),
            Uneven::Drop => start..sample_count - (sample_count - start) % world_size,
        };
        prop_assert_eq!(places, expected.collect::<Vec<_>>());
        for rank in 0..world_size {
            prop_assert_eq!(of_rank(rank).count(), of_rank(0).count());
        }
    }
}
