//! What all orders have in common.

use std::num::NonZeroU64;

use super::*;
use crate::Replacement;

const SAMPLE_COUNT: u64 = 1000;

/// One order of each kind over a thousand samples.
fn orders() -> Vec<Order> {
    let weights: Vec<f64> = (0..1000).map(|sample| f64::from(sample % 7)).collect();
    let labels: Vec<u64> = (0..1000).map(|sample| sample % 10 / 7 + sample / 900).collect();
    let blocks = Blocks { block_size: NonZeroU64::new(16).unwrap(), window: NonZeroU64::new(4).unwrap() };
    vec![
        Order::Sequential,
        Order::Shuffled,
        Order::BlockShuffled(blocks),
        Order::Weighted(Weighted::new(&weights, 1500, Replacement::With).unwrap()),
        Order::Weighted(Weighted::new(&weights, 500, Replacement::Without).unwrap()),
        Order::ClassBalanced(ClassBalanced::new(&labels, None).unwrap()),
        Order::Explicit((0..2000).map(|place| place * 7 % 1000).collect()),
    ]
}

fn samples(order: &Order, sample_count: u64, seed: u64, epoch: u64) -> Vec<u64> {
    let order = EpochOrder::new(order, sample_count, seed, epoch);
    let mut samples = vec![0; usize::try_from(order.epoch_len()).unwrap()];
    order.fill(0, &mut samples);
    samples
}

#[test]
fn sequential_epochs_are_alike_whatever_the_seed() {
    for (seed, epoch) in [(0, 0), (0, 1), (7, 0)] {
        assert_eq!(samples(&Order::Sequential, 5, seed, epoch), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn random_orders_differ_by_seed_and_epoch_and_lists_do_not() {
    for order in orders() {
        let epochs = [(0, 0), (0, 1), (1, 0)].map(|(seed, epoch)| samples(&order, SAMPLE_COUNT, seed, epoch));
        let all_alike = epochs[0] == epochs[1] && epochs[0] == epochs[2];
        let none_alike = epochs[0] != epochs[1] && epochs[0] != epochs[2] && epochs[1] != epochs[2];
        let is_list = matches!(order, Order::Sequential | Order::Explicit(_));
        assert!(if is_list { all_alike } else { none_alike }, "{order:?}");
    }
}

#[test]
fn shuffled_epochs_take_each_sample_once() {
    for order in &orders()[1..3] {
        let mut sorted = samples(order, SAMPLE_COUNT, 3, 4);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..SAMPLE_COUNT).collect::<Vec<_>>());
    }
}

#[test]
fn any_part_of_an_epoch_is_that_part_of_the_whole() {
    for order in orders() {
        let whole = samples(&order, SAMPLE_COUNT, 3, 9);
        let epoch = EpochOrder::new(&order, SAMPLE_COUNT, 3, 9);
        let len = whole.len();
        for (start, end) in [(0, 0), (0, 1), (17, 49), (63, 65), (len - 1, len), (len, len)] {
            let mut part = vec![0; end - start];
            epoch.fill(start as u64, &mut part);
            assert_eq!(part, whole[start..end], "{order:?} {start}..{end}");
        }
        let mut round = vec![0; len + 5];
        epoch.fill_round(len as u64 - 2, &mut round);
        assert_eq!(round[..2], whole[len - 2..]);
        assert_eq!(round[2..len + 2], whole[..]);
        assert_eq!(round[len + 2..], whole[..3]);
    }
}

/// Published orders do not change. A failure here breaks every run that is to be resumed or repeated.
#[test]
fn orders_and_fingerprints_are_these_for_ever() {
    let golden: [(u64, [u64; 4]); 7] = [
        (0x885D_3F72_322C_0BA4, [100, 101, 102, 103]),
        (0xB090_C63D_847C_3C2D, [837, 182, 321, 384]),
        (0x4C47_90C5_DC3F_D2CD, [28, 505, 18, 495]),
        (0x9615_740E_E3CD_A5AE, [836, 171, 962, 118]),
        (0x67E9_43A2_E1C8_7728, [627, 384, 649, 331]),
        (0xF562_2A7E_851C_5CC5, [638, 411, 548, 928]),
        (0x4727_50A4_FB3A_4355, [700, 707, 714, 721]),
    ];
    for (order, (fingerprint, first)) in orders().iter().zip(golden) {
        let found = order.fingerprint(SAMPLE_COUNT);
        let samples = &samples(order, SAMPLE_COUNT, 42, 7)[100..104];
        assert_eq!((found, samples), (fingerprint, &first[..]), "{found:#018x}, {samples:?}");
    }
}

#[test]
fn a_fingerprint_knows_every_argument() {
    let mut seen = std::collections::HashSet::new();
    let blocks = |block_size, window| {
        let (block_size, window) = (NonZeroU64::new(block_size).unwrap(), NonZeroU64::new(window).unwrap());
        Order::BlockShuffled(Blocks { block_size, window })
    };
    for order in [blocks(4, 16), blocks(4, 8), Order::Explicit([1, 2].into()), Order::Explicit([2, 1].into())]
    {
        assert!(seen.insert(order.fingerprint(SAMPLE_COUNT)), "{order:?}");
    }
    for order in orders() {
        assert!(seen.insert(order.fingerprint(SAMPLE_COUNT)), "{order:?}");
    }
    assert!(seen.insert(Order::Shuffled.fingerprint(SAMPLE_COUNT + 1)));
}

#[test]
fn an_order_of_other_samples_is_refused() {
    for order in orders() {
        assert_eq!(order.check(SAMPLE_COUNT), Ok(()), "{order:?}");
    }
    for order in &orders()[3..] {
        let message = order.check(999).unwrap_err().to_string();
        assert!(message.contains("999"), "{message}");
    }
    let beyond = Order::Explicit([1, 5].into()).check(5).unwrap_err();
    assert_eq!(beyond.to_string(), "expected indices below 5, found 5 at place 1");
    assert_eq!(Order::Shuffled.check(u64::MAX), Err(OrderError::LengthOutOfRange { epoch_len: u64::MAX }));
}

#[test]
#[should_panic(expected = "2 places from 9 on reach beyond an order of 10 samples")]
fn places_beyond_a_sequential_epoch_are_refused() {
    EpochOrder::new(&Order::Sequential, 10, 0, 0).fill(9, &mut [0; 2]);
}

#[test]
fn the_longest_sequential_epoch_has_an_end() {
    let mut last = [0; 2];
    EpochOrder::new(&Order::Sequential, EPOCH_LEN_MAX, 0, 0).fill(EPOCH_LEN_MAX - 2, &mut last);
    assert_eq!(last, [EPOCH_LEN_MAX - 2, EPOCH_LEN_MAX - 1]);
}
