//! From transforms to one pass: a chain is folded, transform by transform, into the dtype and shape that
//! come out and the steps that lead there. Everything that can be wrong with a chain is found here.

mod crop;
mod intensity;

use npyfeed_array::{ByteOrder, Dtype, Kind, Layout, MemoryOrder};
use npyfeed_kernel::{Arrangement, Cpu, Pass, Step, rounded};

use crate::drawn::RandomStep;
use crate::error::{Error, Result};
use crate::region::{Cut, DrawnStart, Region};
use crate::report::Stage;
use crate::transform::Transform;

/// The integers that floats and wider integers can be brought to.
const TRUNCATED: [Dtype; 5] = [Dtype::U8, Dtype::I8, Dtype::U16, Dtype::I16, Dtype::I32];

/// What a column gives: dtype and shape of one sample, what is read for it, and the pass that makes it.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) region: Region,
    pub(crate) pass: Pass,
    /// The sample after each of the transforms.
    pub(crate) stages: Vec<Stage>,
    /// The transforms that draw.
    pub(crate) random: Vec<RandomStep>,
}

/// The sample as it is after some of the transforms.
struct Chain {
    dtype: Dtype,
    shape: Vec<usize>,
    /// The axis of the rows that each axis is; `None` for one that was added.
    axes: Vec<Option<usize>>,
    /// What is taken of each axis of the rows.
    cuts: Vec<Cut>,
    drawn: Vec<DrawnStart>,
    random: Vec<RandomStep>,
    arrangement: Arrangement,
    steps: Vec<Step>,
    /// What the steps give: narrower than `dtype` where the store widens an integer.
    stepped: Dtype,
    /// Between what the elements lie, from a clip on until they are computed with.
    range: Option<(f64, f64)>,
    /// `ToTensor` was here: the sample is a tensor, `[channel, height, width]`.
    is_tensor: bool,
    /// A step has numbers for each channel, the third axis from the end.
    has_channel_numbers: bool,
}

/// Folds the transforms of the column called `column`, whose rows have the layout `row`.
///
/// # Errors
/// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if a transform does not fit the shape or dtype
/// that it meets, [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for casts that could lose values.
pub(crate) fn fold(column: &str, row: &Layout, transforms: &[Transform]) -> Result<Outcome> {
    Cpu::check_setting()
        .map_err(|why| Error::mismatch(format!("cannot choose a kernel for column '{column}': {why}")))?;
    let mut chain = Chain {
        dtype: row.dtype(),
        shape: row.shape().to_vec(),
        axes: (0..row.shape().len()).map(Some).collect(),
        cuts: row.shape().iter().map(|&length| Cut { start: 0, length }).collect(),
        drawn: Vec::new(),
        random: Vec::new(),
        arrangement: Arrangement::Planar,
        steps: Vec::new(),
        stepped: row.dtype(),
        range: None,
        is_tensor: false,
        has_channel_numbers: false,
    };
    let mut stages = Vec::with_capacity(transforms.len());
    for (index, transform) in transforms.iter().enumerate() {
        let context = || format!("cannot map column '{column}': step {} ({})", index + 1, transform.name());
        chain.take(index, transform).map_err(|error| error.while_doing(&context()))?;
        stages.push(Stage { name: transform.name(), dtype: chain.dtype, shape: chain.shape.clone() });
    }
    chain.finish(column, row, stages)
}

impl Chain {
    fn take(&mut self, place: usize, transform: &Transform) -> Result<()> {
        match transform {
            Transform::ToTensor => self.add_to_tensor(),
            Transform::ToDtype { dtype, scale: false } => self.add_to_dtype(*dtype),
            Transform::ToDtype { dtype, scale: true } => self.add_scaled_to_dtype(*dtype),
            Transform::Normalize { mean, std } => self.add_normalize(mean, std),
            Transform::AddChannel => self.add_channel(),
            Transform::SpatialCrop { start, end } => self.add_crop(start, end),
            Transform::CenterSpatialCrop { size } => self.add_center_crop(size),
            Transform::RandSpatialCrop { size } => self.add_drawn_crop((place, transform.name()), size),
            Transform::CenterCrop { size } => self.add_center_picture(*size),
            Transform::RandomCrop { size } => self.add_drawn_picture((place, transform.name()), *size),
            Transform::ScaleIntensityRange { from, to, clip } => {
                self.add_intensity_range(*from, *to, to.filter(|_| *clip))
            }
            Transform::Clip { min, max } => self.add_clip(*min, *max),
        }
    }

    fn push(&mut self, step: Step) {
        match &step {
            Step::Cast(dtype) => self.stepped = *dtype,
            Step::Clip { least, greatest } => self.range = Some((*least, *greatest)),
            Step::Multiply(_) | Step::Divide(_) | Step::Subtract(_) => self.range = None,
        }
        self.steps.push(step);
    }

    fn add_to_tensor(&mut self) -> Result<()> {
        if self.is_tensor || self.has_channel_numbers {
            return Err(Error::mismatch(
                "expected a sample with its channels last, found one that is a tensor already: \
                 ToTensor stands once, before Normalize",
            ));
        }
        self.shape = match self.shape[..] {
            [height, width] => {
                self.axes.insert(0, None);
                vec![1, height, width]
            }
            [height, width, channels] => {
                self.arrangement = Arrangement::Interleaved;
                self.axes.rotate_right(1);
                vec![channels, height, width]
            }
            _ => {
                return Err(Error::mismatch(format!(
                    "expected a sample [height, width] or [height, width, channel], found {}",
                    self.describe()
                )));
            }
        };
        self.is_tensor = true;
        if self.dtype == Dtype::U8 {
            self.push(Step::Cast(Dtype::F32));
            self.push(Step::Divide(vec![255.0]));
            self.dtype = Dtype::F32;
        }
        Ok(())
    }

    fn add_to_dtype(&mut self, dtype: Dtype) -> Result<()> {
        if dtype == self.dtype {
            return Ok(());
        }
        if self.dtype.is_complex() {
            return Err(Error::unsupported(format!(
                "a cast from {} to {dtype} would lose the imaginary part; expected numbers that are not complex",
                self.dtype
            )));
        }
        if dtype.is_float() {
            refuse_narrow_float(dtype)?;
            self.push(Step::Cast(dtype));
        } else if !self.dtype.widens_to(dtype) {
            self.check_narrowing(dtype)?;
            self.push(Step::Cast(dtype));
        }
        self.dtype = dtype;
        Ok(())
    }

    /// Whether a clip has seen to it that all elements lie in the range of the integers `dtype`.
    #[expect(clippy::cast_precision_loss, reason = "the integers that are cast to are exact in f64")]
    fn check_narrowing(&self, dtype: Dtype) -> Result<()> {
        let wanted = dtype.integer_range().filter(|_| TRUNCATED.contains(&dtype));
        let wanted = wanted.map(|(least, greatest)| (least as f64, greatest as f64));
        let cure = match (wanted, self.range) {
            (Some((least, greatest)), Some((min, max))) if least <= min && max <= greatest => return Ok(()),
            (Some((least, greatest)), _) if can_clip(self.dtype) => {
                format!(", or Clip({least}, {greatest}) right before it")
            }
            (Some(_) | None, _) => String::new(),
        };
        Err(Error::unsupported(format!(
            "a cast from {} to {dtype} could lose values; expected a floating-point dtype or an integer dtype that \
             holds every {}{cure}",
            self.dtype, self.dtype
        )))
    }

    fn add_scaled_to_dtype(&mut self, dtype: Dtype) -> Result<()> {
        if dtype == self.dtype || (self.dtype.is_float() && dtype.is_float()) {
            return self.add_to_dtype(dtype);
        }
        if self.dtype.is_float() && dtype == Dtype::U8 {
            return self.add_scaled_to_u8();
        }
        if !dtype.is_float() {
            return Err(Error::unsupported(format!(
                "scale=True expects a floating-point dtype, or uint8 for floats, found {dtype}"
            )));
        }
        refuse_narrow_float(dtype)?;
        let greatest = greatest_value(self.dtype).ok_or_else(|| {
            Error::unsupported(format!(
                "scale=True is not defined for {}; cast without scale and divide with Normalize",
                self.dtype
            ))
        })?;
        self.push(Step::Cast(dtype));
        self.multiply(dtype, 1.0 / greatest);
        self.dtype = dtype;
        Ok(())
    }

    /// torchvision multiplies by a little less than 256, so that each of the 256 numbers gets as much of the range
    /// from 0 to 1 as the others.
    fn add_scaled_to_u8(&mut self) -> Result<()> {
        if !self.range.is_some_and(|(min, max)| 0.0 <= min && max <= 1.0) {
            return Err(Error::unsupported(format!(
                "scale=True maps 0 and 1 to the least and the greatest uint8, and other {} could lose values; put \
                 Clip(0, 1) right before it",
                self.dtype
            )));
        }
        self.multiply(self.dtype, 255.0 + 1.0 - 1e-3);
        self.push(Step::Cast(Dtype::U8));
        self.dtype = Dtype::U8;
        Ok(())
    }

    /// PyTorch multiplies 16-bit floats by a scalar in f32 and rounds once.
    fn multiply(&mut self, dtype: Dtype, number: f64) {
        self.push(Step::Cast(if dtype == Dtype::F64 { Dtype::F64 } else { Dtype::F32 }));
        self.push(Step::Multiply(vec![number]));
        self.push(Step::Cast(dtype));
    }

    fn add_clip(&mut self, min: f64, max: f64) -> Result<()> {
        if !can_clip(self.dtype) {
            return Err(Error::mismatch(format!(
                "expected integers or floating-point numbers of 16 bits or more, found {}; cast with ToDtype first",
                self.describe()
            )));
        }
        if min.is_nan() || max.is_nan() || min > max {
            return Err(Error::mismatch(format!("expected min <= max, found min {min} and max {max}")));
        }
        self.check_whole_bounds(min, max)?;
        self.push(Step::Clip { least: min, greatest: max });
        Ok(())
    }

    /// PyTorch would make floats of integers that are clipped to fractions.
    #[expect(clippy::cast_precision_loss, reason = "bounds so far out are rounded themselves")]
    fn check_whole_bounds(&self, min: f64, max: f64) -> Result<()> {
        let Some((least, greatest)) = self.stepped.integer_range() else { return Ok(()) };
        if [min, max].iter().any(|bound| bound.is_finite() && bound.fract() != 0.0) {
            return Err(Error::mismatch(format!(
                "expected whole numbers as bounds of {}, found min {min} and max {max}; for fractions put \
                 ToDtype('float32') before it",
                self.dtype
            )));
        }
        if max < least as f64 || min > greatest as f64 {
            return Err(Error::mismatch(format!(
                "expected bounds between which some {} lies, found min {min} and max {max}",
                self.stepped
            )));
        }
        Ok(())
    }

    fn add_normalize(&mut self, mean: &[f64], std: &[f64]) -> Result<()> {
        if !self.dtype.holds_results() {
            let cure = if self.dtype == Dtype::U8 {
                "ToTensor() or ToDtype('float32', scale=True)"
            } else {
                "ToDtype('float32')"
            };
            return Err(Error::mismatch(format!(
                "expected a floating-point sample of 16 bits or more, found {}; put {cure} before it",
                self.describe()
            )));
        }
        let &[.., channels, _height, _width] = &self.shape[..] else {
            let found = self.describe();
            return Err(Error::mismatch(format!(
                "expected a sample [channel, height, width], found {found}; {}",
                if self.shape.len() == 2 { "put ToTensor() before it" } else { "reshape the samples" }
            )));
        };
        let mean = self.channel_numbers("mean", mean, channels)?;
        let std = self.channel_numbers("std", std, channels)?;
        if std.iter().any(|&number| rounded(number, self.dtype) == 0.0) {
            return Err(Error::mismatch(format!(
                "std {std:?} has a zero as {}, which would divide by zero",
                self.dtype
            )));
        }
        self.has_channel_numbers = true;
        self.push(Step::Subtract(mean));
        self.push(Step::Divide(std));
        Ok(())
    }

    fn add_channel(&mut self) -> Result<()> {
        if self.arrangement == Arrangement::Interleaved || self.has_channel_numbers {
            return Err(Error::mismatch(format!(
                "expected a sample without a channel axis, found {}; leave AddChannel out",
                self.describe()
            )));
        }
        self.shape.insert(0, 1);
        self.axes.insert(0, None);
        Ok(())
    }

    /// One number for all channels, or one each, all finite. A pass repeats them for each image in a sample.
    fn channel_numbers(&self, name: &str, numbers: &[f64], channels: usize) -> Result<Vec<f64>> {
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(Error::mismatch(format!("{name} {numbers:?} has a number that is not finite")));
        }
        match numbers {
            [one] => Ok(vec![*one]),
            each if each.len() == channels => Ok(each.to_vec()),
            other => Err(Error::mismatch(format!(
                "{name} has {} numbers, expected {}, the sample is {}; {}",
                other.len(),
                if channels == 1 { "1".to_owned() } else { format!("1 or {channels} (one a channel)") },
                self.describe(),
                if self.is_tensor || self.has_channel_numbers {
                    "the channel is the first axis"
                } else {
                    "if its channels come last, put ToTensor() before it"
                }
            ))),
        }
    }

    fn describe(&self) -> String {
        format!("{:?} {}", self.shape, self.dtype)
    }

    fn finish(self, column: &str, row: &Layout, stages: Vec<Stage>) -> Result<Outcome> {
        let misfit = |why| Error::mismatch(format!("cannot map column '{column}': {why}"));
        Layout::new(self.dtype, ByteOrder::NATIVE, &self.shape, MemoryOrder::C).map_err(misfit)?;
        let region = Region::new(row, &self.cuts, self.drawn).map_err(misfit)?;
        let channels = match self.shape[..] {
            [.., channels, _height, _width] if self.is_tensor || self.has_channel_numbers => {
                self.shape[..self.shape.len() - 3].iter().product::<usize>() * channels
            }
            _ => 1,
        };
        let pixels = region.row.element_count().checked_div(channels).unwrap_or(0);
        let pass = Pass {
            source: row.dtype(),
            byte_order: row.byte_order(),
            output: self.dtype,
            channels,
            pixels,
            arrangement: self.arrangement,
            steps: self.steps,
        };
        Ok(Outcome { dtype: self.dtype, shape: self.shape, region, pass, stages, random: self.random })
    }
}

/// Integers, and floats that bounds can be rounded to.
fn can_clip(dtype: Dtype) -> bool {
    dtype.holds_results() || dtype.integer_range().is_some()
}

/// 8-bit floats are read, not written: which numbers overflow, and to what, is not the same everywhere.
fn refuse_narrow_float(dtype: Dtype) -> Result<()> {
    if dtype.holds_results() {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "a cast to {dtype} is not supported, 8-bit floats are only read: expected float16, bfloat16, float32 or \
         float64; narrow the batch with the framework, as tensor.to(torch.{dtype})"
    )))
}

/// The number that `scale` maps to 1. torchvision defines none for u32 and u64.
#[expect(clippy::cast_precision_loss, reason = "torchvision divides by the nearest f64 too")]
fn greatest_value(dtype: Dtype) -> Option<f64> {
    let greatest = || dtype.integer_range().map(|(_, greatest)| greatest as f64);
    match dtype.kind() {
        Kind::Bool => Some(1.0),
        Kind::Signed => greatest(),
        Kind::Unsigned if dtype.item_bytes() < 4 => greatest(),
        Kind::Unsigned | Kind::Float | Kind::Complex => None,
    }
}
