//! The queue without threads: each test plays the workers and the consumer by hand.

use std::sync::Arc;
use std::time::Duration;

use npyfeed_array::{ByteOrder, Dtype, Layout, MemoryOrder};
use npyfeed_io::Memory;

use super::{Next, Piece, Queue};
use crate::array::Array;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::options::Options;
use crate::plan::Plan;

/// A queue over three batches of two samples, one byte each.
fn queue(prefetch: usize) -> Queue {
    let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[6], MemoryOrder::C).unwrap();
    let array = Array::in_memory(Memory::from(vec![0, 1, 2, 3, 4, 5]), layout).unwrap();
    let dataset = Dataset::builder().column("x", array).unwrap().build().unwrap();
    let options = Options { batch_size: 2, prefetch: Some(prefetch), ..Options::new() };
    let plan = Arc::new(Plan::new(&dataset, &options).unwrap());
    Queue::new(&plan, &Arc::default(), plan.batches)
}

fn take_pieces(queue: &Queue, count: usize) -> Vec<Piece> {
    (0..count).map(|_| queue.take_piece().unwrap()).collect()
}

fn now(queue: &Queue) -> Result<Next> {
    queue.take_ready(Duration::ZERO)
}

fn failure(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}

#[test]
fn batches_finished_out_of_order_are_taken_in_order() {
    let queue = queue(3);
    let mut pieces = take_pieces(&queue, 3);
    assert!(matches!(now(&queue), Ok(Next::Pending)));
    queue.finish(pieces.pop().unwrap());
    queue.finish(pieces.pop().unwrap());
    assert!(matches!(now(&queue), Ok(Next::Pending)), "the first is still being filled");
    queue.finish(pieces.pop().unwrap());
    for _ in 0..3 {
        assert!(matches!(now(&queue), Ok(Next::Batch(batch)) if batch.len() == 2));
    }
    assert!(matches!(now(&queue), Ok(Next::End)));
    assert!(matches!(now(&queue), Ok(Next::End)));
    assert!(queue.take_piece().is_none());
}

#[test]
fn a_failure_comes_in_its_place_and_ends_the_epoch() {
    let queue = queue(3);
    let mut pieces = take_pieces(&queue, 3);
    queue.finish(pieces.remove(2));
    queue.fail(Some(1), failure("broken"));
    queue.finish(pieces.remove(0));
    assert!(matches!(now(&queue), Ok(Next::Batch(_))));
    assert_eq!(now(&queue).unwrap_err().to_string(), "broken");
    assert!(matches!(now(&queue), Ok(Next::End)));
    assert!(queue.take_piece().is_none(), "no batch is begun after a failure");
}

#[test]
fn of_two_failures_the_one_of_the_earlier_batch_is_told() {
    let queue = queue(3);
    let pieces = take_pieces(&queue, 3);
    queue.fail(Some(2), failure("later"));
    queue.fail(Some(0), failure("earlier"));
    queue.fail(Some(0), failure("again"));
    drop(pieces);
    assert_eq!(now(&queue).unwrap_err().to_string(), "earlier");
    assert!(matches!(now(&queue), Ok(Next::End)));
}

#[test]
fn a_worker_that_fails_before_it_has_a_batch_is_told_too() {
    let queue = queue(3);
    queue.fail(None, failure("at the start"));
    assert_eq!(now(&queue).unwrap_err().to_string(), "at the start");
    assert!(matches!(now(&queue), Ok(Next::End)));
}

#[test]
fn no_more_batches_are_begun_than_agreed() {
    for prefetch in [1, 2] {
        let queue = Arc::new(queue(prefetch));
        let pieces = take_pieces(&queue, prefetch);
        let sleeper = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.take_piece().map(|piece| piece.batch()))
        };
        while queue.lock().sleeping_workers == 0 {
            std::thread::yield_now();
        }
        for piece in pieces {
            queue.finish(piece);
        }
        assert!(matches!(now(&queue), Ok(Next::Batch(_))));
        assert_eq!(sleeper.join().unwrap(), Some(prefetch as u64), "woken when there was room");
    }
}

#[test]
fn stop_sends_a_sleeping_worker_home() {
    let queue = Arc::new(queue(1));
    let _part = take_pieces(&queue, 1);
    let sleeper = {
        let queue = Arc::clone(&queue);
        std::thread::spawn(move || queue.take_piece().is_none())
    };
    while queue.lock().sleeping_workers == 0 {
        std::thread::yield_now();
    }
    queue.stop();
    assert!(sleeper.join().unwrap());
}
