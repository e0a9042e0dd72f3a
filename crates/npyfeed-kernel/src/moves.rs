//! Source and output of one dtype, no arithmetic: bytes are moved, and reordered if interleaved.

use npyfeed_array::{Dtype, Element};

use crate::pass::{Arrangement, Pass};

/// Whether the pass changes nothing but places.
pub(crate) fn applies(pass: &Pass) -> bool {
    pass.source == pass.output && pass.steps.is_empty() && pass.source != Dtype::Bool
}

/// Fills `slot` with the sample.
pub(crate) fn fill(pass: &Pass, sample: &[u8], slot: &mut [u8]) {
    match pass.arrangement {
        Arrangement::Planar => slot.copy_from_slice(sample),
        Arrangement::Interleaved => match pass.source.item_bytes() {
            1 => deinterleave::<u8>(pass, sample, slot),
            2 => deinterleave::<u16>(pass, sample, slot),
            4 => deinterleave::<u32>(pass, sample, slot),
            _ => deinterleave::<u64>(pass, sample, slot),
        },
    }
}

/// `[pixel, channel]` to `[channel, pixel]`, for elements of the size of `T`, whatever they mean.
fn deinterleave<T: Element>(pass: &Pass, sample: &[u8], slot: &mut [u8]) {
    let item_bytes = size_of::<T>();
    let planes = slot.chunks_exact_mut(pass.pixels * item_bytes);
    for (channel, plane) in planes.enumerate() {
        let pixels = sample.chunks_exact(pass.channels * item_bytes);
        for (to, pixel) in plane.chunks_exact_mut(item_bytes).zip(pixels) {
            to.copy_from_slice(&pixel[channel * item_bytes..(channel + 1) * item_bytes]);
        }
    }
}
