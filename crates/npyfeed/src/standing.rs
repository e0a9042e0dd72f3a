//! How far the consumer of a loader has come, and what comes next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use npyfeed_sampler::{Batches, Position, State};

use crate::plan::Plan;

/// What a loader remembers between its epochs. Its lock is held for a few assignments at a time.
#[derive(Debug)]
pub(crate) struct Standing(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    seed: u64,
    /// Where the next epoch begins.
    next: Position,
    /// The epoch begun last, unless something else was chosen since.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    epoch: u64,
    batches: Batches,
    taken: Taken,
}

/// How many batches of an epoch the consumer has taken. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(crate) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Standing {
    pub(crate) fn new(seed: u64, epoch: u64) -> Standing {
        Standing(Mutex::new(Inner { seed, next: Position { epoch, sample: 0 }, running: None }))
    }

    /// Begins what comes next: its seed, its position, and what counts its batches.
    pub(crate) fn begin(&self, plan: &Plan) -> (u64, Position, Taken) {
        let mut inner = self.lock();
        let (position, taken) = (inner.next, Taken::default());
        inner.next = Position { epoch: position.epoch.saturating_add(1), sample: 0 };
        let batches = plan.batches_from(position);
        inner.running = Some(Running { epoch: position.epoch, batches, taken: taken.clone() });
        (inner.seed, position, taken)
    }

    pub(crate) fn state(&self, plan: &Plan) -> State {
        let inner = self.lock();
        let position = match &inner.running {
            Some(running) => Position::after(running.epoch, &running.batches, running.taken.count()),
            None => inner.next,
        };
        State { version: State::VERSION, seed: inner.seed, position, order: plan.fingerprint() }
    }

    /// Goes on from a state that was checked.
    pub(crate) fn load(&self, state: &State) {
        *self.lock() = Inner { seed: state.seed, next: state.position, running: None };
    }

    pub(crate) fn next_epoch(&self) -> u64 {
        self.lock().next.epoch
    }

    /// Chooses the next epoch, from its beginning, unless it is the next one anyway.
    pub(crate) fn set_epoch(&self, epoch: u64) {
        let mut inner = self.lock();
        if inner.next.epoch != epoch {
            inner.next = Position { epoch, sample: 0 };
            inner.running = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that can panic runs between the changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
