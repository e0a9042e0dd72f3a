//! Between workers and consumer: which batches are being filled, which are ready, who sleeps.
//!
//! One lock guards it all. It is held for the bookkeeping of a piece or a batch, never while bytes move.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use npyfeed_sampler::Batches;

use super::Next;
use super::slots::{Piece, Slots};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::pool::Lease;
use crate::stats::{Counters, count, nanoseconds};

/// The batches between being begun and being taken.
#[derive(Debug)]
pub(super) struct Queue {
    plan: Arc<Plan>,
    batches: Batches,
    counters: Arc<Counters>,
    state: Mutex<State>,
    /// Workers sleep here when the prefetch bound is reached.
    room: Condvar,
    /// The consumer sleeps here.
    ready: Condvar,
}

#[derive(Debug)]
struct State {
    /// The batch at the front of `batches`: the next to be taken.
    front: u64,
    /// No batch from here on is begun.
    end: u64,
    batches: VecDeque<Progress>,
    /// The batch that was begun last, if it has pieces that nobody has claimed.
    open: Option<Arc<Slots>>,
    is_stopped: bool,
    /// No more batches than this are ahead.
    depth: usize,
    sleeping_workers: usize,
    /// A worker has slept for want of room since the consumer last had to wait.
    has_wanted_room: bool,
    is_consumer_sleeping: bool,
    /// When the consumer last went away with a batch.
    left: Option<Instant>,
}

#[derive(Debug)]
enum Progress {
    Filling,
    Ready { sample_count: usize, leases: Vec<Lease> },
    Failed(Error),
}

/// What there is for a worker.
enum Offer {
    Piece(Piece),
    /// As many batches are ahead as may be.
    NoRoom,
    /// The epoch has no more, or was left.
    NoMore,
}

impl Queue {
    pub(super) fn new(plan: &Arc<Plan>, counters: &Arc<Counters>, batches: Batches) -> Queue {
        let state = State {
            front: 0,
            end: batches.count(),
            batches: VecDeque::new(),
            open: None,
            is_stopped: false,
            depth: counters.depth.load(Ordering::Relaxed).max(plan.prefetch.start),
            sleeping_workers: 0,
            has_wanted_room: false,
            is_consumer_sleeping: false,
            left: None,
        };
        Queue {
            plan: Arc::clone(plan),
            batches,
            counters: Arc::clone(counters),
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    /// A worker asks for something to fill; sleeps while there is nothing. `None`: go home.
    pub(super) fn take_piece(&self) -> Option<Piece> {
        let mut state = self.lock();
        loop {
            match self.offer(&mut state) {
                Offer::Piece(piece) => return Some(piece),
                Offer::NoMore => return None,
                Offer::NoRoom => state = self.sleep_for_room(state),
            }
        }
    }

    /// A worker asks for more to fill while it waits for bytes, and does not sleep for it.
    pub(super) fn try_piece(&self) -> Option<Piece> {
        match self.offer(&mut self.lock()) {
            Offer::Piece(piece) => Some(piece),
            Offer::NoMore | Offer::NoRoom => None,
        }
    }

    fn offer(&self, state: &mut State) -> Offer {
        loop {
            if state.is_stopped {
                return Offer::NoMore;
            }
            if let Some(piece) = state.open.as_ref().and_then(Slots::claim) {
                return Offer::Piece(piece);
            }
            state.open = None;
            let begun = state.begun();
            if begun >= state.end {
                return Offer::NoMore;
            }
            if state.batches.len() >= state.depth {
                return Offer::NoRoom;
            }
            self.begin(state, begun);
        }
    }

    fn sleep_for_room<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let asleep = Instant::now();
        state.sleeping_workers += 1;
        state.has_wanted_room = true;
        state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.sleeping_workers -= 1;
        count(&self.counters.idle_ns, nanoseconds(asleep.elapsed()));
        state
    }

    /// Opens batch `batch` for filling.
    fn begin(&self, state: &mut State, batch: u64) {
        let range = self.batches.range(batch);
        let sample_count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let leases: Result<Vec<Lease>> = self.plan.columns.iter().map(|column| column.pool.lease()).collect();
        match leases {
            Ok(leases) => {
                let columns = self.plan.columns.iter().map(|column| {
                    (column.slot_bytes(), column.slot_portions().map(|portion| portion.end).collect())
                });
                let slots = Slots::new(batch, leases, columns, sample_count, self.plan.cutting);
                state.open = Some(Arc::new(slots));
                state.batches.push_back(Progress::Filling);
            }
            Err(error) => {
                state.batches.push_back(Progress::Filling);
                self.fail_locked(state, batch, error);
            }
        }
        let has_pieces_to_share = self.plan.cutting.piece_count(sample_count) > 1;
        let has_room = state.batches.len() < state.depth;
        if state.sleeping_workers > 0 && (has_pieces_to_share || has_room) {
            self.room.notify_all();
        }
    }

    /// A worker has filled its piece.
    pub(super) fn finish(&self, piece: Piece) {
        if let Some((batch, sample_count, leases)) = piece.finish() {
            let mut state = self.lock();
            self.settle(&mut state, batch, Progress::Ready { sample_count, leases });
        }
    }

    /// A worker could not go on: with the piece of batch `batch` it was filling, or before it had one.
    pub(super) fn fail(&self, batch: Option<u64>, error: Error) {
        let mut state = self.lock();
        let batch = batch.unwrap_or(state.front);
        if batch == state.begun() {
            state.batches.push_back(Progress::Filling);
        }
        self.fail_locked(&mut state, batch, error);
    }

    fn fail_locked(&self, state: &mut State, batch: u64, error: Error) {
        state.end = state.end.min(batch + 1);
        if state.open.is_some() && state.begun() > state.end {
            state.open = None;
        }
        self.settle(state, batch, Progress::Failed(error));
    }

    /// Notes what became of a batch and wakes the consumer if it is the one it waits for.
    fn settle(&self, state: &mut State, batch: u64, outcome: Progress) {
        let Some(place) = batch.checked_sub(state.front).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        match state.batches.get_mut(place) {
            Some(progress @ Progress::Filling) => *progress = outcome,
            // The first failure of a batch is the one that is told.
            Some(Progress::Ready { .. } | Progress::Failed(_)) | None => return,
        }
        if place == 0 && state.is_consumer_sleeping {
            self.ready.notify_one();
        }
    }

    /// The consumer asks for the batch at the front, and sleeps for it up to `patience`.
    pub(super) fn take_ready(&self, patience: Duration) -> Result<Next> {
        let mut state = self.lock();
        let begin = Instant::now();
        if let Some(left) = state.left.take() {
            count(&self.counters.busy_ns, nanoseconds(begin.duration_since(left)));
        }
        loop {
            if state.front >= state.end && state.batches.is_empty() {
                return Ok(Next::End);
            }
            if !matches!(state.batches.front(), None | Some(Progress::Filling)) {
                return self.take_front(state);
            }
            let Some(left) = patience.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) else {
                return Ok(Next::Pending);
            };
            let asleep = Instant::now();
            self.deepen(&mut state);
            state.is_consumer_sleeping = true;
            state = self.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.is_consumer_sleeping = false;
            count(&self.counters.wait_ns, nanoseconds(asleep.elapsed()));
        }
    }

    /// The consumer has to wait. If workers had nothing to do before, too little was ahead: let it be twice as
    /// much, within the bound.
    fn deepen(&self, state: &mut State) {
        if state.has_wanted_room && state.depth < self.plan.prefetch.most {
            state.depth = self.plan.prefetch.most.min(2 * state.depth);
            self.counters.depth.fetch_max(state.depth, Ordering::Relaxed);
        }
        state.has_wanted_room = false;
    }

    fn take_front(&self, mut state: MutexGuard<'_, State>) -> Result<Next> {
        let progress = state.batches.pop_front();
        state.front += 1;
        state.left = Some(Instant::now());
        if state.sleeping_workers > 0 && state.batches.len() <= state.low_water() {
            self.room.notify_one();
        }
        match progress {
            Some(Progress::Ready { sample_count, leases }) => {
                drop(state);
                count(&self.counters.batches, 1);
                count(&self.counters.samples, sample_count as u64);
                Ok(Next::Batch(Batch::new(&self.plan.specs, leases, sample_count)))
            }
            Some(Progress::Failed(error)) => {
                state.batches.clear();
                Err(error)
            }
            Some(Progress::Filling) | None => Ok(Next::Pending),
        }
    }

    /// Whether the workers are sent home.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Sends the workers home.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent whenever the lock is free: nothing that can panic runs between its
        // changes, so a poisoned lock has nothing to tell.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sleeping workers are woken when no more batches than this are ahead: where batches are small and
    /// many, waking takes longer than filling one, so a worker is woken for a quarter of them at a time.
    fn low_water(&self) -> usize {
        self.depth - self.depth.div_ceil(4)
    }

    /// The first batch that has not been begun.
    fn begun(&self) -> u64 {
        self.front + self.batches.len() as u64
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
