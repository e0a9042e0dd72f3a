//! One member: what the directory says of it, and its bytes, held against that.

use std::ops::Range;

use libdeflater::{DecompressionError, Decompressor};

use super::crc::Crc;
use super::entry::decode;
use super::error::{ArchiveError, quoted};
use super::fields::{Excerpt, LOCAL_BYTES, LOCAL_SIGNATURE, u16_at, u32_at, widen};
use crate::limits::MAX_INFLATE_RATIO;

/// What NumPy adds to the key of an array to make its name.
pub(super) const SUFFIX: &str = ".npy";

/// Encrypted, strongly encrypted, or its header hidden.
const ENCRYPTED: u16 = 1 << 0 | 1 << 6 | 1 << 13;

/// The sizes and the CRC come behind the data, where a writer who cannot seek knows them.
const STREAMED: u16 = 1 << 3;

/// How the bytes of a member are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// As they are, by `numpy.savez`.
    Stored,
    /// Deflated (RFC 1951), by `numpy.savez_compressed`.
    Deflated,
    /// In a way that no NumPy function writes; its number in APPNOTE.TXT 4.4.5.
    Other(u16),
}

impl Method {
    pub(super) fn of_number(number: u16) -> Method {
        match number {
            0 => Method::Stored,
            8 => Method::Deflated,
            other => Method::Other(other),
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Method::Stored => f.write_str("stored"),
            Method::Deflated => f.write_str("deflate"),
            Method::Other(9) => f.write_str("deflate64"),
            Method::Other(12) => f.write_str("bzip2"),
            Method::Other(14) => f.write_str("lzma"),
            Method::Other(93) => f.write_str("zstd"),
            Method::Other(95) => f.write_str("xz"),
            Method::Other(number) => write!(f, "method {number}"),
        }
    }
}

/// What both the directory and the local header say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) flags: u16,
    pub(super) method: Method,
    pub(super) crc: u32,
    pub(super) compressed_bytes: u64,
    pub(super) plain_bytes: u64,
}

/// One member of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    name: Box<str>,
    /// The size of the name in the file, where it may be in another encoding.
    name_bytes: usize,
    facts: Facts,
    entry_offset: usize,
    header_offset: usize,
    /// Where the next member, or the directory, begins.
    limit: usize,
}

impl Member {
    /// `offsets` are those of its entry and of its local header.
    pub(super) fn new(
        name: Box<str>,
        name_bytes: usize,
        facts: Facts,
        offsets: [usize; 2],
    ) -> Result<Member, ArchiveError> {
        let [entry_offset, header_offset] = offsets;
        let most = match facts.method {
            Method::Stored => facts.compressed_bytes,
            Method::Deflated => facts.compressed_bytes.saturating_mul(MAX_INFLATE_RATIO),
            Method::Other(_) => u64::MAX,
        };
        let is_exact = facts.method == Method::Stored && facts.flags & ENCRYPTED == 0;
        if facts.plain_bytes > most || (is_exact && facts.plain_bytes < most) {
            return Err(ArchiveError::PlainSize {
                offset: entry_offset,
                name: quoted(&name),
                method: facts.method,
                compressed_bytes: facts.compressed_bytes,
                plain_bytes: facts.plain_bytes,
            });
        }
        Ok(Member { name, name_bytes, facts, entry_offset, header_offset, limit: header_offset })
    }

    /// The name in the archive, such as `"x.npy"`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name without `".npy"`, by which `numpy.load` knows it.
    pub fn key(&self) -> &str {
        self.name.strip_suffix(SUFFIX).unwrap_or(&self.name)
    }

    /// How its bytes are kept.
    pub fn method(&self) -> Method {
        self.facts.method
    }

    /// The size of its bytes in the archive.
    pub fn compressed_bytes(&self) -> u64 {
        self.facts.compressed_bytes
    }

    /// The size of its bytes when inflated; at most [`MAX_INFLATE_RATIO`] times the size in the archive.
    pub fn plain_bytes(&self) -> u64 {
        self.facts.plain_bytes
    }

    /// The CRC-32 of its bytes when inflated.
    pub fn crc(&self) -> u32 {
        self.facts.crc
    }

    pub(super) fn entry_offset(&self) -> usize {
        self.entry_offset
    }

    pub(super) fn header_offset(&self) -> usize {
        self.header_offset
    }

    /// Sets where the member ends at the latest, if it has room until there. What begins there is
    /// `neighbour`, or the directory.
    pub(super) fn bound(&mut self, limit: usize, neighbour: Option<&str>) -> Result<(), ArchiveError> {
        self.limit = limit;
        let least_bytes = (LOCAL_BYTES + self.name_bytes) as u64;
        let needed_bytes = self.facts.compressed_bytes.saturating_add(least_bytes);
        let found_bytes = limit.saturating_sub(self.header_offset) as u64;
        if found_bytes >= needed_bytes {
            return Ok(());
        }
        Err(ArchiveError::Room {
            offset: self.header_offset,
            name: quoted(&self.name),
            needed_bytes,
            neighbour: neighbour
                .map_or("the directory".to_owned(), |name| format!("member {}", quoted(name))),
            limit,
        })
    }

    /// Where its bytes are in the archive `file`, after its local header was held against the directory.
    ///
    /// # Errors
    /// [`ArchiveError::Encrypted`] and [`ArchiveError::Method`] for members that nothing here reads;
    /// [`ArchiveError::Contradiction`] if the local header says something else than the directory,
    /// [`ArchiveError::Room`] if it leaves too little room for the data.
    pub fn data_range(&self, file: &[u8]) -> Result<Range<usize>, ArchiveError> {
        let (offset, name) = (self.entry_offset, || quoted(&self.name));
        if self.facts.flags & ENCRYPTED != 0 {
            return Err(ArchiveError::Encrypted { offset, name: name() });
        }
        if let method @ Method::Other(_) = self.facts.method {
            return Err(ArchiveError::Method { offset, name: name(), method });
        }
        let start = self.check_local_header(file)?;
        let compressed_bytes = self.facts.compressed_bytes;
        let end = usize::try_from(compressed_bytes).ok().and_then(|bytes| start.checked_add(bytes));
        let end = end.filter(|&end| end <= self.limit.min(file.len()));
        end.map(|end| start..end).ok_or_else(|| ArchiveError::Room {
            offset: start,
            name: name(),
            needed_bytes: compressed_bytes,
            neighbour: "the next part of the archive".to_owned(),
            limit: self.limit,
        })
    }

    /// Where the data starts, behind a local header that agrees with the directory.
    fn check_local_header(&self, file: &[u8]) -> Result<usize, ArchiveError> {
        let offset = self.header_offset;
        let copy = Excerpt::copy(file, offset..offset.saturating_add(LOCAL_BYTES));
        let header: &[u8; LOCAL_BYTES] = copy.record(offset, LOCAL_SIGNATURE, "a local header")?;
        let [name_bytes, extra_bytes] = [26, 28].map(|at| usize::from(u16_at(header, at)));
        let name_offset = offset + LOCAL_BYTES;
        let extra_offset = name_offset + name_bytes;
        let copy = Excerpt::copy(file, name_offset..extra_offset + extra_bytes);
        let name = copy.take(name_offset, name_bytes, "the name in a local header")?;
        let extra = copy.take(extra_offset, extra_bytes, "the extra fields of a local header")?;
        let flags = u16_at(header, 6);
        let name = decode(name, flags, name_offset)?;
        if name != self.name {
            return Err(self.contradiction("name", name_offset, &quoted(&self.name), &quoted(&name)));
        }
        let mut sizes = [22, 18].map(|at| u64::from(u32_at(header, at)));
        widen(&mut sizes, extra, extra_offset)?;
        let [plain_bytes, compressed_bytes] = sizes;
        let method = Method::of_number(u16_at(header, 8));
        self.check_facts(&Facts { flags, method, crc: u32_at(header, 14), compressed_bytes, plain_bytes })?;
        Ok(extra_offset + extra_bytes)
    }

    fn check_facts(&self, local: &Facts) -> Result<(), ArchiveError> {
        let (offset, facts) = (self.header_offset, &self.facts);
        if local.flags & ENCRYPTED != facts.flags & ENCRYPTED {
            return Err(self.contradiction("encryption", offset + 6, &"none", &"some"));
        }
        if local.method != facts.method {
            return Err(self.contradiction("method", offset + 8, &facts.method, &local.method));
        }
        let numbers = [
            ("CRC", 14, facts.crc.into(), local.crc.into()),
            ("compressed size", 18, facts.compressed_bytes, local.compressed_bytes),
            ("plain size", 22, facts.plain_bytes, local.plain_bytes),
        ];
        // A writer who could not seek back has left zeros.
        let agrees = |stated, found| found == stated || (local.flags & STREAMED != 0 && found == 0);
        match numbers.into_iter().find(|&(_, _, stated, found)| !agrees(stated, found)) {
            None => Ok(()),
            Some((what, at, stated, found)) => Err(self.contradiction(what, offset + at, &stated, &found)),
        }
    }

    fn contradiction(
        &self,
        what: &'static str,
        offset: usize,
        expected: &dyn ToString,
        found: &dyn ToString,
    ) -> ArchiveError {
        let (expected, found) = (expected.to_string(), found.to_string());
        ArchiveError::Contradiction { offset, name: quoted(&self.name), what, expected, found }
    }

    /// Inflates `data`, which [`data_range`](Member::data_range) found, into `plain`, which is
    /// [`plain_bytes`](Member::plain_bytes) long, and checks size and CRC. A stored member is copied.
    ///
    /// # Errors
    /// [`ArchiveError::Inflate`], [`ArchiveError::InflatedSize`], [`ArchiveError::Crc`].
    pub fn inflate(&self, data: &[u8], plain: &mut [u8]) -> Result<(), ArchiveError> {
        let found = match self.facts.method {
            Method::Stored if data.len() == plain.len() => {
                plain.copy_from_slice(data);
                Ok(data.len())
            }
            Method::Deflated => Decompressor::new().deflate_decompress(data, plain),
            Method::Stored | Method::Other(_) => Err(DecompressionError::BadData),
        };
        let (offset, name) = (self.header_offset, || quoted(&self.name));
        let expected_bytes = self.facts.plain_bytes;
        match found {
            Ok(found) if found as u64 == expected_bytes => self.check_crc(plain),
            Ok(found) => {
                let found = format!("{found}");
                Err(ArchiveError::InflatedSize { offset, name: name(), expected_bytes, found })
            }
            Err(DecompressionError::InsufficientSpace) => {
                let found = "more".to_owned();
                Err(ArchiveError::InflatedSize { offset, name: name(), expected_bytes, found })
            }
            Err(DecompressionError::BadData) => Err(ArchiveError::Inflate { offset, name: name() }),
        }
    }

    /// Checks the bytes of the member, inflated, against its CRC.
    ///
    /// # Errors
    /// [`ArchiveError::Crc`].
    pub fn check_crc(&self, plain: &[u8]) -> Result<(), ArchiveError> {
        let mut crc = Crc::new();
        crc.update(plain);
        let (expected, found) = (self.facts.crc, crc.sum());
        if found == expected {
            return Ok(());
        }
        Err(ArchiveError::Crc { offset: self.header_offset, name: quoted(&self.name), expected, found })
    }
}
