//! The buffers of one batch while several workers fill them: each gets a piece that overlaps nobody's.
//!
//! The only `unsafe` of this crate. The proof, in three sentences: a piece is given out once, since the
//! counter of claimed pieces only grows; pieces with different numbers cover different slots; and the
//! buffers are taken out only when as many pieces have been finished as there are, each by giving its
//! [`Piece`] away, so that no slice into them is left.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::pool::Lease;

/// A batch being filled: its buffers, cut into pieces.
#[derive(Debug)]
pub(super) struct Slots {
    batch: u64,
    sample_count: usize,
    piece_samples: usize,
    columns: Vec<Column>,
    claimed: AtomicUsize,
    unfinished: AtomicUsize,
    /// Taken out when the last piece is finished.
    leases: Mutex<Option<Vec<Lease>>>,
}

/// Where the slots of a column start.
#[derive(Debug)]
struct Column {
    start: NonNull<u8>,
    slot_bytes: usize,
}

// SAFETY: the pointer leads into a buffer that `leases` owns and that nobody else touches while this
// exists; it is turned into slices only for pieces, which are disjoint.
unsafe impl Send for Column {}
// SAFETY: as above.
unsafe impl Sync for Column {}

/// The right to fill some slots of every column. There is at most one of each.
#[derive(Debug)]
pub(super) struct Piece {
    slots: Arc<Slots>,
    samples: Range<usize>,
}

impl Slots {
    /// Cuts the buffers of batch `batch` into pieces of `piece_samples` slots.
    ///
    /// # Panics
    /// If a buffer is smaller than its slots.
    pub(super) fn new(
        batch: u64,
        mut leases: Vec<Lease>,
        slot_bytes: impl Iterator<Item = usize>,
        sample_count: usize,
        piece_samples: usize,
    ) -> Slots {
        let columns = leases.iter_mut().zip(slot_bytes).map(|(lease, slot_bytes)| {
            let bytes = lease.bytes_mut();
            assert!(bytes.len() >= sample_count * slot_bytes, "a buffer smaller than its slots");
            Column { start: NonNull::from(bytes).cast(), slot_bytes }
        });
        Slots {
            batch,
            sample_count,
            piece_samples,
            columns: columns.collect(),
            claimed: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(sample_count.div_ceil(piece_samples)),
            leases: Mutex::new(Some(leases)),
        }
    }

    /// The next piece that nobody has claimed.
    pub(super) fn claim(self: &Arc<Slots>) -> Option<Piece> {
        let start = self.claimed.fetch_add(1, Ordering::Relaxed).checked_mul(self.piece_samples)?;
        let end = self.sample_count.min(start.saturating_add(self.piece_samples));
        (start < end).then(|| Piece { slots: Arc::clone(self), samples: start..end })
    }
}

impl Piece {
    /// The index of the batch in its epoch.
    pub(super) fn batch(&self) -> u64 {
        self.slots.batch
    }

    /// Which samples of the batch, counted from its first.
    pub(super) fn samples(&self) -> Range<usize> {
        self.samples.clone()
    }

    /// The slots of the piece in column `column`, side by side.
    pub(super) fn slots_mut(&mut self, column: usize) -> &mut [u8] {
        let Column { start, slot_bytes } = &self.slots.columns[column];
        let (offset, len) = (self.samples.start * slot_bytes, self.samples.len() * slot_bytes);
        debug_assert!(self.samples.end <= self.slots.sample_count);
        // SAFETY: inside the buffer, whose size `Slots::new` has checked and which lives in `leases`
        // until all pieces, this one among them, are finished. No other piece covers these slots, and
        // the borrow of `self` keeps this piece from giving them out twice.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr().add(offset), len) }
    }

    /// The piece is filled. The last piece of a batch gives the buffers back.
    pub(super) fn finish(self) -> Option<(u64, usize, Vec<Lease>)> {
        // Release what this piece wrote, acquire what the others did.
        if self.slots.unfinished.fetch_sub(1, Ordering::AcqRel) != 1 {
            return None;
        }
        let mut leases = self.slots.leases.lock().unwrap_or_else(PoisonError::into_inner);
        Some((self.slots.batch, self.slots.sample_count, leases.take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pool;

    fn slots(sample_count: usize, piece_samples: usize) -> Arc<Slots> {
        let leases = [3, 8].map(|slot_bytes| Pool::new(sample_count * slot_bytes, 1).lease().unwrap());
        Arc::new(Slots::new(7, leases.into(), [3, 8].into_iter(), sample_count, piece_samples))
    }

    #[test]
    fn parts_cover_every_sample_once() {
        for (sample_count, piece_samples) in [(1, 1), (10, 3), (9, 3), (5, 100)] {
            let slots = slots(sample_count, piece_samples);
            let pieces: Vec<Piece> = std::iter::from_fn(|| slots.claim()).collect();
            let covered: Vec<usize> = pieces.iter().flat_map(Piece::samples).collect();
            assert_eq!(covered, (0..sample_count).collect::<Vec<_>>());
            assert!(slots.claim().is_none());
        }
    }

    #[test]
    fn several_threads_fill_one_batch_and_the_last_gets_it() {
        let slots = slots(1000, 7);
        let finished: Vec<_> = std::thread::scope(|scope| {
            let worker = || {
                let fill = |mut piece: Piece| {
                    let first = piece.samples().start;
                    piece.slots_mut(0).fill(u8::try_from(first % 251).unwrap());
                    piece.slots_mut(1).fill(u8::try_from(first % 241).unwrap());
                    piece.finish()
                };
                std::iter::from_fn(|| slots.claim()).filter_map(fill).collect::<Vec<_>>()
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        let [(batch, sample_count, leases)] = &finished[..] else { panic!("finished once") };
        assert_eq!((*batch, *sample_count), (7, 1000));
        for (column, slot_bytes, modulus) in [(0, 3, 251), (1, 8, 241)] {
            for (slot, bytes) in leases[column].bytes().chunks_exact(slot_bytes).take(1000).enumerate() {
                let first = slot - slot % 7;
                assert!(bytes.iter().all(|&byte| usize::from(byte) == first % modulus), "slot {slot}");
            }
        }
    }

    #[test]
    fn a_part_dropped_unfinished_keeps_the_batch_from_being_given_out() {
        let slots = slots(10, 5);
        drop(slots.claim());
        assert!(slots.claim().unwrap().finish().is_none());
    }
}
