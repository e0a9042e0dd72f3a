//! The way of a loop through a sample: block after block of elements of one channel, each small enough to stay in
//! the first-level cache from its load to its store. `single.rs` and `block.rs` say what is done with one.

use crate::arch::{Cpu, LINE_BYTES, Storing, Work, prefetch_all};
use crate::kernel::Stores;
use crate::moves::{Run, gather, split_3};
use crate::pass::{Arrangement, Pass};

pub(crate) const BLOCK_ELEMENTS: usize = 512;

/// The largest elements of a source, f64 and i64.
const ITEM_BYTES_MAX: usize = 8;

/// Room for a block, which begins on a line of the cache.
#[repr(C, align(64))]
pub(crate) struct Aligned<T>(pub(crate) [T; BLOCK_ELEMENTS]);

/// What is done with a block. Implementors are `#[inline(always)]` throughout, as [`Work`] asks.
pub(crate) trait Blocks {
    /// Where a block is while it is computed.
    type Registers;

    /// Made once a sample or part.
    fn registers() -> Self::Registers;

    /// Turns the elements of `channel` in `source`, side by side and at most [`BLOCK_ELEMENTS`], into `output`.
    fn fill_block(&self, source: &[u8], channel: usize, registers: &mut Self::Registers, to: To<'_>);
}

/// Where the results of a block go, and how.
pub(crate) struct To<'a> {
    pub(crate) output: &'a mut [u8],
    pub(crate) storing: &'a Storing,
}

/// The instructions to use, and the way past the cache or through it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) cpu: Cpu,
    pub(crate) stores: Stores,
}

impl Way {
    /// Fills `slot` with the sample.
    pub(crate) fn fill(self, blocks: &impl Blocks, pass: &Pass, sample: &[u8], slot: &mut [u8]) {
        if pass.arrangement == Arrangement::Interleaved && pass.channels == 3 {
            return self.cpu.run(self.stores, Pixels { blocks, pass, sample, slot });
        }
        let planes = slot.chunks_exact_mut((pass.pixels * pass.output.item_bytes()).max(1));
        for (channel, output) in planes.enumerate() {
            self.fill_run(blocks, (pass, sample), &Run::of(pass, channel, 0..pass.pixels), output);
        }
    }

    /// Fills `output` with a run of the sample.
    pub(crate) fn fill_run(
        self,
        blocks: &impl Blocks,
        (pass, sample): (&Pass, &[u8]),
        run: &Run,
        output: &mut [u8],
    ) {
        let source = run.source(pass, sample);
        self.cpu.run(self.stores, Line { blocks, pass, source, channel: run.channel, output });
    }
}

/// A part of one channel: `source` begins at its first element.
struct Line<'a, B> {
    blocks: &'a B,
    pass: &'a Pass,
    source: &'a [u8],
    channel: usize,
    output: &'a mut [u8],
}

impl<B: Blocks> Work for Line<'_, B> {
    #[inline(always)]
    fn run(self, storing: &Storing) {
        let mut walk = Walk { blocks: self.blocks, pass: self.pass, registers: B::registers(), storing };
        match self.pass.arrangement {
            Arrangement::Planar => walk.contiguous(self.source, self.channel, self.output),
            Arrangement::Interleaved => walk.strided(self.source, self.channel, self.output),
        }
    }
}

/// A whole sample of three interleaved channels: each block of pixels is read once.
struct Pixels<'a, B> {
    blocks: &'a B,
    pass: &'a Pass,
    sample: &'a [u8],
    slot: &'a mut [u8],
}

impl<B: Blocks> Work for Pixels<'_, B> {
    #[inline(always)]
    fn run(self, storing: &Storing) {
        let pass = self.pass;
        let mut walk = Walk { blocks: self.blocks, pass, registers: B::registers(), storing };
        let (item_bytes, output_bytes) = (pass.source.item_bytes(), pass.output.item_bytes());
        let mut planes = [[0; BLOCK_ELEMENTS * ITEM_BYTES_MAX]; 3];
        let mut pixel = 0;
        for source in self.sample.chunks(BLOCK_ELEMENTS * 3 * item_bytes) {
            let count = source.len() / (3 * item_bytes);
            split_3(item_bytes, source, planes.each_mut().map(|plane| &mut plane[..count * item_bytes]));
            for (channel, plane) in planes.iter().enumerate() {
                let to = (channel * pass.pixels + pixel) * output_bytes;
                let output = &mut self.slot[to..to + count * output_bytes];
                walk.contiguous(&plane[..count * item_bytes], channel, output);
            }
            pixel += count;
        }
    }
}

struct Walk<'a, B: Blocks> {
    blocks: &'a B,
    pass: &'a Pass,
    registers: B::Registers,
    storing: &'a Storing,
}

impl<B: Blocks> Walk<'_, B> {
    /// Elements side by side, all of one channel.
    #[inline(always)]
    fn contiguous(&mut self, mut source: &[u8], channel: usize, mut output: &mut [u8]) {
        let (source_bytes, output_bytes) = (self.pass.source.item_bytes(), self.pass.output.item_bytes());
        let mut count = self.first_elements(output);
        while !output.is_empty() {
            count = count.min(output.len() / output_bytes);
            let (block, rest) = output.split_at_mut(count * output_bytes);
            let (elements, later) = source.split_at(count * source_bytes);
            // While this block is computed, memory brings the next: by itself it would rest meanwhile.
            prefetch_all(&later[..later.len().min(elements.len())]);
            let to = To { output: block, storing: self.storing };
            self.blocks.fill_block(elements, channel, &mut self.registers, to);
            (source, output, count) = (later, rest, BLOCK_ELEMENTS);
        }
    }

    /// As `contiguous`, from the elements of one of several interleaved channels.
    #[inline(always)]
    fn strided(&mut self, mut source: &[u8], channel: usize, output: &mut [u8]) {
        let (item_bytes, output_bytes) = (self.pass.source.item_bytes(), self.pass.output.item_bytes());
        let step_bytes = item_bytes * self.pass.channels;
        let mut gathered = [0; BLOCK_ELEMENTS * ITEM_BYTES_MAX];
        for output in output.chunks_mut(BLOCK_ELEMENTS * output_bytes) {
            let count = output.len() / output_bytes;
            let gathered = &mut gathered[..count * item_bytes];
            gather(item_bytes, source, step_bytes, gathered);
            self.contiguous(gathered, channel, output);
            source = source.get(count * step_bytes..).unwrap_or(&[]);
        }
    }

    /// How many elements make the first block, so that all others start on a line of the cache.
    #[inline(always)]
    fn first_elements(&self, output: &[u8]) -> usize {
        match self.storing.stores() {
            Stores::Cached => BLOCK_ELEMENTS,
            Stores::Streaming => {
                match output.as_ptr().align_offset(LINE_BYTES) / self.pass.output.item_bytes() {
                    0 => BLOCK_ELEMENTS,
                    elements => elements.min(BLOCK_ELEMENTS),
                }
            }
        }
    }
}

/// Reads elements, one a register.
#[inline(always)]
pub(crate) fn load<S: crate::number::Number, R>(
    source: &[u8],
    is_swapped: bool,
    registers: &mut [R],
    convert: impl Fn(S) -> R,
) {
    let elements = source.chunks_exact(size_of::<S>());
    if is_swapped {
        registers.iter_mut().zip(elements).for_each(|(to, from)| *to = convert(S::read_swapped(from)));
    } else {
        registers.iter_mut().zip(elements).for_each(|(to, from)| *to = convert(S::read(from)));
    }
}

/// Writes registers as they are.
#[inline(always)]
pub(crate) fn store_as_held<R: bytemuck::Pod>(registers: &[R], to: To<'_>) {
    match to.storing.stores() {
        Stores::Cached => store(registers, to, |x| x),
        Stores::Streaming => to.storing.put(bytemuck::cast_slice(registers), to.output),
    }
}

/// Writes registers as elements; past the cache, from where they have been brought together near by.
#[inline(always)]
pub(crate) fn store<R: Copy, E: bytemuck::Pod>(registers: &[R], to: To<'_>, convert: impl Fn(R) -> E) {
    let To { output, storing } = to;
    match storing.stores() {
        Stores::Cached => {
            let elements = output.chunks_exact_mut(size_of::<E>());
            for (x, element) in registers.iter().zip(elements) {
                element.copy_from_slice(bytemuck::bytes_of(&convert(*x)));
            }
        }
        Stores::Streaming => {
            let mut near = Aligned([E::zeroed(); BLOCK_ELEMENTS]);
            let near = &mut near.0[..registers.len()];
            for (x, element) in registers.iter().zip(&mut *near) {
                *element = convert(*x);
            }
            storing.put(bytemuck::cast_slice(near), output);
        }
    }
}
