//! Source and output of one dtype, no arithmetic: bytes are moved, and reordered if interleaved.

use npyfeed_array::Dtype;

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
            1 => deinterleave::<1>(pass, sample, slot),
            2 => deinterleave::<2>(pass, sample, slot),
            4 => deinterleave::<4>(pass, sample, slot),
            8 => deinterleave::<8>(pass, sample, slot),
            _ => deinterleave::<16>(pass, sample, slot),
        },
    }
    if pass.is_swapped() {
        swap_numbers(pass.source, slot);
    }
}

/// Turns the bytes of each number round.
pub(crate) fn swap_numbers(dtype: Dtype, bytes: &mut [u8]) {
    match dtype.swapped_bytes() {
        2 => swap::<2>(bytes),
        4 => swap::<4>(bytes),
        _ => swap::<8>(bytes),
    }
}

/// `[pixel, channel]` to `[channel, pixel]`, for elements of `N` bytes, whatever they mean.
fn deinterleave<const N: usize>(pass: &Pass, sample: &[u8], slot: &mut [u8]) {
    let planes = slot.chunks_exact_mut(pass.pixels * N);
    for (channel, plane) in planes.enumerate() {
        let pixels = sample.chunks_exact(pass.channels * N);
        for (to, pixel) in plane.chunks_exact_mut(N).zip(pixels) {
            to.copy_from_slice(&pixel[channel * N..(channel + 1) * N]);
        }
    }
}

/// The bytes were written a moment ago and are still in the cache.
fn swap<const N: usize>(slot: &mut [u8]) {
    let (numbers, _) = slot.as_chunks_mut::<N>();
    for number in numbers {
        number.reverse();
    }
}
