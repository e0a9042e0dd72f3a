//! In which order samples are taken: shuffle, weights, classes, shards, batches, position.
//!
//! This crate knows numbers only. It is told how many samples there are and answers which one comes
//! when; what a sample is, and where it lies, is not its business.
//!
//! | word | type | says |
//! |---|---|---|
//! | order | [`Order`] | the wish: sequential, shuffled, by blocks, weights, classes or a list |
//! | | [`EpochOrder`] | the plan: which sample lies at which place of one epoch |
//! | batch | [`Batches`] | how the places fall into batches, and whether a short last one comes |
//! | shard | [`Shard`] | which of them one process takes, where several share an epoch |
//! | position | [`Position`] | how many places are done |
//! | state | [`State`] | all that a checkpoint holds |
//! | key | [`Key`] | the hash of (seed, epoch, purpose) that tells one order from another |
//! | | [`Shuffle`] | the keyed bijection itself: place to sample, sample to place |
//! | | [`BlockShuffle`] | one that uses a few blocks of following samples at a time |
//! | split | [`split_lengths`] | how many samples go into each split |
//!
//! A **place** is a number of `0..epoch_len`: where in an epoch a sample comes. A **sample** is a number of
//! `0..sample_count`: which row of the dataset it is. All processes that share an epoch share its order;
//! they take different places of it.
//!
//! | order | an epoch takes | memory | any place |
//! |---|---|---|---|
//! | sequential, shuffled, by blocks | each sample once | none | at once |
//! | weighted, with replacement | as many draws as asked | 16 bytes a sample | at once |
//! | weighted, without | as many draws as asked | 8 bytes a sample and draw | after a sort, once an epoch |
//! | class-balanced | each class equally often | 8 bytes a sample | at once |
//! | explicit | the list | 8 bytes a place | at once |
//!
//! # An epoch, batch by batch
//!
//! ```
//! use npyfeed_sampler::{Batches, EpochOrder, LastBatch, Order, Position};
//! use std::num::NonZeroU64;
//!
//! let batches = Batches::new(10, NonZeroU64::new(4).unwrap(), LastBatch::Keep);
//! let order = EpochOrder::new(&Order::Shuffled, batches.sample_count, 0, 0);
//!
//! let mut seen = Vec::new();
//! for batch in 0..batches.count() {
//!     let places = batches.range(batch);
//!     let mut samples = vec![0; (places.end - places.start) as usize];
//!     order.fill(places.start, &mut samples);
//!     seen.extend(samples);
//! }
//! assert_eq!(Position::after(0, &batches, 3), Position { epoch: 1, sample: 0 });
//! seen.sort();
//! assert_eq!(seen, (0..10).collect::<Vec<_>>());
//! ```
//!
//! Nothing is remembered between batches. Any batch of any epoch can be had first, last, twice, or by two
//! threads at once, and is the same: to resume is to start at another [`Position`].
//!
//! # A split
//!
//! ```
//! use npyfeed_sampler::{Key, Purpose, Shuffle, split_lengths};
//!
//! let shuffle = Shuffle::new(10, Key::new(0, 0, Purpose::Split));
//! let mut start = 0;
//! let splits: Vec<Vec<u64>> = split_lengths(10, &[0.8, 0.2])?
//!     .into_iter()
//!     .map(|length| {
//!         let mut samples = vec![0; length as usize];
//!         shuffle.fill(start, &mut samples);
//!         start += length;
//!         samples
//!     })
//!     .collect();
//! assert_eq!([splits[0].len(), splits[1].len()], [8, 2]);
//! # Ok::<(), npyfeed_sampler::SplitError>(())
//! ```
//!
//! # Promises
//!
//! - The order of (seed, epoch, number of samples) is frozen: it is the same on every machine, whatever
//!   the threads, and in every version. Tests hold its values.
//! - A shuffle takes a few hundred bytes and a few dozen nanoseconds to make, for 10 samples or 10¹⁸.
//! - A shuffled epoch takes each sample exactly once, and tests cannot tell its order from that of a
//!   Fisher–Yates shuffle.
//!
//! Not here: files, threads, clocks, secrets, and `unsafe`.
#![forbid(unsafe_code)]

mod alias;
mod arrival;
mod balanced;
mod batches;
mod blocks;
mod draws;
mod key;
mod network;
mod order;
mod order_error;
mod position;
mod shard;
mod shuffle;
mod split;
mod state;
mod weighted;

pub use balanced::ClassBalanced;
pub use batches::{Batches, LastBatch};
pub use blocks::{BlockShuffle, Blocks};
pub use draws::{Draw, Draws};
pub use key::{Key, Purpose};
pub use order::{EpochOrder, Order};
pub use order_error::OrderError;
pub use position::Position;
pub use shard::{Shard, ShardError, Uneven};
pub use shuffle::Shuffle;
pub use split::{SplitError, split_lengths};
pub use state::{State, StateError};
pub use weighted::{Replacement, Weighted};
