//! How many random boxes of 96 x 96 x 96 i16 one thread packs a second, out of volumes of 256 x 256 x 256.
//!
//! `cargo run --release -p npyfeed-kernel --example boxes`. Beside it, copies of as many bytes that lie together.
#![allow(clippy::cast_precision_loss, reason = "rates are printed with few digits")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use npyfeed_array::Grid;

const VOLUME_EDGE: usize = 256;
const BOX_EDGE: usize = 96;
const ITEM_BYTES: usize = 2;
const VOLUMES: usize = 12;
const BUDGET: Duration = Duration::from_millis(700);

fn main() {
    let row_bytes = VOLUME_EDGE * ITEM_BYTES;
    let volume_bytes = VOLUME_EDGE * VOLUME_EDGE * row_bytes;
    let strides = [VOLUME_EDGE * row_bytes, row_bytes, ITEM_BYTES].map(usize::cast_signed);
    let grid = Grid::strided(ITEM_BYTES, &[BOX_EDGE; 3], &strides).expect("a box");
    let volumes = vec![1_u8; VOLUMES * volume_bytes];
    let mut packed = vec![1; grid.packed_bytes()];
    let mut draw = draws();
    let packs = a_second(|| {
        let [volume, z, y, x] = [VOLUMES, 161, 161, 161].map(&mut draw);
        let start = volume * volume_bytes + (z * VOLUME_EDGE + y) * row_bytes + x * ITEM_BYTES;
        npyfeed_kernel::pack(&grid, &volumes[start..][..grid.span_bytes()], &mut packed);
        black_box(&mut packed);
    });
    let copies = a_second(|| {
        let start = draw(volumes.len() - packed.len());
        packed.copy_from_slice(&volumes[start..][..grid.packed_bytes()]);
        black_box(&mut packed);
    });
    println!("{packs:.0} boxes a second, {copies:.0} copies of as many bytes: {:.2}", packs / copies);
}

/// Numbers below the one given, the same in every run.
fn draws() -> impl FnMut(usize) -> usize {
    let mut state = 1_u64;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    }
}

fn a_second(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let mut turns = 0_u32;
    while begin.elapsed() < BUDGET {
        work();
        turns += 1;
    }
    f64::from(turns) / begin.elapsed().as_secs_f64()
}
