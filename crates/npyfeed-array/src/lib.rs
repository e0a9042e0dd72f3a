//! The nouns of npyfeed: what an array *is*, before anyone asks where it lies or what to do with it.
//!
//! | word | type | says |
//! |---|---|---|
//! | dtype | [`Dtype`] | what one element is |
//! | byte order | [`ByteOrder`] | which of its bytes comes first |
//! | memory order | [`MemoryOrder`] | which axis runs fastest, C or Fortran |
//! | grid | [`Grid`] | where items lie: their size, shape + strides |
//! | layout | [`Layout`] | dtype + byte order, on a grid |
//! | view | [`ArrayView`] | layout + bytes, proven to fit |
//! | buffer | [`Buffer`] | owned memory, 64-byte aligned, that batches are filled into |
//!
//! Not here: files, threads, formats, arithmetic, and `unsafe`.
//!
//! ```
//! use npyfeed_array::{ArrayView, ByteOrder, Dtype, Layout, MemoryOrder};
//!
//! let layout = Layout::new(Dtype::U8, ByteOrder::Little, &[2, 3], MemoryOrder::C)?;
//! let view = ArrayView::new(&layout, &[1, 2, 3, 4, 5, 6])?;
//! assert_eq!(view.elements::<u8>().unwrap(), &[1, 2, 3, 4, 5, 6]);
//! # Ok::<(), npyfeed_array::LayoutError>(())
//! ```
#![forbid(unsafe_code)]

mod buffer;
mod dtype;
mod float8;
mod grid;
mod layout;
mod view;

pub use buffer::{ALIGNMENT_BYTES, Buffer};
pub use dtype::{ByteOrder, Dtype, Element, Framework, Kind, UnknownDtype};
pub use float8::{F8E4M3, F8E5M2};
pub use grid::{Grid, LayoutError, MemoryOrder};
pub use layout::Layout;
pub use view::ArrayView;
