//! **npyfeed feeds NumPy files to neural networks.**
//!
//! ```no_run
//! use ndarray::ArrayView4;
//! use npyfeed::{Dataset, Loader, Transform};
//!
//! let dataset = Dataset::builder()
//!     .column("image", "images.npy")? // u8 [sample, height, width, channel]
//!     .column("label", "labels.npy")?
//!     .build()?
//!     .map("image", &[Transform::ToTensor])?;
//! let loader = Loader::builder(dataset).batch_size(32).shuffle(true).seed(0).build()?;
//! for batch in &loader {
//!     let batch = batch?;
//!     let images: ArrayView4<f32> = batch.view("image")?; // [32, channel, height, width]
//! }
//! # Ok::<(), npyfeed::Error>(())
//! ```
//!
//! # From a file to a batch
//!
//! 1. [`open`] checks a header against its file and maps it: an [`Array`]. Nothing is read. The arrays of an
//!    .npz file are in an [`Archive`].
//! 2. A [`Dataset`] names arrays of one length as its columns; [`Dataset::map`] says what is done with
//!    the samples of one. Whatever can be wrong with that is an error there and then.
//! 3. A [`Loader`] plans: which kernel, how many threads, how far ahead.
//! 4. Each `for` over it is an epoch: threads gather rows in the epoch's order, transform them in the
//!    same pass, and hand out [`Batch`]es whose memory is used again after they are dropped.
//!
//! # Promises
//!
//! - A batch depends on the files, the transforms, the order, the seed and the place where it begins in its
//!   epoch, and on nothing else. [`Loader::state`] is that place: to go on from there repeats nothing.
//! - No input makes the library panic; [`Error`] says what, where, expected, found, and the cure.
//! - The memory of a batch is its own until it is dropped.

mod archive;
mod array;
mod atomic_file;
mod batch;
mod chain;
mod class_folders;
mod column_plan;
mod dataset;
mod drawn;
mod error;
mod explain;
mod figures;
mod inflated;
mod io_choice;
mod load_many;
mod loader;
mod open;
mod options;
mod packed;
mod plan;
mod pool;
mod region;
mod reopen;
mod report;
mod rows;
mod run;
mod sample_element;
mod save;
mod save_npz;
mod side_by_side;
mod standing;
mod stats;
mod strips;
mod transform;
mod writer;

pub use archive::{Archive, Content, CrcCheck};
pub use array::Array;
pub use atomic_file::AtomicFile;
pub use batch::{Batch, BatchColumn, ColumnSpec};
pub use dataset::{ColumnSource, Dataset, DatasetBuilder};
pub use drawn::Drawn;
pub use error::{Error, ErrorKind, Result};
pub use inflated::DEFAULT_KEPT_BYTES;
pub use io_choice::Io;
pub use loader::{Epoch, Loader};
pub use npyfeed_array::{
    ArrayView, ByteOrder, Dtype, Element, F8E4M3, F8E5M2, Framework, Grid, Kind, Layout, LayoutError,
    MemoryOrder, UnknownDtype,
};
pub use npyfeed_io::{Memory, Mode, Stamp};
pub use npyfeed_npy::{
    DEFAULT_HEADER_BYTES, Descr, DescrTooLong, Field, TimeUnit, Version, header_bytes_of_descr,
};
pub use npyfeed_sampler::{
    Blocks, ClassBalanced, Order, OrderError, Position, Replacement, Shard, State, Uneven, Weighted,
};
pub use open::{OpenOptions, Opened, open};
pub use options::LoaderBuilder;
pub use reopen::{Reopening, Step};
pub use report::{ColumnReport, Passes, PlanReport, Reads, Stage};
pub use rows::FileSet;
pub use run::{Home, Next};
pub use sample_element::SampleElement;
pub use save::save;
pub use save_npz::{Compression, NpzWriter, save_npz};
pub use stats::Stats;
pub use transform::{BoxSize, Transform};
pub use writer::Writer;
