//! `io_uring` is Linux's: elsewhere there is none, and this says so.

use std::convert::Infallible;

use super::{Arrival, IoPath, Reader, Refused, Request};

/// Reads by `io_uring`, which this system does not have: there is never one.
#[derive(Debug)]
pub struct Uring {
    never: Infallible,
}

impl Uring {
    /// As much memory is used for buffers unless someone says otherwise.
    pub const BUDGET_BYTES: usize = 16 << 20;

    /// Refused, always.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn new(_max_request_bytes: usize, _budget_bytes: usize) -> Result<Uring, Refused> {
        Err(Refused { reason: "io_uring is Linux's, and this is another system".to_owned() })
    }

    /// Refused, always.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn probe() -> Result<(), Refused> {
        Uring::new(0, 0).map(|_| ())
    }
}

impl Reader for Uring {
    fn io_path(&self) -> IoPath {
        match self.never {}
    }

    fn has_room(&self) -> bool {
        match self.never {}
    }

    fn submit(&mut self, _: Request) {
        match self.never {}
    }

    fn next(&mut self) -> Option<Arrival<'_>> {
        match self.never {}
    }

    fn in_flight(&self) -> usize {
        match self.never {}
    }
}
