//! How large the things that a header states may be.

/// The header size that [`Limits::DEFAULT`] allows: 1 MiB.
///
/// NumPy stops at 10,000 characters (`max_header_size` of `numpy.load`) because Python's own parser may
/// be slow or crash on more. Ours takes linear time, so its limit follows the format instead: every
/// version 1.0 header fits (65,545 bytes at most), and so do the records of some 30,000 fields for which
/// version 2.0 was made. A limit of 64 KiB would refuse every version 2.0 header that `numpy.save` ever
/// chose to write. The worst header of this size, all fields and hardly a name, took 20 ms and 20 MB.
pub const DEFAULT_HEADER_BYTES: usize = 1 << 20;

/// The most axes that an array, or a field of a record, may have: `NPY_MAXDIMS` since NumPy 2.0, which
/// was 32 before.
pub const MAX_AXES: usize = 64;

/// The most brackets that may be open at once. NumPy has no such limit but Python's parser, at 200; a
/// record needs two for each level of nesting, and real ones stay below five levels.
pub const MAX_DEPTH: usize = 32;

/// The most bytes that one element may take: NumPy keeps element sizes in a C `int`.
pub const MAX_ITEM_BYTES: usize = i32::MAX as usize;

/// The most members that an archive may have. NumPy has no limit; the largest archives seen, one sample a
/// member, had some 100,000.
pub const MAX_MEMBERS: usize = 1 << 20;

/// The largest directory that is read: 256 MiB, as many members as there may be with names of 200 letters.
pub const MAX_DIRECTORY_BYTES: usize = 1 << 28;

/// How many bytes one byte of deflate can stand for: 258 for every 2 bits.
pub const MAX_INFLATE_RATIO: u64 = 1032;

/// What a caller may choose to allow.
///
/// ```
/// use npyfeed_npy::{DEFAULT_HEADER_BYTES, Limits};
/// assert_eq!(Limits::default().header_bytes, DEFAULT_HEADER_BYTES);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes from the start of a file to its first element; no caller needs to read more to
    /// know the header.
    pub header_bytes: usize,
}

impl Limits {
    /// The limits that fit every file seen in practice.
    pub const DEFAULT: Limits = Limits { header_bytes: DEFAULT_HEADER_BYTES };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
