//! One request after another, when it is asked for: in place what is held, by `pread` what lies in a file.

use std::collections::VecDeque;

use super::{Arrival, IoPath, Place, Reader, Request, read_plainly};

/// As many requests are kept at most. It is what [`ReadAhead::Asked`] can have the system bring at once.
const DEPTH: usize = 64;

/// Whether the system is asked to bring a range into its page cache when it is submitted, long before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAhead {
    /// It is not: for what is cached already.
    Unasked,
    /// It is (`posix_fadvise`, `POSIX_FADV_WILLNEED`): as deep a queue as `io_uring`'s, where that is refused.
    Asked,
}

/// Answers requests in the order in which they were submitted, with one scratch for what has to be read.
pub struct InTurn {
    io_path: IoPath,
    read_ahead: ReadAhead,
    max_request_bytes: usize,
    queue: VecDeque<Request>,
    /// What was answered last: its source holds the bytes.
    answered: Option<Request>,
    scratch: Vec<u8>,
}

impl std::fmt::Debug for InTurn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InTurn")
            .field("io_path", &self.io_path)
            .field("read_ahead", &self.read_ahead)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

impl InTurn {
    /// For what is held in maps.
    pub fn map(max_request_bytes: usize) -> InTurn {
        InTurn::new(IoPath::Map, ReadAhead::Unasked, max_request_bytes)
    }

    /// For what is held in memory.
    pub fn memory(max_request_bytes: usize) -> InTurn {
        InTurn::new(IoPath::Memory, ReadAhead::Unasked, max_request_bytes)
    }

    /// For what is read by `pread`.
    pub fn pread(max_request_bytes: usize, read_ahead: ReadAhead) -> InTurn {
        InTurn::new(IoPath::Pread, read_ahead, max_request_bytes)
    }

    fn new(io_path: IoPath, read_ahead: ReadAhead, max_request_bytes: usize) -> InTurn {
        InTurn {
            io_path,
            read_ahead,
            max_request_bytes,
            queue: VecDeque::with_capacity(DEPTH),
            answered: None,
            // Zeros that the system gives when they are touched: what is held in place takes none.
            scratch: vec![0; max_request_bytes + 1],
        }
    }
}

impl Reader for InTurn {
    fn io_path(&self) -> IoPath {
        self.io_path
    }

    fn has_room(&self) -> bool {
        self.queue.len() < DEPTH
    }

    fn submit(&mut self, request: Request) {
        assert!(self.has_room(), "expected room for a request, found {DEPTH} of them underway");
        request.assert_fits(self.max_request_bytes);
        match (&request.place, self.read_ahead) {
            (Place::Range { file, bytes }, ReadAhead::Asked) => file.advise_needed(bytes),
            (Place::Range { .. } | Place::Whole { .. } | Place::Held { .. }, _) => {}
        }
        self.queue.push_back(request);
    }

    fn next(&mut self) -> Option<Arrival<'_>> {
        self.answered = self.queue.pop_front();
        let request = self.answered.as_ref()?;
        Some(Arrival { tag: request.tag, bytes: read_plainly(&request.place, &mut self.scratch) })
    }

    fn in_flight(&self) -> usize {
        self.queue.len()
    }
}
