//! Keys: the one number that tells one order from another.
//!
//! A key is a hash of (purpose, seed, epoch), because sums collide: with `seed + epoch`, epoch 1 of
//! seed 0 repeats epoch 0 of seed 1, and an average over seeds measures the same order again and again.
//!
//! Frozen: a change of any number in this file changes every order that users have published. The tests
//! below pin the values.

/// What a key is for. No purpose ever sees another's keys, so an epoch's order says nothing about which
/// samples were split off for testing, though both come from the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The order of the samples of one epoch.
    Shuffle,
    /// Which samples go into which split. A split belongs to no epoch: its keys have epoch 0.
    Split,
    /// The order of the blocks of one epoch.
    Blocks,
    /// The order of the samples within a window of blocks; each window has a child of this key.
    Window,
    /// Which sample each draw with replacement gives.
    Draw,
    /// When each sample arrives, where the first to arrive are drawn without replacement.
    Arrival,
    /// The order of the classes within a round of a class-balanced epoch; each round has a child.
    Classes,
    /// The order of the samples of one class in one pass over it; each class has a child, and each pass
    /// a child of that.
    Members,
    /// What random transforms draw; each sample has a child, and each transform a child of that.
    Transform,
}

impl Purpose {
    /// Given once and never reused, whatever becomes of the enum.
    const fn number(self) -> u64 {
        match self {
            Purpose::Shuffle => 1,
            Purpose::Split => 2,
            Purpose::Blocks => 3,
            Purpose::Window => 4,
            Purpose::Draw => 5,
            Purpose::Arrival => 6,
            Purpose::Classes => 7,
            Purpose::Members => 8,
            Purpose::Transform => 9,
        }
    }
}

/// A key, made of (seed, epoch, purpose).
///
/// Two epochs of one seed and purpose never share a key, nor do two seeds in one epoch: each word goes
/// through a bijection of 64 bits. Other pairs of keys are equal with the chance of a 64-bit hash.
///
/// ```
/// use npyfeed_sampler::{Key, Purpose};
/// let key = Key::new(0, 1, Purpose::Shuffle);
/// assert_eq!(key, Key::new(0, 1, Purpose::Shuffle));
/// assert_ne!(key, Key::new(1, 0, Purpose::Shuffle));
/// assert_ne!(key, Key::new(0, 1, Purpose::Split));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The key of `purpose` in `epoch` under `seed`.
    pub const fn new(seed: u64, epoch: u64, purpose: Purpose) -> Key {
        Key(absorb(absorb(absorb(0, purpose.number()), seed), epoch))
    }

    /// A key of its own for each `index`. A key is asked for words or for children, never for both, since
    /// they come from the same hash.
    pub(crate) const fn child(self, index: u64) -> Key {
        Key(absorb(self.0, index))
    }

    /// The `index`-th random word of this key, from 0: the output of the generator `SplitMix64` seeded
    /// with the key, which a counter reaches without the outputs before it.
    pub(crate) const fn word(self, index: u64) -> u64 {
        mix(self.0.wrapping_add(GAMMA.wrapping_mul(index.wrapping_add(1))))
    }
}

/// The hash of a list of words, the same on every machine and in every version.
pub(crate) fn hash_words(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0, absorb)
}

/// The odd number nearest to 2⁶⁴ / φ: the step of `SplitMix64` (Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014).
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// One word into the hash. For a given `state` it is a bijection of `word`, and the other way round.
const fn absorb(state: u64, word: u64) -> u64 {
    mix(state.wrapping_add(word).wrapping_add(GAMMA))
}

/// The finaliser of `SplitMix64`: a bijection in which each bit in flips each bit out half of the time.
/// Its constants are David Stafford's "Mix13", found by search ("Better bit mixing", 2011).
const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_are_these_for_ever() {
        let golden = [
            (0, 0, Purpose::Shuffle, 0xB18A_02F4_6D8D_86C3),
            (0, 1, Purpose::Shuffle, 0x6C57_95E1_4B3B_7E33),
            (1, 0, Purpose::Shuffle, 0xD515_9B73_432A_2795),
            (0, 0, Purpose::Split, 0x1956_ECD1_A275_EC95),
            (42, 7, Purpose::Shuffle, 0xAA01_1B79_BE36_2789),
            (u64::MAX, u64::MAX, Purpose::Split, 0xB918_3D13_75D3_C133),
            (0, 0, Purpose::Blocks, 0x546F_3606_1B6B_1313),
            (0, 0, Purpose::Window, 0x743D_4FD0_E0F2_0311),
            (0, 0, Purpose::Draw, 0xA711_A1AB_DD4D_6F75),
            (0, 0, Purpose::Arrival, 0xCEF2_DF89_F8F7_67C3),
            (0, 0, Purpose::Classes, 0x9C01_4791_61BC_5D78),
            (0, 0, Purpose::Members, 0xC3DF_AC2B_24AC_86AE),
        ];
        for (seed, epoch, purpose, expected) in golden {
            let Key(found) = Key::new(seed, epoch, purpose);
            assert_eq!(found, expected, "{purpose:?} seed {seed} epoch {epoch}: {found:#018x}");
        }
    }

    /// The first outputs for the seed 1234567, as other implementations of `SplitMix64` publish them.
    #[test]
    fn words_are_those_of_splitmix64() {
        let published = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for (index, expected) in (0..).zip(published) {
            assert_eq!(Key(1_234_567).word(index), expected);
        }
    }

    #[test]
    fn small_seeds_and_epochs_share_no_key_across_purposes() {
        use Purpose::{Arrival, Blocks, Classes, Draw, Members, Shuffle, Split, Transform, Window};
        let mut seen = HashSet::new();
        for purpose in [Shuffle, Split, Blocks, Window, Draw, Arrival, Classes, Members, Transform] {
            for (seed, epoch) in (0..100).flat_map(|seed| (0..100).map(move |epoch| (seed, epoch))) {
                assert!(seen.insert(Key::new(seed, epoch, purpose)), "{purpose:?} {seed} {epoch}");
            }
        }
    }
}
