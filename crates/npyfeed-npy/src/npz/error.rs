//! What keeps bytes from being an .npz file, and at which byte.

use super::member::Method;
use crate::error::excerpt;
use crate::limits::MAX_INFLATE_RATIO;

/// What is wrong with an archive, and where.
///
/// Every `offset` counts bytes from the start of the file; names of members come quoted and shortened. The
/// messages leave the name of the file to the caller, who knows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// No end record: another kind of file, or one cut short.
    #[error(
        "expected the end record of a zip archive in the last {searched_bytes} bytes, from byte {offset} on, \
         found none (truncated download?)"
    )]
    NoEnd {
        /// Where the search stopped.
        offset: usize,
        /// How many bytes were searched.
        searched_bytes: usize,
    },
    /// A part of the archive goes beyond what holds it.
    #[error("expected {expected_bytes} bytes of {part} at byte {offset}, found {found_bytes}")]
    Truncated {
        /// Where the part starts.
        offset: usize,
        /// The part that is not whole.
        part: &'static str,
        /// The size of the part.
        expected_bytes: usize,
        /// How much of it there is.
        found_bytes: usize,
    },
    /// A record does not start as its kind does.
    #[error("expected {part}, '{}', at byte {offset}, found '{found}'", signature.escape_ascii())]
    Signature {
        /// Where the record should start.
        offset: usize,
        /// The kind of record.
        part: &'static str,
        /// How it starts.
        signature: [u8; 4],
        /// What stands there, escaped.
        found: String,
    },
    /// A part of an archive that is spread over several files.
    #[error("expected an archive in one file, found at byte {offset} that it is one of several parts")]
    ManyDisks {
        /// The record that says so.
        offset: usize,
    },
    /// The directory is larger than what stands before its end.
    #[error(
        "expected a directory of at most {limit_bytes} bytes before byte {offset}, found {directory_bytes} stated there"
    )]
    DirectorySize {
        /// The record that says so, where the directory ends.
        offset: usize,
        /// The size stated.
        directory_bytes: u64,
        /// The bytes there are.
        limit_bytes: usize,
    },
    /// The directory has more or fewer bytes than its members take.
    #[error(
        "expected the directory to end at byte {expected}, found its last member ending at byte {offset}"
    )]
    DirectoryTail {
        /// Where the last member's entry ends.
        offset: usize,
        /// Where the directory ends.
        expected: usize,
    },
    /// More members than the directory has room for, or than [`MAX_MEMBERS`](crate::MAX_MEMBERS).
    #[error("expected at most {limit} members, found {count} stated at byte {offset}")]
    MemberCount {
        /// The record that says so.
        offset: usize,
        /// The number stated.
        count: u64,
        /// The number possible.
        limit: usize,
    },
    /// Two records that must say the same do not.
    #[error("expected {what} to be {expected}, found {found} at byte {offset}")]
    Disagreement {
        /// The record that differs.
        offset: usize,
        /// What is stated twice.
        what: &'static str,
        /// What follows from the rest of the archive.
        expected: u64,
        /// What the record states.
        found: u64,
    },
    /// A name that would lead elsewhere as a path, or that readers see differently.
    #[error("expected a member name {expected}, at byte {offset}, found {name} (write the archive anew)")]
    Name {
        /// Where the name is.
        offset: usize,
        /// What is asked of names.
        expected: &'static str,
        /// The name.
        name: String,
    },
    /// Two members have one key. Python's `zipfile` would silently give the later.
    #[error("expected each member once, found {name} at byte {offset} and one of that key at byte {first}")]
    Repeated {
        /// The entry of the later.
        offset: usize,
        /// The name of the later.
        name: String,
        /// The entry of the earlier.
        first: usize,
    },
    /// A member would begin in the directory or behind it.
    #[error(
        "member {name}: expected its local header before the directory, found byte {found} stated at byte {offset}"
    )]
    HeaderOffset {
        /// The entry of the member.
        offset: usize,
        /// The member.
        name: String,
        /// Where it says it begins.
        found: u64,
    },
    /// A member does not fit before the next one or the directory.
    #[error(
        "member {name}: expected {needed_bytes} bytes from byte {offset} on, found {neighbour} at byte {limit}"
    )]
    Room {
        /// Where the member, or its data, starts.
        offset: usize,
        /// The member.
        name: String,
        /// The bytes it takes.
        needed_bytes: u64,
        /// What is in the way.
        neighbour: String,
        /// Where that begins.
        limit: usize,
    },
    /// A size that the bytes in the archive cannot have: a stored member has its own, a deflated one at most
    /// [`MAX_INFLATE_RATIO`] times as many.
    #[error(
        "member {name}: expected {} bytes from {compressed_bytes} ({method}), found {plain_bytes} stated at \
         byte {offset} (a zip bomb?)",
        if *method == Method::Stored { "as many".to_owned() } else { format!("at most {MAX_INFLATE_RATIO} times as many") }
    )]
    PlainSize {
        /// The entry of the member.
        offset: usize,
        /// The member.
        name: String,
        /// How it is kept.
        method: Method,
        /// Its size in the archive.
        compressed_bytes: u64,
        /// Its size stated.
        plain_bytes: u64,
    },
    /// The local header says something else than the directory.
    #[error(
        "member {name}: expected the {what} that the directory states, {expected}, at byte {offset}, found {found}"
    )]
    Contradiction {
        /// Where the local header says so.
        offset: usize,
        /// The member.
        name: String,
        /// What is stated twice.
        what: &'static str,
        /// What the directory states.
        expected: String,
        /// What the local header states.
        found: String,
    },
    /// A member that only a password opens.
    #[error("member {name}: expected plain bytes, found it encrypted, says byte {offset} (unpack it first)")]
    Encrypted {
        /// The entry of the member.
        offset: usize,
        /// The member.
        name: String,
    },
    /// A member kept in a way that NumPy does not write.
    #[error(
        "member {name}: expected it stored or deflated, found {method}, says byte {offset} (write it anew with \
         numpy.savez or numpy.savez_compressed)"
    )]
    Method {
        /// The entry of the member.
        offset: usize,
        /// The member.
        name: String,
        /// How it is kept.
        method: Method,
    },
    /// The bytes are no deflate stream.
    #[error("member {name}, at byte {offset}: expected deflated data, found bytes that are none (damaged?)")]
    Inflate {
        /// The local header of the member.
        offset: usize,
        /// The member.
        name: String,
    },
    /// The deflate stream has another length than the directory states.
    #[error("member {name}, at byte {offset}: expected {expected_bytes} inflated bytes, found {found}")]
    InflatedSize {
        /// The local header of the member.
        offset: usize,
        /// The member.
        name: String,
        /// The bytes stated.
        expected_bytes: u64,
        /// The bytes there are, or `"more"`.
        found: String,
    },
    /// The bytes are not those that were written.
    #[error("member {name}, at byte {offset}: expected CRC-32 {expected:08x}, found {found:08x} (damaged?)")]
    Crc {
        /// The local header of the member.
        offset: usize,
        /// The member.
        name: String,
        /// The CRC stated.
        expected: u32,
        /// The CRC of the bytes.
        found: u32,
    },
}

impl ArchiveError {
    /// The byte of the file that the error is about, counted from 0.
    pub fn offset(&self) -> usize {
        match self {
            ArchiveError::NoEnd { offset, .. }
            | ArchiveError::Truncated { offset, .. }
            | ArchiveError::Signature { offset, .. }
            | ArchiveError::ManyDisks { offset }
            | ArchiveError::DirectorySize { offset, .. }
            | ArchiveError::DirectoryTail { offset, .. }
            | ArchiveError::MemberCount { offset, .. }
            | ArchiveError::Disagreement { offset, .. }
            | ArchiveError::Name { offset, .. }
            | ArchiveError::Repeated { offset, .. }
            | ArchiveError::HeaderOffset { offset, .. }
            | ArchiveError::Room { offset, .. }
            | ArchiveError::PlainSize { offset, .. }
            | ArchiveError::Contradiction { offset, .. }
            | ArchiveError::Encrypted { offset, .. }
            | ArchiveError::Method { offset, .. }
            | ArchiveError::Inflate { offset, .. }
            | ArchiveError::InflatedSize { offset, .. }
            | ArchiveError::Crc { offset, .. } => *offset,
        }
    }

    /// Whether the archive is well-formed, and only not something that is handled here.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            ArchiveError::Encrypted { .. } | ArchiveError::Method { .. } | ArchiveError::ManyDisks { .. }
        )
    }
}

/// A name of a member for a message.
pub(super) fn quoted(name: &str) -> String {
    excerpt(name)
}
