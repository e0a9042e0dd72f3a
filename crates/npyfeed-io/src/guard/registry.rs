//! The ranges that are watched, in memory that a signal handler may read at any moment.
//!
//! Slots lie in buckets, each twice as large as the one before, that are allocated when needed and never
//! freed. A slot that is withdrawn goes onto a stack and is used again, so there are as many slots as there
//! were maps at once. Both registering and withdrawing take a few atomic steps, whatever the number of maps.
//!
//! All accesses are sequentially consistent. That is more than needed, on paths that are taken once for
//! each file opened, and it makes "before" and "after" mean what they say.

use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

/// The number of slots in the first bucket.
const FIRST_BUCKET_SLOTS: u32 = 64;

/// Enough for 67 million maps; Linux allows a process 65,530 unless it is told otherwise.
const BUCKET_COUNT: usize = 20;

/// The number of slots in all buckets.
const SLOTS_MAX: u32 = FIRST_BUCKET_SLOTS * ((1 << BUCKET_COUNT) - 1);

/// A range of addresses, and the open file that is mapped there from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The file descriptor.
    pub(super) file: i32,
}

/// A place for one range.
#[derive(Debug)]
pub(super) struct Slot {
    /// Where this slot is in the registry.
    index: u32,
    /// Odd while the range is being changed.
    version: AtomicU64,
    start: AtomicUsize,
    end: AtomicUsize,
    file: AtomicI32,
    is_damaged: AtomicBool,
    /// The slot below on the stack of unused ones, plus 1; 0 at the bottom.
    below: AtomicU32,
}

/// Watched ranges.
pub(super) struct Registry {
    buckets: [AtomicPtr<Slot>; BUCKET_COUNT],
    /// Slots from here on have never been used.
    used: AtomicU32,
    /// The top of the stack of unused slots, plus 1, in the lower half. The upper half counts the changes,
    /// so that a top that went and came back is not taken for one that stayed.
    top: AtomicU64,
}

impl Registry {
    pub(super) const fn new() -> Registry {
        Registry {
            buckets: [const { AtomicPtr::new(std::ptr::null_mut()) }; BUCKET_COUNT],
            used: AtomicU32::new(0),
            top: AtomicU64::new(0),
        }
    }

    /// Begins to watch a range. `None` if there is no slot left.
    pub(super) fn register(&self, watched: Watched) -> Option<&'static Slot> {
        let slot = self.pop().or_else(|| self.unused())?;
        slot.is_damaged.store(false, SeqCst);
        slot.change(watched);
        Some(slot)
    }

    /// Stops watching the range in `slot`.
    pub(super) fn withdraw(&self, slot: &'static Slot) {
        slot.change(Watched { start: 0, end: 0, file: -1 });
        self.push(slot);
    }

    /// The range that holds `address`, with its slot. Signal handlers call this.
    pub(super) fn find(&self, address: usize) -> Option<(&'static Slot, Watched)> {
        (0..self.used.load(SeqCst)).find_map(|index| {
            let slot = self.slot(index)?;
            let watched = slot.watched()?;
            (watched.start..watched.end).contains(&address).then_some((slot, watched))
        })
    }

    /// The slot at `index`, if its bucket has been allocated.
    fn slot(&self, index: u32) -> Option<&'static Slot> {
        let (bucket, place) = place_of(index);
        let first = self.buckets.get(bucket)?.load(SeqCst);
        if first.is_null() {
            return None;
        }
        // SAFETY: a bucket that is not null is `slots_of(bucket)` initialised slots that are never freed,
        // and `place` is below that number.
        Some(unsafe { &*first.add(place) })
    }

    /// A slot that has never been used; its bucket is allocated if it is the first there.
    fn unused(&self) -> Option<&'static Slot> {
        let next = |used: u32| (used < SLOTS_MAX).then_some(used + 1);
        let index = self.used.fetch_update(SeqCst, SeqCst, next).ok()?;
        let (bucket, _) = place_of(index);
        if self.buckets[bucket].load(SeqCst).is_null() {
            self.allocate(bucket);
        }
        self.slot(index)
    }

    fn allocate(&self, bucket: usize) {
        let slots: Box<[Slot]> = slots_of(bucket).map(Slot::new).collect();
        let slots = Box::into_raw(slots);
        let null = std::ptr::null_mut();
        if self.buckets[bucket].compare_exchange(null, slots.cast(), SeqCst, SeqCst).is_err() {
            // SAFETY: made by `into_raw` above, and another thread was first, so nobody else has seen it.
            drop(unsafe { Box::from_raw(slots) });
        }
    }

    fn pop(&self) -> Option<&'static Slot> {
        let mut top = self.top.load(SeqCst);
        loop {
            let slot = self.slot(lower_half(top).checked_sub(1)?)?;
            let below = slot.below.load(SeqCst);
            match self.top.compare_exchange_weak(top, next_top(top, below), SeqCst, SeqCst) {
                Ok(_) => return Some(slot),
                Err(found) => top = found,
            }
        }
    }

    fn push(&self, slot: &Slot) {
        let mut top = self.top.load(SeqCst);
        loop {
            slot.below.store(lower_half(top), SeqCst);
            match self.top.compare_exchange_weak(top, next_top(top, slot.index + 1), SeqCst, SeqCst) {
                Ok(_) => return,
                Err(found) => top = found,
            }
        }
    }
}

impl Slot {
    fn new(index: u32) -> Slot {
        Slot {
            index,
            version: AtomicU64::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            file: AtomicI32::new(-1),
            is_damaged: AtomicBool::new(false),
            below: AtomicU32::new(0),
        }
    }

    /// Writes a range. Only the one thread that took the slot off the stack does.
    fn change(&self, watched: Watched) {
        self.version.fetch_add(1, SeqCst);
        self.start.store(watched.start, SeqCst);
        self.end.store(watched.end, SeqCst);
        self.file.store(watched.file, SeqCst);
        self.version.fetch_add(1, SeqCst);
    }

    /// The range, whole; `None` while it is being changed.
    fn watched(&self) -> Option<Watched> {
        let version = self.version.load(SeqCst);
        let watched = Watched {
            start: self.start.load(SeqCst),
            end: self.end.load(SeqCst),
            file: self.file.load(SeqCst),
        };
        (version.is_multiple_of(2) && self.version.load(SeqCst) == version).then_some(watched)
    }

    pub(super) fn mark_damaged(&self) {
        self.is_damaged.store(true, SeqCst);
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(SeqCst)
    }
}

/// The bucket of a slot, and its place in there.
fn place_of(index: u32) -> (usize, usize) {
    let shifted = index + FIRST_BUCKET_SLOTS;
    let bucket = shifted.ilog2() - FIRST_BUCKET_SLOTS.ilog2();
    (bucket as usize, (shifted - (FIRST_BUCKET_SLOTS << bucket)) as usize)
}

/// The indices of the slots in a bucket.
fn slots_of(bucket: usize) -> Range<u32> {
    let first = (FIRST_BUCKET_SLOTS << bucket) - FIRST_BUCKET_SLOTS;
    first..first + (FIRST_BUCKET_SLOTS << bucket)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
fn lower_half(top: u64) -> u32 {
    top as u32
}

fn next_top(top: u64, slot: u32) -> u64 {
    ((top >> 32).wrapping_add(1) << 32) | u64::from(slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn watched(start: usize) -> Watched {
        Watched { start, end: start + 10, file: 3 }
    }

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        assert_eq!((place_of(0), place_of(63), place_of(64)), ((0, 0), (0, 63), (1, 0)));
        for bucket in 0..BUCKET_COUNT {
            for index in [slots_of(bucket).start, slots_of(bucket).end - 1] {
                assert_eq!(place_of(index), (bucket, (index - slots_of(bucket).start) as usize));
            }
        }
        assert_eq!(slots_of(BUCKET_COUNT - 1).end, SLOTS_MAX);
    }

    #[test]
    fn addresses_are_found_from_register_to_withdraw() {
        let registry = Registry::new();
        let slots: Vec<_> = (1..=1000).map(|n| registry.register(watched(n * 100)).unwrap()).collect();
        for (n, slot) in (1..=1000).zip(&slots) {
            for (address, is_inside) in
                [(n * 100 - 1, false), (n * 100, true), (n * 100 + 9, true), (n * 100 + 10, false)]
            {
                let found = registry.find(address).map(|(slot, watched)| (slot.index, watched));
                assert_eq!(found, is_inside.then_some((slot.index, watched(n * 100))));
            }
        }
        for slot in slots {
            registry.withdraw(slot);
        }
        assert_eq!(registry.find(100).map(|(slot, _)| slot.index), None);
    }

    #[test]
    fn slots_are_used_again_and_forget_their_damage() {
        let registry = Registry::new();
        for _ in 0..10_000 {
            let slot = registry.register(watched(100)).unwrap();
            assert!(!slot.is_damaged());
            slot.mark_damaged();
            registry.withdraw(slot);
        }
        assert_eq!(registry.used.load(SeqCst), 1);
    }

    #[test]
    fn threads_share_it_and_a_reader_never_sees_a_range_that_nobody_registered() {
        const THREADS: usize = 4;
        let (registry, is_done) = (Registry::new(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let writers: Vec<_> = (1..=THREADS)
                .map(|thread| {
                    let registry = &registry;
                    scope.spawn(move || {
                        for n in 0..5_000 {
                            let range = watched(thread * 1_000_000 + n * 100);
                            let slot = registry.register(range).unwrap();
                            assert_eq!(registry.find(range.start).map(|(_, found)| found), Some(range));
                            registry.withdraw(slot);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !is_done.load(SeqCst) {
                    let whole = (0..64).filter_map(|index| registry.slot(index)?.watched());
                    assert!(whole.into_iter().all(|w| w.end == w.start + 10 || w.end == 0));
                }
            });
            for writer in writers {
                writer.join().unwrap();
            }
            is_done.store(true, SeqCst);
        });
        assert!(registry.used.load(SeqCst) <= u32::try_from(THREADS).unwrap());
    }
}
