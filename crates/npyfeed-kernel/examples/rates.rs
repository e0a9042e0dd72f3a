//! How fast each loop is on one thread, beside a copy of as many bytes in the same process.
//!
//! `cargo run --release -p npyfeed-kernel --example rates [portable|avx2|avx512|neon] [part of a pass's name]`. Best of
//! many: a machine shared with others makes a run slower and never faster. Bytes are those read plus those written.
#![allow(clippy::cast_precision_loss, reason = "rates are printed with two digits")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use npyfeed_array::{ByteOrder, Dtype};
use npyfeed_kernel::{Arrangement, Cpu, Kernel, Pass, Step, Stores};

/// A sample that stays in the second-level cache, and as many slots as no cache holds.
const NEAR_PIXELS: usize = 16 * 1024;
const FAR_PIXELS: usize = 96 * 96 * 96;
const FAR_SLOTS: usize = 16;
const BUDGET: Duration = Duration::from_millis(25);

fn main() {
    let wanted = std::env::args().nth(1);
    let cpu = Cpu::available().into_iter().find(|cpu| wanted.as_deref() == Some(cpu.name()));
    let cpu = cpu.unwrap_or(Cpu::detect());
    println!("{}", cpu.name());
    println!("| pass | loop | near, GB/s | of a copy | far, GB/s | of a copy |");
    println!("|:--|:--|--:|--:|--:|--:|");
    let part = std::env::args().nth(2).unwrap_or_default();
    for (name, pass) in passes().into_iter().filter(|(name, _)| name.contains(&part)) {
        let near = Pass { pixels: NEAR_PIXELS, ..pass.clone() };
        let far = Pass { pixels: FAR_PIXELS / pass.channels, ..pass };
        let kernel = Kernel::new(near.clone(), Stores::Cached, cpu).expect("a pass with a meaning").name();
        let [near, near_copy] = rates(&near, (Stores::Cached, cpu), 1);
        let [far, far_copy] = rates(&far, (Stores::Streaming, cpu), FAR_SLOTS);
        println!(
            "| {name} | {kernel} | {near:.1} | {:.2} | {far:.1} | {:.2} |",
            near / near_copy,
            far / far_copy
        );
    }
}

fn passes() -> Vec<(String, Pass)> {
    let scale = vec![Step::Divide(vec![1000.0])];
    let normalise = |channels: usize| {
        vec![
            Step::Divide(vec![255.0]),
            Step::Subtract(vec![0.485, 0.456, 0.406][..channels].to_vec()),
            Step::Divide(vec![0.229, 0.224, 0.225][..channels].to_vec()),
        ]
    };
    let shift = vec![Step::Subtract(vec![-200.0]), Step::Divide(vec![400.0])];
    let mut found = Vec::new();
    for source in
        [Dtype::U8, Dtype::I16, Dtype::U16, Dtype::F16, Dtype::Bf16, Dtype::I32, Dtype::F32, Dtype::F64]
    {
        for (what, steps) in
            [("cast", vec![]), ("divide", scale.clone()), ("subtract, divide", shift.clone())]
        {
            found.push(planar(what, source, Dtype::F32, steps));
        }
        found.push(planar("divide, subtract, divide", source, Dtype::F32, normalise(1)));
        found.push(interleaved(source, normalise(3)));
    }
    for source in [Dtype::I16, Dtype::F32] {
        let (name, pass) = planar("subtract, divide", source, Dtype::F32, shift.clone());
        found.push((format!("{name}, big-endian"), Pass { byte_order: ByteOrder::Big, ..pass }));
    }
    for output in [Dtype::F16, Dtype::Bf16] {
        for source in [Dtype::U8, Dtype::I16, Dtype::F32] {
            found.push(planar("cast", source, output, vec![]));
            found.push(planar("divide, subtract, divide", source, output, normalise(1)));
        }
    }
    found.extend(in_double());
    found.extend(clipped());
    for (source, arrangement) in [
        (Dtype::F32, Arrangement::Planar),
        (Dtype::F32, Arrangement::Interleaved),
        (Dtype::U8, Arrangement::Interleaved),
    ] {
        let (_, pass) = planar("", source, source, vec![]);
        found.push((
            format!("{source} moved, {arrangement:?}"),
            Pass { channels: 3, arrangement, steps: vec![], ..pass },
        ));
    }
    found
}

/// Clips, and integers out.
fn clipped() -> Vec<(String, Pass)> {
    let clip = Step::Clip { least: 0.0, greatest: 50.0 };
    let pass = |name, source, output, steps| {
        let (_, pass) = planar("", source, output, vec![]);
        (format!("{source} to {output}, {name}"), Pass { steps, ..pass })
    };
    let scaled = |dtype| vec![clip.clone(), Step::Cast(dtype), Step::Divide(vec![400.0])];
    let to = |dtype| vec![clip.clone(), Step::Cast(dtype)];
    vec![
        pass("clip", Dtype::F32, Dtype::F32, vec![clip.clone()]),
        pass("clip, divide", Dtype::I16, Dtype::F32, scaled(Dtype::F32)),
        pass("clip", Dtype::F32, Dtype::U8, to(Dtype::U8)),
        pass("clip", Dtype::F64, Dtype::U8, to(Dtype::U8)),
        pass("clip", Dtype::I16, Dtype::U8, to(Dtype::U8)),
        pass("clip", Dtype::U16, Dtype::U8, to(Dtype::U8)),
        pass("clip", Dtype::I32, Dtype::U8, to(Dtype::U8)),
        pass("clip", Dtype::F32, Dtype::I16, to(Dtype::I16)),
        pass("clip", Dtype::F32, Dtype::I32, to(Dtype::I32)),
    ]
}

/// What is computed in f64, to f64; and integers to wider ones.
fn in_double() -> Vec<(String, Pass)> {
    let mut found = Vec::new();
    let shift = vec![Step::Subtract(vec![-200.0]), Step::Divide(vec![400.0])];
    for source in [Dtype::U8, Dtype::I16, Dtype::I32, Dtype::F16, Dtype::F32, Dtype::F64] {
        for (what, steps) in [("cast", vec![]), ("subtract, divide", shift.clone())] {
            if what == "cast" && source == Dtype::F64 {
                continue; // a move
            }
            let (name, pass) = planar(what, source, Dtype::F64, steps.clone());
            let steps = [vec![Step::Cast(Dtype::F64)], steps].concat();
            found.push((name, Pass { steps, ..pass }));
        }
    }
    for source in [Dtype::I16, Dtype::F64] {
        let (name, pass) = interleaved(source, vec![]);
        let name = name.replace("to float32, divide, subtract, divide", "to float64, subtract, divide");
        let steps = [vec![Step::Cast(Dtype::F64)], shift.clone()].concat();
        found.push((name, Pass { output: Dtype::F64, steps, ..pass }));
    }
    for output in [Dtype::I32, Dtype::I64] {
        let (_, pass) = planar("", Dtype::I16, output, vec![]);
        found.push((format!("int16 to {output}, widened"), Pass { steps: vec![], ..pass }));
    }
    found
}

fn planar(what: &str, source: Dtype, output: Dtype, mut steps: Vec<Step>) -> (String, Pass) {
    steps.insert(0, Step::Cast(Dtype::F32));
    steps.push(Step::Cast(output));
    if output == Dtype::F32 {
        steps.pop();
    }
    let pass = Pass {
        source,
        byte_order: ByteOrder::NATIVE,
        output,
        channels: 1,
        pixels: 0,
        arrangement: Arrangement::Planar,
        steps,
    };
    (format!("{source} to {output}, {what}"), pass)
}

fn interleaved(source: Dtype, steps: Vec<Step>) -> (String, Pass) {
    let (name, pass) = planar("divide, subtract, divide", source, Dtype::F32, steps);
    (format!("{name}, HWC"), Pass { channels: 3, arrangement: Arrangement::Interleaved, ..pass })
}

/// Bytes a nanosecond of the kernel, and of copies of as many bytes.
fn rates(pass: &Pass, (stores, cpu): (Stores, Cpu), slots: usize) -> [f64; 2] {
    let kernel = Kernel::new(pass.clone(), stores, cpu).expect("a pass with a meaning");
    let (source_bytes, output_bytes) = (pass.source_bytes(), pass.output_bytes());
    let source = values(pass.source, slots * pass.element_count());
    let mut output = npyfeed_array::Buffer::zeroed(slots * output_bytes).expect("memory");
    let filled = best(|turn| {
        let (sample, slot) = (turn % slots * source_bytes, turn % slots * output_bytes);
        kernel.fill(&source[sample..][..source_bytes], &mut output.bytes_mut()[slot..][..output_bytes]);
    });
    let half_bytes = usize::midpoint(source_bytes, output_bytes);
    let from = vec![1_u8; slots * half_bytes];
    let mut to = vec![1_u8; slots * half_bytes];
    let copied = best(|turn| {
        let place = turn % slots * half_bytes;
        to[place..][..half_bytes].copy_from_slice(&from[place..][..half_bytes]);
        black_box(&mut to);
    });
    let bytes = (source_bytes + output_bytes) as f64;
    [filled, copied].map(|seconds| bytes / seconds / 1e9)
}

/// The bytes of whole numbers from 0 to 60, over and over: none that a CPU is slow with.
fn values(dtype: Dtype, count: usize) -> Vec<u8> {
    let numbers: Vec<u8> = (0..61).cycle().take(count).collect();
    if !dtype.is_float() {
        return numbers.iter().cycle().take(count * dtype.item_bytes()).copied().collect();
    }
    let (_, pass) = planar("", Dtype::U8, dtype, vec![]);
    let pass = Pass { pixels: count, ..pass };
    let mut bytes = vec![0; pass.output_bytes()];
    let kernel = Kernel::new(pass, Stores::Cached, Cpu::detect()).expect("a pass with a meaning");
    kernel.fill(&numbers, &mut bytes);
    bytes
}

/// The shortest of many turns, in seconds.
fn best(mut work: impl FnMut(usize)) -> f64 {
    let begin = Instant::now();
    let mut shortest = Duration::MAX;
    let mut turn = 0;
    while turn < 20 || begin.elapsed() < BUDGET {
        let start = Instant::now();
        work(turn);
        shortest = shortest.min(start.elapsed());
        turn += 1;
    }
    shortest.as_secs_f64()
}
