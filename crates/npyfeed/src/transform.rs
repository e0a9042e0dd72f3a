//! What the user wants done with each sample, as plain data. What it means is in `chain.rs`.

use npyfeed_array::Dtype;

/// A change of one sample. Names, arguments and results are torchvision's and MONAI's.
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// `[height, width, channel]` or `[height, width]` to `[channel, height, width]`. u8 becomes f32
    /// divided by 255; any other dtype stays as it is.
    ///
    /// Source: `torchvision.transforms.ToTensor` for an ndarray.
    ToTensor,
    /// Another dtype. With `scale`, integers become floats between 0 (or -1) and 1: they are divided by
    /// the greatest value of their dtype, and floats between 0 and 1 become u8.
    ///
    /// Source: `torchvision.transforms.v2.ToDtype`.
    ToDtype {
        /// The dtype that comes out.
        dtype: Dtype,
        /// Whether integers are mapped to the range of a picture in floats.
        scale: bool,
    },
    /// `(x - mean) / std`, one number for each channel, or one for all. The channel is the third axis
    /// from the end.
    ///
    /// Source: `torchvision.transforms.Normalize`.
    Normalize {
        /// Subtracted.
        mean: Vec<f64>,
        /// Divided by afterwards.
        std: Vec<f64>,
    },
    /// A new first axis of length 1: `[height, width]` to `[1, height, width]`.
    ///
    /// Source: `monai.transforms.EnsureChannelFirst(channel_dim="no_channel")`.
    AddChannel,
    /// The box from `start` to `end`, which it does not contain: along the last axes, one number for each.
    /// Only its bytes are read.
    ///
    /// Source: `monai.transforms.SpatialCrop(roi_start=, roi_end=)`.
    SpatialCrop {
        /// The first index along each axis.
        start: Vec<usize>,
        /// The first index behind the box; 0: the end of the axis.
        end: Vec<usize>,
    },
    /// A box of this size in the middle. Only its bytes are read.
    ///
    /// Source: `monai.transforms.CenterSpatialCrop`.
    CenterSpatialCrop {
        /// How long it is.
        size: BoxSize,
    },
    /// A box of this size at a place drawn for each sample and epoch. Only its bytes are read.
    ///
    /// Source: `monai.transforms.RandSpatialCrop(random_size=False)`.
    RandSpatialCrop {
        /// How long it is.
        size: BoxSize,
    },
    /// A picture of this height and width in the middle of the last two axes. Only its bytes are read.
    ///
    /// Source: `torchvision.transforms.CenterCrop` of a tensor.
    CenterCrop {
        /// Height and width.
        size: [usize; 2],
    },
    /// A picture of this height and width at a place drawn for each sample and epoch, in the last two axes. Only
    /// its bytes are read.
    ///
    /// Source: `torchvision.transforms.RandomCrop` of a tensor, without padding.
    RandomCrop {
        /// Height and width.
        size: [usize; 2],
    },
    /// `(x - from.0) / (from.1 - from.0)`, and then `x * (to.1 - to.0) + to.0`: f32 comes out.
    ///
    /// Source: `monai.transforms.ScaleIntensityRange`.
    ScaleIntensityRange {
        /// What becomes 0 and 1.
        from: (f64, f64),
        /// What 0 and 1 become then.
        to: Option<(f64, f64)>,
        /// Whether what is beyond `to` becomes the end of it.
        clip: bool,
    },
    /// What is less than `min` becomes `min`, what is greater than `max` becomes `max`; NaN stays NaN. After it a cast
    /// to integers between which the bounds lie loses nothing but fractions.
    ///
    /// Source: `torch.clamp`.
    Clip {
        /// The least that comes out.
        min: f64,
        /// The greatest that comes out.
        max: f64,
    },
}

/// How long a box is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoxSize {
    /// Along each of the last axes, as many as there are numbers; 0: the whole axis.
    Each(Vec<usize>),
    /// Along every axis but that of the channels, which is the first. Of samples with 2 or 3 axes it must be known
    /// that they have one, from a transform before.
    Every(usize),
}

impl<const AXES: usize> From<[usize; AXES]> for BoxSize {
    fn from(lengths: [usize; AXES]) -> BoxSize {
        BoxSize::Each(lengths.into())
    }
}

impl Transform {
    /// The name as users type it.
    pub fn name(&self) -> &'static str {
        match self {
            Transform::ToTensor => "ToTensor",
            Transform::ToDtype { .. } => "ToDtype",
            Transform::Normalize { .. } => "Normalize",
            Transform::AddChannel => "AddChannel",
            Transform::SpatialCrop { .. } => "SpatialCrop",
            Transform::CenterSpatialCrop { .. } => "CenterSpatialCrop",
            Transform::RandSpatialCrop { .. } => "RandSpatialCrop",
            Transform::CenterCrop { .. } => "CenterCrop",
            Transform::RandomCrop { .. } => "RandomCrop",
            Transform::ScaleIntensityRange { .. } => "ScaleIntensityRange",
            Transform::Clip { .. } => "Clip",
        }
    }
}
