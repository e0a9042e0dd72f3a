//! What a loader has done so far, counted by its workers and its consumer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters that all threads of a loader add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) samples: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) fill_ns: AtomicU64,
    pub(crate) wait_ns: AtomicU64,
}

/// What a loader has done since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Batches handed out.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of samples read from the sources, by batches handed out or not.
    pub bytes_read: u64,
    /// Bytes written to batches, handed out or not.
    pub bytes_written: u64,
    /// Time that the workers spent filling, all together, in nanoseconds.
    pub fill_ns: u64,
    /// Time that the consumer spent waiting for a batch, in nanoseconds.
    pub wait_ns: u64,
}

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            batches: read(&self.batches),
            samples: read(&self.samples),
            bytes_read: read(&self.bytes_read),
            bytes_written: read(&self.bytes_written),
            fill_ns: read(&self.fill_ns),
            wait_ns: read(&self.wait_ns),
        }
    }
}

/// Adds to a counter. Counters order nothing, so no ordering is asked for.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// A duration as a counter takes it; 584 years fit.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
