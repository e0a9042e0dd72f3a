//! Where a loader stands.

/// The next batch to come: the whole checkpoint of a loader, next to the spec that it was made from.
///
/// Positions are ordered as batches come: by epoch, then by batch.
///
/// ```
/// use npyfeed_sampler::Position;
///
/// let mut position = Position::START;
/// for _ in 0..7 {
///     position = position.next_batch(3);
/// }
/// assert_eq!(position, Position { epoch: 2, batch: 1 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// The batch within the epoch, counted from 0.
    pub batch: u64,
}

impl Position {
    /// The first batch of the first epoch.
    pub const START: Position = Position { epoch: 0, batch: 0 };

    /// The position after this one in epochs of `batch_count` batches. After the last batch comes the
    /// first of the next epoch, never a batch that does not exist; an epoch without batches is passed over.
    #[must_use]
    pub fn next_batch(self, batch_count: u64) -> Position {
        // Not `batch + 1 < batch_count`, which overflows for a position read from a damaged checkpoint.
        let is_last = self.batch >= batch_count.saturating_sub(1);
        if is_last { self.next_epoch() } else { Position { batch: self.batch + 1, ..self } }
    }

    /// The first batch of the next epoch. The last epoch that can be counted is its own successor.
    #[must_use]
    pub fn next_epoch(self) -> Position {
        Position { epoch: self.epoch.saturating_add(1), batch: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, batch: u64) -> Position {
        Position { epoch, batch }
    }

    #[test]
    fn the_batch_after_the_last_is_the_first_of_the_next_epoch() {
        assert_eq!(at(4, 0).next_batch(3), at(4, 1));
        assert_eq!(at(4, 1).next_batch(3), at(4, 2));
        assert_eq!(at(4, 2).next_batch(3), at(5, 0));
        assert_eq!(at(4, 0).next_batch(1), at(5, 0));
    }

    #[test]
    fn positions_outside_an_epoch_lead_to_the_next() {
        assert_eq!(at(0, 0).next_batch(0), at(1, 0));
        assert_eq!(at(0, 9).next_batch(3), at(1, 0));
        assert_eq!(at(0, u64::MAX).next_batch(u64::MAX), at(1, 0));
        assert_eq!(at(u64::MAX, 5).next_epoch(), at(u64::MAX, 0));
    }

    #[test]
    fn positions_are_ordered_as_batches_come() {
        let mut position = Position::START;
        for _ in 0..10 {
            let next = position.next_batch(4);
            assert!(next > position);
            position = next;
        }
        assert!(at(1, 0) > at(0, u64::MAX));
        assert_eq!(Position::default(), Position::START);
    }
}
