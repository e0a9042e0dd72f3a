//! The plain loop: one element at a time, one step at a time. It is what a pass *means*.
//!
//! Every other loop must give these bytes exactly; property tests hold them to it.

use std::ops::Range;

use npyfeed_array::Dtype;

use crate::moves::{self, Run};
use crate::number::{Register, round_to};
use crate::pass::{Pass, Step, whole_bounds};

/// Fills `output` with elements of the sample, counted as they lie in the slot. Slow, and right by reading.
pub(crate) fn fill(pass: &Pass, sample: &[u8], elements: Range<usize>, output: &mut [u8]) {
    for (element_index, to) in elements.zip(output.chunks_exact_mut(pass.output.item_bytes())) {
        let (channel, pixel) = (element_index / pass.pixels, element_index % pass.pixels);
        let from = pass.source_index(channel, pixel) * pass.source.item_bytes();
        element(pass, channel, &sample[from..], to);
    }
}

/// As [`fill`], from the neighbours in one channel that a run is of, which begin at its `first` of `bytes`.
pub(crate) fn fill_run(pass: &Pass, bytes: &[u8], run: &Run, output: &mut [u8]) {
    let steps = run.source(pass, bytes).chunks(pass.source_step() * pass.source.item_bytes());
    for (from, to) in steps.zip(output.chunks_exact_mut(pass.output.item_bytes())) {
        element(pass, run.channel, from, to);
    }
}

/// Computes one element: the one at byte 0 of `from`, in `channel`, written over `to`.
pub(crate) fn element(pass: &Pass, channel: usize, from: &[u8], to: &mut [u8]) {
    if moves::applies(pass) {
        // Bit for bit: through a register a signalling NaN would turn quiet.
        to.copy_from_slice(&from[..to.len()]);
        if pass.is_swapped() {
            to.chunks_exact_mut(pass.source.swapped_bytes()).for_each(<[u8]>::reverse);
        }
        return;
    }
    let mut register = Register::load(pass, from);
    let mut dtype = pass.source;
    for step in &pass.steps {
        (register, dtype) = take(step, channel, register, dtype);
    }
    register.store(pass.output, to);
}

fn take(step: &Step, channel: usize, register: Register, dtype: Dtype) -> (Register, Dtype) {
    match step {
        Step::Cast(to) => (cast(*to, register), *to),
        Step::Multiply(numbers) => {
            (compute(register, dtype, at(numbers, channel), |x, y| x * y, |x, y| x * y), dtype)
        }
        Step::Divide(numbers) => {
            (compute(register, dtype, at(numbers, channel), |x, y| x / y, |x, y| x / y), dtype)
        }
        Step::Subtract(numbers) => {
            (compute(register, dtype, at(numbers, channel), |x, y| x - y, |x, y| x - y), dtype)
        }
        Step::Clip { least, greatest } => (clip(register, dtype, (*least, *greatest)), dtype),
    }
}

fn cast(to: Dtype, register: Register) -> Register {
    if let Some((least, greatest)) = to.integer_range() {
        Register::Whole(register.to_whole().clamp(least, greatest))
    } else if to == Dtype::F64 {
        Register::Double(register.to_f64())
    } else {
        Register::Single(round_to(to, register.to_f32()))
    }
}

fn compute(
    register: Register,
    dtype: Dtype,
    number: f64,
    single: fn(f32, f32) -> f32,
    double: fn(f64, f64) -> f64,
) -> Register {
    match register {
        Register::Single(x) => Register::Single(round_to(dtype, single(x, single_number(dtype, number)))),
        Register::Double(x) => Register::Double(double(x, number)),
        Register::Whole(_) => unreachable!("a checked pass computes with floats"),
    }
}

fn clip(register: Register, dtype: Dtype, (least, greatest): (f64, f64)) -> Register {
    match register {
        Register::Whole(x) => {
            let bounds = whole_bounds((least, greatest), dtype);
            let (least, greatest) = bounds.expect("a checked pass clips numbers that have an order");
            Register::Whole(x.clamp(least, greatest))
        }
        Register::Single(x) => {
            Register::Single(x.clamp(single_number(dtype, least), single_number(dtype, greatest)))
        }
        Register::Double(x) => Register::Double(x.clamp(least, greatest)),
    }
}

/// A step's number as it meets elements of `dtype`, one of the floats of up to 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "numbers are rounded to the dtype they meet")]
pub(crate) fn single_number(dtype: Dtype, number: f64) -> f32 {
    round_to(dtype, number as f32)
}

/// A number as it meets elements of `dtype`: what a step computes with.
///
/// ```
/// use npyfeed_array::Dtype;
/// assert_eq!(npyfeed_kernel::rounded(1e-60, Dtype::F32), 0.0);
/// assert_eq!(npyfeed_kernel::rounded(1e-60, Dtype::F64), 1e-60);
/// ```
pub fn rounded(number: f64, dtype: Dtype) -> f64 {
    if dtype == Dtype::F64 { number } else { single_number(dtype, number).into() }
}

/// The number for `channel`: the numbers repeat over the channels.
pub(crate) fn at(numbers: &[f64], channel: usize) -> f64 {
    numbers[channel % numbers.len()]
}
