//! One process's share of an epoch.

use std::num::NonZeroU64;

/// What becomes of the samples at the end of an epoch that cannot be shared out evenly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Uneven {
    /// The first samples of the epoch come once more, so that there are enough (`drop_last=False` of
    /// PyTorch's `DistributedSampler`). No sample is left out; fewer than `world_size` come twice.
    #[default]
    Pad,
    /// They are left out, fewer than `world_size` (`drop_last=True` there).
    Drop,
}

/// Which share of every epoch a process takes: that of `rank` among `world_size`.
///
/// # The rule
///
/// `world_size` processes take a *step* together: `world_size * batch_size` following places of the epoch's
/// order, of which the process of rank *r* takes the *r*-th run of `batch_size`. Joined in the order of
/// ranks, their batches are the batch that one process would take with a batch size of
/// `world_size * batch_size`. So the order of an epoch does not depend on the world size, a step ends at
/// one place for all, and a run can go on from there with another world size.
///
/// The last step may have fewer places. They are shared out evenly, in runs again, after [`Uneven`] has
/// made their number a multiple of the world size. So all ranks have equally many batches, equally large.
///
/// ```
/// use npyfeed_sampler::{Batches, LastBatch, Shard, Uneven};
/// use std::num::NonZeroU64;
///
/// let of_rank = |rank| Batches {
///     shard: Shard::new(rank, 2, Uneven::Pad).unwrap(),
///     ..Batches::new(11, NonZeroU64::new(4).unwrap(), LastBatch::Keep)
/// };
/// assert_eq!([of_rank(0).range(0), of_rank(1).range(0)], [0..4, 4..8]);
/// assert_eq!([of_rank(0).range(1), of_rank(1).range(1)], [8..10, 10..12]); // 11 is 0 again
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    rank: u64,
    world_size: NonZeroU64,
    uneven: Uneven,
}

/// A rank that is not below its world size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardError {
    /// The rank given.
    pub rank: u64,
    /// The world size given.
    pub world_size: u64,
}

impl Shard {
    /// The whole epoch, for a process that is alone.
    pub const WHOLE: Shard = Shard { rank: 0, world_size: NonZeroU64::MIN, uneven: Uneven::Pad };

    /// The share of `rank`, counted from 0, among `world_size` processes.
    ///
    /// # Errors
    /// [`ShardError`] unless `rank` is below `world_size`, which is from 1 to 2³².
    pub fn new(rank: u64, world_size: u64, uneven: Uneven) -> Result<Shard, ShardError> {
        let error = ShardError { rank, world_size };
        let world_size = NonZeroU64::new(world_size).filter(|size| size.get() <= 1 << 32).ok_or(error)?;
        if rank < world_size.get() { Ok(Shard { rank, world_size, uneven }) } else { Err(error) }
    }

    /// The number of this process, from 0.
    pub fn rank(self) -> u64 {
        self.rank
    }

    /// How many processes share the epoch.
    pub fn world_size(self) -> NonZeroU64 {
        self.world_size
    }

    /// How many of the last `place_count` places of an epoch each process takes.
    pub(crate) fn share(self, place_count: u64) -> u64 {
        match self.uneven {
            Uneven::Pad => place_count.div_ceil(self.world_size.get()),
            Uneven::Drop => place_count / self.world_size,
        }
    }
}

impl Default for Shard {
    fn default() -> Shard {
        Shard::WHOLE
    }
}

impl std::fmt::Display for ShardError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ShardError { rank, world_size } = self;
        write!(
            f,
            "expected world_size from 1 to 2**32 and rank from 0 to world_size - 1, found rank={rank}, \
             world_size={world_size}"
        )
    }
}

impl std::error::Error for ShardError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_below_the_world_size() {
        for (rank, world_size) in [(0, 0), (1, 1), (8, 8), (0, (1 << 32) + 1)] {
            assert_eq!(Shard::new(rank, world_size, Uneven::Pad), Err(ShardError { rank, world_size }));
        }
        assert_eq!(Shard::new(0, 1, Uneven::Pad), Ok(Shard::WHOLE));
    }
}
