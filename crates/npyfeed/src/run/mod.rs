//! An epoch in motion: workers fill batches ahead of the consumer.
//!
//! # Contract
//!
//! 1. **Order.** Batches come out in the order of the plan, whatever the number of workers. What is in
//!    them depends on the plan, the seed and the position of the first alone. They are numbered from there.
//! 2. **Bound.** At most `plan.prefetch.most` batches are being filled or wait to be taken. A worker with
//!    nothing to do sleeps, until three quarters of them are left.
//! 3. **Sharing.** A batch is cut into pieces, of several samples or of a part of one; each is filled by one
//!    worker, and the batch is ready when all are. So one large batch occupies all workers, and the first comes
//!    as soon as it can. Of what has to be read from files a worker has many pieces on their way at once.
//! 4. **Failure.** An error or a panic while filling batch *k* is given to the consumer in place of
//!    batch *k*, after the batches before it. It ends the epoch. Nothing is lost in silence. Each piece is
//!    checked after it was filled: a batch that comes out was read whole from the files that were opened,
//!    none of them cut short or written to before its last byte was read.
//! 5. **End.** After the last batch, or an error, the consumer is told so at every call.
//! 6. **Drop**, at any moment: workers stop after the piece they are in, about 2 MB or a 64th of a sample,
//!    whichever is more, or until the reads underway are done, up to 16 MB each, and are joined. Batches that the
//!    consumer holds stay valid.
//! 7. **Fork.** Threads do not follow into a child process, and a lock may have been copied while one
//!    of them held it. So in a child, loaders and their epochs refuse, and `drop` waits for nobody. A
//!    dataset has neither threads nor locks: a child makes its own loader over it.
//!
//! Two runs at once share nothing but the pool and the counters, which are theirs to share.

mod fill;
mod queue;
mod reading;
mod slots;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use npyfeed_kernel::DefaultFloats;
use npyfeed_sampler::Position;

use crate::batch::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Plan;
use crate::stats::Counters;
use fill::Filler;
use queue::Queue;
use reading::Reading;
use slots::Piece;

pub(crate) use fill::{Chosen, Scratch, gather};
pub(crate) use slots::Cutting;

/// What the consumer finds.
#[derive(Debug)]
pub enum Next {
    /// The next batch.
    Batch(Batch),
    /// No batch became ready within the time given. Ask again.
    Pending,
    /// There are no more.
    End,
}

/// The workers of one epoch and the queue between them and the consumer.
#[derive(Debug)]
pub(crate) struct Run {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
    home: Home,
}

/// The process that something belongs to: after a fork, a child has a copy of it, and none of its threads.
///
/// ```
/// let home = npyfeed::Home::here();
/// home.check()?; // an error in a process forked from this one
/// # Ok::<(), npyfeed::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Home(u32);

impl Home {
    /// This process.
    pub fn here() -> Home {
        Home(std::process::id())
    }

    fn is_here(self) -> bool {
        self.0 == std::process::id()
    }

    /// Whether this process is the one that it belongs to.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] in a process that was forked from that.
    pub fn check(self) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Closed,
            "this loader was made before the process forked, and its threads did not follow; \
             make a new Loader over the same dataset in this process",
        ))
    }
}

impl Run {
    /// Starts the workers, from `position` on to the end of its epoch.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub(crate) fn start(
        plan: &Arc<Plan>,
        counters: &Arc<Counters>,
        seed: u64,
        position: Position,
    ) -> Result<Run> {
        let batches = plan.batches_from(position);
        let filler = Filler::new(plan, counters, batches, (seed, position.epoch));
        let queue = Arc::new(Queue::new(plan, counters, batches));
        let mut run = Run { queue, workers: Vec::new(), home: Home::here() };
        for index in 0..plan.threads {
            let (queue, filler) = (Arc::clone(&run.queue), filler.clone());
            let worker = std::thread::Builder::new()
                .name(format!("npyfeed-{index}"))
                .spawn(move || work(&queue, filler))
                .map_err(|why| Error::system("start a worker thread", why))?;
            run.workers.push(worker);
        }
        Ok(run)
    }

    /// Waits at most `patience` for the next batch.
    pub(crate) fn next_within(&self, patience: Duration) -> Result<Next> {
        self.home.check()?;
        self.queue.take_ready(patience)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.home.is_here() {
            self.workers.drain(..).for_each(std::mem::forget);
            return;
        }
        self.queue.stop();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its work and hands them over as errors.
            drop(worker.join());
        }
    }
}

/// The life of a worker. Whatever goes wrong in it becomes the error of the batch it was about.
fn work(queue: &Queue, mut filler: Filler) {
    let _floats = DefaultFloats::begin();
    let (mut batch, mut reading) = (None, filler.reading());
    let life = AssertUnwindSafe(|| {
        while let Some((piece, filled)) = next_filled(queue, &mut filler, &mut reading, &mut batch) {
            match filled {
                Ok(()) => queue.finish(piece),
                Err(error) => queue.fail(Some(piece.batch()), error),
            }
            batch = None;
        }
    });
    if let Err(panic) = catch_unwind(life) {
        // Nobody else fills what this worker had taken on.
        let first = reading.first_batch().into_iter().chain(batch).min();
        queue.fail(first, worker_panicked(&*panic));
    }
}

/// The next piece that is filled, or could not be: one from memory, or one whose bytes have come. As many are taken
/// on as keep the disk busy. `None` if there are no more.
fn next_filled(
    queue: &Queue,
    filler: &mut Filler,
    reading: &mut Reading,
    batch: &mut Option<u64>,
) -> Option<(Piece, Result<()>)> {
    while reading.has_room() && !reading.has_finished() {
        let piece = if reading.is_idle() { Some(queue.take_piece()?) } else { queue.try_piece() };
        let Some(piece) = piece else { break };
        *batch = Some(piece.batch());
        if let Some(done) = filler.fill(piece, reading) {
            return Some(done);
        }
    }
    if queue.is_stopped() {
        return None; // the reader waits for what it has asked for, and asks for no more
    }
    Some(reading.next_done())
}

fn worker_panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Error::new(ErrorKind::Internal, format!("a worker panicked, which is a defect of npyfeed: {said}"))
}
