//! How the CPU treats floats: rounding to nearest, with denormal numbers kept.
//!
//! A program can change that for a thread (`torch.set_flush_denormal(True)` does), and threads that it
//! starts inherit it. The same seed must give the same bytes all the same, and Rust takes the default
//! for granted, so whoever runs kernels holds a [`DefaultFloats`].

/// While it lives, this thread's floats behave as IEEE 754 has them by default.
#[derive(Debug)]
pub struct DefaultFloats {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    before: Control,
    /// It belongs to the thread it was made on.
    _not_send: std::marker::PhantomData<*const ()>,
}

/// What the register that says so holds: MXCSR, or FPCR.
#[cfg(target_arch = "x86_64")]
type Control = u32;
#[cfg(target_arch = "aarch64")]
type Control = u64;

/// All exceptions masked, rounding to nearest, nothing flushed to zero: what a process starts with.
#[cfg(target_arch = "x86_64")]
const DEFAULT: Control = 0x1F80;
#[cfg(target_arch = "aarch64")]
const DEFAULT: Control = 0;

impl DefaultFloats {
    /// Switches to the default, if it was left.
    #[must_use = "floats go back to what they were when it is dropped"]
    pub fn begin() -> DefaultFloats {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let before = swap_control(DEFAULT);
        DefaultFloats {
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            before,
            _not_send: std::marker::PhantomData,
        }
    }
}

impl Drop for DefaultFloats {
    fn drop(&mut self) {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        swap_control(self.before);
    }
}

/// Sets the control register of SSE and gives what it was.
#[cfg(target_arch = "x86_64")]
fn swap_control(new: Control) -> Control {
    let mut before = 0_u32;
    // SAFETY: `stmxcsr` and `ldmxcsr` write and read these four bytes each. What is loaded is the default
    // or a value that was stored here before, so no reserved bit is set.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut before, options(nostack, preserves_flags));
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const new, options(nostack, preserves_flags));
    }
    before
}

/// Sets the control register of floats and gives what it was.
#[cfg(target_arch = "aarch64")]
fn swap_control(new: Control) -> Control {
    let before: Control;
    // SAFETY: reads and writes this register alone. What is written is the default or a value that was read here
    // before, so no reserved bit is set.
    unsafe {
        std::arch::asm!("mrs {}, fpcr", out(reg) before, options(nomem, nostack, preserves_flags));
        std::arch::asm!("msr fpcr, {}", in(reg) new, options(nostack, preserves_flags));
    }
    before
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[cfg(target_arch = "x86_64")]
    const FLUSH_TO_ZERO: Control = 1 << 15;
    #[cfg(target_arch = "aarch64")]
    const FLUSH_TO_ZERO: Control = 1 << 24;

    #[test]
    fn denormal_numbers_are_kept_while_it_lives_and_flushed_again_after() {
        let tiny = || black_box(black_box(1e-30_f32) * black_box(1e-10_f32));
        let before = swap_control(DEFAULT | FLUSH_TO_ZERO);
        let flushed = tiny();
        let floats = DefaultFloats::begin();
        let kept = tiny();
        drop(floats);
        let flushed_again = tiny();
        swap_control(before);
        assert_eq!((flushed, flushed_again), (0.0, 0.0));
        assert!(kept > 0.0);
    }
}
