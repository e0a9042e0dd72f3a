//! Where bytes come from. Knows no format: a [`Source`] is a name and random access to bytes.
//!
//! | source | bytes | copied when read |
//! |---|---|---|
//! | [`MappedFile`] | a file, mapped copy-on-write | no |
//! | [`Memory`] | memory, someone else's or its own | no |
//! | [`Section`] | some of another source's bytes | no |
//!
//! The only `unsafe` is in `map.rs` and `memory.rs`, one block each to turn an address into a slice;
//! SAFETY.md in the repository says what it rests on.
//!
//! ```
//! use npyfeed_io::{Memory, Source};
//!
//! let source = Memory::from(vec![1, 2, 3, 4]);
//! assert_eq!(source.bytes(), &[1, 2, 3, 4]);
//! ```

mod map;
mod memory;
mod section;
mod source;

pub use map::{MappedFile, OpenError};
pub use memory::Memory;
pub use section::Section;
pub use source::Source;
