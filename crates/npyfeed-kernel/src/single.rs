//! Everything that is computed in f32: any source but complex numbers, to f32, f16 or bf16.
//!
//! A block of elements goes through f32 registers in memory that stays in the first-level cache: one loop
//! loads it, one does each operation, one stores it. The loops are plain Rust without branches, and
//! [`Cpu::run`] has them compiled for each instruction set. Every operation rounds as the step that it is, so
//! nothing has to be proven, but for one: division by a power of two whose reciprocal is a normal number is
//! multiplication by it, since both round the same real number.
//!
//! Not here: divisions as `arch/standardize.rs` has them, tried on all values of 16 bits. They saved a tenth
//! of the time at most, in the cache, and nothing out of memory.

use npyfeed_array::Dtype;

use crate::arch::{Cpu, LINE_BYTES, Storing, Work, prefetch_all};
use crate::halves::{f16_to_f32, f32_to_bf16, f32_to_f16};
use crate::kernel::Stores;
use crate::moves::{Run, gather, split_3};
use crate::number::{Number, Truth, with_element};
use crate::pass::{Arrangement, Pass, Step};
use crate::plain::single_number;

const BLOCK_ELEMENTS: usize = 512;

/// The largest elements of a source, f64 and i64.
const ITEM_BYTES_MAX: usize = 8;

/// The loops chosen for one pass.
#[derive(Debug)]
pub(crate) struct Single {
    cpu: Cpu,
    source: Dtype,
    is_swapped: bool,
    operations: Vec<Operation>,
    output: Output,
    stores: Stores,
}

/// What is done with a block of registers. Numbers repeat over the channels.
#[derive(Debug, PartialEq)]
enum Operation {
    Multiply(Vec<f32>),
    Divide(Vec<f32>),
    Subtract(Vec<f32>),
    RoundToF16,
    RoundToBf16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    F32,
    F16,
    Bf16,
}

#[repr(C, align(64))]
struct Aligned<T>([T; BLOCK_ELEMENTS]);

impl Single {
    /// `None` if the pass computes in f64 or with integers.
    pub(crate) fn of(pass: &Pass, stores: Stores, cpu: Cpu) -> Option<Single> {
        let output = Output::of(pass.output)?;
        let operations = operations(pass, output)?;
        let (source, is_swapped) = (pass.source, pass.is_swapped());
        Some(Single { cpu, source, is_swapped, operations, output, stores })
    }

    /// Fills `slot` with the sample.
    pub(crate) fn fill(&self, pass: &Pass, sample: &[u8], slot: &mut [u8]) {
        if pass.arrangement == Arrangement::Interleaved && pass.channels == 3 {
            self.cpu.run(self.stores, Pixels { single: self, sample, plane_elements: pass.pixels, slot });
        } else {
            let planes = slot.chunks_exact_mut((pass.pixels * pass.output.item_bytes()).max(1));
            for (channel, output) in planes.enumerate() {
                let run = Run::of(pass, channel, 0..pass.pixels);
                self.cpu.run(
                    self.stores,
                    Line { single: self, pass, source: run.source(pass, sample), channel, output },
                );
            }
        }
    }

    /// Fills `output` with a run of the sample.
    pub(crate) fn fill_run(&self, pass: &Pass, sample: &[u8], run: &Run, output: &mut [u8]) {
        let source = run.source(pass, sample);
        self.cpu.run(self.stores, Line { single: self, pass, source, channel: run.channel, output });
    }

    #[inline(always)]
    fn load(&self, source: &[u8], registers: &mut [f32]) {
        if self.source == Dtype::F16 {
            load_any(source, self.is_swapped, registers, f16_to_f32);
        } else {
            with_element!(self.source, Element => {
                load_any(source, self.is_swapped, registers, |x: Element| x.to_f32());
            });
        }
    }

    #[inline(always)]
    fn compute(&self, channel: usize, registers: &mut [f32]) {
        for operation in &self.operations {
            match operation {
                Operation::Multiply(numbers) => {
                    let number = numbers[channel % numbers.len()];
                    each(registers, |x| x * number);
                }
                Operation::Divide(numbers) => {
                    let number = numbers[channel % numbers.len()];
                    each(registers, |x| x / number);
                }
                Operation::Subtract(numbers) => {
                    let number = numbers[channel % numbers.len()];
                    each(registers, |x| x - number);
                }
                Operation::RoundToF16 => each(registers, |x| f16_to_f32(f32_to_f16(x))),
                Operation::RoundToBf16 => {
                    each(registers, |x| f32::from_bits(u32::from(f32_to_bf16(x)) << 16));
                }
            }
        }
    }

    #[inline(always)]
    fn store(&self, registers: &[f32], output: &mut [u8], storing: &Storing) {
        match (self.output, storing.stores()) {
            (Output::F32, Stores::Cached) => store(registers, output, f32::to_ne_bytes),
            (Output::F32, Stores::Streaming) => storing.put(bytemuck::cast_slice(registers), output),
            (Output::F16, Stores::Cached) => store(registers, output, |x| f32_to_f16(x).to_ne_bytes()),
            (Output::Bf16, Stores::Cached) => store(registers, output, |x| f32_to_bf16(x).to_ne_bytes()),
            (Output::F16, Stores::Streaming) => store_narrow(registers, output, storing, f32_to_f16),
            (Output::Bf16, Stores::Streaming) => store_narrow(registers, output, storing, f32_to_bf16),
        }
    }

    /// Elements side by side, all of one channel.
    #[inline(always)]
    fn contiguous(&self, mut source: &[u8], channel: usize, mut output: &mut [u8], storing: &Storing) {
        let mut registers = Aligned([0.0; BLOCK_ELEMENTS]);
        let (source_bytes, output_bytes) = (self.source.item_bytes(), self.output.item_bytes());
        let mut count = self.first_elements(output, storing);
        while !output.is_empty() {
            count = count.min(output.len() / output_bytes);
            let registers = &mut registers.0[..count];
            let (block, rest) = output.split_at_mut(count * output_bytes);
            let (elements, later) = source.split_at(count * source_bytes);
            // While this block is computed, memory brings the next: by itself it would rest meanwhile.
            prefetch_all(&later[..later.len().min(elements.len())]);
            self.load(elements, registers);
            self.compute(channel, registers);
            self.store(registers, block, storing);
            (source, output, count) = (later, rest, BLOCK_ELEMENTS);
        }
    }

    /// How many elements make the first block, so that all others start on a line of the cache.
    fn first_elements(&self, output: &[u8], storing: &Storing) -> usize {
        match storing.stores() {
            Stores::Cached => BLOCK_ELEMENTS,
            Stores::Streaming => match output.as_ptr().align_offset(LINE_BYTES) / self.output.item_bytes() {
                0 => BLOCK_ELEMENTS,
                elements => elements,
            },
        }
    }
}

impl Output {
    fn of(dtype: Dtype) -> Option<Output> {
        let kinds = [(Dtype::F32, Output::F32), (Dtype::F16, Output::F16), (Dtype::Bf16, Output::Bf16)];
        kinds.into_iter().find_map(|(known, output)| (known == dtype).then_some(output))
    }

    /// The operation that rounds f32 to it.
    fn rounding(self) -> Option<Operation> {
        match self {
            Output::F32 => None,
            Output::F16 => Some(Operation::RoundToF16),
            Output::Bf16 => Some(Operation::RoundToBf16),
        }
    }

    fn item_bytes(self) -> usize {
        match self {
            Output::F32 => 4,
            Output::F16 | Output::Bf16 => 2,
        }
    }
}

/// A part of one channel: `source` begins at its first element.
struct Line<'a> {
    single: &'a Single,
    pass: &'a Pass,
    source: &'a [u8],
    channel: usize,
    output: &'a mut [u8],
}

impl Work for Line<'_> {
    #[inline(always)]
    fn run(self, storing: &Storing) {
        match self.pass.arrangement {
            Arrangement::Planar => self.single.contiguous(self.source, self.channel, self.output, storing),
            Arrangement::Interleaved => self.strided(storing),
        }
    }
}

impl Line<'_> {
    #[inline(always)]
    fn strided(mut self, storing: &Storing) {
        let item_bytes = self.single.source.item_bytes();
        let step_bytes = item_bytes * self.pass.channels;
        let mut gathered = [0; BLOCK_ELEMENTS * ITEM_BYTES_MAX];
        while !self.output.is_empty() {
            let count = BLOCK_ELEMENTS.min(self.output.len() / self.single.output.item_bytes());
            let (output, rest) = self.output.split_at_mut(count * self.single.output.item_bytes());
            let gathered = &mut gathered[..count * item_bytes];
            gather(item_bytes, self.source, step_bytes, gathered);
            self.single.contiguous(gathered, self.channel, output, storing);
            self.source = self.source.get(count * step_bytes..).unwrap_or(&[]);
            self.output = rest;
        }
    }
}

/// A whole sample of three interleaved channels: each block of pixels is read once.
struct Pixels<'a> {
    single: &'a Single,
    sample: &'a [u8],
    plane_elements: usize,
    slot: &'a mut [u8],
}

impl Work for Pixels<'_> {
    #[inline(always)]
    fn run(self, storing: &Storing) {
        let (item_bytes, output_bytes) = (self.single.source.item_bytes(), self.single.output.item_bytes());
        let mut planes = [[0; BLOCK_ELEMENTS * ITEM_BYTES_MAX]; 3];
        let mut pixel = 0;
        for source in self.sample.chunks(BLOCK_ELEMENTS * 3 * item_bytes) {
            let count = source.len() / (3 * item_bytes);
            split_3(item_bytes, source, planes.each_mut().map(|plane| &mut plane[..count * item_bytes]));
            for (channel, plane) in planes.iter().enumerate() {
                let to = (channel * self.plane_elements + pixel) * output_bytes;
                let output = &mut self.slot[to..to + count * output_bytes];
                self.single.contiguous(&plane[..count * item_bytes], channel, output, storing);
            }
            pixel += count;
        }
    }
}

/// The steps as operations, if none of them is in f64.
fn operations(pass: &Pass, output: Output) -> Option<Vec<Operation>> {
    let mut dtype = pass.source;
    let mut operations = Vec::new();
    for step in &pass.steps {
        let numbers = |numbers: &[f64]| numbers.iter().map(|&x| single_number(dtype, x)).collect::<Vec<_>>();
        match step {
            Step::Cast(to) => dtype = *to,
            Step::Multiply(by) => operations.push(Operation::Multiply(numbers(by))),
            Step::Divide(by) => operations.push(division(numbers(by))),
            Step::Subtract(by) => operations.push(Operation::Subtract(numbers(by))),
        }
        if dtype == Dtype::F64 {
            return None;
        }
        operations.extend(Output::of(dtype).and_then(Output::rounding));
    }
    let stored = output.rounding();
    // The store rounds by itself.
    if stored.is_some() && operations.last() == stored.as_ref() {
        operations.pop();
    }
    Some(operations)
}

/// A division by a power of two is a multiplication by another, if that is a normal number.
fn division(numbers: Vec<f32>) -> Operation {
    const FRACTION: u32 = 0x007F_FFFF;
    let exact = |x: &f32| x.is_normal() && x.to_bits() & FRACTION == 0 && x.recip().is_normal();
    if numbers.iter().all(exact) {
        Operation::Multiply(numbers.into_iter().map(f32::recip).collect())
    } else {
        Operation::Divide(numbers)
    }
}

#[inline(always)]
fn each(registers: &mut [f32], compute: impl Fn(f32) -> f32) {
    for x in registers {
        *x = compute(*x);
    }
}

#[inline(always)]
fn load_any<S: Number>(source: &[u8], is_swapped: bool, registers: &mut [f32], convert: impl Fn(S) -> f32) {
    if is_swapped {
        load::<S, true>(source, registers, convert);
    } else {
        load::<S, false>(source, registers, convert);
    }
}

#[inline(always)]
fn load<S: Number, const SWAP: bool>(source: &[u8], registers: &mut [f32], convert: impl Fn(S) -> f32) {
    let elements = source.chunks_exact(size_of::<S>());
    for (to, from) in registers.iter_mut().zip(elements) {
        *to = convert(if SWAP { S::read_swapped(from) } else { S::read(from) });
    }
}

#[inline(always)]
fn store<const BYTES: usize>(registers: &[f32], output: &mut [u8], convert: impl Fn(f32) -> [u8; BYTES]) {
    let (elements, _) = output.as_chunks_mut::<BYTES>();
    for (x, to) in registers.iter().zip(elements) {
        *to = convert(*x);
    }
}

/// Past the cache, from elements that have been brought together near by.
#[inline(always)]
fn store_narrow(registers: &[f32], output: &mut [u8], storing: &Storing, convert: impl Fn(f32) -> u16) {
    let mut narrow = Aligned([0_u16; BLOCK_ELEMENTS]);
    let narrow = &mut narrow.0[..registers.len()];
    for (x, to) in registers.iter().zip(&mut *narrow) {
        *to = convert(*x);
    }
    storing.put(bytemuck::cast_slice(narrow), output);
}
