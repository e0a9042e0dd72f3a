//! How fast each way brings the bytes of a file into memory, in MB/s: cold and warm, in sequence and at random.
//!
//! ```text
//! cargo run --release -p npyfeed-io --example read_rate -- FILE [FOLDER OF SMALL FILES]
//! ```
//!
//! Cold means that the page cache was dropped before, which takes root (`/proc/sys/vm/drop_caches`). One byte of each
//! page is looked at, so that a map is read too.

use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use npyfeed_io::reader::{InTurn, Place, ReadAhead, Reader, Request, Uring};
use npyfeed_io::{MappedFile, Mode, ReadFile, RegularFile, Source};

const MAX_REQUEST_BYTES: usize = 1 << 20;
const WHOLE_LIMIT_BYTES: usize = 16 << 10;
const PAGE_BYTES: usize = 4096;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("usage: read_rate FILE [FOLDER OF SMALL FILES]")?;
    println!("{:<16} {:>10} {:>10} {:>10} {:>10}", "MB/s", "seq cold", "seq warm", "rand cold", "rand warm");
    for way in WAYS {
        rates(way, Path::new(path))?;
    }
    if let Some(folder) = arguments.get(1) {
        println!("{:<16} {:>10} {:>10}", "files/s", "cold", "warm");
        for way in &WAYS[1..] {
            rates_of_whole_files(way, Path::new(folder))?;
        }
    }
    Ok(())
}

struct Way {
    name: &'static str,
    reader: fn(usize) -> Result<Box<dyn Reader>, Failure>,
}

const WAYS: &[Way] = &[
    Way { name: "map", reader: |bytes| Ok(Box::new(InTurn::map(bytes))) },
    Way { name: "pread", reader: |bytes| Ok(Box::new(InTurn::pread(bytes, ReadAhead::Unasked))) },
    Way { name: "pread, ahead", reader: |bytes| Ok(Box::new(InTurn::pread(bytes, ReadAhead::Asked))) },
    Way { name: "uring", reader: |bytes| Ok(Box::new(Uring::new(bytes, Uring::BUDGET_BYTES)?)) },
];

fn rates(way: &Way, path: &Path) -> Result<(), Failure> {
    let source: Arc<dyn Source> = Arc::new(MappedFile::new(RegularFile::open(path, Mode::ReadOnly)?)?);
    let (file, _) = source.file().ok_or("expected a file opened to be read")?;
    print!("{:<16}", way.name);
    for (request_bytes, order) in [(MAX_REQUEST_BYTES, Order::Sequential), (150_000, Order::Random)] {
        for cache in [Cache::Cold, Cache::Warm] {
            let mut reader = (way.reader)(request_bytes)?;
            // Pages that are mapped are not dropped.
            source.forget_resident();
            prepare(cache, file)?;
            let ranges = ranges(source.bytes().len(), request_bytes, order);
            let places = ranges.into_iter().map(|bytes| match way.name {
                "map" => Place::Held { source: Arc::clone(&source), bytes },
                _ => Place::Range { file: Arc::clone(file), bytes: bytes.start as u64..bytes.end as u64 },
            });
            let began = Instant::now();
            let (_, read_bytes) = read_all(reader.as_mut(), places)?;
            print!(" {:>10.0}", per_second(read_bytes, began) / 1e6);
        }
    }
    println!();
    Ok(())
}

fn rates_of_whole_files(way: &Way, folder: &Path) -> Result<(), Failure> {
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder)?.collect();
    let mut paths: Vec<Arc<Path>> = entries?.iter().map(|entry| entry.path().into()).collect();
    paths.sort();
    print!("{:<16}", way.name);
    for cache in [Cache::Cold, Cache::Warm] {
        let mut reader = (way.reader)(WHOLE_LIMIT_BYTES)?;
        if let Cache::Cold = cache {
            drop_caches()?;
        }
        let places =
            paths.iter().map(|path| Place::Whole { path: Arc::clone(path), limit_bytes: WHOLE_LIMIT_BYTES });
        let began = Instant::now();
        let (count, _) = read_all(reader.as_mut(), places)?;
        print!(" {:>10.0}", per_second(count, began));
    }
    println!();
    Ok(())
}

/// Reads all places, as many underway as there is room for; gives how many there were, and of how many bytes.
fn read_all(reader: &mut dyn Reader, places: impl Iterator<Item = Place>) -> Result<(usize, usize), Failure> {
    let mut requests = places.enumerate().map(|(tag, place)| Request { tag: tag as u64, place });
    let (mut count, mut read_bytes, mut seen) = (0, 0, 0_u64);
    loop {
        while reader.has_room()
            && let Some(request) = requests.next()
        {
            reader.submit(request);
        }
        let Some(arrival) = reader.next() else { break };
        let bytes = arrival.bytes?;
        seen += bytes.iter().step_by(PAGE_BYTES).map(|&byte| u64::from(byte)).sum::<u64>();
        count += 1;
        read_bytes += bytes.len();
    }
    std::hint::black_box(seen);
    Ok((count, read_bytes))
}

#[expect(clippy::cast_precision_loss, reason = "a rate, printed to a few digits")]
fn per_second(count: usize, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

#[derive(Clone, Copy)]
enum Order {
    Sequential,
    Random,
}

/// What is read, in whole requests.
fn ranges(len_bytes: usize, request_bytes: usize, order: Order) -> Vec<Range<usize>> {
    let count = len_bytes / request_bytes;
    let mut ranges: Vec<_> =
        (0..count).map(|number| number * request_bytes..(number + 1) * request_bytes).collect();
    if let Order::Random = order {
        // A fixed shuffle by a linear congruence: the same in each run.
        let mut state = 1_u64;
        for place in (1..ranges.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ranges.swap(place, (state >> 33) as usize % (place + 1));
        }
    }
    ranges
}

#[derive(Clone, Copy)]
enum Cache {
    Cold,
    Warm,
}

fn prepare(cache: Cache, file: &ReadFile) -> Result<(), Failure> {
    match cache {
        Cache::Cold => drop_caches(),
        Cache::Warm => {
            std::fs::read(file.path())?;
            Ok(())
        }
    }
}

fn drop_caches() -> Result<(), Failure> {
    std::fs::write("/proc/sys/vm/drop_caches", "3")
        .map_err(|why| format!("cannot drop the page cache: {why}").into())
}
