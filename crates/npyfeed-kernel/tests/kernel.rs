//! Every loop on every CPU level gives the bytes of the plain loop.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]

use npyfeed_array::{Buffer, ByteOrder, Dtype};
use npyfeed_kernel::{Arrangement, Cpu, Kernel, Pass, PassError, Step, Stores};
use proptest::prelude::*;

const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

fn image_pass(pixels: usize, arrangement: Arrangement, steps: Vec<Step>) -> Pass {
    let (source, byte_order) = (Dtype::U8, ByteOrder::NATIVE);
    Pass { source, byte_order, output: Dtype::F32, channels: 3, pixels, arrangement, steps }
}

fn normalise_steps() -> Vec<Step> {
    vec![
        Step::Cast(Dtype::F32),
        Step::Divide(vec![255.0]),
        Step::Subtract(IMAGENET_MEAN.to_vec()),
        Step::Divide(IMAGENET_STD.to_vec()),
    ]
}

/// The output of `kernel` in a slot that starts `offset_bytes` after a 64-byte boundary.
fn filled(kernel: &Kernel, pass: &Pass, sample: &[u8], offset_bytes: usize) -> Vec<u8> {
    let mut buffer = Buffer::zeroed(offset_bytes + pass.output_bytes()).unwrap();
    kernel.fill(sample, &mut buffer.bytes_mut()[offset_bytes..]);
    buffer.bytes()[offset_bytes..].to_vec()
}

/// As `filled`, in parts of uneven sizes, the last one first.
fn filled_in_parts(kernel: &Kernel, pass: &Pass, sample: &[u8], offset_bytes: usize) -> Vec<u8> {
    let mut buffer = Buffer::zeroed(offset_bytes + pass.output_bytes()).unwrap();
    let slot = &mut buffer.bytes_mut()[offset_bytes..];
    let (total, item_bytes) = (pass.element_count(), pass.output.item_bytes());
    let mut ends: Vec<usize> = kernel.parts(3).map(|part| part.end).collect();
    ends.extend([1, total / 2, total / 2 + 7].into_iter().filter(|&end| end <= total));
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.clone());
    for (start, end) in starts.zip(ends.clone()).collect::<Vec<_>>().into_iter().rev() {
        let part = &mut slot[start * item_bytes..end * item_bytes];
        kernel.fill_part(sample, start..end, part);
        if kernel.keeps_order() {
            let of_whole = part.to_vec();
            part.fill(0);
            let source_bytes = pass.source.item_bytes();
            kernel.fill_elements(&sample[start * source_bytes..end * source_bytes], start..end, part);
            assert_eq!(part, of_whole, "{start}..{end} from their bytes alone");
        }
    }
    slot.to_vec()
}

/// Checks all loops that this machine has against the plain one.
fn check(pass: &Pass, sample: &[u8]) {
    let expected = filled(&Kernel::plain(pass.clone()).unwrap(), pass, sample, 0);
    for cpu in Cpu::available() {
        for stores in [Stores::Cached, Stores::Streaming] {
            let kernel = Kernel::new(pass.clone(), stores, cpu).unwrap();
            for offset_bytes in [0, 32, 4, 1] {
                let context = (kernel.name(), cpu.name(), stores, offset_bytes);
                let found = filled(&kernel, pass, sample, offset_bytes);
                assert!(found == expected, "{context:?} differs from plain on {pass:?}");
            }
            let found = filled_in_parts(&kernel, pass, sample, 4);
            let context = (kernel.name(), cpu.name(), stores);
            assert!(found == expected, "{context:?} in parts differs from plain on {pass:?}");
        }
    }
}

fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn images_are_normalised_by_the_vector_loop_where_the_cpu_has_one() {
    for cpu in Cpu::available() {
        let pass = image_pass(224 * 224, Arrangement::Interleaved, normalise_steps());
        let name = Kernel::new(pass, Stores::Streaming, cpu).unwrap().name();
        assert_eq!(name, if cpu.name() == "portable" { "table" } else { "vector" });
    }
}

#[test]
fn every_byte_value_is_standardised_as_by_separate_operations() {
    let all_bytes: Vec<u8> = (0..=u8::MAX).flat_map(|byte| [byte; 3]).collect();
    let slot = {
        let pass = image_pass(256, Arrangement::Interleaved, normalise_steps());
        let kernel = Kernel::new(pass.clone(), Stores::Cached, Cpu::detect()).unwrap();
        bytemuck::pod_collect_to_vec::<u8, f32>(&filled(&kernel, &pass, &all_bytes, 0))
    };
    for channel in 0..3 {
        let (mean, std) = (IMAGENET_MEAN[channel] as f32, IMAGENET_STD[channel] as f32);
        for byte in 0..256 {
            let expected = (byte as f32 / 255.0 - mean) / std;
            assert_eq!(slot[channel * 256 + byte].to_bits(), expected.to_bits(), "{channel} {byte}");
        }
    }
}

/// More channels than tables are made for: sources of one byte that go through blocks of registers.
#[test]
fn one_byte_sources_of_many_channels_give_the_bytes_of_the_plain_loop() {
    const CHANNELS: usize = 1030;
    let is_one_byte = |dtype: &Dtype| dtype.item_bytes() == 1;
    for source in Dtype::ALL.into_iter().filter(is_one_byte) {
        for output in [float_dtypes(), TRUNCATED.to_vec()].concat() {
            let numbers = (1..=CHANNELS).map(|number| number as f64).collect();
            let computed = if output.is_float() { output } else { Dtype::F32 };
            let steps = vec![Step::Cast(computed), Step::Divide(numbers), Step::Cast(output)];
            let pass =
                Pass { source, output, channels: CHANNELS, ..image_pass(2, Arrangement::Planar, steps) };
            let kernel = Kernel::new(pass.clone(), Stores::Cached, Cpu::detect()).unwrap();
            let expected = if matches!(output, Dtype::F64 | Dtype::I32) { "block" } else { "single" };
            assert_eq!(kernel.name(), expected, "{source} to {output}");
            check(&pass, &bytes(pass.source_bytes(), 1));
        }
    }
}

/// NaNs of all kinds, infinities, the smallest and largest numbers, ties of f16 and bf16, both zeros.
const SPECIAL_F32: [u32; 24] = [
    0,
    1,
    0x7F_FFFF,
    0x80_0000,
    0x3300_0000,
    0x3300_0001,
    0x337F_FFFF,
    0x387F_DFFF,
    0x387F_E000,
    0x387F_FFFF,
    0x3880_0000,
    0x3F80_0000,
    0x3F80_1000,
    0x3F80_3000,
    0x3F80_8000,
    0x3F81_8000,
    0x477F_EFFF,
    0x477F_F000,
    0x7F7F_7FFF,
    0x7F7F_FFFF,
    0x7F80_0000,
    0x7F80_0001,
    0x7FC0_0000,
    0x7FFF_FFFF,
];

/// Chains that volumes, embeddings and images ask for, and one for each operation.
fn chains() -> Vec<Vec<Step>> {
    vec![
        vec![],
        vec![Step::Multiply(vec![0.1])],
        vec![Step::Divide(vec![4096.0])],
        vec![Step::Divide(vec![2_f64.powi(127)])],
        vec![Step::Subtract(vec![-1000.0]), Step::Divide(vec![3000.0])],
        vec![Step::Divide(vec![255.0]), Step::Subtract(vec![0.485]), Step::Divide(vec![0.229])],
        vec![Step::Cast(Dtype::F16), Step::Multiply(vec![3.0]), Step::Cast(Dtype::Bf16)],
    ]
}

#[test]
fn every_16_bit_element_gives_the_bytes_of_the_plain_loop() {
    let every: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_ne_bytes).collect();
    for source in [Dtype::I16, Dtype::U16, Dtype::F16, Dtype::Bf16] {
        for (index, mut steps) in chains().into_iter().enumerate() {
            // Each chain meets two of the outputs and each source both byte orders.
            let outputs = [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::U8, Dtype::I32, Dtype::F64];
            steps.insert(0, Step::Cast(Dtype::F32));
            steps.push(Step::Cast(
                outputs[(index + source.item_bytes() * usize::from(source.is_float())) % 6],
            ));
            let byte_order = [ByteOrder::Little, ByteOrder::Big][index % 2];
            let (channels, arrangement) =
                [(1, Arrangement::Planar), (4, Arrangement::Interleaved)][index % 2];
            let pixels = every.len() / 2 / channels;
            let output = outputs[(index + source.item_bytes() * usize::from(source.is_float())) % 6];
            check(&Pass { source, byte_order, output, channels, pixels, arrangement, steps }, &every);
        }
    }
}

#[test]
fn special_floats_give_the_bytes_of_the_plain_loop() {
    let singles: Vec<f32> =
        SPECIAL_F32.into_iter().flat_map(|bits| [bits, bits | 1 << 31]).map(f32::from_bits).collect();
    // Neighbours of the singles too, on both sides.
    let doubles = singles.iter().map(|&x| f64::from(x)).flat_map(|x| {
        let bits = x.to_bits();
        [bits.wrapping_sub(1), bits, bits + 1].map(f64::from_bits)
    });
    let doubles: Vec<u8> = doubles.flat_map(f64::to_ne_bytes).collect();
    let singles: Vec<u8> = singles.into_iter().flat_map(f32::to_ne_bytes).collect();
    for (source, sample) in [(Dtype::F32, &singles), (Dtype::F64, &doubles)] {
        for mut steps in chains() {
            steps.insert(0, Step::Cast(Dtype::F32));
            for output in [float_dtypes(), TRUNCATED.to_vec()].concat() {
                let clip = Step::Clip { least: -0.0, greatest: 40000.0 };
                let steps = [&steps[..], &[clip, Step::Cast(output)]].concat();
                let pixels = sample.len() / source.item_bytes();
                let pass = image_pass(pixels, Arrangement::Planar, steps);
                check(&Pass { source, output, channels: 1, ..pass }, sample);
            }
        }
    }
}

#[test]
fn parts_cover_a_sample_and_begin_on_lines() {
    for (pixels, count, expected) in [(0, 4, 0), (1, 4, 1), (16, 4, 1), (17, 4, 2), (1600, 7, 7)] {
        let pass =
            Pass { channels: 1, ..image_pass(pixels, Arrangement::Planar, vec![Step::Cast(Dtype::F32)]) };
        let kernel = Kernel::new(pass, Stores::Cached, Cpu::detect()).unwrap();
        let parts: Vec<_> = kernel.parts(count).collect();
        assert_eq!(parts.len(), expected, "{pixels} pixels in {count}");
        let starts = parts.iter().map(|part| part.start);
        let ends = std::iter::once(0).chain(parts.iter().map(|part| part.end));
        assert!(starts.zip(ends).all(|(start, end)| start == end && start % 16 == 0), "{parts:?}");
        assert_eq!(parts.last().map_or(0, |part| part.end), pixels);
    }
}

#[test]
fn empty_samples_fill_empty_slots() {
    for (channels, pixels) in [(0, 5), (5, 0), (0, 0)] {
        for arrangement in [Arrangement::Planar, Arrangement::Interleaved] {
            let steps = vec![Step::Cast(Dtype::F32)];
            let pass = Pass { channels, pixels, ..image_pass(pixels, arrangement, steps) };
            check(&pass, &[]);
        }
    }
}

fn arithmetic(channels: usize) -> impl Strategy<Value = Step> {
    let number = prop_oneof![Just(255.0), Just(0.5), -300.0..300.0_f64, 1e-3..1e-2_f64];
    let numbers = prop_oneof![
        prop::collection::vec(number.clone(), 1),
        prop::collection::vec(number, channels.max(1)),
    ];
    (numbers, 0..3).prop_map(|(numbers, kind)| match kind {
        0 => Step::Multiply(numbers),
        1 => Step::Divide(numbers),
        _ => Step::Subtract(numbers),
    })
}

/// What floats and wider integers are brought to.
const TRUNCATED: [Dtype; 5] = [Dtype::U8, Dtype::I8, Dtype::U16, Dtype::I16, Dtype::I32];

fn float_dtypes() -> Vec<Dtype> {
    Dtype::ALL.into_iter().filter(|dtype| dtype.holds_results()).collect()
}

fn float() -> impl Strategy<Value = Dtype> {
    prop::sample::select(float_dtypes())
}

/// Around the ends of each integer dtype, among ordinary numbers.
fn clip() -> impl Strategy<Value = Step> {
    let bound = prop_oneof![
        -300.5..300.0_f64,
        prop::sample::select(vec![-0.0, 255.0, 255.5, -40000.0, 1e10, f64::INFINITY, f64::NEG_INFINITY]),
    ];
    (bound.clone(), bound)
        .prop_map(|(one, other)| Step::Clip { least: one.min(other), greatest: one.max(other) })
}

fn byte_order() -> impl Strategy<Value = ByteOrder> {
    prop::sample::select(vec![ByteOrder::Little, ByteOrder::Big])
}

fn real_dtypes() -> Vec<Dtype> {
    Dtype::ALL.into_iter().filter(|dtype| !dtype.is_complex()).collect()
}

/// A cast, then arithmetic with casts between, then the output that fits.
fn any_pass() -> impl Strategy<Value = Pass> {
    let shape = (1..5_usize, 0..600_usize);
    let dtypes = (prop::sample::select(real_dtypes()), byte_order(), float());
    let arrangement = prop::sample::select(vec![Arrangement::Planar, Arrangement::Interleaved]);
    (shape, dtypes, arrangement).prop_flat_map(
        |((channels, pixels), (source, byte_order, output), arrangement)| {
            let step = prop_oneof![3 => arithmetic(channels), 1 => float().prop_map(Step::Cast)];
            prop::collection::vec(step, 0..4).prop_map(move |mut steps| {
                steps.insert(0, Step::Cast(Dtype::F32));
                steps.push(Step::Cast(output));
                Pass { source, byte_order, output, channels, pixels, arrangement, steps }
            })
        },
    )
}

/// What images and volumes ask for most, so that the vector loop gets its share of the cases.
fn standardisation() -> impl Strategy<Value = Pass> {
    let numbers = prop::collection::vec(0.01..2.0_f64, 3);
    let arrangement = prop::sample::select(vec![Arrangement::Planar, Arrangement::Interleaved]);
    (0..300_usize, numbers.clone(), numbers, arrangement, 0..3).prop_map(
        |(pixels, mean, std, arrangement, kind)| {
            let steps = match kind {
                0 => vec![Step::Cast(Dtype::F32)],
                1 => vec![Step::Cast(Dtype::F32), Step::Divide(vec![255.0])],
                _ => vec![
                    Step::Cast(Dtype::F32),
                    Step::Divide(vec![255.0]),
                    Step::Subtract(mean),
                    Step::Divide(std),
                ],
            };
            image_pass(pixels, arrangement, steps)
        },
    )
}

/// No arithmetic: the same dtype, or a wider integer.
fn moves_and_widenings() -> impl Strategy<Value = Pass> {
    let pairs: Vec<(Dtype, Dtype)> = Dtype::ALL
        .into_iter()
        .flat_map(|source| Dtype::ALL.map(|output| (source, output)))
        .filter(|&(source, output)| {
            let pass = Pass {
                source,
                byte_order: ByteOrder::NATIVE,
                output,
                channels: 1,
                pixels: 1,
                arrangement: Arrangement::Planar,
                steps: vec![],
            };
            Kernel::plain(pass).is_ok()
        })
        .collect();
    assert!(pairs.len() > Dtype::ALL.len(), "each dtype to itself, and the widenings");
    let arrangement = prop::sample::select(vec![Arrangement::Planar, Arrangement::Interleaved]);
    (prop::sample::select(pairs), byte_order(), 1..5_usize, 0..600_usize, arrangement).prop_map(
        |((source, output), byte_order, channels, pixels, arrangement)| Pass {
            source,
            byte_order,
            output,
            channels,
            pixels,
            arrangement,
            steps: vec![],
        },
    )
}

/// Integers and floats to integers, clipped or not, and what becomes of them then.
fn truncation() -> impl Strategy<Value = Pass> {
    let shape = (1..5_usize, 0..600_usize);
    let dtypes = (prop::sample::select(real_dtypes()), byte_order());
    let arrangement = prop::sample::select(vec![Arrangement::Planar, Arrangement::Interleaved]);
    let cast = prop_oneof![prop::sample::select(TRUNCATED.to_vec()), float()].prop_map(Step::Cast);
    let steps = prop::collection::vec(prop_oneof![cast, clip()], 1..5);
    (shape, dtypes, arrangement, steps, prop::sample::select(Dtype::ALL.to_vec()))
        .prop_map(|((channels, pixels), (source, byte_order), arrangement, steps, output)| Pass {
            source,
            byte_order,
            output,
            channels,
            pixels,
            arrangement,
            steps,
        })
        .prop_filter_map("without meaning", |mut pass| match pass.check() {
            Ok(()) => Some(pass),
            // The dtype that the steps give, most of the time; the one drawn if it is a wider one.
            Err(PassError::Output { found, .. }) => {
                pass.output = found;
                Some(pass)
            }
            Err(_) => None,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_chain_gives_the_bytes_of_the_plain_loop(pass in any_pass(), seed: u64) {
        check(&pass, &bytes(pass.source_bytes(), seed));
    }

    #[test]
    fn any_truncation_gives_the_bytes_of_the_plain_loop(pass in truncation(), seed: u64) {
        check(&pass, &bytes(pass.source_bytes(), seed));
    }

    #[test]
    fn any_standardisation_gives_the_bytes_of_the_plain_loop(pass in standardisation(), seed: u64) {
        check(&pass, &bytes(pass.source_bytes(), seed));
    }

    #[test]
    fn moves_and_widenings_give_the_bytes_of_the_plain_loop(pass in moves_and_widenings(), seed: u64) {
        check(&pass, &bytes(pass.source_bytes(), seed));
    }
}
