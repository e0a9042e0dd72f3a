//! Gather and transform, fused: the loops that turn the bytes of a sample into a slot of a batch.
//!
//! A [`Pass`] says what is to be done with every sample of a column: source dtype, output dtype, where
//! the channels lie, and the arithmetic as a list of [`Step`]s. [`Kernel::new`] checks it, chooses the
//! fastest loop that gives *exactly* the numbers of the plain one, and prepares its tables; after that
//! [`Kernel::fill`] makes no choices.
//!
//! | loop | for | file |
//! |---|---|---|
//! | plain | everything; it *is* the meaning of a pass, one element at a time | `plain.rs` |
//! | move | source and output of one dtype, no arithmetic | `moves.rs` |
//! | table | sources of one byte: 256 answers a channel, computed by the plain loop | `table.rs` |
//! | vector | u8 to f32 where arithmetic gives all 256 answers of the table | `arch/` |
//! | single | what is computed in f32, to f32, f16, bf16 or narrow integers, 512 elements at a time | `single.rs` |
//! | block | the rest: what is computed in f64, and integers to others | `block.rs` |
//!
//! Rows whose elements do not lie together are brought together first, by [`pack`].
//!
//! Not here: files, threads, formats. The only `unsafe` is in `arch/`.
//!
//! ```
//! use npyfeed_array::{ByteOrder, Dtype};
//! use npyfeed_kernel::{Arrangement, Cpu, Kernel, Pass, Step, Stores};
//!
//! // two pixels of three channels, u8 → f32 in [0, 1], channels first
//! let pass = Pass {
//!     source: Dtype::U8,
//!     byte_order: ByteOrder::NATIVE,
//!     output: Dtype::F32,
//!     channels: 3,
//!     pixels: 2,
//!     arrangement: Arrangement::Interleaved,
//!     steps: vec![Step::Cast(Dtype::F32), Step::Divide(vec![255.0])],
//! };
//! let kernel = Kernel::new(pass, Stores::Cached, Cpu::detect())?;
//! let mut slot = [0_u8; 24];
//! kernel.fill(&[255, 0, 51, 255, 0, 51], &mut slot);
//! assert_eq!(bytemuck::pod_collect_to_vec::<u8, f32>(&slot), [1.0, 1.0, 0.0, 0.0, 0.2, 0.2]);
//! # Ok::<(), npyfeed_kernel::PassError>(())
//! ```

mod arch;
mod block;
mod halves;
mod kernel;
mod moves;
mod number;
mod pack;
mod pass;
mod plain;
mod single;
mod stage;
mod table;
mod walk;

pub use arch::{Cpu, CpuError, DefaultFloats, prefetch};
pub use kernel::{Kernel, Stores};
pub use pack::{pack, pack_native};
pub use pass::{Arrangement, Pass, PassError, Step};
pub use plain::rounded;
