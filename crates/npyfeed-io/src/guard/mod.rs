//! Bears the loss of mapped pages: a file cut short while it is read gives zeros and a mark, not a dead
//! process.
//!
//! Reading a mapped page that the file no longer has, or that the disk cannot give, raises SIGBUS. The
//! handler in `signal.rs` looks up the address in the registry of our maps (`registry.rs`). If it is in
//! one, the handler marks the map as damaged, puts zeros in place of what is missing, and returns: the
//! reader goes on. Whoever reads asks for the mark afterwards and throws away what was read. Every other
//! SIGBUS goes to whoever had it before.
//!
//! # Proof
//!
//! 1. **The handler may run anywhere.** It loads and stores atomics and calls `fstat`, `mmap`, `sigaction`
//!    and `raise`, all system calls that POSIX or Linux let a handler make. It takes no lock, allocates
//!    nothing, uses no thread-local but `errno`, which it puts back, and cannot panic.
//! 2. **It writes over our maps only.** An address counts as ours if a registered range holds it, and a
//!    range is read whole: a version before and after says that it was not being changed (a sequence
//!    lock whose reader never retries). A range is registered after it is mapped and before anyone can
//!    read it, and withdrawn before it is unmapped, so whatever else lies at that address later is not
//!    taken for ours.
//! 3. **It never misses one of ours.** The thread that faults holds the map, so its entry is settled from
//!    before the fault until after the handler: an entry that changes meanwhile is someone else's. This is
//!    why the reader of a version never has to retry, and why unregistering cannot race with a fault in
//!    the same map.
//! 4. **The mark comes first.** It is stored before the zeros are mapped. So a thread that reads zeros,
//!    whether its own fault brought them or another's, finds the mark when it asks after reading.
//! 5. **Two faults on one page** put zeros there twice; `mmap` replaces a range in one step, so no third
//!    thread finds a hole. What a user wrote there between the two is lost, in memory that the file has
//!    already taken away.
//! 6. **It does not fault for ever.** It takes only faults that a new page cures: missing pages and broken
//!    memory, no misaligned access; and anonymous memory misses nothing.
//! 7. **Fork.** A child inherits maps, registry and handler. Nothing here is ever locked, and every step of
//!    the registry leaves it readable, so it does not matter where other threads stood.
//!
//! # Who else handles SIGBUS
//!
//! The handler is installed when the first file is mapped. A handler that was there before, such as that of
//! Python's `faulthandler` or of Rust's runtime, gets every fault that is not ours, as if we were not there.
//! One that is installed *later* gets ours first. If it calls the handler that it replaced, all is well;
//! if it ends the process (`faulthandler.enable()` after the first file was opened, and the worker
//! processes of torch's own `DataLoader`, do), a file cut short ends it, as it would without us.

mod registry;
mod signal;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use memmap2::MmapRaw;

use registry::{Registry, Slot, Watched};

/// All maps of this process.
static REGISTRY: Registry = Registry::new();

/// Watches over one map. To be dropped before the map is, and before the file is closed.
#[derive(Debug)]
pub(crate) struct Guard {
    slot: &'static Slot,
}

impl Guard {
    /// Watches over `map`, which is of `file` from its beginning.
    ///
    /// # Errors
    /// The system's, if it refuses the handler.
    pub(crate) fn watch(map: &MmapRaw, file: &File) -> io::Result<Guard> {
        signal::install()?;
        let start = map.as_ptr().addr();
        let watched = Watched { start, end: start + map.len(), file: file.as_raw_fd() };
        let slot = REGISTRY.register(watched).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Guard { slot })
    }

    /// Whether bytes of the map were missing when someone read them. Once so, always so.
    pub(crate) fn is_damaged(&self) -> bool {
        self.slot.is_damaged()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        REGISTRY.withdraw(self.slot);
    }
}

/// Whether a watched map holds `address`.
#[cfg(test)]
pub(crate) fn is_watched(address: usize) -> bool {
    REGISTRY.find(address).is_some()
}
