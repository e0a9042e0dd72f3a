//! Source and output of one dtype, no arithmetic: bytes are moved, turned round if they are of the other byte
//! order, and sorted by channel if interleaved.

use std::ops::Range;

use npyfeed_array::Dtype;

use crate::arch::{Cpu, Storing, Work};
use crate::kernel::Stores;
use crate::pass::{Arrangement, Pass};

/// What is turned round, or sorted, before it is written: small enough to stay in the first-level cache.
/// A multiple of all sizes of elements, and of a line of the cache.
const BLOCK_BYTES: usize = 4096;

/// How the bytes of a pass are moved.
#[derive(Debug)]
pub(crate) struct Move {
    cpu: Cpu,
    stores: Stores,
}

/// Neighbouring elements of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) channel: usize,
    pub(crate) pixels: Range<usize>,
    /// Where the first lies in the bytes at hand, counted in elements.
    pub(crate) first: usize,
}

impl Run {
    /// Of a sample that is there as a whole.
    pub(crate) fn of(pass: &Pass, channel: usize, pixels: Range<usize>) -> Run {
        let first = pass.source_index(channel, pixels.start);
        Run { channel, pixels, first }
    }

    /// The bytes at hand from the first element of the run on.
    pub(crate) fn source<'a>(&self, pass: &Pass, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.first * pass.source.item_bytes()..).unwrap_or(&[])
    }
}

/// Whether the pass changes nothing but places.
pub(crate) fn applies(pass: &Pass) -> bool {
    pass.source == pass.output && pass.steps.is_empty() && pass.source != Dtype::Bool
}

impl Move {
    /// The pass changes nothing but places.
    pub(crate) fn of(stores: Stores, cpu: Cpu) -> Move {
        Move { cpu, stores }
    }

    /// Fills `slot` with the sample.
    pub(crate) fn fill(&self, pass: &Pass, sample: &[u8], slot: &mut [u8]) {
        if pass.arrangement == Arrangement::Interleaved && pass.channels == 3 {
            self.cpu.run(self.stores, Pixels { pass, sample, slot });
            return;
        }
        for (channel, output) in slot.chunks_exact_mut(pass.pixels * pass.source.item_bytes()).enumerate() {
            self.fill_run(pass, sample, &Run::of(pass, channel, 0..pass.pixels), output);
        }
    }

    /// Fills `output` with a run of the sample.
    pub(crate) fn fill_run(&self, pass: &Pass, sample: &[u8], run: &Run, output: &mut [u8]) {
        let source = run.source(pass, sample);
        self.cpu.run(self.stores, Line { pass, source, output });
    }
}

/// A part of one channel: `source` begins at its first element.
struct Line<'a> {
    pass: &'a Pass,
    source: &'a [u8],
    output: &'a mut [u8],
}

impl Work for Line<'_> {
    #[inline(always)]
    fn run(self, storing: &Storing) {
        let item_bytes = self.pass.source.item_bytes();
        let step_bytes = item_bytes * self.pass.source_step();
        if step_bytes == item_bytes && !self.pass.is_swapped() {
            return storing.put(&self.source[..self.output.len()], self.output);
        }
        let mut block = [0; BLOCK_BYTES];
        let mut source = self.source;
        for output in self.output.chunks_mut(BLOCK_BYTES) {
            let block = &mut block[..output.len()];
            gather(item_bytes, source, step_bytes, block);
            turn(self.pass, block);
            storing.put(block, output);
            source = source.get(output.len() / item_bytes * step_bytes..).unwrap_or(&[]);
        }
    }
}

/// A whole sample of three interleaved channels: each block of pixels is read once.
struct Pixels<'a> {
    pass: &'a Pass,
    sample: &'a [u8],
    slot: &'a mut [u8],
}

impl Work for Pixels<'_> {
    #[inline(always)]
    fn run(self, storing: &Storing) {
        let item_bytes = self.pass.source.item_bytes();
        let plane_bytes = self.pass.pixels * item_bytes;
        let mut planes = [[0; BLOCK_BYTES]; 3];
        let mut first = 0;
        for source in self.sample.chunks(3 * BLOCK_BYTES) {
            let bytes = source.len() / 3;
            split_3(item_bytes, source, planes.each_mut().map(|plane| &mut plane[..bytes]));
            for (channel, plane) in planes.iter_mut().enumerate() {
                let to = channel * plane_bytes + first;
                turn(self.pass, &mut plane[..bytes]);
                storing.put(&plane[..bytes], &mut self.slot[to..to + bytes]);
            }
            first += bytes;
        }
    }
}

#[inline(always)]
fn turn(pass: &Pass, bytes: &mut [u8]) {
    if pass.is_swapped() {
        swap_numbers(pass.source, bytes);
    }
}

/// Turns the bytes of each number round.
#[inline(always)]
pub(crate) fn swap_numbers(dtype: Dtype, bytes: &mut [u8]) {
    match dtype.swapped_bytes() {
        2 => swap::<2>(bytes),
        4 => swap::<4>(bytes),
        _ => swap::<8>(bytes),
    }
}

#[inline(always)]
fn swap<const N: usize>(bytes: &mut [u8]) {
    let (numbers, _) = bytes.as_chunks_mut::<N>();
    for number in numbers {
        number.reverse();
    }
}

/// Brings elements that begin `step_bytes` apart, the first at byte 0 of `source`, together.
#[inline(always)]
pub(crate) fn gather(item_bytes: usize, source: &[u8], step_bytes: usize, to: &mut [u8]) {
    match item_bytes {
        _ if step_bytes == item_bytes => to.copy_from_slice(&source[..to.len()]),
        1 => gather_items::<1>(source, step_bytes, to),
        2 => gather_items::<2>(source, step_bytes, to),
        4 => gather_items::<4>(source, step_bytes, to),
        8 => gather_items::<8>(source, step_bytes, to),
        _ => gather_items::<16>(source, step_bytes, to),
    }
}

#[inline(always)]
fn gather_items<const N: usize>(source: &[u8], step_bytes: usize, to: &mut [u8]) {
    let (elements, _) = to.as_chunks_mut::<N>();
    for (to, from) in elements.iter_mut().zip(source.chunks(step_bytes)) {
        to.copy_from_slice(&from[..N]);
    }
}

/// Sorts three interleaved channels into as many planes.
#[inline(always)]
pub(crate) fn split_3(item_bytes: usize, source: &[u8], planes: [&mut [u8]; 3]) {
    match item_bytes {
        1 => split_items_3::<1>(source, planes),
        2 => split_items_3::<2>(source, planes),
        4 => split_items_3::<4>(source, planes),
        8 => split_items_3::<8>(source, planes),
        _ => split_items_3::<16>(source, planes),
    }
}

#[inline(always)]
fn split_items_3<const N: usize>(source: &[u8], planes: [&mut [u8]; 3]) {
    let [first, second, third] = planes.map(|plane| plane.as_chunks_mut::<N>().0);
    let (pixels, _) = source.as_chunks::<N>().0.as_chunks::<3>();
    for (((pixel, first), second), third) in pixels.iter().zip(first).zip(second).zip(third) {
        (*first, *second, *third) = (pixel[0], pixel[1], pixel[2]);
    }
}
