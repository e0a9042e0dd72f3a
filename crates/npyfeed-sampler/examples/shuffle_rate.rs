//! Prints what one index of a shuffle costs: `cargo run --release -p npyfeed-sampler --example shuffle_rate`.

use npyfeed_sampler::{Key, Purpose, Shuffle};
use std::hint::black_box;
use std::time::Instant;

/// As many samples as a large batch has.
const BATCH_LEN: u32 = 1024;
const INDEX_COUNT: u32 = 1 << 19;

fn main() {
    println!("{:>16}  {:>10}  {:>10}", "samples", "fill", "at");
    for sample_count in [60_000, 1 << 17, (1 << 17) + 1, 2_000_000, 1_281_167, 1_000_000_000, 1 << 40] {
        let shuffle = Shuffle::new(sample_count, Key::new(0, 0, Purpose::Shuffle));
        let (fill_ns, at_ns) = (fill_ns(&shuffle), at_ns(&shuffle));
        println!("{sample_count:>16}  {fill_ns:>7.2} ns  {at_ns:>7.2} ns");
    }
}

fn fill_ns(shuffle: &Shuffle) -> f64 {
    let mut batch = [0; BATCH_LEN as usize];
    fastest_ns(|| {
        let mut start = 0;
        for _ in 0..INDEX_COUNT / BATCH_LEN {
            shuffle.fill(start, &mut batch);
            black_box(&batch);
            start = (start + u64::from(BATCH_LEN)) % (shuffle.sample_count() - u64::from(BATCH_LEN));
        }
    })
}

fn at_ns(shuffle: &Shuffle) -> f64 {
    fastest_ns(|| {
        for place in 0..u64::from(INDEX_COUNT) {
            black_box(shuffle.at(place % shuffle.sample_count()));
        }
    })
}

/// The fastest of sixty runs, per index: the others were disturbed.
fn fastest_ns(mut run: impl FnMut()) -> f64 {
    let timed = (0..60).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    timed.fold(f64::INFINITY, f64::min) * 1e9 / f64::from(INDEX_COUNT)
}
