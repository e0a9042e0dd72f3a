//! A loader that is stopped anywhere and goes on elsewhere delivers what one that was never stopped does.

use std::num::NonZeroU64;
use std::path::Path;

use npyfeed::{
    ArrayView, Batch, Blocks, ByteOrder, ClassBalanced, Dataset, Dtype, ErrorKind, Layout, Loader,
    MemoryOrder, Order, Replacement, State, Uneven, Weighted,
};

const SAMPLE_COUNT: u32 = 203;

/// A dataset whose samples are their own indices.
fn dataset(folder: &Path, sample_count: u32) -> Dataset {
    let path = folder.join(format!("{sample_count}.npy"));
    let shape = [usize::try_from(sample_count).expect("a small array")];
    let layout = Layout::new(Dtype::U32, ByteOrder::Little, &shape, MemoryOrder::C).expect("a small array");
    let bytes: Vec<u8> = (0..sample_count).flat_map(u32::to_le_bytes).collect();
    npyfeed::save(&path, ArrayView::new(&layout, &bytes).expect("as many bytes")).expect("our own folder");
    Dataset::builder().column("x", path).expect("the file").build().expect("one column")
}

fn orders() -> Vec<Order> {
    let weights: Vec<f64> = (0..SAMPLE_COUNT).map(|sample| f64::from(sample % 5)).collect();
    let labels: Vec<u64> = (0..SAMPLE_COUNT).map(|sample| u64::from(sample % 7 == 0)).collect();
    let size = |size| NonZeroU64::new(size).expect("not 0");
    let weighted = |count, replacement| {
        Order::Weighted(Weighted::new(&weights, count, replacement).expect("weights that can be"))
    };
    vec![
        Order::Sequential,
        Order::Shuffled,
        Order::BlockShuffled(Blocks { block_size: size(8), window: size(3) }),
        weighted(301, Replacement::With),
        weighted(99, Replacement::Without),
        Order::ClassBalanced(ClassBalanced::new(&labels, None).expect("labels")),
        Order::Explicit((0..250).map(|place| place * 13 % u64::from(SAMPLE_COUNT)).collect()),
    ]
}

/// What may differ between the loader that saves a state and the one that goes on from it.
#[derive(Clone, Copy, Debug)]
struct Shape {
    world_size: u64,
    batch_size: usize,
    threads: usize,
    prefetch: usize,
}

impl Shape {
    /// One of many, the same for the same number.
    fn of(number: u64) -> Shape {
        let within = |salt: u64, from: u64, to: u64| {
            let mixed = (number * 8 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            from + (mixed >> 40) % (to - from + 1)
        };
        let size = |salt, to| usize::try_from(within(salt, 1, to)).expect("a small number");
        Shape {
            world_size: within(0, 1, 4),
            batch_size: size(1, 40),
            threads: size(2, 3),
            prefetch: size(3, 9),
        }
    }

    /// The loaders of all ranks.
    fn loaders(self, dataset: &Dataset, order: &Order, seed: u64) -> Vec<Loader> {
        let of_rank = |rank| {
            Loader::builder(dataset.clone())
                .order(order.clone())
                .seed(seed)
                .shard(rank, self.world_size)
                .batch_size(self.batch_size)
                .threads(self.threads)
                .prefetch(self.prefetch)
                .build()
                .expect("options that fit")
        };
        (0..self.world_size).map(of_rank).collect()
    }
}

/// Takes at most `step_count` batches of every rank, a step of all ranks after the other. What was in them,
/// and the state that all ranks agree on.
fn deliver(loaders: &[Loader], step_count: usize) -> (Vec<u32>, State) {
    let mut epochs: Vec<_> = loaders.iter().map(Loader::iter).collect();
    let mut samples = Vec::new();
    for _ in 0..step_count {
        let batches: Vec<_> = epochs.iter_mut().map(Iterator::next).collect();
        let length = |batch: &Option<npyfeed::Result<Batch>>| {
            batch.as_ref().map(|batch| batch.as_ref().map(Batch::len).ok())
        };
        assert!(
            batches.iter().all(|batch| length(batch) == length(&batches[0])),
            "ranks differ: {batches:?}"
        );
        for batch in batches.into_iter().flatten() {
            let batch = batch.expect("a batch");
            let x: ndarray::ArrayView1<u32> = batch.view("x").expect("the column");
            samples.extend(x.iter().copied());
        }
    }
    let states: Vec<State> = loaders.iter().map(Loader::state).collect();
    assert!(states.iter().all(|state| *state == states[0]), "ranks differ: {states:?}");
    (samples, states[0])
}

#[test]
fn stopped_and_resumed_in_any_shape_the_samples_are_those_of_one_uninterrupted_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path(), SAMPLE_COUNT);
    for (number, order) in (0u64..).zip(orders().iter().cycle().take(140)) {
        let alone = Shape { world_size: 1, batch_size: 1000, threads: 1, prefetch: 1 };
        let loaders = alone.loaders(&dataset, order, number);
        deliver(&loaders, 2); // the first epoch, to its end
        let (expected, _) = deliver(&loaders, 2);

        let mut state = State { position: npyfeed::Position { epoch: 1, sample: 0 }, ..loaders[0].state() };
        let mut found = Vec::new();
        let mut shapes = Vec::new();
        for part in 0.. {
            let shape = Shape::of(number * 100 + part);
            shapes.push(shape);
            let loaders = shape.loaders(&dataset, order, 0); // the seed comes with the state
            for loader in &loaders {
                loader.load_state(&state).unwrap();
            }
            let (samples, next) = deliver(&loaders, 3);
            found.extend(samples);
            state = next;
            if state.position.epoch == 2 {
                break;
            }
            assert_eq!(state.position.sample, found.len() as u64, "{order:?} {shapes:?}");
        }
        // Only the last step may be padded, with samples from the beginning.
        let padding = found.len() - expected.len();
        assert!(padding < usize::try_from(shapes[shapes.len() - 1].world_size).unwrap());
        assert_eq!(found[..expected.len()], expected, "{order:?} {shapes:?}");
        assert_eq!(found[expected.len()..], expected[..padding], "{order:?} {shapes:?}");
    }
}

#[test]
fn a_state_is_where_the_consumer_is_and_not_the_workers() {
    let folder = tempfile::tempdir().unwrap();
    let loader = Loader::builder(dataset(folder.path(), 10)).batch_size(3).prefetch(9).build().unwrap();
    let at = || (loader.state().position.epoch, loader.state().position.sample);
    assert_eq!(at(), (0, 0));
    let mut epoch = loader.begin_epoch().unwrap();
    for expected in [(0, 3), (0, 6), (0, 9), (1, 0), (1, 0)] {
        epoch.next();
        assert_eq!(at(), expected);
    }
    let mut epoch = loader.begin_epoch().unwrap();
    epoch.next();
    drop(epoch);
    assert_eq!((at(), loader.epoch()), ((1, 3), 2), "left early, it can be saved; the next is another");
    loader.set_epoch(7);
    assert_eq!(at(), (7, 0));
}

#[test]
fn to_set_the_epoch_that_was_loaded_is_to_go_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let loader = Loader::builder(dataset(folder.path(), 10)).batch_size(3).build().unwrap();
    let state = State { position: npyfeed::Position { epoch: 4, sample: 8 }, ..loader.state() };
    loader.load_state(&state).unwrap();
    assert_eq!(loader.epoch(), 4);
    loader.set_epoch(4);
    assert_eq!(loader.iter().map(|batch| batch.unwrap().len()).collect::<Vec<_>>(), [2]);
    loader.load_state(&state).unwrap();
    loader.set_epoch(5);
    assert_eq!(loader.iter().count(), 4);
}

#[test]
fn a_state_of_another_order_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path(), SAMPLE_COUNT);
    let loaders: Vec<Loader> = orders()
        .into_iter()
        .map(|order| Loader::builder(dataset.clone()).order(order).build().unwrap())
        .collect();
    for (index, loader) in loaders.iter().enumerate() {
        for (other, state) in loaders.iter().map(Loader::state).enumerate() {
            let loaded = loader.load_state(&state);
            assert_eq!(loaded.is_ok(), index == other);
            if let Err(error) = loaded {
                assert_eq!(error.kind(), ErrorKind::Mismatch);
            }
        }
    }
    let longer = Loader::builder(self::dataset(folder.path(), SAMPLE_COUNT + 1)).build().unwrap();
    assert!(longer.load_state(&loaders[0].state()).is_err());
}

#[test]
fn a_dropped_tail_leaves_equal_batches_and_an_order_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = dataset(folder.path(), 11);
    let loader = |rank, world_size| {
        Loader::builder(dataset.clone()).batch_size(4).shard(rank, world_size).uneven(Uneven::Drop).build()
    };
    for rank in 0..2 {
        let sizes: Vec<usize> = loader(rank, 2).unwrap().iter().map(|batch| batch.unwrap().len()).collect();
        assert_eq!(sizes, [4, 1]);
    }
    let message = loader(2, 2).unwrap_err().to_string();
    assert!(message.ends_with("found rank=2, world_size=2"), "{message}");
    let explicit = Loader::builder(dataset.clone()).order(Order::Explicit([3, 11].into())).build();
    let message = explicit.unwrap_err().to_string();
    assert_eq!(message, "cannot make a loader: expected indices below 11, found 11 at place 1");
}
