//! The mixing network under the shuffle: a keyed bijection of `0..2^bits`, computed, not stored.
//!
//! # The argument
//!
//! Each of ten steps does two things, both invertible on `bits` bits:
//!
//! - `x = x · m + a mod 2^bits` with a keyed odd `m` and a keyed `a`. A product carries each bit to the
//!   bits above it, none below: after it, the high bits depend on all of `x`, the lowest on itself only.
//! - `x = x ^ (x >> s)` with `s` half of the bits, or one more in every other step. It brings the high
//!   bits, which now know everything, down to the low ones. Were all shifts half of an even number of
//!   bits, the two halves would meet bit by bit in the same pairs each time; taking turns, all bits meet.
//!
//! Products are not linear over bits and shifted sums are not linear over numbers, so a structure of one
//! kind does not outlive the other. Odd permutations are as likely as even ones, for to add an odd number
//! is one cycle through a domain of even size. (A Feistel network, the usual choice, was measured beside
//! it: built of exclusive-ors it is always even, and it took more time for the same mixing.)
//!
//! # How many steps, how few bits
//!
//! Small domains mix worst, for their steps have few keys to choose from. So the domain never has less
//! than [`BITS_MIN`] bits, and the number of steps is set there. Over 20,000 keys at 8 bits, of the whole
//! difference table (how often does `forward(x + d) - forward(x)` take its commonest value, for any `d`?)
//! and of the whole Walsh spectrum (how well does a sum of some bits predict a sum of others?):
//!
//! | steps | commonest difference: mean, worst key | Walsh coefficient: mean, worst key |
//! |---|---|---|
//! | 5 | 8.22, 112 | 73.9, 200 |
//! | 6 | 7.44, 56 | 71.3, 168 |
//! | 7 | 7.29, 26 | 70.7, 124 |
//! | 8 | 7.27, 13 | 70.6, 124 |
//! | **10** | **7.27, 12** | **70.6, 100** |
//! | Fisher–Yates | 7.26, 11 | 70.6, 96 |
//!
//! Larger domains need fewer: 8 steps at 10 bits by the same measure; 5 to pass all tests of windows,
//! strides and differences over 20,000 keys with 12 to 63 bits. There ten steps are a margin.
//!
//! Not here: cryptography. Whoever sees some samples of an order may be able to compute the others.

use crate::Key;

/// The smallest domain, 2⁸ numbers. A shuffle of fewer samples walks through more numbers per sample,
/// which costs it microseconds an epoch and buys fairness: all orders of up to 8 samples come equally
/// often.
const BITS_MIN: u32 = 8;

/// See "How many steps" above. Frozen, as is everything that decides an order.
const STEP_COUNT: usize = 10;

/// How many numbers [`Network::forward_narrow`] takes through each step together. They do not depend on
/// each other, so the processor works on several at once: with 32 lanes a number costs 3.4 ns, one by one
/// 8.8 ns (2.6 GHz Xeon, x86-64 without extensions; 16 and 64 lanes are a tenth slower).
pub(crate) const LANE_COUNT: usize = 32;

/// A keyed bijection of `0..2^bits`.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    bits: u32,
    steps: [Step; STEP_COUNT],
}

#[derive(Clone, Copy, Debug)]
struct Step {
    multiplier: u64,
    addend: u64,
    shift: u32,
}

impl Network {
    /// The network of `key` on the fewest bits, [`BITS_MIN`] or more, that hold `0..len`.
    pub(crate) fn over(len: u64, key: Key) -> Network {
        let bits = (u64::BITS - len.saturating_sub(1).leading_zeros()).max(BITS_MIN);
        let steps = std::array::from_fn(|index| {
            let shift = if index % 2 == 0 { bits / 2 } else { bits / 2 + 1 };
            let index = index as u64;
            Step { multiplier: key.word(2 * index) | 1, addend: key.word(2 * index + 1), shift }
        });
        Network { bits, steps }
    }

    /// Where `number` goes.
    pub(crate) fn forward(&self, number: u64) -> u64 {
        let mask = self.mask();
        let mut x = number;
        for step in &self.steps {
            x = x.wrapping_mul(step.multiplier).wrapping_add(step.addend) & mask;
            x ^= x >> step.shift;
        }
        x
    }

    /// Where `number` came from: `backward(forward(x)) == x`, which is the proof that no two numbers go
    /// to the same place.
    pub(crate) fn backward(&self, number: u64) -> u64 {
        let mask = self.mask();
        let mut x = number;
        for step in self.steps.iter().rev() {
            let mut shifted = x >> step.shift;
            while shifted != 0 {
                x ^= shifted;
                shifted >>= step.shift;
            }
            x = x.wrapping_sub(step.addend).wrapping_mul(inverse(step.multiplier)) & mask;
        }
        x
    }

    /// Whether every number of the domain fits into a `u32`, so that [`Network::forward_narrow`] applies.
    pub(crate) fn is_narrow(&self) -> bool {
        self.bits <= u32::BITS
    }

    /// [`Network::forward`] for many numbers at once, equal to it for every narrow network: arithmetic
    /// modulo 2^bits needs no more than the lowest `bits` bits of each factor. Numbers beyond the domain
    /// are taken modulo its size.
    #[expect(clippy::cast_possible_truncation, reason = "the bits cut off are those that the mask clears")]
    pub(crate) fn forward_narrow(&self, numbers: &mut [u32; LANE_COUNT]) {
        debug_assert!(self.is_narrow());
        let mask = self.mask() as u32;
        for step in &self.steps {
            let (multiplier, addend) = (step.multiplier as u32, step.addend as u32);
            for x in numbers.iter_mut() {
                *x = x.wrapping_mul(multiplier).wrapping_add(addend) & mask;
                *x ^= *x >> step.shift;
            }
        }
    }

    fn mask(&self) -> u64 {
        u64::MAX >> (u64::BITS - self.bits)
    }
}

/// The number `i` with `i · odd = 1 mod 2⁶⁴`, by Newton's iteration: an odd number is its own inverse
/// modulo 8, and each turn doubles the number of right bits, 3 to 6, 12, 24, 48, 96.
fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Purpose;
    use proptest::prelude::*;

    #[test]
    fn the_domain_is_the_smallest_power_of_two_that_holds_the_numbers() {
        let cases = [(0, 8), (1, 8), (256, 8), (257, 9), (512, 9), (1 << 32, 32), ((1 << 32) + 1, 33)];
        for (len, bits) in cases.into_iter().chain([(1 << 63, 63), (u64::MAX, 64)]) {
            assert_eq!(Network::over(len, Key::new(0, 0, Purpose::Shuffle)).bits, bits, "{len} numbers");
        }
    }

    #[test]
    fn shifts_take_turns_between_half_of_the_bits_and_one_more() {
        let network = Network::over(2_000_000, Key::new(0, 0, Purpose::Shuffle));
        assert_eq!(network.steps.map(|step| step.shift), [10, 11, 10, 11, 10, 11, 10, 11, 10, 11]);
    }

    proptest! {
        #[test]
        fn backward_undoes_forward_on_any_number_of_bits(seed: u64, bits in 8u32..=64, number: u64) {
            let network = Network::over(u64::MAX >> (64 - bits), Key::new(seed, 0, Purpose::Shuffle));
            let number = number & network.mask();
            prop_assert!(network.forward(number) <= network.mask());
            prop_assert_eq!(network.backward(network.forward(number)), number);
        }

        #[test]
        fn many_at_once_go_where_each_goes_alone(seed: u64, bits in 8u32..=32, start: u32) {
            let network = Network::over(1 << bits, Key::new(seed, 0, Purpose::Shuffle));
            let mut next = start;
            let numbers: [u32; LANE_COUNT] = std::array::from_fn(|_| {
                next = next.wrapping_add(1);
                next
            });
            let mut together = numbers;
            network.forward_narrow(&mut together);
            let alone = numbers.map(|number| network.forward(u64::from(number)));
            prop_assert_eq!(together.map(u64::from), alone);
        }

        #[test]
        fn an_odd_number_times_its_inverse_is_one(number: u64) {
            prop_assert_eq!((number | 1).wrapping_mul(inverse(number | 1)), 1);
        }
    }
}
