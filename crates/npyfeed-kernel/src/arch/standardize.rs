//! `((x / divisor) - mean) / std` from u8 to f32, the work of `ToTensor` and `Normalize`.
//!
//! The result has to be what three separate, rounded f32 operations give, since that is what a user of
//! torchvision gets. Two true divisions an element would cost more than the memory does (a vector division takes
//! several times as long as a multiplication), so a division by a constant is done as Markstein showed:
//! with `r = round(1 / d)`,
//!
//! ```text
//! q = x * r;  e = x - q * d (exact, one fused operation);  x / d = q + e * r (rounded once)
//! ```
//!
//! That is right for almost every pair (x, d), but not provably for all. There are only 256 bytes,
//! though: [`Standardize::of`] tries each and compares with the table that the plain loop has written.
//! One difference, and another loop is used. On CPUs without fused operations the table always is.
//!
//! Sources are planar, or interleaved with three channels. What remains of a plane after the last whole
//! vector comes from the table.

use npyfeed_array::Dtype;

use super::{Cpu, Level};
use crate::kernel::Stores;
use crate::moves::{Run, gather};
use crate::pass::{Arrangement, Pass, Step};
use crate::plain::{at, single_number};
use crate::table::{Table, distinct_channels};

/// Pixels of one interleaved channel that are brought together at a time, for a part of a sample.
const GATHERED_BYTES: usize = 1024;

/// A pass from u8 to f32 that is a standardisation, proven byte by byte.
#[derive(Debug)]
pub(crate) struct Standardize {
    /// One for each channel, or fewer, which repeat.
    constants: Vec<Constants>,
    planes: Planes,
    level: Level,
}

/// What the arithmetic of one channel needs.
#[derive(Clone, Debug)]
pub(crate) struct Constants {
    divisor: Quotient,
    mean: f32,
    std: Quotient,
    /// The answers of the plain loop for each byte, as bits.
    answers: Box<[u32]>,
}

/// A number to divide by, and its rounded reciprocal.
#[derive(Clone, Copy, Debug)]
struct Quotient {
    number: f32,
    reciprocal: f32,
}

/// How the planes of a sample lie, and how they are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planes {
    channels: usize,
    pixels: usize,
    arrangement: Arrangement,
    stores: Stores,
}

impl Standardize {
    /// `None` if the pass is something else, the CPU cannot do it, or one of the answers differs.
    pub(crate) fn of(pass: &Pass, table: &Table, stores: Stores, cpu: Cpu) -> Option<Standardize> {
        let level = cpu.level();
        let shape_fits = pass.arrangement == Arrangement::Planar || pass.channels == 3;
        if level == Level::Portable || !shape_fits || (pass.source, pass.output) != (Dtype::U8, Dtype::F32) {
            return None;
        }
        let wanted = |channel| Constants::of(pass, table, channel);
        let constants = (0..distinct_channels(pass)).map(wanted).collect::<Option<Vec<_>>>()?;
        let planes =
            Planes { channels: pass.channels, pixels: pass.pixels, arrangement: pass.arrangement, stores };
        Some(Standardize { constants, planes, level })
    }

    /// Fills `slot` with the sample.
    pub(crate) fn fill(&self, sample: &[u8], slot: &mut [u8]) {
        self.fill_planes(&self.constants, &self.planes, sample, slot);
    }

    /// Fills `output` with a run of the sample.
    pub(crate) fn fill_run(&self, pass: &Pass, sample: &[u8], run: &Run, output: &mut [u8]) {
        let constants = &self.constants[run.channel % self.constants.len()];
        let planes = |pixels| Planes { channels: 1, pixels, arrangement: Arrangement::Planar, ..self.planes };
        let fill = |bytes: &[u8], output: &mut [u8]| {
            self.fill_planes(std::slice::from_ref(constants), &planes(bytes.len()), bytes, output);
        };
        let source = run.source(pass, sample);
        if pass.arrangement == Arrangement::Planar {
            return fill(&source[..run.pixels.len()], output);
        }
        let mut gathered = [0; GATHERED_BYTES];
        let pixels = source.chunks(GATHERED_BYTES * pass.channels);
        for (source, output) in pixels.zip(output.chunks_mut(4 * GATHERED_BYTES)) {
            let gathered = &mut gathered[..output.len() / 4];
            gather(1, source, pass.channels, gathered);
            fill(gathered, output);
        }
    }

    fn fill_planes(&self, constants: &[Constants], planes: &Planes, sample: &[u8], slot: &mut [u8]) {
        let elements = planes.channels * planes.pixels;
        assert!(sample.len() == elements && slot.len() == 4 * elements, "a sample and its slot");
        match self.level {
            Level::Portable => unreachable!("`of` leaves portable CPUs to the table"),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` comes out of a `Cpu`, the proof that the instructions are there; the
            // sizes are asserted above, the constants are one for each channel.
            Level::Avx2 => unsafe { super::x86_avx2::fill(constants, planes, sample, slot) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { super::x86_avx512::fill(constants, planes, sample, slot) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Level::Neon => unsafe { super::aarch64_neon::fill(constants, planes, sample, slot) },
        }
    }
}

impl Constants {
    fn of(pass: &Pass, table: &Table, channel: usize) -> Option<Constants> {
        let (divisor, mean, std) = read_steps(&pass.steps, channel)?;
        let answers = table.four_byte_answers(channel)?;
        let constants = Constants {
            divisor: Quotient::of(divisor),
            mean,
            std: Quotient::of(std),
            answers: answers.into(),
        };
        let right = |byte: u8| constants.compute(byte).to_bits() == answers[usize::from(byte)];
        (0..=u8::MAX).all(right).then_some(constants)
    }

    /// What one lane of the vector loop computes, operation by operation.
    fn compute(&self, byte: u8) -> f32 {
        self.std.divide(self.divisor.divide(byte.into()) - self.mean)
    }
}

impl Quotient {
    fn of(number: f32) -> Quotient {
        Quotient { number, reciprocal: 1.0 / number }
    }

    fn divide(self, x: f32) -> f32 {
        let quotient = x * self.reciprocal;
        let error = (-quotient).mul_add(self.number, x);
        error.mul_add(self.reciprocal, quotient)
    }
}

/// Divisor, mean and std, if the steps are a cast to f32 and, each at most once and in this order, a
/// division, a subtraction, a division.
fn read_steps(steps: &[Step], channel: usize) -> Option<(f32, f32, f32)> {
    let number = |numbers: &[f64]| single_number(Dtype::F32, at(numbers, channel));
    let [Step::Cast(Dtype::F32), rest @ ..] = steps else { return None };
    match rest {
        [] => Some((1.0, 0.0, 1.0)),
        [Step::Divide(divisor)] => Some((number(divisor), 0.0, 1.0)),
        [Step::Subtract(mean), Step::Divide(std)] => Some((1.0, number(mean), number(std))),
        [Step::Divide(divisor), Step::Subtract(mean), Step::Divide(std)] => {
            Some((number(divisor), number(mean), number(std)))
        }
        _ => None,
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use vectors::fill;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vectors {
    use super::super::prefetch_line;
    use super::super::vector::Vector;
    use super::{Arrangement, Constants, Planes, Quotient, Stores};

    /// So far ahead of what is computed the CPU is asked to fetch. By itself it follows a sample only to the end
    /// of a page, 4096 bytes, and waits for memory at the beginning of each.
    const AHEAD_BYTES: usize = 2048;

    /// Fills `slot`, `[channel, pixel]` of f32, from `sample`, u8.
    ///
    /// # Safety
    /// The CPU has the instructions of `V`. `sample` has `planes.channels * planes.pixels` bytes and
    /// `slot` four times as many; interleaved samples have three channels; there are constants.
    #[inline(always)]
    pub(in super::super) unsafe fn fill<V: Vector>(
        constants: &[Constants],
        planes: &Planes,
        sample: &[u8],
        slot: &mut [u8],
    ) {
        let pixels = planes.pixels;
        debug_assert_eq!(sample.len(), planes.channels * pixels);
        debug_assert_eq!(slot.len(), 4 * sample.len());
        let vector_bytes = 4 * V::LANES;
        let aligned = slot.as_ptr().addr().is_multiple_of(vector_bytes)
            && (planes.channels == 1 || (4 * pixels).is_multiple_of(vector_bytes));
        let streams = planes.stores == Stores::Streaming && aligned;
        // SAFETY: passed on.
        let filled = unsafe {
            match (planes.arrangement, streams) {
                (Arrangement::Planar, false) => planar::<V, false>(constants, planes, sample, slot),
                (Arrangement::Planar, true) => planar::<V, true>(constants, planes, sample, slot),
                (Arrangement::Interleaved, false) => {
                    interleaved_3::<V, false>(constants, pixels, sample, slot)
                }
                (Arrangement::Interleaved, true) => interleaved_3::<V, true>(constants, pixels, sample, slot),
            }
        };
        #[cfg(target_arch = "x86_64")]
        if streams {
            // The batch is handed to another thread next: without the fence it could see old bytes.
            // SAFETY: a fence touches no memory.
            unsafe { std::arch::x86_64::_mm_sfence() };
        }
        finish(constants, planes, sample, slot, filled);
    }

    /// Fills whole vectors of each plane; gives the number of pixels filled in each.
    #[inline(always)]
    unsafe fn planar<V: Vector, const STREAM: bool>(
        constants: &[Constants],
        planes: &Planes,
        sample: &[u8],
        slot: &mut [u8],
    ) -> usize {
        let pixels = planes.pixels;
        let whole = pixels - pixels % V::LANES;
        for (channel, constants) in (0..planes.channels).zip(constants.iter().cycle()) {
            // SAFETY: the CPU has the instructions of `V`.
            let lanes = unsafe { Lanes::<V>::of(constants) };
            for pixel in (0..whole).step_by(V::LANES) {
                let element = channel * pixels + pixel;
                prefetch_line(sample.as_ptr().wrapping_add(element + AHEAD_BYTES));
                // SAFETY: `element + LANES` is at most `sample.len()`, and the slot has four bytes an
                // element; if streaming, `fill` has checked that each plane starts on a whole vector.
                unsafe {
                    let x = V::widen(sample.as_ptr().add(element));
                    put::<V, STREAM>(lanes.compute(x), slot.as_mut_ptr().add(4 * element));
                }
            }
        }
        whole
    }

    /// As `planar`, from three interleaved channels.
    #[inline(always)]
    unsafe fn interleaved_3<V: Vector, const STREAM: bool>(
        constants: &[Constants],
        pixels: usize,
        sample: &[u8],
        slot: &mut [u8],
    ) -> usize {
        let whole = pixels - pixels % V::LANES;
        // SAFETY: the CPU has the instructions of `V`.
        let lanes = unsafe { [0, 1, 2].map(|channel| Lanes::<V>::of(&constants[channel % constants.len()])) };
        for pixel in (0..whole).step_by(V::LANES) {
            prefetch_line(sample.as_ptr().wrapping_add(3 * pixel + AHEAD_BYTES));
            // SAFETY: pixels `pixel` to `pixel + LANES` are at most `pixels`, three bytes each.
            let x = unsafe { V::widen_3_interleaved(sample.as_ptr().add(3 * pixel)) };
            for channel in 0..3 {
                // SAFETY: inside plane `channel` of the slot, on a whole vector if streaming.
                unsafe {
                    let to = slot.as_mut_ptr().add(4 * (channel * pixels + pixel));
                    put::<V, STREAM>(lanes[channel].compute(x[channel]), to);
                }
            }
        }
        whole
    }

    /// What is left of each plane after the last whole vector, from the table.
    fn finish(constants: &[Constants], planes: &Planes, sample: &[u8], slot: &mut [u8], filled: usize) {
        if filled == planes.pixels {
            return;
        }
        for (channel, constants) in (0..planes.channels).zip(constants.iter().cycle()) {
            for pixel in filled..planes.pixels {
                let (first, step) = match planes.arrangement {
                    Arrangement::Planar => (channel * planes.pixels, 1),
                    Arrangement::Interleaved => (channel, 3),
                };
                let answer = constants.answers[usize::from(sample[first + pixel * step])];
                let to = 4 * (channel * planes.pixels + pixel);
                slot[to..to + 4].copy_from_slice(&answer.to_ne_bytes());
            }
        }
    }

    /// The constants of one channel, in every lane.
    #[derive(Clone, Copy)]
    struct Lanes<V> {
        divisor: [V; 2],
        mean: V,
        std: [V; 2],
    }

    impl<V: Vector> Lanes<V> {
        #[inline(always)]
        unsafe fn of(constants: &Constants) -> Lanes<V> {
            // SAFETY: passed on.
            unsafe {
                Lanes {
                    divisor: splat(constants.divisor),
                    mean: V::splat(constants.mean),
                    std: splat(constants.std),
                }
            }
        }

        /// As `Constants::compute`, in every lane.
        #[inline(always)]
        unsafe fn compute(&self, x: V) -> V {
            // SAFETY: passed on.
            unsafe { divide(divide(x, self.divisor).sub(self.mean), self.std) }
        }
    }

    #[inline(always)]
    unsafe fn splat<V: Vector>(by: Quotient) -> [V; 2] {
        // SAFETY: passed on.
        unsafe { [V::splat(by.number), V::splat(by.reciprocal)] }
    }

    /// As `Quotient::divide`, in every lane.
    #[inline(always)]
    unsafe fn divide<V: Vector>(x: V, [number, reciprocal]: [V; 2]) -> V {
        // SAFETY: passed on.
        unsafe {
            let quotient = x.mul(reciprocal);
            let error = quotient.neg_mul_add(number, x);
            error.mul_add(reciprocal, quotient)
        }
    }

    #[inline(always)]
    unsafe fn put<V: Vector, const STREAM: bool>(x: V, to: *mut u8) {
        // SAFETY: passed on.
        unsafe { if STREAM { x.stream(to) } else { x.store(to) } }
    }
}
