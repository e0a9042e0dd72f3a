//! What the user wants done with each sample, as plain data. What it means is in `chain.rs`.

use npyfeed_array::Dtype;

/// A change of one sample. Names, arguments and results are torchvision's.
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
    /// Source: `monai.transforms.AddChannel`.
    AddChannel,
    /// The box from `start` to `end`, which it does not contain: along the last axes, one number for each.
    /// Only its bytes are read.
    ///
    /// Source: `monai.transforms.SpatialCrop(roi_start=, roi_end=)`.
    SpatialCrop {
        /// The first index along each axis.
        start: Vec<usize>,
        /// The first index behind the box.
        end: Vec<usize>,
    },
    /// A box of this size in the middle, along the last axes. Only its bytes are read.
    ///
    /// Source: `monai.transforms.CenterSpatialCrop`.
    CenterSpatialCrop {
        /// Its length along each axis; 0: the whole axis.
        size: Vec<usize>,
    },
    /// A box of this size at a place drawn for each sample and epoch, along the last axes. Only its bytes are read.
    ///
    /// Source: `monai.transforms.RandSpatialCrop(random_size=False)`.
    RandSpatialCrop {
        /// Its length along each axis; 0: the whole axis.
        size: Vec<usize>,
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
            Transform::Clip { .. } => "Clip",
        }
    }
}
