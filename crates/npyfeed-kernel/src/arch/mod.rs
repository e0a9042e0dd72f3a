//! The vector loops, and which of them this CPU can run.
//!
//! Two ways to vector code, each algorithm written once. Loops that a compiler turns into vectors by itself
//! are a [`Work`], in safe Rust; [`Cpu::run`] has each compiled once for every instruction set. What it does
//! not find is written over the trait of `vector.rs` (`standardize.rs`); a file for each instruction set says
//! what one vector of it can do. Three small duties beside them: how floats behave (`floats.rs`), stores past
//! the cache (`streaming.rs`), and asking for memory ahead. Elsewhere the crate has no `unsafe`.

#[cfg(target_arch = "aarch64")]
mod aarch64_neon;
mod floats;
mod setting;
mod standardize;
mod streaming;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86_avx2;
#[cfg(target_arch = "x86_64")]
mod x86_avx512;

pub use floats::DefaultFloats;
pub use setting::CpuError;
pub(crate) use standardize::Standardize;
pub(crate) use streaming::{LINE_BYTES, Storing};

use crate::kernel::Stores;

/// A loop in plain Rust, to be compiled for each instruction set. What it calls on its way has to be
/// `#[inline(always)]`: a function of its own would be compiled for the least of CPUs.
pub(crate) trait Work {
    /// Does it, and writes what comes out by `storing`.
    fn run(self, storing: &Storing);
}

/// The vector instructions to use. A value of it is the proof that this CPU has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// What the compiler makes of the loops for every CPU of its kind: SSE2, or NEON.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VBMI.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON, the loop over vectors too.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Cpu {
    /// The level that `NPYFEED_CPU` names, else the best that this CPU has.
    ///
    /// The environment is read once. A value that cannot be followed is what [`Cpu::check_setting`] reports; here
    /// it counts as none.
    ///
    /// ```
    /// use npyfeed_kernel::Cpu;
    /// assert!(Cpu::available().contains(&Cpu::detect()));
    /// ```
    pub fn detect() -> Cpu {
        let best = || Cpu::available().last().copied().unwrap_or(Cpu(Level::Portable));
        setting::read().as_ref().ok().copied().flatten().unwrap_or_else(best)
    }

    /// Whether `NPYFEED_CPU` can be followed, if it is there.
    ///
    /// # Errors
    /// [`CpuError`] if it names no level, or one that this CPU lacks.
    pub fn check_setting() -> Result<(), CpuError> {
        setting::read().as_ref().map(|_| ()).map_err(CpuError::clone)
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
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi")
            {
                found.push(Cpu(Level::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            found.push(Cpu(Level::Neon));
        }
        found
    }

    /// `"portable"`, `"avx2"`, `"avx512"` or `"neon"`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Level::Neon => "neon",
        }
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }

    /// How many f32 are computed with at a time.
    pub(crate) fn lanes(self) -> usize {
        match self.0 {
            Level::Portable => 4,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => 16,
            #[cfg(target_arch = "aarch64")]
            Level::Neon => 4,
        }
    }

    /// Does the work with the instructions of this level.
    #[inline]
    pub(crate) fn run(self, stores: Stores, work: impl Work) {
        let storing = Storing::begin(stores);
        match self.0 {
            Level::Portable => work.run(&storing),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Cpu` is the proof that the instructions are there.
            Level::Avx2 => unsafe { x86_avx2::run(work, &storing) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { x86_avx512::run(work, &storing) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Level::Neon => unsafe { aarch64_neon::run(work, &storing) },
        }
    }
}

/// Asks the CPU to bring the first bytes of a sample near, some samples before it is needed.
///
/// Samples lie at random places, so the first access to each waits for memory (about 100 ns); from the
/// second kilobyte on the CPU sees the pattern by itself.
pub fn prefetch(sample: &[u8]) {
    const AHEAD_BYTES: usize = 1024;
    prefetch_all(&sample[..sample.len().min(AHEAD_BYTES)]);
}

/// Asks the CPU to bring all of `bytes` near.
#[inline(always)]
pub(crate) fn prefetch_all(bytes: &[u8]) {
    for line in bytes.chunks(LINE_BYTES) {
        prefetch_line(line.as_ptr());
    }
    // Bytes that do not begin on a line end in one more.
    if let [_, .., last] = bytes {
        prefetch_line(last);
    }
}

/// Asks the CPU to bring the line at this address near, whatever lies there.
#[inline(always)]
pub(crate) fn prefetch_line(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that the program sees and faults on no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; the intrinsic is not stable yet.
    unsafe {
        use std::arch::asm;
        asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, readonly, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}
