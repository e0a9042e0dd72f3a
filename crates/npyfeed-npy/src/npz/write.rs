//! The records of an archive that is being written: what stands around the members' bytes, and where.
//!
//! A member is begun with a local header whose CRC and sizes are zeros, since they are known only when its bytes
//! have been seen; then the same header is given again with the true numbers, to be put in its place. It has one
//! size, so nothing moves. The other way, a descriptor behind the data, is for those who cannot go back in a
//! file: it leaves the local header without the sizes, and readers that go by local headers without the member.
//!
//! The elements of a stored member start at a multiple of [`ALIGNMENT_BYTES`], so that an array over the mapped
//! file is aligned. What it takes is put in an extra field of the local header, as Android's `zipalign` does and
//! with the field it has registered for it (0xd935); every reader skips extra fields it does not know.
//!
//! Same members, same bytes: the date is the earliest that zip can say, as in `numpy.savez`.

use std::collections::HashSet;

use super::end::{LOCATOR_SIGNATURE, WIDE_END_BYTES, WIDE_END_SIGNATURE};
use super::entry::{ENTRY_BYTES, UTF8, check_name};
use super::error::{ArchiveError, quoted};
use super::fields::{END_SIGNATURE, ENTRY_SIGNATURE, LOCAL_BYTES, LOCAL_SIGNATURE, SEE_ZIP64, ZIP64_FIELD};
use super::member::{Method, SUFFIX};
use crate::limits::{MAX_DIRECTORY_BYTES, MAX_MEMBERS};

/// The elements of a stored member start at a multiple of this in the file: a cache line, a full vector, and
/// what TensorFlow and JAX ask for before they take an array without copying it.
const ALIGNMENT_BYTES: u16 = 64;

/// Zip's number for the field that aligns: two bytes that say to what, then zeros.
const ALIGNMENT_FIELD: u16 = 0xd935;
const ALIGNMENT_FIELD_LEAST_BYTES: usize = 6;

/// From this size on a member has the zip64 field, whatever it deflates to. A little below 4 GiB: what does not
/// deflate grows, by some 5 bytes for every 16 KiB.
const WIDE_FROM_BYTES: u64 = 0xf000_0000;

/// 1980-01-01 as MS-DOS has it: years since 1980, month, day. The time is 0.
const DATE: u16 = 1 << 5 | 1;

/// Made on Unix, where a mode of access stands in the upper half of the attributes: a file, for its owner.
const MADE_ON_UNIX: u16 = 3 << 8;
const ATTRIBUTES: u32 = 0o600 << 16;

/// Version 2.0 of the format has deflate, 4.5 has zip64.
const PLAIN_VERSION: u16 = 20;
const WIDE_VERSION: u16 = 45;

/// The records of an archive that is being written, from its first byte on. See the top of `write.rs`.
///
/// ```
/// use npyfeed_npy::{ArchiveWriter, Directory, Method, NewMember, Written};
///
/// let mut records = ArchiveWriter::new();
/// let member = NewMember { key: "x", method: Method::Stored, plain_bytes: 5, element_offset: 0 };
/// let mut file = records.begin(&member)?;
/// file.extend(b"bytes");
/// let written = Written { crc: 0x0f54_3c55, compressed_bytes: 5, plain_bytes: 5 };
/// let (offset, header) = records.end(written)?;
/// file[offset as usize..][..header.len()].copy_from_slice(&header);
/// file.extend(records.finish()?);
/// assert_eq!(Directory::parse(&file)?.members()[0].name(), "x.npy");
/// # Ok::<(), npyfeed_npy::ArchiveError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ArchiveWriter {
    /// The bytes of the file so far.
    position: u64,
    entries: Vec<Entry>,
    keys: HashSet<Box<str>>,
    directory_bytes: usize,
}

/// A member that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewMember<'m> {
    /// Its name without `".npy"`.
    pub key: &'m str,
    /// How its bytes are kept.
    pub method: Method,
    /// How many bytes it will have, not deflated.
    pub plain_bytes: u64,
    /// Where among them the first element is: the size of the .npy header.
    pub element_offset: u64,
}

/// What is known of a member once its bytes have been written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    /// The CRC-32 of its bytes, not deflated.
    pub crc: u32,
    /// Its size in the file.
    pub compressed_bytes: u64,
    /// Its size, not deflated.
    pub plain_bytes: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Box<str>,
    method: u16,
    offset: u64,
    is_wide: bool,
    /// The size of the field that aligns; 0: there is none.
    padding_bytes: usize,
    written: Written,
}

impl ArchiveWriter {
    /// Of an empty file.
    pub fn new() -> ArchiveWriter {
        ArchiveWriter::default()
    }

    /// The local header of the next member, to be appended to the file; the member's bytes follow it.
    ///
    /// # Errors
    /// [`ArchiveError::Name`] for a name that [`Directory::parse`](crate::Directory::parse) would refuse, or of
    /// more than 65,535 bytes; [`ArchiveError::Repeated`] for one that was given before;
    /// [`ArchiveError::MemberCount`] and [`ArchiveError::DirectorySize`] beyond the limits of what is read;
    /// [`ArchiveError::Method`] for other methods than the two that NumPy writes.
    pub fn begin(&mut self, member: &NewMember<'_>) -> Result<Vec<u8>, ArchiveError> {
        let mut entry = Entry {
            name: format!("{}{SUFFIX}", member.key).into(),
            method: self.number_of(member)?,
            offset: self.position,
            is_wide: member.plain_bytes >= WIDE_FROM_BYTES,
            padding_bytes: 0,
            written: Written::default(),
        };
        self.check(&entry)?;
        if member.method == Method::Stored {
            let unpadded = self.position + entry.local_bytes() as u64 + member.element_offset;
            entry.padding_bytes = padding_bytes(unpadded);
        }
        let header = entry.local_header();
        self.position += header.len() as u64;
        self.directory_bytes += entry.directory_bytes_at_most();
        self.keys.insert(entry.name.clone());
        self.entries.push(entry);
        Ok(header)
    }

    /// The local header of the last member again, with what is known now, and where in the file it goes.
    ///
    /// # Errors
    /// [`ArchiveError::PlainSize`] if the member is larger than it was begun for.
    ///
    /// # Panics
    /// Unless a member was begun.
    pub fn end(&mut self, written: Written) -> Result<(u64, Vec<u8>), ArchiveError> {
        let entry = self.entries.last_mut().expect("a member was begun");
        entry.written = written;
        let most = written.compressed_bytes.max(written.plain_bytes);
        if !entry.is_wide && most >= SEE_ZIP64 {
            return Err(ArchiveError::PlainSize {
                offset: usize::try_from(entry.offset).unwrap_or(usize::MAX),
                name: quoted(&entry.name),
                method: Method::of_number(entry.method),
                compressed_bytes: written.compressed_bytes,
                plain_bytes: written.plain_bytes,
            });
        }
        self.position += written.compressed_bytes;
        Ok((entry.offset, entry.local_header()))
    }

    /// The directory and the end, to be appended to the file.
    ///
    /// # Errors
    /// None in practice: what cannot be said was refused when its member was begun.
    pub fn finish(self) -> Result<Vec<u8>, ArchiveError> {
        let mut records = Vec::with_capacity(self.directory_bytes + 2 * WIDE_END_BYTES);
        for entry in &self.entries {
            entry.append_to(&mut records);
        }
        let (count, directory_bytes) = (self.entries.len() as u64, records.len() as u64);
        append_end(&mut records, count, directory_bytes, self.position);
        Ok(records)
    }

    fn number_of(&self, member: &NewMember<'_>) -> Result<u16, ArchiveError> {
        match member.method {
            Method::Stored => Ok(0),
            Method::Deflated => Ok(8),
            method @ Method::Other(_) => {
                Err(ArchiveError::Method { offset: self.offset(), name: quoted(member.key), method })
            }
        }
    }

    /// Nothing is written that is not read: names, their sizes, and the number of them.
    fn check(&self, entry: &Entry) -> Result<(), ArchiveError> {
        let (offset, name) = (self.offset(), || quoted(&entry.name));
        check_name(&entry.name, offset)?;
        if u16::try_from(entry.name.len()).is_err() {
            let expected = "of less than 65,532 bytes";
            return Err(ArchiveError::Name { offset, expected, name: name() });
        }
        if self.keys.contains(&entry.name) {
            let first = self.entries.iter().find(|other| other.name == entry.name);
            let first = first.map_or(0, |first| usize::try_from(first.offset).unwrap_or(usize::MAX));
            return Err(ArchiveError::Repeated { offset, name: name(), first });
        }
        if self.entries.len() == MAX_MEMBERS {
            return Err(ArchiveError::MemberCount {
                offset,
                count: MAX_MEMBERS as u64 + 1,
                limit: MAX_MEMBERS,
            });
        }
        let directory_bytes = (self.directory_bytes + entry.directory_bytes_at_most()) as u64;
        if directory_bytes > MAX_DIRECTORY_BYTES as u64 {
            let limit_bytes = MAX_DIRECTORY_BYTES;
            return Err(ArchiveError::DirectorySize { offset, directory_bytes, limit_bytes });
        }
        Ok(())
    }

    fn offset(&self) -> usize {
        usize::try_from(self.position).unwrap_or(usize::MAX)
    }
}

impl Entry {
    fn flags(&self) -> u16 {
        if self.name.is_ascii() { 0 } else { UTF8 }
    }

    fn local_bytes(&self) -> usize {
        LOCAL_BYTES + self.name.len() + if self.is_wide { 20 } else { 0 } + self.padding_bytes
    }

    fn directory_bytes_at_most(&self) -> usize {
        ENTRY_BYTES + self.name.len() + 4 + 3 * size_of::<u64>()
    }

    fn local_header(&self) -> Vec<u8> {
        let Written { crc, compressed_bytes, plain_bytes } = self.written;
        let (version, sizes, wide) = if self.is_wide {
            (WIDE_VERSION, [u32::MAX; 2], zip64_field(&[plain_bytes, compressed_bytes]))
        } else {
            (PLAIN_VERSION, [compressed_bytes, plain_bytes].map(narrow), vec![])
        };
        let mut header = LOCAL_SIGNATURE.to_vec();
        append_u16(&mut header, &[version, self.flags(), self.method, 0, DATE]);
        append_u32(&mut header, &[crc, sizes[0], sizes[1]]);
        append_u16(&mut header, &[length(&self.name), short(wide.len() + self.padding_bytes)]);
        header.extend(self.name.as_bytes());
        header.extend(wide);
        if self.padding_bytes > 0 {
            append_u16(&mut header, &[ALIGNMENT_FIELD, short(self.padding_bytes - 4), ALIGNMENT_BYTES]);
            header.resize(header.len() + self.padding_bytes - ALIGNMENT_FIELD_LEAST_BYTES, 0);
        }
        header
    }

    fn append_to(&self, directory: &mut Vec<u8>) {
        let Written { crc, compressed_bytes, plain_bytes } = self.written;
        // In the order of the field, which has those that are too large, and no others.
        let numbers = [plain_bytes, compressed_bytes, self.offset];
        let large: Vec<u64> = numbers.into_iter().filter(|&number| number >= SEE_ZIP64).collect();
        let wide = if large.is_empty() { vec![] } else { zip64_field(&large) };
        let version = if self.is_wide || !large.is_empty() { WIDE_VERSION } else { PLAIN_VERSION };
        directory.extend(ENTRY_SIGNATURE);
        append_u16(directory, &[MADE_ON_UNIX | version, version, self.flags(), self.method, 0, DATE]);
        append_u32(directory, &[crc, narrow(compressed_bytes), narrow(plain_bytes)]);
        append_u16(directory, &[length(&self.name), short(wide.len()), 0, 0, 0]);
        append_u32(directory, &[ATTRIBUTES, narrow(self.offset)]);
        directory.extend(self.name.as_bytes());
        directory.extend(wide);
    }
}

/// The end records, behind a directory of `directory_bytes` at `directory_offset`.
fn append_end(records: &mut Vec<u8>, count: u64, directory_bytes: u64, directory_offset: u64) {
    let narrow_count = u16::try_from(count).unwrap_or(u16::MAX);
    if narrow_count == u16::MAX || directory_bytes >= SEE_ZIP64 || directory_offset >= SEE_ZIP64 {
        records.extend(WIDE_END_SIGNATURE);
        append_u64(records, &[WIDE_END_BYTES as u64 - 12]);
        append_u16(records, &[MADE_ON_UNIX | WIDE_VERSION, WIDE_VERSION]);
        append_u32(records, &[0, 0]);
        append_u64(records, &[count, count, directory_bytes, directory_offset]);
        records.extend(LOCATOR_SIGNATURE);
        append_u32(records, &[0]);
        append_u64(records, &[directory_offset + directory_bytes]);
        append_u32(records, &[1]);
    }
    records.extend(END_SIGNATURE);
    append_u16(records, &[0, 0, narrow_count, narrow_count]);
    append_u32(records, &[narrow(directory_bytes), narrow(directory_offset)]);
    append_u16(records, &[0]);
}

/// The size of the field that brings what would lie at `unpadded` to a multiple of [`ALIGNMENT_BYTES`].
fn padding_bytes(unpadded: u64) -> usize {
    let alignment = u64::from(ALIGNMENT_BYTES);
    if unpadded.is_multiple_of(alignment) {
        return 0;
    }
    let least = unpadded + ALIGNMENT_FIELD_LEAST_BYTES as u64;
    let bytes = least.next_multiple_of(alignment) - unpadded;
    usize::try_from(bytes).expect("less than two alignments")
}

fn zip64_field(numbers: &[u64]) -> Vec<u8> {
    let mut field = Vec::new();
    append_u16(&mut field, &[ZIP64_FIELD, short(numbers.len() * 8)]);
    append_u64(&mut field, numbers);
    field
}

/// The number, or what says that the zip64 field has it.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Names are held to what two bytes can say before they come here.
fn length(name: &str) -> u16 {
    short(name.len())
}

/// Two zip64 numbers and a padding are below a hundred bytes.
fn short(length: usize) -> u16 {
    u16::try_from(length).expect("names and fields are short")
}

fn append_u16(bytes: &mut Vec<u8>, numbers: &[u16]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn append_u32(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn append_u64(bytes: &mut Vec<u8>, numbers: &[u64]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}
