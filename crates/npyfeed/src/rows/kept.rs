//! Large files that stay mapped after they were read, so that the next sample of one need not map it again.
//!
//! The lock is only ever tried: in a process that was forked while a thread held it nobody would give it back. Whoever
//! does not get it maps the file for itself, which costs microseconds and is as right.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::array::Array;

/// So many files of a column stay open. Processes may often open no more than 1024.
const KEPT_MAX: usize = 128;

/// The files used last, by their row.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Recent>);

/// In the order of their last use.
type Recent = VecDeque<(u64, Array)>;

impl Kept {
    /// The file of row `row`, if it is still there.
    pub(super) fn get(&self, row: u64) -> Option<Array> {
        let mut recent = self.lock()?;
        let found = take(&mut recent, row)?;
        recent.push_back((row, found.clone()));
        Some(found)
    }

    /// Keeps the file of row `row`, and lets go of those that were not used for the longest time.
    pub(super) fn keep(&self, row: u64, array: &Array) {
        let Some(mut recent) = self.lock() else { return };
        let same = take(&mut recent, row);
        recent.push_back((row, array.clone()));
        let oldest = if recent.len() > KEPT_MAX { recent.pop_front() } else { None };
        drop(recent);
        // To unmap takes its time, which nobody should wait for.
        drop((same, oldest));
    }

    /// Lets go of the file of row `row`: it is not what it was.
    pub(super) fn forget(&self, row: u64) {
        let forgotten = self.lock().and_then(|mut recent| take(&mut recent, row));
        drop(forgotten);
    }

    /// Has what was read of all of them no longer count as this process's memory.
    pub(super) fn forget_resident(&self) {
        if let Some(recent) = self.lock() {
            recent.iter().for_each(|(_, array)| array.forget_resident());
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Recent>> {
        match self.0.try_lock() {
            Ok(recent) => Some(recent),
            Err(TryLockError::Poisoned(recent)) => Some(recent.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

fn take(recent: &mut Recent, row: u64) -> Option<Array> {
    let place = recent.iter().position(|(kept, _)| *kept == row)?;
    recent.remove(place).map(|(_, array)| array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyfeed_array::{ByteOrder, Dtype, Layout, MemoryOrder};
    use npyfeed_io::Memory;

    fn array() -> Array {
        let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[2], MemoryOrder::C).unwrap();
        Array::in_memory(Memory::from(vec![1, 2]), layout).unwrap()
    }

    #[test]
    fn those_used_last_are_kept_up_to_the_bound() {
        let kept = Kept::default();
        let bound = KEPT_MAX as u64;
        for row in 0..bound {
            kept.keep(row, &array());
        }
        assert!(kept.get(0).is_some());
        kept.keep(bound, &array());
        let there: Vec<bool> = [0, 1, 2, bound].map(|row| kept.get(row).is_some()).into();
        assert_eq!(there, [true, false, true, true]);
        assert_eq!(kept.0.lock().unwrap().len(), KEPT_MAX);
    }

    #[test]
    fn a_row_is_kept_once_and_forgotten_when_asked() {
        let kept = Kept::default();
        for _ in 0..3 {
            kept.keep(7, &array());
        }
        assert_eq!(kept.0.lock().unwrap().len(), 1);
        kept.forget(7);
        assert!(kept.get(7).is_none());
    }

    #[test]
    fn whoever_finds_the_lock_taken_does_not_wait() {
        let kept = Kept::default();
        kept.keep(7, &array());
        let held = kept.0.lock().unwrap();
        assert!(kept.get(7).is_none());
        kept.keep(8, &array());
        drop(held);
        assert!(kept.get(7).is_some() && kept.get(8).is_none());
    }
}
