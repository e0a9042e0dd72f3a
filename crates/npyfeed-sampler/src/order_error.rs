//! What keeps weights, indices or labels from being an order.

/// An order that cannot be: told when it is made, or when it meets a dataset.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum OrderError {
    /// A weight that is negative, infinite or not a number.
    WeightOutOfRange {
        /// Which weight, counted from 0.
        index: u64,
        /// The weight given.
        weight: f64,
    },
    /// No weight is above 0, or there is none.
    NoPositiveWeight,
    /// More draws without replacement than samples that can be drawn.
    TooFewPositiveWeights {
        /// How many draws were asked for.
        draw_count: u64,
        /// How many weights are above 0.
        positive_count: u64,
    },
    /// A number of samples in an epoch that is 0 or cannot be counted through.
    LengthOutOfRange {
        /// The number given.
        epoch_len: u64,
    },
    /// An index of no sample.
    IndexOutOfRange {
        /// Which index, counted from 0.
        place: u64,
        /// The index given.
        index: u64,
        /// How many samples there are.
        sample_count: u64,
    },
    /// Not one weight, or label, for each sample.
    CountMismatch {
        /// Weights or labels.
        of: &'static str,
        /// How many there are.
        found: u64,
        /// How many samples there are.
        sample_count: u64,
    },
    /// Labels of no sample.
    NoLabels,
}

/// No epoch is longer: sums of a place and the size of a batch stay countable.
pub(crate) const EPOCH_LEN_MAX: u64 = 1 << 62;

pub(crate) fn check_epoch_len(epoch_len: u64) -> Result<(), OrderError> {
    if (1..=EPOCH_LEN_MAX).contains(&epoch_len) {
        Ok(())
    } else {
        Err(OrderError::LengthOutOfRange { epoch_len })
    }
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OrderError::WeightOutOfRange { index, weight } => {
                write!(f, "expected weights that are finite and at least 0, found {weight} at index {index}")
            }
            OrderError::NoPositiveWeight => write!(f, "expected at least one weight above 0, found none"),
            OrderError::TooFewPositiveWeights { draw_count, positive_count } => write!(
                f,
                "expected at least {draw_count} weights above 0 to draw {draw_count} samples without \
                 replacement, found {positive_count}; draw fewer, or with replacement"
            ),
            OrderError::LengthOutOfRange { epoch_len } => {
                write!(f, "expected num_samples from 1 to 2**62, found {epoch_len}")
            }
            OrderError::IndexOutOfRange { place, index, sample_count } => {
                write!(f, "expected indices below {sample_count}, found {index} at place {place}")
            }
            OrderError::CountMismatch { of, found, sample_count } => write!(
                f,
                "expected as many {of} as the dataset has samples, {sample_count}, found {found} (after \
                 split or select, select the {of} alike)"
            ),
            OrderError::NoLabels => write!(f, "expected at least one label, found none"),
        }
    }
}

impl std::error::Error for OrderError {}
