//! A shuffle for storage that is slow to jump about in: few blocks are in use at a time.
//!
//! An exact shuffle takes neighbours in a file at times far apart, so on a disk or over a network every
//! sample is a read of its own. Here consecutive samples form blocks; the blocks are shuffled; each run of
//! `window` blocks in that order is a window, and the samples of a window are shuffled among each other.
//! Loaders of sharded sets do the like with whole files and a buffer; here the order is computed, not
//! remembered, and any place of it can be had at once.

use std::num::NonZeroU64;

use crate::shuffle::assert_places;
use crate::{Key, Purpose, Shuffle};

/// How an epoch is cut into blocks and windows of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// How many consecutive samples form a block; the last block has what remains.
    pub block_size: NonZeroU64,
    /// How many blocks are mixed with each other.
    pub window: NonZeroU64,
}

/// A shuffle of the samples `0..sample_count` that uses `window` blocks at a time: a bijection from places
/// to samples, as [`Shuffle`], in a few hundred bytes.
///
/// # How well it mixes
///
/// Let `span = block_size * window`, and the number of blocks be *b*.
///
/// - **Reads.** Each block is used in one run of at most `span` places, and in no other: an epoch reads
///   each block once, and holds `window` of them at a time. Only a batch that lies across two windows
///   touches more, those of both.
/// - **Near.** Two samples of one block are less than `span` places apart, in every epoch. (By an exact
///   shuffle, a third of the epoch on average.) Two following places hold samples of one block with the
///   chance `(block_size - 1) / (span - 1)`, about one in `window`.
/// - **Far.** A block lies in any window equally often, so a sample may come at any place of the epoch, and
///   two samples of different blocks share a window with the chance `(window - 1) / (b - 1)`.
/// - Within a window all orders come equally often. With `window` at least *b*, the whole epoch is one
///   window and the shuffle exact.
///
/// So if samples are stored sorted by class, let a window span many blocks: a batch is a sample of the
/// `window` blocks it comes from, drawn without replacement, and no better than they are.
///
/// ```
/// use npyfeed_sampler::{BlockShuffle, Blocks};
/// use std::num::NonZeroU64;
///
/// let blocks =
///     Blocks { block_size: NonZeroU64::new(4).unwrap(), window: NonZeroU64::new(2).unwrap() };
/// let shuffle = BlockShuffle::new(1_000_000_002, blocks, 0, 0);
/// let mut window = [0; 8];
/// shuffle.fill(0, &mut window);
/// window.sort();
/// assert_eq!(window[1], window[0] + 1); // the two blocks of the first window, whole
/// assert_eq!(window[7], window[4] + 3);
/// ```
#[derive(Clone, Debug)]
pub struct BlockShuffle {
    sample_count: u64,
    block_size: u64,
    window: u64,
    blocks: Shuffle,
    windows: Key,
    /// Where the last block lies, which may be short, and by how many samples it is.
    short_slot: u64,
    missing: u64,
}

/// A window: its number, and the places it has.
struct Window {
    index: u64,
    start: u64,
    end: u64,
}

impl BlockShuffle {
    /// The shuffle of `0..sample_count` in `epoch` under `seed`.
    ///
    /// # Panics
    /// If there are more than 2⁶³ samples.
    pub fn new(sample_count: u64, blocks: Blocks, seed: u64, epoch: u64) -> BlockShuffle {
        assert!(sample_count <= 1 << 63, "{sample_count} samples are more than 2⁶³");
        let block_size = blocks.block_size.get().min(sample_count.max(1));
        let block_count = sample_count.div_ceil(block_size);
        let shuffle = Shuffle::new(block_count, Key::new(seed, epoch, Purpose::Blocks));
        BlockShuffle {
            sample_count,
            block_size,
            window: blocks.window.get().min(block_count.max(1)),
            short_slot: if block_count == 0 { 0 } else { shuffle.place_of(block_count - 1) },
            missing: block_count * block_size - sample_count,
            blocks: shuffle,
            windows: Key::new(seed, epoch, Purpose::Window),
        }
    }

    /// The number of samples, which is also the number of places.
    pub fn sample_count(&self) -> u64 {
        self.sample_count
    }

    /// Writes the samples at the places from `start` on, one for each element of `samples`.
    ///
    /// # Panics
    /// If the places reach beyond the number of samples.
    pub fn fill(&self, start: u64, samples: &mut [u64]) {
        assert_places(start, samples.len(), self.sample_count);
        let (mut place, mut rest) = (start, samples);
        while !rest.is_empty() {
            let window = self.window_of(place);
            let count = usize::try_from(window.end - place).unwrap_or(usize::MAX).min(rest.len());
            let (inside, later) = rest.split_at_mut(count);
            let shuffle = Shuffle::new(window.end - window.start, self.windows.child(window.index));
            shuffle.fill(place - window.start, inside);
            for sample in inside {
                *sample = self.sample(&window, *sample);
            }
            (place, rest) = (window.end, later);
        }
    }

    /// The window that `place` lies in: all have `window * block_size` places, but the one with the short
    /// block, after which all begin earlier by what that lacks, and the last, which ends with the epoch.
    fn window_of(&self, place: u64) -> Window {
        let span = self.window * self.block_size;
        let short_window = self.short_slot / self.window;
        let short_end = (short_window + 1) * span - self.missing;
        let index = if place < short_end { place / span } else { (place + self.missing) / span };
        let lacking = |index: u64| if index > short_window { self.missing } else { 0 };
        let start = index * span - lacking(index);
        let end = (start + span - (lacking(index + 1) - lacking(index))).min(self.sample_count);
        Window { index, start, end }
    }

    /// The sample that is the `number`-th of the window's blocks laid side by side.
    fn sample(&self, window: &Window, number: u64) -> u64 {
        let first_slot = window.index * self.window;
        let is_after_short = self.short_slot >= first_slot
            && self.short_slot < first_slot + self.window
            && number >= (self.short_slot - first_slot + 1) * self.block_size - self.missing;
        let number = if is_after_short { number + self.missing } else { number };
        let block = self.blocks.at(first_slot + number / self.block_size);
        block * self.block_size + number % self.block_size
    }
}

#[cfg(test)]
#[path = "blocks_tests.rs"]
mod tests;
