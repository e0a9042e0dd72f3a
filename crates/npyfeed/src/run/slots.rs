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

/// How a batch is cut into pieces: so many samples each, or, where a sample is large, so many portions of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cutting {
    /// Samples in a piece; 1 if they are cut themselves.
    pub(crate) samples: usize,
    /// Portions that each sample is cut into; 1 if a piece has whole samples.
    pub(crate) portions: usize,
}

impl Cutting {
    /// Pieces of a batch of `sample_count`.
    pub(super) fn piece_count(self, sample_count: usize) -> usize {
        sample_count.div_ceil(self.samples) * self.portions
    }
}

/// A batch being filled: its buffers, cut into pieces.
#[derive(Debug)]
pub(super) struct Slots {
    batch: u64,
    sample_count: usize,
    cutting: Cutting,
    columns: Vec<Column>,
    claimed: AtomicUsize,
    unfinished: AtomicUsize,
    /// Taken out when the last piece is finished.
    leases: Mutex<Option<Vec<Lease>>>,
}

/// Where the slots of a column start, and how each is cut.
#[derive(Debug)]
struct Column {
    start: NonNull<u8>,
    slot_bytes: usize,
    /// Ends of the portions in a slot: each begins where the one before ends.
    ends: Vec<usize>,
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
    portion: usize,
}

impl Slots {
    /// Cuts the buffers of batch `batch`. Of each column it is told the size of a slot and where in it portions
    /// end.
    ///
    /// # Panics
    /// If a buffer is smaller than its slots, or portions do not follow each other up to the end of the slot.
    pub(super) fn new(
        batch: u64,
        mut leases: Vec<Lease>,
        columns: impl Iterator<Item = (usize, Vec<usize>)>,
        sample_count: usize,
        cutting: Cutting,
    ) -> Slots {
        let columns = leases.iter_mut().zip(columns).map(|(lease, (slot_bytes, ends))| {
            let bytes = lease.bytes_mut();
            assert!(bytes.len() >= sample_count * slot_bytes, "a buffer smaller than its slots");
            let is_cut =
                ends.len() == cutting.portions && ends.is_sorted() && ends.last() == Some(&slot_bytes);
            assert!(is_cut, "portions that are not those of a slot");
            Column { start: NonNull::from(bytes).cast(), slot_bytes, ends }
        });
        assert!(cutting.portions == 1 || cutting.samples == 1, "pieces of parts of several samples");
        Slots {
            batch,
            sample_count,
            cutting,
            columns: columns.collect(),
            claimed: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(cutting.piece_count(sample_count)),
            leases: Mutex::new(Some(leases)),
        }
    }

    /// The next piece that nobody has claimed.
    pub(super) fn claim(self: &Arc<Slots>) -> Option<Piece> {
        let Cutting { samples, portions } = self.cutting;
        let number = self.claimed.fetch_add(1, Ordering::Relaxed);
        let start = (number / portions).checked_mul(samples)?;
        let end = self.sample_count.min(start.saturating_add(samples));
        let portion = number % portions;
        (start < end).then(|| Piece { slots: Arc::clone(self), samples: start..end, portion })
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

    /// Which portion of them.
    pub(super) fn portion(&self) -> usize {
        self.portion
    }

    /// What is to be filled in column `column`: whole slots, side by side, or the portion of one.
    pub(super) fn slots_mut(&mut self, column: usize) -> &mut [u8] {
        let Column { start, slot_bytes, ends } = &self.slots.columns[column];
        let begin = self.portion.checked_sub(1).map_or(0, |before| ends[before]);
        let last_slot = self.samples.end - 1;
        let (offset, end) =
            (self.samples.start * slot_bytes + begin, last_slot * slot_bytes + ends[self.portion]);
        debug_assert!(self.samples.end <= self.slots.sample_count);
        // SAFETY: inside the buffer, whose size `Slots::new` has checked and which lives in `leases`
        // until all pieces, this one among them, are finished: `claim` gives no empty range of samples, and a
        // portion ends where the next begins, at the end of the slot at most. If slots are cut, a piece is of one
        // sample. So no other piece covers these bytes, and the borrow of `self` keeps this one from giving
        // them out twice.
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr().add(offset), end - offset) }
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
        let columns = [3, 8].map(|slot_bytes| (slot_bytes, vec![slot_bytes]));
        let cutting = Cutting { samples: piece_samples, portions: 1 };
        Arc::new(Slots::new(7, leases.into(), columns.into_iter(), sample_count, cutting))
    }

    #[test]
    fn portions_cover_every_byte_of_a_slot_once() {
        let lease = Pool::new(4 * 10, 1).lease().unwrap();
        let cutting = Cutting { samples: 1, portions: 3 };
        let columns = std::iter::once((10, vec![4, 4, 10]));
        let slots = Arc::new(Slots::new(0, vec![lease], columns, 4, cutting));
        let pieces: Vec<Piece> = std::iter::from_fn(|| slots.claim()).collect();
        assert_eq!(pieces.len(), 12);
        let mut finished = None;
        for mut piece in pieces {
            let number = 1 + piece.samples().start * 3 + piece.portion();
            piece.slots_mut(0).iter_mut().for_each(|byte| *byte += u8::try_from(number).unwrap());
            finished = finished.or(piece.finish());
        }
        let (_, _, leases) = finished.unwrap();
        let expected: Vec<u8> =
            (0..4).flat_map(|slot| [[3 * slot + 1; 4].as_slice(), &[3 * slot + 3; 6]].concat()).collect();
        assert_eq!(leases[0].bytes(), expected);
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
