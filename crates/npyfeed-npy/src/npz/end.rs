//! The end of an archive, which says where its directory is.
//!
//! The end record is searched from the end of the file, since a comment of any content may follow it. It
//! counts only if its comment ends where the file ends, so that a record made up inside a comment or a
//! member is no record. The directory ends where the end begins; from its size follows where it starts, and
//! from where it says it starts, how many bytes someone has put in front.

use std::ops::Range;

use super::entry::ENTRY_BYTES;
use super::error::ArchiveError;
use super::fields::{END_SIGNATURE, Excerpt, u16_at, u32_at, u64_at};
use crate::limits::{MAX_DIRECTORY_BYTES, MAX_MEMBERS};

const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
pub(super) const WIDE_END_BYTES: usize = 56;
const MAX_COMMENT_BYTES: usize = u16::MAX as usize;
pub(super) const LOCATOR_SIGNATURE: [u8; 4] = *b"PK\x06\x07";
pub(super) const WIDE_END_SIGNATURE: [u8; 4] = *b"PK\x06\x06";

/// Where the directory is.
pub(super) struct End {
    /// Its bytes in the file.
    pub(super) directory: Range<usize>,
    /// How many bytes stand before the archive: every offset in it counts from there.
    pub(super) prefix_bytes: u64,
    pub(super) member_count: usize,
}

impl End {
    pub(super) fn is_there(file: &[u8]) -> bool {
        find_record(file).is_some()
    }

    pub(super) fn find(file: &[u8]) -> Result<End, ArchiveError> {
        let (tail, end_offset) = find_record(file).ok_or_else(|| {
            let offset = first_candidate(file, MAX_COMMENT_BYTES);
            ArchiveError::NoEnd { offset, searched_bytes: file.len() - offset }
        })?;
        let end: &[u8; END_BYTES] = tail.record(end_offset, END_SIGNATURE, "the end record")?;
        match locator(&tail, end_offset) {
            None => Stated::of_end(end, end_offset).place(),
            Some(locator) => read_wide(&tail, end, end_offset, locator),
        }
    }
}

/// The first byte at which an end record may start that a comment of at most `comment_bytes` follows.
fn first_candidate(file: &[u8], comment_bytes: usize) -> usize {
    file.len().saturating_sub(END_BYTES + comment_bytes)
}

/// A copy of the end of the file, with the records that may stand before an end record, and where that is.
///
/// Nearly every archive has no comment, and of those no more than 98 bytes are copied.
fn find_record(file: &[u8]) -> Option<(Excerpt, usize)> {
    [0, MAX_COMMENT_BYTES].into_iter().find_map(|comment_bytes| {
        let first = first_candidate(file, comment_bytes);
        let start = first.saturating_sub(WIDE_END_BYTES + LOCATOR_BYTES);
        let tail = Excerpt::copy(file, start..file.len());
        let last = file.len().checked_sub(END_BYTES)?;
        let offset = (first..=last).rev().find(|&offset| {
            let record = tail.rest(offset);
            let comment_bytes = || usize::from(u16_at(record, 20));
            record.starts_with(&END_SIGNATURE) && END_BYTES + comment_bytes() == record.len()
        })?;
        Some((tail, offset))
    })
}

/// The record before the end that archives beyond the old limits have.
fn locator(tail: &Excerpt, end_offset: usize) -> Option<&[u8]> {
    let offset = end_offset.checked_sub(LOCATOR_BYTES)?;
    let locator = tail.rest(offset).get(..LOCATOR_BYTES)?;
    locator.starts_with(&LOCATOR_SIGNATURE).then_some(locator)
}

fn read_wide(tail: &Excerpt, end: &[u8], end_offset: usize, locator: &[u8]) -> Result<End, ArchiveError> {
    let part = "the zip64 end record";
    let locator_offset = end_offset - LOCATOR_BYTES;
    let offset = locator_offset.checked_sub(WIDE_END_BYTES).ok_or(ArchiveError::Truncated {
        offset: 0,
        part,
        expected_bytes: WIDE_END_BYTES,
        found_bytes: locator_offset,
    })?;
    let wide: &[u8; WIDE_END_BYTES] = tail.record(offset, WIDE_END_SIGNATURE, part)?;
    let stated = Stated::of_wide_end(wide, offset);
    stated.check_against(&Stated::of_end(end, end_offset))?;
    if u32_at(locator, 4) != 0 || u32_at(locator, 16) > 1 {
        return Err(ArchiveError::ManyDisks { offset: locator_offset });
    }
    let end = stated.place()?;
    let (found, expected) = (u64_at(locator, 8), offset as u64 - end.prefix_bytes);
    if found != expected {
        let what = "the offset of the zip64 end record";
        return Err(ArchiveError::Disagreement { offset: locator_offset + 8, what, expected, found });
    }
    Ok(end)
}

/// What an end record states, and where.
struct Stated {
    offset: usize,
    /// Numbers of disks, all of them 0 in an archive of one file.
    disks: [u32; 2],
    member_count_here: u64,
    member_count: u64,
    directory_bytes: u64,
    directory_offset: u64,
}

impl Stated {
    fn of_end(end: &[u8], offset: usize) -> Stated {
        Stated {
            offset,
            disks: [u16_at(end, 4).into(), u16_at(end, 6).into()],
            member_count_here: u16_at(end, 8).into(),
            member_count: u16_at(end, 10).into(),
            directory_bytes: u32_at(end, 12).into(),
            directory_offset: u32_at(end, 16).into(),
        }
    }

    fn of_wide_end(end: &[u8], offset: usize) -> Stated {
        Stated {
            offset,
            disks: [u32_at(end, 16), u32_at(end, 20)],
            member_count_here: u64_at(end, 24),
            member_count: u64_at(end, 32),
            directory_bytes: u64_at(end, 40),
            directory_offset: u64_at(end, 48),
        }
    }

    /// The narrow record says the same, or that a number is too large for it. Otherwise two readers
    /// would see two archives.
    fn check_against(&self, narrow: &Stated) -> Result<(), ArchiveError> {
        let (short, long) = (u64::from(u16::MAX), u64::from(u32::MAX));
        let pairs = [
            ("the number of members", self.member_count, narrow.member_count, short),
            ("the size of the directory", self.directory_bytes, narrow.directory_bytes, long),
            ("the offset of the directory", self.directory_offset, narrow.directory_offset, long),
        ];
        match pairs.into_iter().find(|&(_, wide, narrow, largest)| narrow != largest && narrow != wide) {
            None => Ok(()),
            Some((what, expected, found, _)) => {
                Err(ArchiveError::Disagreement { offset: narrow.offset, what, expected, found })
            }
        }
    }

    fn place(&self) -> Result<End, ArchiveError> {
        let offset = self.offset;
        if self.disks != [0, 0] || self.member_count_here != self.member_count {
            return Err(ArchiveError::ManyDisks { offset });
        }
        let directory_bytes = self.directory_bytes;
        let limit_bytes = offset.min(MAX_DIRECTORY_BYTES);
        let start = usize::try_from(directory_bytes).ok().filter(|&bytes| bytes <= limit_bytes);
        let start = start.map(|bytes| offset - bytes).ok_or(ArchiveError::DirectorySize {
            offset,
            directory_bytes,
            limit_bytes,
        })?;
        let prefix_bytes = (start as u64).checked_sub(self.directory_offset).ok_or({
            let (expected, found) = (start as u64, self.directory_offset);
            ArchiveError::Disagreement { offset, what: "the offset of the directory", expected, found }
        })?;
        let limit = ((offset - start) / ENTRY_BYTES).min(MAX_MEMBERS);
        let member_count = usize::try_from(self.member_count).ok().filter(|&count| count <= limit);
        let member_count =
            member_count.ok_or(ArchiveError::MemberCount { offset, count: self.member_count, limit })?;
        Ok(End { directory: start..offset, prefix_bytes, member_count })
    }
}
