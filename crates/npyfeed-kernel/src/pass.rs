//! What is to be done with every sample of a column, as plain data.

use npyfeed_array::{ByteOrder, Dtype};

/// Where the channels of a sample lie in the source. In the output they are always planar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrangement {
    /// One plane after the other: `[channel, pixel]`, as in CHW.
    Planar,
    /// The channels of a pixel side by side: `[pixel, channel]`, as in HWC.
    Interleaved,
}

/// One piece of arithmetic on each element.
///
/// Numbers have one entry, or one a channel; fewer are repeated over the channels, as those of a clip
/// of images are. They are rounded to the dtype of the element they meet.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// To a floating-point dtype of 16 bits or more, or to u8, i8, u16, i16 or i32.
    ///
    /// 16-bit floats are reached through f32, as in PyTorch. Integers are reached towards zero; what lies beyond
    /// their range becomes the end of it, and NaN becomes 0. Inside the range that is PyTorch's and NumPy's answer,
    /// beyond it they have none that is the same on every machine.
    Cast(Dtype),
    /// `x * number`
    Multiply(Vec<f64>),
    /// `x / number`
    Divide(Vec<f64>),
    /// `x - number`
    Subtract(Vec<f64>),
    /// The nearest to `x` between the two, as `torch.clamp`: NaN stays NaN. Of integers, whole bounds.
    Clip {
        /// Nothing less comes out.
        least: f64,
        /// Nothing greater comes out.
        greatest: f64,
    },
}

/// What is to be done with every sample of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// The dtype of the elements in the source.
    pub source: Dtype,
    /// Their byte order. Those of the output have the machine's.
    pub byte_order: ByteOrder,
    /// The dtype of the elements in the batch.
    pub output: Dtype,
    /// The number of channels; 1 if the sample has none.
    pub channels: usize,
    /// The number of elements in one channel.
    pub pixels: usize,
    /// Where the channels lie in the source.
    pub arrangement: Arrangement,
    /// The arithmetic, in order. Every step rounds its result, as separate operations would.
    pub steps: Vec<Step>,
}

/// A pass that has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// A step that computes meets elements that results cannot be rounded to: integers, 8-bit floats.
    #[error(
        "step {step} computes with {found}, expected a floating-point dtype of 16 bits or more: cast first"
    )]
    Operand {
        /// The index of the step.
        step: usize,
        /// The dtype of the elements it meets.
        found: Dtype,
    },
    /// A cast to something that results cannot be brought to.
    #[error(
        "step {step} casts to {found}, expected a floating-point dtype of 16 bits or more, uint8, int8, uint16, \
         int16 or int32"
    )]
    CastTarget {
        /// The index of the step.
        step: usize,
        /// The dtype asked for.
        found: Dtype,
    },
    /// A clip of elements that have no order or no room for the bounds, or to bounds that nothing lies between.
    #[error(
        "step {step} clips {found}, expected integers, or floats of 16 bits or more, and the least bound not above \
         the greatest, with elements of that dtype between"
    )]
    Clip {
        /// The index of the step.
        step: usize,
        /// The dtype of the elements it meets.
        found: Dtype,
    },
    /// Neither one number nor one a channel, nor so many that they repeat evenly.
    #[error(
        "step {step} has {found} numbers, expected 1 or {channels} (one a channel), or a divisor of that"
    )]
    NumberCount {
        /// The index of the step.
        step: usize,
        /// The number of channels.
        channels: usize,
        /// The numbers given.
        found: usize,
    },
    /// A cast of complex numbers, of which there is none.
    #[error("step {step} casts {found}, expected numbers that are not complex")]
    Complex {
        /// The index of the step.
        step: usize,
        /// The dtype of the elements it meets.
        found: Dtype,
    },
    /// The elements that the steps give do not fit the output without loss.
    #[error("the steps give {found}, which does not fit into {output} without loss")]
    Output {
        /// The dtype after the last step.
        found: Dtype,
        /// The dtype of the output.
        output: Dtype,
    },
}

impl Pass {
    /// The number of elements in a sample.
    pub fn element_count(&self) -> usize {
        self.channels * self.pixels
    }

    /// The size of a sample in the source.
    pub fn source_bytes(&self) -> usize {
        self.element_count() * self.source.item_bytes()
    }

    /// The size of a slot in the batch.
    pub fn output_bytes(&self) -> usize {
        self.element_count() * self.output.item_bytes()
    }

    /// Where element `pixel` of `channel` lies in the source, counted in elements.
    pub(crate) fn source_index(&self, channel: usize, pixel: usize) -> usize {
        match self.arrangement {
            Arrangement::Planar => channel * self.pixels + pixel,
            Arrangement::Interleaved => pixel * self.channels + channel,
        }
    }

    /// Whether the elements of the source are to be swapped before they are read.
    pub(crate) fn is_swapped(&self) -> bool {
        self.byte_order != ByteOrder::NATIVE && self.source.swapped_bytes() > 1
    }

    /// From one element of a channel to the next in the source, counted in elements.
    pub(crate) fn source_step(&self) -> usize {
        match self.arrangement {
            Arrangement::Planar => 1,
            Arrangement::Interleaved => self.channels,
        }
    }

    /// Whether the pass has a meaning.
    ///
    /// # Errors
    /// [`PassError`] for the first step that has none.
    pub fn check(&self) -> Result<(), PassError> {
        let mut dtype = self.source;
        for (step, what) in self.steps.iter().enumerate() {
            dtype = self.check_step(step, what, dtype)?;
        }
        if dtype == self.output || dtype.widens_to(self.output) {
            return Ok(());
        }
        Err(PassError::Output { found: dtype, output: self.output })
    }

    fn check_step(&self, step: usize, what: &Step, dtype: Dtype) -> Result<Dtype, PassError> {
        match what {
            Step::Cast(_) if dtype.is_complex() => Err(PassError::Complex { step, found: dtype }),
            Step::Cast(to) if to.holds_results() || is_truncated_to(*to) => Ok(*to),
            Step::Cast(to) => Err(PassError::CastTarget { step, found: *to }),
            Step::Multiply(numbers) | Step::Divide(numbers) | Step::Subtract(numbers) => {
                if !dtype.holds_results() {
                    return Err(PassError::Operand { step, found: dtype });
                }
                if numbers.is_empty() || !self.channels.is_multiple_of(numbers.len()) {
                    let found = numbers.len();
                    return Err(PassError::NumberCount { step, channels: self.channels, found });
                }
                Ok(dtype)
            }
            Step::Clip { least, greatest } => {
                let fits = match whole_bounds((*least, *greatest), dtype) {
                    Some((least, greatest)) => least <= greatest,
                    None => dtype.holds_results(),
                };
                let has_order = least <= greatest;
                if fits && has_order { Ok(dtype) } else { Err(PassError::Clip { step, found: dtype }) }
            }
        }
    }
}

/// The integers that floats are cast to: those that f64 registers hold, and that batches are made of.
fn is_truncated_to(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16 | Dtype::I32)
}

/// The least and the greatest integer of `dtype` that lie between the bounds; `None` if it has none but bool's.
#[expect(clippy::cast_possible_truncation, reason = "saturates, and is brought into the range after")]
pub(crate) fn whole_bounds((least, greatest): (f64, f64), dtype: Dtype) -> Option<(i128, i128)> {
    let (lowest, highest) = dtype.integer_range()?;
    Some(((least.ceil() as i128).max(lowest), (greatest.floor() as i128).min(highest)))
}
