//! In which order samples are taken: shuffle, epoch, batch, position.
//!
//! This crate knows numbers only. It is told how many samples there are and answers which one comes
//! when; what a sample is, and where it lies, is not its business.
//!
//! | word | type | says |
//! |---|---|---|
//! | order | [`Order`] | the wish: sequential or shuffled |
//! | | [`EpochOrder`] | the plan: which sample lies at which place of one epoch |
//! | batch | [`Batches`] | how the places fall into batches, and whether a short last one comes |
//! | position | [`Position`] | the next batch to come: all that a checkpoint holds |
//! | key | [`Key`] | the hash of (seed, epoch, purpose) that tells one order from another |
//! | | [`Shuffle`] | the keyed bijection itself: place to sample, sample to place |
//! | split | [`split_lengths`] | how many samples go into each split |
//!
//! A **place** is a number of `0..sample_count`: where in an epoch a sample comes. A **sample** is a
//! number of the same range: which row of the dataset it is.
//!
//! # An epoch, batch by batch
//!
//! ```
//! use npyfeed_sampler::{Batches, EpochOrder, LastBatch, Order, Position};
//! use std::num::NonZeroU64;
//!
//! let batch_size = NonZeroU64::new(4).unwrap();
//! let batches = Batches { sample_count: 10, batch_size, last: LastBatch::Keep };
//! let order = EpochOrder::new(&Order::Shuffled, batches.sample_count, 0, 0);
//!
//! let mut position = Position::START;
//! let mut seen = Vec::new();
//! while position.epoch == 0 {
//!     let places = batches.range(position.batch);
//!     let mut samples = vec![0; (places.end - places.start) as usize];
//!     order.fill(places.start, &mut samples);
//!     seen.extend(samples);
//!     position = position.next_batch(batches.count());
//! }
//!
//! assert_eq!(position, Position { epoch: 1, batch: 0 });
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
//! - An order takes a few hundred bytes and a few dozen nanoseconds to make, for 10 samples or 10¹⁸.
//! - A shuffled epoch takes each sample exactly once, and tests cannot tell its order from that of a
//!   Fisher–Yates shuffle.
//!
//! Not here: files, threads, clocks, secrets, and `unsafe`.
#![forbid(unsafe_code)]

mod batches;
mod key;
mod network;
mod order;
mod position;
mod shuffle;
mod split;

pub use batches::{Batches, LastBatch};
pub use key::{Key, Purpose};
pub use order::{EpochOrder, Order};
pub use position::Position;
pub use shuffle::Shuffle;
pub use split::{SplitError, split_lengths};
