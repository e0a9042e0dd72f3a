//! Where a loader stands.

use crate::Batches;

/// How far a loader has come: an epoch, and how many places of its order are done.
///
/// Places are counted in the order that all processes share, so a position says what is left whatever the
/// batch size and the number of processes, before and after. Positions are ordered as samples come.
///
/// ```
/// use npyfeed_sampler::{Batches, LastBatch, Position};
/// use std::num::NonZeroU64;
///
/// let batches = Batches::new(10, NonZeroU64::new(4).unwrap(), LastBatch::Keep);
/// assert_eq!(Position::after(3, &batches, 2), Position { epoch: 3, sample: 8 });
/// assert_eq!(Position::after(3, &batches, 3), Position { epoch: 4, sample: 0 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// How many samples of the epoch's order all processes together are done with.
    pub sample: u64,
}

impl Position {
    /// The first sample of the first epoch.
    pub const START: Position = Position { epoch: 0, sample: 0 };

    /// The position when `taken` of the batches of `epoch` were taken. After the last comes the beginning of
    /// the next epoch; the last epoch that can be counted is its own successor.
    #[must_use]
    pub fn after(epoch: u64, batches: &Batches, taken: u64) -> Position {
        if taken >= batches.count() {
            return Position { epoch: epoch.saturating_add(1), sample: 0 };
        }
        let sample = if taken == 0 { batches.start } else { batches.done_after(taken - 1) };
        Position { epoch, sample }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::{LastBatch, Shard, Uneven};

    fn batches(sample_count: u64, start: u64) -> Batches {
        let shard = Shard::new(1, 2, Uneven::Pad).unwrap();
        Batches { shard, start, ..Batches::new(sample_count, NonZeroU64::new(4).unwrap(), LastBatch::Keep) }
    }

    #[test]
    fn a_step_of_all_ranks_is_done_at_once() {
        let taken = [0, 1, 2, 3].map(|taken| Position::after(5, &batches(21, 0), taken));
        assert_eq!(
            taken.map(|position| (position.epoch, position.sample)),
            [(5, 0), (5, 8), (5, 16), (6, 0)]
        );
        assert!(taken.is_sorted());
    }

    #[test]
    fn an_epoch_without_batches_is_over_at_once() {
        assert_eq!(Position::after(0, &batches(0, 0), 0), Position { epoch: 1, sample: 0 });
        assert_eq!(Position::after(7, &batches(9, 9), 0), Position { epoch: 8, sample: 0 });
        assert_eq!(Position::after(u64::MAX, &batches(9, 9), 9).epoch, u64::MAX);
    }

    #[test]
    fn the_rest_of_an_epoch_is_counted_from_its_beginning() {
        assert_eq!(Position::after(0, &batches(21, 3), 0).sample, 3);
        assert_eq!(Position::after(0, &batches(21, 3), 1).sample, 11);
    }
}
