//! What is computed in f64, in part or all of it, and integers to others: the loop that knows every register.
//!
//! As `single.rs`, a block at a time through memory that stays in the first-level cache, compiled for each
//! instruction set.

use half::f16;
use npyfeed_array::Dtype;

use crate::halves::f16_to_f32;
use crate::moves::Run;
use crate::number::{Number, Truth, with_element};
use crate::pass::{Pass, Step};
use crate::single::{load_single, store_single};
use crate::stage::{Held, Stage, Stages, clipped, round_to_bf16, round_to_f16, whole_double};
use crate::walk::{Aligned, BLOCK_ELEMENTS, Blocks, To, Way, load, store, store_as_held};

/// The loops chosen for one pass.
#[derive(Debug)]
pub(crate) struct Block {
    way: Way,
    source: Dtype,
    is_swapped: bool,
    stages: Stages,
    output: Dtype,
}

/// The elements of a block. Only those that are held have a meaning.
pub(crate) struct Registers {
    whole: Aligned<i64>,
    single: Aligned<f32>,
    double: Aligned<f64>,
}

impl Block {
    /// `None` if u64 beyond i64 would have to be held.
    pub(crate) fn of(pass: &Pass, way: Way) -> Option<Block> {
        let stages = Stages::of(pass);
        // Cast to an integer at once, such numbers end where those of i64 do; clipped, they need not.
        let clips = pass.steps.iter().any(|step| matches!(step, Step::Clip { .. }));
        if pass.source == Dtype::U64 && stages.loaded == Held::Whole && clips {
            return None;
        }
        let (source, is_swapped, output) = (pass.source, pass.is_swapped(), pass.output);
        Some(Block { way, source, is_swapped, stages, output })
    }

    /// Fills `slot` with the sample.
    pub(crate) fn fill(&self, pass: &Pass, sample: &[u8], slot: &mut [u8]) {
        self.way.fill(self, pass, sample, slot);
    }

    /// Fills `output` with a run of the sample.
    pub(crate) fn fill_run(&self, pass: &Pass, sample: &[u8], run: &Run, output: &mut [u8]) {
        self.way.fill_run(self, (pass, sample), run, output);
    }
}

impl Blocks for Block {
    type Registers = Registers;

    #[inline(always)]
    fn registers() -> Registers {
        Registers {
            whole: Aligned([0; BLOCK_ELEMENTS]),
            single: Aligned([0.0; BLOCK_ELEMENTS]),
            double: Aligned([0.0; BLOCK_ELEMENTS]),
        }
    }

    #[inline(always)]
    fn fill_block(&self, source: &[u8], channel: usize, registers: &mut Registers, to: To<'_>) {
        let count = source.len() / self.source.item_bytes();
        let (whole, single, double) = (
            &mut registers.whole.0[..count],
            &mut registers.single.0[..count],
            &mut registers.double.0[..count],
        );
        match self.stages.loaded {
            Held::Whole => load_whole(self.source, self.is_swapped, source, whole),
            Held::Single => load_single(self.source, self.is_swapped, source, single),
            Held::Double => load_double(self.source, self.is_swapped, source, double),
        }
        for stage in &self.stages.between {
            match stage {
                Stage::Single(operation) => operation.apply(channel, single),
                Stage::Double(operation) => operation.apply(channel, double),
                Stage::Bound(least, greatest) => {
                    for x in &mut *whole {
                        *x = clipped(*x, *least, *greatest);
                    }
                }
                Stage::RoundToF16 => round_to_f16(single),
                Stage::RoundToBf16 => round_to_bf16(single),
                Stage::Hold(from, to) => hold((*from, *to), whole, single, double),
            }
        }
        match self.stages.stored {
            Held::Whole => store_whole(self.output, whole, to),
            Held::Single => store_single(self.output, single, to),
            Held::Double => store_double(self.output, double, to),
        }
    }
}

/// From one kind of register to another. No float becomes a whole number: integers stay in floats that hold them.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "rounding is the cast")]
fn hold((from, to): (Held, Held), whole: &[i64], single: &mut [f32], double: &mut [f64]) {
    match (from, to) {
        (Held::Whole, Held::Single) => single.iter_mut().zip(whole).for_each(|(to, x)| *to = *x as f32),
        (Held::Whole, Held::Double) => double.iter_mut().zip(whole).for_each(|(to, x)| *to = *x as f64),
        (Held::Single, Held::Double) => {
            double.iter_mut().zip(single).for_each(|(to, x)| *to = (*x).into());
        }
        (Held::Double, Held::Single) => {
            single.iter_mut().zip(double).for_each(|(to, x)| *to = *x as f32);
        }
        (Held::Whole, Held::Whole) | (Held::Single, Held::Single) | (Held::Double, Held::Double) => {}
        (Held::Single | Held::Double, Held::Whole) => unreachable!("floats are truncated where they are"),
    }
}

#[inline(always)]
fn load_double(dtype: Dtype, is_swapped: bool, source: &[u8], registers: &mut [f64]) {
    if dtype == Dtype::F16 {
        load(source, is_swapped, registers, |x: f16| f16_to_f32(x.to_bits()).into());
    } else {
        with_element!(dtype, Element => load(source, is_swapped, registers, |x: Element| x.to_f64()));
    }
}

#[inline(always)]
fn load_whole(dtype: Dtype, is_swapped: bool, source: &[u8], registers: &mut [i64]) {
    match dtype {
        Dtype::Bool => load(source, is_swapped, registers, |x: Truth| x.into()),
        Dtype::I8 => load(source, is_swapped, registers, |x: i8| x.into()),
        Dtype::I16 => load(source, is_swapped, registers, |x: i16| x.into()),
        Dtype::I32 => load(source, is_swapped, registers, |x: i32| x.into()),
        Dtype::I64 => load(source, is_swapped, registers, |x: i64| x),
        Dtype::U8 => load(source, is_swapped, registers, |x: u8| x.into()),
        Dtype::U16 => load(source, is_swapped, registers, |x: u16| x.into()),
        Dtype::U32 => load(source, is_swapped, registers, |x: u32| x.into()),
        // Beyond i64 they all end at the greatest of a narrower dtype: `Block::of` takes no others.
        Dtype::U64 => load(source, is_swapped, registers, |x: u64| x.try_into().unwrap_or(i64::MAX)),
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

#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in the range of the output")]
fn store_double(dtype: Dtype, registers: &[f64], to: To<'_>) {
    match dtype {
        Dtype::F64 => store_as_held(registers, to),
        Dtype::U8 => store(registers, to, |x| whole_double(x) as u8),
        Dtype::I8 => store(registers, to, |x| whole_double(x) as i8),
        Dtype::U16 => store(registers, to, |x| whole_double(x) as u16),
        Dtype::I16 => store(registers, to, |x| whole_double(x) as i16),
        Dtype::I32 => store(registers, to, |x| whole_double(x) as i32),
        Dtype::I64 => store(registers, to, whole_double),
        Dtype::U32 => store(registers, to, |x| whole_double(x) as u32),
        Dtype::U64 => store(registers, to, |x| whole_double(x) as u64),
        Dtype::Bool
        | Dtype::F8E4M3
        | Dtype::F8E5M2
        | Dtype::F16
        | Dtype::Bf16
        | Dtype::F32
        | Dtype::C64
        | Dtype::C128 => unreachable!("nothing that is held in f64 is stored as {dtype}"),
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a checked pass fits its output")]
fn store_whole(dtype: Dtype, registers: &[i64], to: To<'_>) {
    match dtype {
        Dtype::Bool | Dtype::U8 => store(registers, to, |x| x as u8),
        Dtype::I8 => store(registers, to, |x| x as i8),
        Dtype::I16 => store(registers, to, |x| x as i16),
        Dtype::I32 => store(registers, to, |x| x as i32),
        Dtype::I64 => store_as_held(registers, to),
        Dtype::U16 => store(registers, to, |x| x as u16),
        Dtype::U32 => store(registers, to, |x| x as u32),
        Dtype::U64 => store(registers, to, |x| x as u64),
        Dtype::F8E4M3
        | Dtype::F8E5M2
        | Dtype::F16
        | Dtype::Bf16
        | Dtype::F32
        | Dtype::F64
        | Dtype::C64
        | Dtype::C128 => unreachable!("a checked pass stores floats as floats"),
    }
}
