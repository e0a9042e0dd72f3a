//! Ctrl-C while the engine is busy.
//!
//! # Contract
//!
//! 1. What may take longer than a tenth of a second is done by a thread of its own; the caller waits, without the
//!    interpreter, and looks every 50 ms whether a signal has come.
//! 2. If one has and its handler raises, the exception goes out at once. The work is left to itself: nobody
//!    cuts it short, what it makes is dropped when it is done, and its thread ends. It holds no interpreter,
//!    so neither a fork nor the end of the interpreter waits for it.
//! 3. Work that is shared (a member being inflated) is still there to be waited for: who asks again meanwhile
//!    gets what the first call began.
//! 4. A panic is the caller's, as if it had done the work itself. A system without a thread to give leaves the
//!    work to the caller, who then answers when it is done.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use npyfeed::Result;
use pyo3::prelude::*;

use crate::error::to_python;

/// How often who waits looks whether Ctrl-C was pressed.
pub(crate) const SIGNAL_INTERVAL: Duration = Duration::from_millis(50);

/// Work on at most so many bytes is done by the caller: 8 MiB are copied in 1 to 4 ms and inflated in 10 to 40,
/// and a thread costs 0.03.
pub(crate) const AT_ONCE_BYTES: usize = 8 << 20;

/// What `work` gives, with Ctrl-C answered meanwhile.
pub(crate) fn answering<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let errand = Arc::new(Errand { state: Mutex::new(State::Waiting(work)), is_done: Condvar::new() });
    let theirs = Arc::clone(&errand);
    let name = "npyfeed-errand".to_owned();
    let thread = py.detach(|| thread::Builder::new().name(name).spawn(move || theirs.run()));
    if thread.is_err() {
        py.detach(|| errand.run());
    }
    loop {
        if let Some(outcome) = py.detach(|| errand.outcome_within(SIGNAL_INTERVAL)) {
            // Its work is done; this waits for the thread to be gone, microseconds.
            drop(thread.map(|thread| py.detach(|| thread.join())));
            let given = outcome.unwrap_or_else(|panic| resume_unwind(panic));
            return given.map_err(|error| to_python(py, error));
        }
        py.check_signals()?;
    }
}

/// Work, and then what came of it.
struct Errand<T, F> {
    state: Mutex<State<T, F>>,
    is_done: Condvar,
}

enum State<T, F> {
    Waiting(F),
    Running,
    Done(thread::Result<Result<T>>),
}

impl<T, F: FnOnce() -> Result<T>> Errand<T, F> {
    /// Does the work, unless that has begun.
    fn run(&self) {
        let mut state = self.lock();
        let State::Waiting(work) = std::mem::replace(&mut *state, State::Running) else { return };
        drop(state);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        *self.lock() = State::Done(outcome);
        self.is_done.notify_one();
    }

    fn outcome_within(&self, patience: Duration) -> Option<thread::Result<Result<T>>> {
        let is_busy = |state: &mut State<T, F>| !matches!(state, State::Done(_));
        let waited = self.is_done.wait_timeout_while(self.lock(), patience, is_busy);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        match std::mem::replace(&mut *state, State::Running) {
            State::Done(outcome) => Some(outcome),
            waiting @ (State::Waiting(_) | State::Running) => {
                *state = waiting;
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, F>> {
        // Each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
