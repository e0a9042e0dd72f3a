//! The records of a zip archive as bytes: signatures, numbers, extra fields.

use std::ops::Range;

use super::error::ArchiveError;

pub(super) const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";
pub(super) const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
pub(super) const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";

/// The size of a local header without its name and extra fields.
pub(super) const LOCAL_BYTES: usize = 30;

/// What a size or an offset of 32 bits holds when the zip64 extra field has the real one.
pub(super) const SEE_ZIP64: u64 = 0xffff_ffff;

/// The extra field that has the sizes and offsets of 64 bits.
pub(super) const ZIP64_FIELD: u16 = 1;

/// A copy of some bytes of a file, which are asked for by their places in the file.
///
/// Nothing is parsed where it is mapped: another process may write there between the look at a size and its
/// use. What is copied first holds still.
#[derive(Debug)]
pub(super) struct Excerpt {
    start: usize,
    bytes: Vec<u8>,
}

impl Excerpt {
    /// The bytes `range` of `file`, or those of them that it has.
    pub(super) fn copy(file: &[u8], range: Range<usize>) -> Excerpt {
        let end = range.end.min(file.len());
        let bytes = file.get(range.start..end).unwrap_or(&[]).to_vec();
        Excerpt { start: range.start, bytes }
    }

    /// All bytes from `offset` to the end; none if it is not inside.
    pub(super) fn rest(&self, offset: usize) -> &[u8] {
        offset.checked_sub(self.start).and_then(|at| self.bytes.get(at..)).unwrap_or(&[])
    }

    /// `length` bytes from `offset` on.
    pub(super) fn take(
        &self,
        offset: usize,
        length: usize,
        part: &'static str,
    ) -> Result<&[u8], ArchiveError> {
        let rest = self.rest(offset);
        let found_bytes = rest.len();
        rest.get(..length).ok_or(ArchiveError::Truncated {
            offset,
            part,
            expected_bytes: length,
            found_bytes,
        })
    }

    /// A record of `LENGTH` bytes at `offset`, which starts with `signature`.
    pub(super) fn record<const LENGTH: usize>(
        &self,
        offset: usize,
        signature: [u8; 4],
        part: &'static str,
    ) -> Result<&[u8; LENGTH], ArchiveError> {
        let bytes = self.take(offset, LENGTH, part)?;
        match bytes.first_chunk() {
            Some(record) if record.starts_with(&signature) => Ok(record),
            _ => {
                let found = bytes[..signature.len()].escape_ascii().to_string();
                Err(ArchiveError::Signature { offset, part, signature, found })
            }
        }
    }
}

/// The numbers of a record, little-endian. A place beyond the record is a mistake in this crate.
pub(super) fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

/// As [`u16_at`].
pub(super) fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from(u16_at(record, at)) | u32::from(u16_at(record, at + 2)) << 16
}

/// As [`u16_at`].
pub(super) fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from(u32_at(record, at)) | u64::from(u32_at(record, at + 4)) << 32
}

/// Replaces each of `values` that points to the zip64 extra field by the next number there.
///
/// `extra` lies at `offset`. Without such a field the values stay: one byte less than 4 GiB is a size too.
pub(super) fn widen(values: &mut [u64], extra: &[u8], offset: usize) -> Result<(), ArchiveError> {
    let Some((mut numbers, at)) = zip64_field(extra, offset)? else { return Ok(()) };
    for value in values.iter_mut().filter(|value| **value == SEE_ZIP64) {
        let (number, rest) = numbers.split_first_chunk().ok_or(ArchiveError::Truncated {
            offset: at,
            part: "the zip64 extra field",
            expected_bytes: 8,
            found_bytes: numbers.len(),
        })?;
        *value = u64::from_le_bytes(*number);
        numbers = rest;
    }
    Ok(())
}

/// The content of the zip64 field among the extra fields, and where in the file it is.
fn zip64_field(extra: &[u8], offset: usize) -> Result<Option<(&[u8], usize)>, ArchiveError> {
    const HEADER_BYTES: usize = 4;
    let mut at = 0;
    // Fewer bytes than a header are padding: Android's zipalign leaves up to three.
    while extra.len() - at >= HEADER_BYTES {
        let (kind, length) = (u16_at(extra, at), usize::from(u16_at(extra, at + 2)));
        let content = at + HEADER_BYTES;
        let field = extra[content..].get(..length).ok_or(ArchiveError::Truncated {
            offset: offset + content,
            part: "an extra field",
            expected_bytes: length,
            found_bytes: extra.len() - content,
        })?;
        if kind == ZIP64_FIELD {
            return Ok(Some((field, offset + content)));
        }
        at = content + length;
    }
    Ok(None)
}
