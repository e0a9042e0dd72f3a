//! One piece of work done by several threads at once, for the length of a call.

use std::thread::{self, Builder};

/// Runs `work` on this thread and on others, `thread_count` in all, and returns when all have come to their end. A
/// system that gives no thread leaves the work to those there are, so `work` takes what it does from a shared heap.
pub(crate) fn side_by_side(thread_count: usize, work: impl Fn() + Sync) {
    thread::scope(|scope| {
        let spawn = |_| Builder::new().name("npyfeed-side".to_owned()).spawn_scoped(scope, &work).ok();
        let others: Vec<_> = (1..thread_count).filter_map(spawn).collect();
        work();
        for other in others {
            // The end of the scope waits for the work; this waits for the thread. A panic goes on here.
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// As many threads as this process may use at once.
pub(crate) fn processor_count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_of_them_work() {
        for thread_count in [0, 1, 2, 7] {
            let count = AtomicUsize::new(0);
            side_by_side(thread_count, || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), thread_count.max(1));
        }
    }

    #[test]
    fn a_panic_of_any_is_a_panic_of_the_call() {
        let first = AtomicUsize::new(0);
        let panicked = std::panic::catch_unwind(|| {
            side_by_side(4, || assert_ne!(first.fetch_add(1, Ordering::Relaxed), 2, "the third"));
        });
        assert!(panicked.is_err());
    }
}
