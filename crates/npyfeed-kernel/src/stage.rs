//! The steps of a pass as operations on blocks of registers, planned once.
//!
//! An element is held in f32, in f64 or as a whole number. Integers of 16 bits are exact in f32 and those of 32
//! bits in f64, so that is what they are held in: only wider ones that nobody casts to a float at once, and those that
//! are merely widened, are held whole. Every operation rounds as the step that it is, so nothing has to be proven, but for one: division by a
//! power of two whose reciprocal is a normal number is multiplication by it, since both round the same real number.

use std::ops::{Div, Mul, Sub};

use npyfeed_array::Dtype;

use crate::halves::{f16_to_f32, f32_to_bf16, f32_to_f16};
use crate::pass::{Pass, Step, whole_bounds};
use crate::plain::single_number;

/// What an element is while it is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Whole,
    Single,
    Double,
}

/// What a block goes through.
#[derive(Debug)]
pub(crate) struct Stages {
    /// What its elements are loaded as.
    pub(crate) loaded: Held,
    pub(crate) between: Vec<Stage>,
    /// What they are stored from.
    pub(crate) stored: Held,
}

/// One piece of work on a block.
#[derive(Debug, PartialEq)]
pub(crate) enum Stage {
    Single(Operation<f32>),
    Double(Operation<f64>),
    /// Whole numbers are brought between the two.
    Bound(i64, i64),
    /// f32 to the nearest f16, and back.
    RoundToF16,
    RoundToBf16,
    /// From what is held to something else.
    Hold(Held, Held),
}

/// Arithmetic on each element. Numbers repeat over the channels.
#[derive(Debug, PartialEq)]
pub(crate) enum Operation<F> {
    Multiply(Vec<F>),
    Divide(Vec<F>),
    Subtract(Vec<F>),
    /// To the nearest between the two; NaN stays.
    Clip(F, F),
    /// The nearest between the two, then the whole number towards zero; 0 for NaN.
    Truncate(F, F),
}

/// The floats that are computed with.
pub(crate) trait Float:
    Copy + PartialOrd + Mul<Output = Self> + Div<Output = Self> + Sub<Output = Self>
{
    fn of(number: f64, dtype: Dtype) -> Self;
    /// What multiplying by gives the same as dividing by this number, if it is a power of two.
    fn reciprocal_of_power(self) -> Option<Self>;
    /// The nearest to it between two whole numbers, then the whole number towards zero; 0 for NaN.
    fn truncated(self, least: Self, greatest: Self) -> Self;
}

macro_rules! float {
    ($float:ty, $of:expr, $whole_from:expr) => {
        impl Float for $float {
            fn of(number: f64, dtype: Dtype) -> Self {
                $of(dtype, number)
            }

            fn reciprocal_of_power(self) -> Option<Self> {
                const FRACTION_BITS: u32 = <$float>::MANTISSA_DIGITS - 1;
                let is_power = self.to_bits().trailing_zeros() >= FRACTION_BITS;
                (is_power && self.is_normal() && self.recip().is_normal()).then(|| self.recip())
            }

            // A cast by `as` ends at the same numbers, but compilers make no vector code of it.
            #[inline(always)]
            fn truncated(self, least: Self, greatest: Self) -> Self {
                /// From here on every number is whole: adding it rounds what is less to whole numbers.
                const WHOLE_FROM: $float = $whole_from;
                // A NaN is greater than nothing, and its bits are cleared in the end.
                let x = if self > least { self } else { least };
                let x = if x < greatest { x } else { greatest };
                let magnitude = x.abs();
                let nearest = (magnitude + WHOLE_FROM) - WHOLE_FROM;
                let whole = nearest - if nearest > magnitude { 1.0 } else { 0.0 };
                // No integer is -0.
                let whole = whole.copysign(x) + 0.0;
                let kept = if self.is_nan() { 0 } else { !0 };
                <$float>::from_bits(whole.to_bits() & kept)
            }
        }
    };
}

float!(f32, single_number, 8_388_608.0);
float!(f64, |_, number| number, 4_503_599_627_370_496.0);

/// A whole number of up to 22 bits and a sign.
#[inline(always)]
pub(crate) fn whole_single(x: f32) -> i32 {
    /// Added to a whole number, it leaves that in the lower bits.
    const LIFT: f32 = 12_582_912.0;
    (x + LIFT).to_bits().cast_signed() - LIFT.to_bits().cast_signed()
}

/// A whole number of up to 51 bits and a sign.
#[inline(always)]
pub(crate) fn whole_double(x: f64) -> i64 {
    const LIFT: f64 = 6_755_399_441_055_744.0;
    (x + LIFT).to_bits().cast_signed() - LIFT.to_bits().cast_signed()
}

impl Stages {
    /// For a checked pass whose elements are computed with.
    pub(crate) fn of(pass: &Pass) -> Stages {
        let loaded = match pass.steps.first() {
            // The load takes the cast along.
            Some(Step::Cast(to)) if to.is_float() => held_as(*to),
            _ if pass.source.is_float() => held_as(pass.source),
            Some(_) if pass.source.item_bytes() <= 2 => Held::Single,
            Some(_) if pass.source.item_bytes() <= 4 => Held::Double,
            Some(_) | None => Held::Whole,
        };
        let mut planning = Stages { loaded, between: Vec::new(), stored: loaded };
        let mut dtype = pass.source;
        for step in &pass.steps {
            dtype = planning.add(step, dtype);
        }
        planning.leave_to_the_store(pass.output);
        planning
    }

    /// Adds what `step` asks for; gives the dtype after it.
    fn add(&mut self, step: &Step, dtype: Dtype) -> Dtype {
        match step {
            Step::Cast(to) if to.is_float() => {
                self.hold(held_as(*to));
                self.between.extend(rounding(*to));
                return *to;
            }
            Step::Cast(to) => {
                self.truncate(dtype, *to);
                return *to;
            }
            Step::Clip { least, greatest } => self.clip((*least, *greatest), dtype),
            Step::Multiply(numbers) => {
                self.compute(numbers, dtype, (Operation::Multiply, Operation::Multiply));
            }
            Step::Divide(numbers) => self.compute(numbers, dtype, (division, division)),
            Step::Subtract(numbers) => {
                self.compute(numbers, dtype, (Operation::Subtract, Operation::Subtract));
            }
        }
        dtype
    }

    fn hold(&mut self, held: Held) {
        if self.stored != held {
            self.between.push(Stage::Hold(self.stored, held));
            self.stored = held;
        }
    }

    /// Integers need only be brought between the ends of the others.
    fn truncate(&mut self, from: Dtype, to: Dtype) {
        let (least, greatest) = truncated_range(to);
        if !from.is_float() {
            return self.clip((least.into(), greatest.into()), from);
        }
        if self.stored == Held::Single && to.item_bytes() > 2 {
            self.hold(Held::Double);
        }
        self.between.push(if self.stored == Held::Double {
            Stage::Double(Operation::Truncate(least.into(), greatest.into()))
        } else {
            Stage::Single(Operation::Truncate(
                single_number(to, least.into()),
                single_number(to, greatest.into()),
            ))
        });
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "bounds of integers are held exactly, as the integers are"
    )]
    fn clip(&mut self, (least, greatest): (f64, f64), dtype: Dtype) {
        let (least, greatest) = match whole_bounds((least, greatest), dtype) {
            Some((least, greatest)) if self.stored == Held::Whole => {
                self.between.push(Stage::Bound(least as i64, greatest as i64));
                return;
            }
            Some((least, greatest)) => (least as f64, greatest as f64),
            None => (least, greatest),
        };
        self.between.push(if self.stored == Held::Double {
            Stage::Double(Operation::Clip(least, greatest))
        } else {
            Stage::Single(Operation::Clip(single_number(dtype, least), single_number(dtype, greatest)))
        });
    }

    fn compute(
        &mut self,
        numbers: &[f64],
        dtype: Dtype,
        (single, double): (impl Fn(Vec<f32>) -> Operation<f32>, impl Fn(Vec<f64>) -> Operation<f64>),
    ) {
        if self.stored == Held::Double {
            self.between.push(Stage::Double(double(rounded_numbers(numbers, dtype))));
        } else {
            self.between.push(Stage::Single(single(rounded_numbers(numbers, dtype))));
            self.between.extend(rounding(dtype));
        }
    }

    /// The store rounds to 16-bit floats by itself.
    fn leave_to_the_store(&mut self, output: Dtype) {
        let stored = rounding(output);
        if stored.is_some() && self.between.last() == stored.as_ref() {
            self.between.pop();
        }
    }
}

impl<F: Float> Operation<F> {
    #[inline(always)]
    pub(crate) fn apply(&self, channel: usize, registers: &mut [F]) {
        match self {
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
            Operation::Clip(least, greatest) => each(registers, |x| clipped(x, *least, *greatest)),
            Operation::Truncate(least, greatest) => each(registers, |x| x.truncated(*least, *greatest)),
        }
    }
}

/// The nearest to `x` between the two; NaN stays what it is.
#[inline(always)]
pub(crate) fn clipped<F: PartialOrd>(x: F, least: F, greatest: F) -> F {
    let x = if x < least { least } else { x };
    if x > greatest { greatest } else { x }
}

#[inline(always)]
pub(crate) fn round_to_f16(registers: &mut [f32]) {
    each(registers, |x| f16_to_f32(f32_to_f16(x)));
}

#[inline(always)]
pub(crate) fn round_to_bf16(registers: &mut [f32]) {
    each(registers, |x| f32::from_bits(u32::from(f32_to_bf16(x)) << 16));
}

#[inline(always)]
fn each<F: Copy>(registers: &mut [F], compute: impl Fn(F) -> F) {
    for x in registers {
        *x = compute(*x);
    }
}

fn held_as(float: Dtype) -> Held {
    if float == Dtype::F64 { Held::Double } else { Held::Single }
}

/// The stage that rounds f32 to `dtype`.
fn rounding(dtype: Dtype) -> Option<Stage> {
    match (dtype == Dtype::F16, dtype == Dtype::Bf16) {
        (true, _) => Some(Stage::RoundToF16),
        (_, true) => Some(Stage::RoundToBf16),
        (false, false) => None,
    }
}

fn rounded_numbers<F: Float>(numbers: &[f64], dtype: Dtype) -> Vec<F> {
    numbers.iter().map(|&number| F::of(number, dtype)).collect()
}

/// A division by powers of two is a multiplication by others, if those are normal numbers.
fn division<F: Float>(numbers: Vec<F>) -> Operation<F> {
    match numbers.iter().map(|number| number.reciprocal_of_power()).collect() {
        Some(reciprocals) => Operation::Multiply(reciprocals),
        None => Operation::Divide(numbers),
    }
}

/// The integers of a dtype that a checked pass casts to.
fn truncated_range(dtype: Dtype) -> (i32, i32) {
    let (least, greatest) = dtype.integer_range().expect("a checked pass casts to floats and integers");
    let within = "a checked pass casts to no integers beyond i32";
    (least.try_into().expect(within), greatest.try_into().expect(within))
}
