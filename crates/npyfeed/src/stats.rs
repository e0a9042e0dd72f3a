//! What a loader has done so far, counted by its workers and its consumer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::figures::{percent, rate, share};

/// Whoever waits less than this share of the time does not wait.
const HARDLY_WAITS: f64 = 0.05;

/// Counters that all threads of a loader add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches: AtomicU64,
    pub(crate) samples: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) read_ns: AtomicU64,
    pub(crate) fill_ns: AtomicU64,
    pub(crate) idle_ns: AtomicU64,
    pub(crate) wait_ns: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    /// Batches filled ahead, since stalls have shown that more are needed than at first; 0: they have not.
    pub(crate) depth: AtomicUsize,
}

/// What a loader has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches handed out.
    pub batches: u64,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of samples read from the sources, by batches handed out or not.
    pub bytes_read: u64,
    /// Bytes written to batches, handed out or not.
    pub bytes_written: u64,
    /// Time that the workers spent waiting for a file's bytes, all together, in nanoseconds. Bytes that are read
    /// through a map arrive while they are transformed: that time is in `fill_ns`.
    pub read_ns: u64,
    /// Time that the workers spent filling, all together, in nanoseconds.
    pub fill_ns: u64,
    /// Time that the workers slept because enough was filled ahead, all together, in nanoseconds.
    pub idle_ns: u64,
    /// Time that the consumer spent waiting for a batch, in nanoseconds.
    pub wait_ns: u64,
    /// Time that the consumer spent with its batches, from one to the next, in nanoseconds.
    pub busy_ns: u64,
}

impl Stats {
    /// What limits the loop, in a sentence: the network, the disk or the processors.
    ///
    /// ```
    /// use npyfeed::Stats;
    ///
    /// let stats = Stats { batches: 10, busy_ns: 100, wait_ns: 1, fill_ns: 7, idle_ns: 93, ..Stats::default() };
    /// assert_eq!(stats.verdict(), "loader idle 93 % of the time: the network is the limit");
    /// ```
    pub fn verdict(&self) -> String {
        let (worked, elapsed) = (self.read_ns + self.fill_ns, self.wait_ns + self.busy_ns);
        if self.batches == 0 || elapsed == 0 || worked == 0 {
            return "nothing measured yet: no batch was taken".to_owned();
        }
        let waited = share(self.wait_ns, elapsed);
        if waited < HARDLY_WAITS {
            let idle = percent(share(self.idle_ns, self.idle_ns + worked));
            return format!("loader idle {idle} of the time: the network is the limit");
        }
        let (what, whom, is) = if self.read_ns > self.fill_ns {
            ("reading", "the disk", "is")
        } else {
            ("filling", "the processors", "are")
        };
        let waited_for = percent(waited);
        if waited < 0.5 {
            return format!("the network is the limit, and waits for {whom} {waited_for} of the time");
        }
        let rate = rate(self.bytes_read, elapsed);
        format!("{what} at {rate}, the network waits {waited_for} of the time: {whom} {is} the limit")
    }
}

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            batches: read(&self.batches),
            samples: read(&self.samples),
            bytes_read: read(&self.bytes_read),
            bytes_written: read(&self.bytes_written),
            read_ns: read(&self.read_ns),
            fill_ns: read(&self.fill_ns),
            idle_ns: read(&self.idle_ns),
            wait_ns: read(&self.wait_ns),
            busy_ns: read(&self.busy_ns),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_what_limits() {
        let waits = Stats { batches: 1, wait_ns: 60, busy_ns: 40, bytes_read: 130, ..Stats::default() };
        let disk = Stats { read_ns: 90, fill_ns: 10, ..waits };
        assert_eq!(
            disk.verdict(),
            "reading at 1.30 GB/s, the network waits 60 % of the time: the disk is the limit"
        );
        let processors = Stats { read_ns: 10, fill_ns: 90, ..waits };
        let expected =
            "filling at 1.30 GB/s, the network waits 60 % of the time: the processors are the limit";
        assert_eq!(processors.verdict(), expected);
        let now_and_then = Stats { wait_ns: 20, busy_ns: 80, ..disk };
        assert_eq!(
            now_and_then.verdict(),
            "the network is the limit, and waits for the disk 20 % of the time"
        );
        assert_eq!(Stats::default().verdict(), "nothing measured yet: no batch was taken");
    }
}
