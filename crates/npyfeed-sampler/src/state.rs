//! A checkpoint of a loader: a few integers.

use crate::Position;

/// All that is needed to go on in the middle of an epoch, beside the loader itself: five integers.
///
/// It knows neither batch size nor world size, threads nor prefetch depth, so all of them may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What the numbers mean: [`State::VERSION`].
    pub version: u64,
    /// What the order is drawn from.
    pub seed: u64,
    /// Which samples come next.
    pub position: Position,
    /// The [`fingerprint`](crate::Order::fingerprint) of the order.
    pub order: u64,
}

/// Why a state does not fit a loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// It was saved by a version whose numbers mean something else.
    Version {
        /// The version in the state.
        found: u64,
    },
    /// It was saved by a loader with another order, or over another number of samples.
    Order {
        /// The fingerprint of this loader's order.
        expected: u64,
        /// The one in the state.
        found: u64,
    },
    /// It is beyond the end of an epoch.
    Position {
        /// How many samples an epoch takes.
        epoch_len: u64,
        /// The position in the state.
        found: u64,
    },
}

impl State {
    /// The version of the states made here.
    pub const VERSION: u64 = 1;

    /// Whether a loader whose order has this fingerprint and length can go on from here.
    ///
    /// # Errors
    /// [`StateError`] if not.
    pub fn check(&self, order: u64, epoch_len: u64) -> Result<(), StateError> {
        if self.version != State::VERSION {
            return Err(StateError::Version { found: self.version });
        }
        if self.order != order {
            return Err(StateError::Order { expected: order, found: self.order });
        }
        if self.position.sample > epoch_len {
            return Err(StateError::Position { epoch_len, found: self.position.sample });
        }
        Ok(())
    }
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StateError::Version { found } => write!(
                f,
                "expected a state of version {}, found version {found}; load it with the npyfeed that saved it",
                State::VERSION
            ),
            StateError::Order { expected, found } => write!(
                f,
                "expected the state of a loader with the same order (kind, arguments, number of samples), \
                 fingerprint {expected:#018x}, found {found:#018x}; make the loader as the one that saved it \
                 (batch size, world size and threads may differ)"
            ),
            StateError::Position { epoch_len, found } => {
                write!(f, "expected a position from 0 to the {epoch_len} samples of an epoch, found {found}")
            }
        }
    }
}

impl std::error::Error for StateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_fits_the_order_it_was_made_with_up_to_the_end_of_an_epoch() {
        let state = State { version: 1, seed: 0, position: Position { epoch: 9, sample: 10 }, order: 77 };
        assert_eq!(state.check(77, 10), Ok(()));
        assert_eq!(state.check(78, 10), Err(StateError::Order { expected: 78, found: 77 }));
        assert_eq!(state.check(77, 9), Err(StateError::Position { epoch_len: 9, found: 10 }));
        let newer = State { version: 2, ..state };
        assert_eq!(newer.check(77, 10), Err(StateError::Version { found: 2 }));
    }
}
