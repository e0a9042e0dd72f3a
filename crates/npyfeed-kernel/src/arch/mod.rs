//! The vector loops, and which of them this CPU can run.
//!
//! The algorithm, `standardize.rs`, is written once over the trait of `vector.rs`; a file for each
//! instruction set says what one vector of it can do. Two small duties beside it: how floats behave
//! (`floats.rs`), and asking for memory ahead. Elsewhere the crate has no `unsafe`.

mod floats;
mod standardize;
#[cfg(target_arch = "x86_64")]
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86_avx2;
#[cfg(target_arch = "x86_64")]
mod x86_avx512;

pub use floats::DefaultFloats;
pub(crate) use standardize::Standardize;

/// The vector instructions to use. A value of it is the proof that this CPU has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// No vector loops of our own.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW and VBMI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Cpu {
    /// The best that this CPU has.
    pub fn detect() -> Cpu {
        Cpu::available().last().copied().unwrap_or(Cpu(Level::Portable))
    }

    /// All that this CPU has, the best last. Tests go through them; every one gives the same bytes.
    pub fn available() -> Vec<Cpu> {
        let mut found = vec![Cpu(Level::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Cpu(Level::Avx2));
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi")
            {
                found.push(Cpu(Level::Avx512));
            }
        }
        found
    }

    /// `"portable"`, `"avx2"` or `"avx512"`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

/// Asks the CPU to bring the first bytes of a sample near, some samples before it is needed.
///
/// Samples lie at random places, so the first access to each waits for memory (about 100 ns); from the
/// second kilobyte on the CPU sees the pattern by itself.
pub fn prefetch(sample: &[u8]) {
    const LINE_BYTES: usize = 64;
    const AHEAD_BYTES: usize = 1024;
    for line in sample[..sample.len().min(AHEAD_BYTES)].chunks(LINE_BYTES) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing that the program sees and faults on no address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _: &[u8] = line;
    }
}
