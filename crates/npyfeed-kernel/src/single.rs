//! Everything that is computed in f32: any source but complex numbers, to f32, f16, bf16 or integers of up to
//! 16 bits.
//!
//! A block of elements goes through f32 registers in memory that stays in the first-level cache: one loop
//! loads it, one does each operation, one stores it. The loops are plain Rust without branches, and
//! [`Cpu::run`](crate::arch::Cpu) has them compiled for each instruction set.
//!
//! Not here: divisions as `arch/standardize.rs` has them, tried on all values of 16 bits. They saved a tenth
//! of the time at most, in the cache, and nothing out of memory.

use half::f16;
use npyfeed_array::Dtype;

use crate::halves::{f16_to_f32, f32_to_bf16, f32_to_f16};
use crate::moves::Run;
use crate::number::{Number, Truth, with_element};
use crate::pass::Pass;
use crate::stage::{Held, Operation, Stage, Stages, round_to_bf16, round_to_f16, whole_single};
use crate::walk::{Aligned, BLOCK_ELEMENTS, Blocks, To, Way, load, store, store_as_held};

/// The loops chosen for one pass.
#[derive(Debug)]
pub(crate) struct Single {
    way: Way,
    source: Dtype,
    is_swapped: bool,
    operations: Vec<InSingle>,
    output: Dtype,
}

/// The stages that are f32 throughout.
#[derive(Debug)]
enum InSingle {
    Compute(Operation<f32>),
    RoundToF16,
    RoundToBf16,
}

impl Single {
    /// `None` if the pass computes in f64 or with wide integers.
    pub(crate) fn of(pass: &Pass, way: Way) -> Option<Single> {
        let stages = Stages::of(pass);
        let is_narrow = pass.output.item_bytes() <= 2 || pass.output == Dtype::F32;
        if stages.loaded != Held::Single || !is_narrow {
            return None;
        }
        let operations = stages.between.into_iter().map(in_single).collect::<Option<_>>()?;
        let (source, is_swapped, output) = (pass.source, pass.is_swapped(), pass.output);
        Some(Single { way, source, is_swapped, operations, output })
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

impl Blocks for Single {
    type Registers = Aligned<f32>;

    #[inline(always)]
    fn registers() -> Aligned<f32> {
        Aligned([0.0; BLOCK_ELEMENTS])
    }

    #[inline(always)]
    fn fill_block(&self, source: &[u8], channel: usize, registers: &mut Aligned<f32>, to: To<'_>) {
        let registers = &mut registers.0[..source.len() / self.source.item_bytes()];
        load_single(self.source, self.is_swapped, source, registers);
        for operation in &self.operations {
            match operation {
                InSingle::Compute(operation) => operation.apply(channel, registers),
                InSingle::RoundToF16 => round_to_f16(registers),
                InSingle::RoundToBf16 => round_to_bf16(registers),
            }
        }
        store_single(self.output, registers, to);
    }
}

fn in_single(stage: Stage) -> Option<InSingle> {
    match stage {
        Stage::Single(operation) => Some(InSingle::Compute(operation)),
        Stage::RoundToF16 => Some(InSingle::RoundToF16),
        Stage::RoundToBf16 => Some(InSingle::RoundToBf16),
        Stage::Double(_) | Stage::Bound(..) | Stage::Hold(..) => None,
    }
}

/// The elements of a source as f32.
#[inline(always)]
pub(crate) fn load_single(dtype: Dtype, is_swapped: bool, source: &[u8], registers: &mut [f32]) {
    if dtype == Dtype::F16 {
        load(source, is_swapped, registers, |x: f16| f16_to_f32(x.to_bits()));
    } else {
        with_element!(dtype, Element => load(source, is_swapped, registers, |x: Element| x.to_f32()));
    }
}

/// f32 as the elements of an output; integers are whole numbers already.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in the range of the output")]
pub(crate) fn store_single(dtype: Dtype, registers: &[f32], to: To<'_>) {
    match dtype {
        Dtype::F32 => store_as_held(registers, to),
        Dtype::F16 => store(registers, to, f32_to_f16),
        Dtype::Bf16 => store(registers, to, f32_to_bf16),
        Dtype::U8 => store(registers, to, |x| whole_single(x) as u8),
        Dtype::I8 => store(registers, to, |x| whole_single(x) as i8),
        Dtype::U16 => store(registers, to, |x| whole_single(x) as u16),
        Dtype::I16 => store(registers, to, |x| whole_single(x) as i16),
        Dtype::I32 => store(registers, to, whole_single),
        Dtype::I64 => store(registers, to, |x| i64::from(whole_single(x))),
        Dtype::U32 => store(registers, to, |x| whole_single(x) as u32),
        Dtype::U64 => store(registers, to, |x| whole_single(x) as u64),
        Dtype::Bool | Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::F64 | Dtype::C64 | Dtype::C128 => {
            unreachable!("nothing that is held in f32 is stored as {dtype}")
        }
    }
}
