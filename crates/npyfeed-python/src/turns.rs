//! One thing that several threads use in turn.
//!
//! A lock would do, but that who waits must look up now and then, for Ctrl-C. So the thing itself changes hands,
//! and the lock is held only to take it or to put it back.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A `T`, or the place where it will be put back.
pub(crate) struct Turns<T> {
    /// `None` while it is someone's turn.
    free: Mutex<Option<T>>,
    is_free: Condvar,
}

/// A turn, which ends when it is dropped.
pub(crate) struct Turn<'turns, T> {
    /// `None` only while being dropped.
    thing: Option<T>,
    turns: &'turns Turns<T>,
}

impl<T> Turns<T> {
    pub(crate) fn new(thing: T) -> Turns<T> {
        Turns { free: Mutex::new(Some(thing)), is_free: Condvar::new() }
    }

    /// The thing, if it is free within `patience`.
    pub(crate) fn take(&self, patience: Duration) -> Option<Turn<'_, T>> {
        let free = self.is_free.wait_timeout_while(self.lock(), patience, |free| free.is_none());
        let thing = free.unwrap_or_else(PoisonError::into_inner).0.take()?;
        Some(Turn { thing: Some(thing), turns: self })
    }

    /// The thing, for good.
    pub(crate) fn end(&mut self) -> Option<T> {
        self.free.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        // Each change is one assignment.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Turn<'_, T> {
    /// The thing, while it is this one's turn.
    pub(crate) fn thing(&mut self) -> Option<&mut T> {
        self.thing.as_mut()
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        *self.turns.lock() = self.thing.take();
        self.turns.is_free.notify_one();
    }
}
