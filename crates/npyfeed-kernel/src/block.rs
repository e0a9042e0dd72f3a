//! What no other loop covers, f64 and integers to wider ones: 256 elements at a time through registers of one
//! kind.
//!
//! A block is small enough to stay in the first-level cache from its load to its store, and each step
//! is one loop over it that the compiler turns into vector instructions.

use half::{bf16, f16};
use npyfeed_array::Dtype;

use crate::moves::Run;
use crate::number::{Number, Truth, round_to, to_bf16, with_element};
use crate::pass::{Pass, Step};
use crate::plain::{at, single_number};

const BLOCK_ELEMENTS: usize = 256;

/// Reads elements that are `step_bytes` apart, from byte 0 of the source on, as registers.
type Load<R> = fn(source: &[u8], step_bytes: usize, registers: &mut [R]);
/// Writes registers side by side.
type Store<R> = fn(registers: &[R], output: &mut [u8]);

/// The loops chosen for one pass.
#[derive(Debug)]
pub(crate) struct Block {
    load: Loads,
    /// The dtype after the load, which takes a first cast along.
    loaded: Dtype,
    steps: Vec<Step>,
    store: Stores,
}

#[derive(Debug)]
enum Loads {
    Whole(Load<i64>),
    Single(Load<f32>),
    Double(Load<f64>),
}

#[derive(Debug)]
enum Stores {
    Whole(Store<i64>),
    Single(Store<f32>),
    Double(Store<f64>),
}

/// The elements of a block. Only the kind that the last load or cast wrote has a meaning.
struct Registers {
    whole: [i64; BLOCK_ELEMENTS],
    single: [f32; BLOCK_ELEMENTS],
    double: [f64; BLOCK_ELEMENTS],
}

impl Block {
    /// Chooses the loops for a checked pass.
    pub(crate) fn of(pass: &Pass) -> Block {
        let (loaded, steps) = match pass.steps.split_first() {
            Some((Step::Cast(to), rest)) => (*to, rest),
            Some((Step::Multiply(_) | Step::Divide(_) | Step::Subtract(_), _)) | None => {
                (pass.source, &pass.steps[..])
            }
        };
        let load = if pass.is_swapped() {
            loads::<true>(pass.source, loaded)
        } else {
            loads::<false>(pass.source, loaded)
        };
        Block { load, loaded, steps: steps.to_vec(), store: stores(pass.output) }
    }

    /// Fills `slot` with the sample.
    pub(crate) fn fill(&self, pass: &Pass, sample: &[u8], slot: &mut [u8]) {
        let planes = slot.chunks_exact_mut((pass.pixels * pass.output.item_bytes()).max(1));
        for (channel, plane) in planes.enumerate() {
            self.fill_run(pass, sample, &Run::of(pass, channel, 0..pass.pixels), plane);
        }
    }

    /// Fills `output` with a run of the sample.
    pub(crate) fn fill_run(&self, pass: &Pass, sample: &[u8], run: &Run, output: &mut [u8]) {
        let mut registers = Registers {
            whole: [0; BLOCK_ELEMENTS],
            single: [0.0; BLOCK_ELEMENTS],
            double: [0.0; BLOCK_ELEMENTS],
        };
        let step_bytes = pass.source_step() * pass.source.item_bytes();
        let output_bytes = pass.output.item_bytes();
        let mut source = run.source(pass, sample);
        for output in output.chunks_mut(BLOCK_ELEMENTS * output_bytes) {
            let count = output.len() / output_bytes;
            self.load(source, step_bytes, &mut registers, count);
            self.compute(run.channel, &mut registers, count);
            self.store(&registers, output, count);
            source = source.get(count * step_bytes..).unwrap_or(&[]);
        }
    }

    fn load(&self, source: &[u8], step_bytes: usize, registers: &mut Registers, count: usize) {
        match self.load {
            Loads::Whole(load) => load(source, step_bytes, &mut registers.whole[..count]),
            Loads::Single(load) => {
                load(source, step_bytes, &mut registers.single[..count]);
                round_all(self.loaded, &mut registers.single[..count]);
            }
            Loads::Double(load) => load(source, step_bytes, &mut registers.double[..count]),
        }
    }

    fn compute(&self, channel: usize, registers: &mut Registers, count: usize) {
        let mut dtype = self.loaded;
        for step in &self.steps {
            match step {
                Step::Cast(to) => {
                    cast(dtype, *to, registers, count);
                    dtype = *to;
                }
                Step::Multiply(numbers) => {
                    each(dtype, at(numbers, channel), registers, count, (|x, y| x * y, |x, y| x * y));
                }
                Step::Divide(numbers) => {
                    each(dtype, at(numbers, channel), registers, count, (|x, y| x / y, |x, y| x / y));
                }
                Step::Subtract(numbers) => {
                    each(dtype, at(numbers, channel), registers, count, (|x, y| x - y, |x, y| x - y));
                }
            }
        }
    }

    fn store(&self, registers: &Registers, output: &mut [u8], count: usize) {
        match self.store {
            Stores::Whole(store) => store(&registers.whole[..count], output),
            Stores::Single(store) => store(&registers.single[..count], output),
            Stores::Double(store) => store(&registers.double[..count], output),
        }
    }
}

#[inline(always)]
fn each(
    dtype: Dtype,
    number: f64,
    registers: &mut Registers,
    count: usize,
    (single, double): (impl Fn(f32, f32) -> f32, impl Fn(f64, f64) -> f64),
) {
    if dtype == Dtype::F64 {
        registers.double[..count].iter_mut().for_each(|x| *x = double(*x, number));
    } else {
        let number = single_number(dtype, number);
        registers.single[..count].iter_mut().for_each(|x| *x = single(*x, number));
        round_all(dtype, &mut registers.single[..count]);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the cast means")]
fn cast(from: Dtype, to: Dtype, registers: &mut Registers, count: usize) {
    let (single, double) = (&mut registers.single[..count], &mut registers.double[..count]);
    match (from == Dtype::F64, to == Dtype::F64) {
        (true, false) => single.iter_mut().zip(&*double).for_each(|(to, from)| *to = *from as f32),
        (false, true) => double.iter_mut().zip(&*single).for_each(|(to, from)| *to = (*from).into()),
        (true, true) | (false, false) => {}
    }
    round_all(to, single);
}

/// Rounds to a 16-bit float dtype; any other leaves the registers alone.
fn round_all(dtype: Dtype, registers: &mut [f32]) {
    if matches!(dtype, Dtype::F16 | Dtype::Bf16) {
        for x in registers {
            *x = round_to(dtype, *x);
        }
    }
}

fn load<S: Number, R, const SWAP: bool>(
    source: &[u8],
    step_bytes: usize,
    registers: &mut [R],
    convert: impl Fn(S) -> R,
) {
    let read = |from: &[u8]| convert(if SWAP { S::read_swapped(from) } else { S::read(from) });
    if step_bytes == size_of::<S>() {
        let elements = source.chunks_exact(size_of::<S>());
        registers.iter_mut().zip(elements).for_each(|(to, from)| *to = read(from));
    } else {
        let elements = source.chunks(step_bytes);
        registers.iter_mut().zip(elements).for_each(|(to, from)| *to = read(from));
    }
}

fn load_single<S: Number, const SWAP: bool>(source: &[u8], step_bytes: usize, registers: &mut [f32]) {
    load::<S, f32, SWAP>(source, step_bytes, registers, S::to_f32);
}

fn load_double<S: Number, const SWAP: bool>(source: &[u8], step_bytes: usize, registers: &mut [f64]) {
    load::<S, f64, SWAP>(source, step_bytes, registers, S::to_f64);
}

fn load_whole<S: Number + TryInto<i64>, const SWAP: bool>(
    source: &[u8],
    step_bytes: usize,
    registers: &mut [i64],
) {
    // Only u64 has elements beyond i64, and it widens to nothing but itself, which is a move.
    load::<S, i64, SWAP>(source, step_bytes, registers, |x: S| x.try_into().unwrap_or(i64::MAX));
}

fn loads<const SWAP: bool>(source: Dtype, loaded: Dtype) -> Loads {
    if !loaded.is_float() {
        return Loads::Whole(whole_load::<SWAP>(source));
    }
    if loaded == Dtype::F64 {
        return with_element!(source, Element => Loads::Double(load_double::<Element, SWAP>));
    }
    with_element!(source, Element => Loads::Single(load_single::<Element, SWAP>))
}

fn whole_load<const SWAP: bool>(source: Dtype) -> Load<i64> {
    match source {
        Dtype::Bool => load_whole::<Truth, SWAP>,
        Dtype::I8 => load_whole::<i8, SWAP>,
        Dtype::I16 => load_whole::<i16, SWAP>,
        Dtype::I32 => load_whole::<i32, SWAP>,
        Dtype::I64 => load_whole::<i64, SWAP>,
        Dtype::U8 => load_whole::<u8, SWAP>,
        Dtype::U16 => load_whole::<u16, SWAP>,
        Dtype::U32 => load_whole::<u32, SWAP>,
        Dtype::U64 => load_whole::<u64, SWAP>,
        Dtype::F8E4M3
        | Dtype::F8E5M2
        | Dtype::F16
        | Dtype::Bf16
        | Dtype::F32
        | Dtype::F64
        | Dtype::C64
        | Dtype::C128 => unreachable!("floats are loaded as floats, complex numbers are moved"),
    }
}

macro_rules! store_as {
    ($element:ty, $convert:expr) => {
        |registers, output| {
            let elements = output.chunks_exact_mut(size_of::<$element>());
            registers.iter().zip(elements).for_each(|(x, to)| {
                let element: $element = $convert(*x);
                to.copy_from_slice(&element.to_ne_bytes());
            });
        }
    };
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a checked pass fits its output")]
fn stores(output: Dtype) -> Stores {
    match output {
        Dtype::Bool | Dtype::U8 => Stores::Whole(store_as!(u8, |x| x as u8)),
        Dtype::I8 => Stores::Whole(store_as!(i8, |x| x as i8)),
        Dtype::I16 => Stores::Whole(store_as!(i16, |x| x as i16)),
        Dtype::I32 => Stores::Whole(store_as!(i32, |x| x as i32)),
        Dtype::I64 => Stores::Whole(store_as!(i64, |x| x)),
        Dtype::U16 => Stores::Whole(store_as!(u16, |x| x as u16)),
        Dtype::U32 => Stores::Whole(store_as!(u32, |x| x as u32)),
        Dtype::U64 => Stores::Whole(store_as!(u64, |x| x as u64)),
        Dtype::F16 => Stores::Single(store_as!(f16, f16::from_f32)),
        Dtype::Bf16 => Stores::Single(store_as!(bf16, to_bf16)),
        Dtype::F32 => Stores::Single(store_as!(f32, |x| x)),
        Dtype::F64 => Stores::Double(store_as!(f64, |x| x)),
        Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::C64 | Dtype::C128 => {
            unreachable!("a checked pass only moves complex numbers and 8-bit floats")
        }
    }
}
