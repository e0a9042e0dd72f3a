//! Where bytes come from. Knows no format: a [`Source`] is a name and random access to bytes.
//!
//! | source | bytes | copied when read |
//! |---|---|---|
//! | [`MappedFile`] | a file, mapped as its [`Mode`] says | no |
//! | [`Memory`] | memory, someone else's or its own | no |
//! | [`Section`] | some of another source's bytes | no |
//!
//! Files are also read otherwise than through a map: [`reader`] has the ways, [`ReadFile`] what they read.
//! Of many small files each is opened, read and closed: [`read_start`].
//!
//! A mapped file may be cut short or written to by someone else while it is read. That does not end the
//! process (`guard/`): whoever has read asks [`Source::check`] afterwards whether the bytes were those of
//! the file that was opened.
//!
//! `unsafe` stands in `map.rs` and `memory.rs`, to turn an address into a slice, in `guard/`, to bear SIGBUS, in
//! `residency.rs`, to ask what is cached, and in `reader/uring/ring.rs`, which lends buffers to the system;
//! SAFETY.md in the repository says what it rests on.
//!
//! ```
//! use npyfeed_io::{Memory, Source};
//!
//! let source = Memory::from(vec![1, 2, 3, 4]);
//! assert_eq!(source.bytes(), &[1, 2, 3, 4]);
//! ```

mod file;
mod file_system;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(not(target_os = "linux"))]
#[path = "guard/absent.rs"]
mod guard;
mod map;
mod memory;
mod memory_limit;
mod read_file;
pub mod reader;
mod residency;
mod section;
mod source;
mod start;

pub use file::{Mode, OpenError, RegularFile, Stamp};
pub use file_system::{FileSystem, Reach};
pub use map::MappedFile;
pub use memory::Memory;
pub use memory_limit::memory_limit_bytes;
pub use read_file::{DirectFile, NoDirect, ReadFile};
pub use section::Section;
pub use source::{ChangeError, Source};
pub use start::read_start;
