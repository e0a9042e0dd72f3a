//! What a pass means, in Rust's own words, and which have no meaning.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the cast under test")]

use npyfeed_array::{ByteOrder, Dtype};
use npyfeed_kernel::{Arrangement, Cpu, Kernel, Pass, PassError, Step, Stores};

/// The output of the plain loop.
fn filled(pass: &Pass, sample: &[u8]) -> Vec<u8> {
    let mut slot = vec![0; pass.output_bytes()];
    Kernel::plain(pass.clone()).unwrap().fill(sample, &mut slot);
    slot
}

#[test]
fn plain_is_what_rust_says_of_casts() {
    let elements = [f64::NAN, -0.0, 1e300, 65520.0, 0.1];
    let pass = Pass {
        source: Dtype::F64,
        byte_order: ByteOrder::NATIVE,
        output: Dtype::F16,
        channels: 1,
        pixels: 5,
        arrangement: Arrangement::Planar,
        steps: vec![Step::Cast(Dtype::F16)],
    };
    let slot = filled(&pass, bytemuck::cast_slice(&elements));
    let found: Vec<half::f16> = bytemuck::pod_collect_to_vec(&slot);
    for (found, element) in found.into_iter().zip(elements) {
        assert_eq!(found.to_bits(), half::f16::from_f32(element as f32).to_bits(), "{element}");
    }
}

#[test]
fn plain_is_what_rust_says_of_truncation() {
    let elements = [f64::NAN, -0.0, 1e300, -1e300, 255.9, -0.9, 127.5, f64::INFINITY];
    let pass = |output, steps| Pass {
        source: Dtype::F64,
        byte_order: ByteOrder::NATIVE,
        output,
        channels: 1,
        pixels: elements.len(),
        arrangement: Arrangement::Planar,
        steps,
    };
    let run = |pass: Pass| filled(&pass, bytemuck::cast_slice(&elements));
    let found = run(pass(Dtype::I8, vec![Step::Cast(Dtype::I8)]));
    assert_eq!(found, elements.map(|x| (x as i8).cast_unsigned()));
    let clipped = run(pass(Dtype::F64, vec![Step::Clip { least: -0.5, greatest: 200.0 }]));
    let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let found: Vec<f64> = bytemuck::pod_collect_to_vec(&clipped);
    assert_eq!(bits(&found), bits(&[f64::NAN, -0.0, 200.0, -0.5, 200.0, -0.5, 127.5, 200.0]));
}

#[test]
fn plain_reads_big_endian_as_rust_does() {
    let elements = [1.5_f32, -2.25, 1e-40];
    let sample: Vec<u8> = elements.iter().flat_map(|x| x.to_be_bytes()).collect();
    for steps in [vec![], vec![Step::Cast(Dtype::F32)]] {
        let pass = Pass {
            source: Dtype::F32,
            byte_order: ByteOrder::Big,
            output: Dtype::F32,
            channels: 1,
            pixels: 3,
            arrangement: Arrangement::Planar,
            steps,
        };
        let slot = filled(&pass, &sample);
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, f32>(&slot), elements);
    }
}

#[test]
fn passes_without_meaning_are_refused() {
    let pass = |output, steps| Pass {
        source: Dtype::I32,
        byte_order: ByteOrder::NATIVE,
        output,
        channels: 3,
        pixels: 2,
        arrangement: Arrangement::Planar,
        steps,
    };
    let clip = |least, greatest| Step::Clip { least, greatest };
    let complex = Pass { source: Dtype::C64, ..pass(Dtype::F32, vec![Step::Cast(Dtype::F32)]) };
    let narrow = |steps| Pass { source: Dtype::F8E5M2, ..pass(Dtype::F8E5M2, steps) };
    let cases = [
        (narrow(vec![Step::Cast(Dtype::F8E5M2)]), PassError::CastTarget { step: 0, found: Dtype::F8E5M2 }),
        (narrow(vec![Step::Divide(vec![2.0])]), PassError::Operand { step: 0, found: Dtype::F8E5M2 }),
        (
            Pass { output: Dtype::F8E4M3, ..narrow(vec![]) },
            PassError::Output { found: Dtype::F8E5M2, output: Dtype::F8E4M3 },
        ),
        (complex, PassError::Complex { step: 0, found: Dtype::C64 }),
        (pass(Dtype::I16, vec![]), PassError::Output { found: Dtype::I32, output: Dtype::I16 }),
        (pass(Dtype::U64, vec![]), PassError::Output { found: Dtype::I32, output: Dtype::U64 }),
        (pass(Dtype::F32, vec![]), PassError::Output { found: Dtype::I32, output: Dtype::F32 }),
        (
            pass(Dtype::I64, vec![Step::Cast(Dtype::I64)]),
            PassError::CastTarget { step: 0, found: Dtype::I64 },
        ),
        (
            pass(Dtype::U32, vec![Step::Cast(Dtype::U8), Step::Cast(Dtype::I8)]),
            PassError::Output { found: Dtype::I8, output: Dtype::U32 },
        ),
        (narrow(vec![clip(0.0, 1.0)]), PassError::Clip { step: 0, found: Dtype::F8E5M2 }),
        (pass(Dtype::I32, vec![clip(0.2, 0.8)]), PassError::Clip { step: 0, found: Dtype::I32 }),
        (pass(Dtype::I32, vec![clip(1e10, 1e11)]), PassError::Clip { step: 0, found: Dtype::I32 }),
        (pass(Dtype::I32, vec![clip(1.0, 0.0)]), PassError::Clip { step: 0, found: Dtype::I32 }),
        (pass(Dtype::I32, vec![clip(f64::NAN, 0.0)]), PassError::Clip { step: 0, found: Dtype::I32 }),
        (pass(Dtype::I32, vec![Step::Divide(vec![2.0])]), PassError::Operand { step: 0, found: Dtype::I32 }),
        (
            pass(Dtype::F32, vec![Step::Cast(Dtype::F32), Step::Subtract(vec![1.0, 2.0])]),
            PassError::NumberCount { step: 1, channels: 3, found: 2 },
        ),
    ];
    for (pass, expected) in cases {
        assert_eq!(Kernel::new(pass, Stores::Cached, Cpu::detect()).unwrap_err(), expected);
    }
}
