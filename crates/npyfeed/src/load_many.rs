//! Many things opened side by side.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::side_by_side::{processor_count, side_by_side};

/// What `open` gives for 0 to `count`, in that order, or the error of the smallest number that has one.
///
/// `slow_count` of them are worth a thread; there are as many threads as that, or as the CPU has, this one among
/// them. Numbers are claimed in their order and a claimed one is finished, so when one fails, all smaller ones
/// have been claimed, and no larger one need be.
pub(crate) fn load_many<T: Send>(
    count: usize,
    slow_count: usize,
    open: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let opened: Vec<Mutex<Option<Result<T>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let work = || {
        while !has_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = opened.get(index) else { break };
            let result = open(index);
            has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
            *place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(result);
        }
    };
    side_by_side(processor_count().min(slow_count), work);
    let opened = opened.into_iter().filter_map(|place| place.into_inner().ok().flatten());
    let all = opened.collect::<Result<Vec<T>>>()?;
    if all.len() == count {
        return Ok(all);
    }
    Err(Error::new(ErrorKind::Internal, "a member was claimed and not opened"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_their_order() {
        for (count, slow_count) in [(0, 0), (1, 1), (100, 0), (100, 100)] {
            let expected: Vec<usize> = (0..count).map(|index| index * index).collect();
            assert_eq!(load_many(count, slow_count, |index| Ok(index * index)).unwrap(), expected);
        }
    }

    #[test]
    fn the_error_of_the_earliest_wins_whoever_is_faster() {
        let (has_later_failed, waits) = (AtomicBool::new(false), processor_count() > 1);
        let opened = load_many(100, 100, |index| match index {
            7 => {
                // With another thread to open them, a later one fails first.
                while waits && !has_later_failed.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                Err::<(), Error>(Error::mismatch("seven"))
            }
            8.. => {
                has_later_failed.store(true, Ordering::Relaxed);
                Err(Error::mismatch("later"))
            }
            _ => Ok(()),
        });
        assert_eq!(opened.unwrap_err().to_string(), "seven");
    }
}
