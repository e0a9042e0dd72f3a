//! Arrays to one .npz file, whole or not at all.
//!
//! The bytes of a member pass through once: they go to the file as they come, and their CRC and size are counted
//! on the way. Only then is its local header written a second time, over the first one; the file is not in its
//! place yet ([`AtomicFile`]), so nobody sees the one without the numbers. A pass before the first, to know them
//! in advance, would read every array twice, and gather twice what does not lie together.
//!
//! Deflating is zlib's, at NumPy's level: it takes pieces. libdeflate, which inflates here, wants the whole member
//! and room for another, and an array need not fit in memory once.

use std::path::Path;

use flate2::{Compress, Status};
use npyfeed_array::ArrayView;
use npyfeed_npy::{ArchiveError, ArchiveWriter, Crc, Method, NewMember, Written};

use crate::atomic_file::AtomicFile;
use crate::error::{Error, ErrorKind, Result};
use crate::save::header_of;

/// As much is copied at a time to where nobody else writes: it stays in the cache.
const PIECE_BYTES: usize = 1 << 18;

/// Deflated bytes are gathered up to this size before they are written.
const OUTPUT_BYTES: usize = 1 << 18;

/// NumPy's level, which is zlib's own choice.
const LEVEL: u32 = 6;

/// How the members of an archive are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// As they are, as in `numpy.savez`: opening maps them where they lie.
    #[default]
    Stored,
    /// Deflated, as in `numpy.savez_compressed`: smaller, and inflated when they are used.
    Deflated,
}

/// Saves arrays as an .npz file, in this order, as `numpy.savez` or `numpy.savez_compressed` does.
///
/// The same arrays give the same bytes, which are not NumPy's: the elements of a stored member start at a
/// multiple of 64 bytes. The file is there whole or not at all: [`AtomicFile`] says how. The path is taken as it is.
///
/// ```
/// use npyfeed::{Archive, ArrayView, ByteOrder, Compression, Dtype, Layout, MemoryOrder};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("points.npz");
///
/// let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[2, 3], MemoryOrder::C)?;
/// let points = ArrayView::new(&layout, &[1, 2, 3, 4, 5, 6])?;
/// npyfeed::save_npz(&path, &[("points", points)], Compression::Deflated)?;
/// assert_eq!(Archive::open(&path)?.array("points")?.bytes(), [1, 2, 3, 4, 5, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// - those of [`save`](crate::save);
/// - [`ErrorKind::Mismatch`] for a name that is given twice, or that [`Archive::open`](crate::Archive::open)
///   would refuse: one that climbs out, is absolute, or has a backslash or a NUL.
///
/// Source of the rules: `numpy.savez`, APPNOTE.TXT 6.3.10.
pub fn save_npz(
    path: impl AsRef<Path>,
    arrays: &[(&str, ArrayView<'_>)],
    compression: Compression,
) -> Result<()> {
    let path = path.as_ref();
    let headers = arrays.iter().map(|(_, array)| header_of(path, array)).collect::<Result<Vec<_>>>()?;
    let mut writer = NpzWriter::create(path, compression)?;
    for ((name, array), header) in arrays.iter().zip(headers) {
        writer.begin(name, &header, array.bytes().len() as u64)?;
        writer.write(array.bytes())?;
    }
    writer.finish()
}

/// Writes an .npz file member by member, piece by piece. Dropped before [`finish`](NpzWriter::finish), it leaves
/// nothing.
///
/// ```
/// use npyfeed::{Archive, Compression, MemoryOrder, NpzWriter, header_bytes_of_descr};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("counts.npz");
///
/// let mut writer = NpzWriter::create(&path, Compression::Stored)?;
/// writer.begin("counts", &header_bytes_of_descr("'|u1'", MemoryOrder::C, &[4])?, 4)?;
/// writer.write(&[1, 2])?;
/// writer.write(&[3, 4])?;
/// writer.finish()?;
/// assert_eq!(Archive::open(&path)?.array("counts")?.bytes(), [1, 2, 3, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NpzWriter {
    file: AtomicFile,
    records: ArchiveWriter,
    compression: Compression,
    member: Option<Member>,
    /// Some bytes did not get into the file, and no more are worth it.
    has_failed: bool,
}

/// The member that is being written.
#[derive(Debug)]
struct Member {
    name: String,
    expected_bytes: u64,
    crc: Crc,
    written: Written,
    /// What is being written of it, where nobody else writes.
    piece: Vec<u8>,
    /// `None`: stored.
    deflate: Option<Deflate>,
}

#[derive(Debug)]
struct Deflate {
    stream: Compress,
    output: Vec<u8>,
}

impl NpzWriter {
    /// Begins an archive that will lie at `path`.
    ///
    /// # Errors
    /// Those of [`AtomicFile::create`].
    pub fn create(path: impl AsRef<Path>, compression: Compression) -> Result<NpzWriter> {
        let file = AtomicFile::create(path)?;
        Ok(NpzWriter { file, records: ArchiveWriter::new(), compression, member: None, has_failed: false })
    }

    /// Ends the member before and begins one called `name`: `header`, which is that of an .npy file, and behind it
    /// `data_bytes` bytes of elements, which [`write`](NpzWriter::write) brings.
    ///
    /// # Errors
    /// - [`ErrorKind::Mismatch`] for a name given before or that would be refused when opened, and if the member
    ///   before has fewer bytes than it was begun for;
    /// - [`ErrorKind::Unsupported`] for more members, or names, than are read;
    /// - [`ErrorKind::Io`] if the system will not take the bytes.
    pub fn begin(&mut self, name: &str, header: &[u8], data_bytes: u64) -> Result<()> {
        self.end()?;
        let element_offset = header.len() as u64;
        let expected_bytes = element_offset.saturating_add(data_bytes);
        let (method, deflate) = match self.compression {
            Compression::Stored => (Method::Stored, None),
            Compression::Deflated => (Method::Deflated, Some(Deflate::new())),
        };
        let member = NewMember { key: name, method, plain_bytes: expected_bytes, element_offset };
        let local_header = self.records.begin(&member).map_err(|why| self.refuse(name, &why))?;
        let appended = self.file.write(&local_header);
        self.noting(appended)?;
        let (crc, written) = (Crc::new(), Written::default());
        let (name, piece) = (name.to_owned(), Vec::with_capacity(PIECE_BYTES));
        self.member = Some(Member { name, expected_bytes, crc, written, piece, deflate });
        self.write(header)
    }

    /// Appends elements to the member that was begun last.
    ///
    /// # Errors
    /// - [`ErrorKind::Mismatch`] for more bytes than it was begun for, and before the first
    ///   [`begin`](NpzWriter::begin);
    /// - [`ErrorKind::Io`] if the system will not take them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let room_bytes = self.member.as_ref().map_or(0, Member::missing_bytes);
        let Some(member) = self.member.as_mut().filter(|_| bytes.len() as u64 <= room_bytes) else {
            let found = bytes.len();
            return Err(self.mismatch(&format!("expected at most {room_bytes} bytes more, found {found}")));
        };
        let appended = bytes.chunks(PIECE_BYTES).try_for_each(|piece| member.append(piece, &mut self.file));
        self.noting(appended)
    }

    /// Ends the last member and puts the file in its place, on disk.
    ///
    /// # Errors
    /// - [`ErrorKind::Mismatch`] if the last member has fewer bytes than it was begun for;
    /// - [`ErrorKind::Io`] if the system fails to store the bytes or the name.
    pub fn finish(mut self) -> Result<()> {
        self.end()?;
        let NpzWriter { mut file, records, .. } = self;
        let records = records.finish().map_err(|why| Error::new(ErrorKind::Internal, why.to_string()))?;
        file.write(&records)?;
        file.finish()?;
        Ok(())
    }

    /// Ends the member under way, if there is one: its local header is written anew.
    fn end(&mut self) -> Result<()> {
        if self.has_failed {
            let why = std::io::Error::other("an earlier write failed, and the archive would lack its bytes");
            return Err(Error::cannot_write(self.file.path(), why));
        }
        let Some(mut member) = self.member.take() else { return Ok(()) };
        let missing_bytes = member.missing_bytes();
        if missing_bytes > 0 {
            self.has_failed = true;
            let name = &member.name;
            return Err(self.mismatch(&format!("member '{name}': expected {missing_bytes} bytes more")));
        }
        let appended = member.deflate.as_mut().map_or(Ok(0), |deflate| deflate.finish(&mut self.file));
        member.written.compressed_bytes += self.noting(appended)?;
        let written = Written { crc: member.crc.sum(), ..member.written };
        let (offset, header) = self.records.end(written).map_err(|why| self.refuse(&member.name, &why))?;
        let written = self.file.write_over(offset, &header);
        self.noting(written)
    }

    fn noting<T>(&mut self, written: Result<T>) -> Result<T> {
        self.has_failed |= written.is_err();
        written
    }

    fn refuse(&self, name: &str, why: &ArchiveError) -> Error {
        if matches!(why, ArchiveError::Name { .. } | ArchiveError::Repeated { .. }) {
            return self.mismatch(&format!("member '{}': {why}", name.escape_debug()));
        }
        Error::unsupported(format!("cannot write '{}': {why}", self.file.path().display()))
    }

    fn mismatch(&self, what: &str) -> Error {
        Error::mismatch(format!("cannot write '{}': {what}", self.file.path().display()))
    }
}

impl Member {
    /// Appends a piece of at most [`PIECE_BYTES`]. Of what the caller lends, each byte is read once: someone may
    /// write to it meanwhile, and the CRC must be that of what is in the file.
    fn append(&mut self, piece: &[u8], file: &mut AtomicFile) -> Result<()> {
        self.piece.clear();
        self.piece.extend_from_slice(piece);
        self.crc.update(&self.piece);
        self.written.plain_bytes += self.piece.len() as u64;
        self.written.compressed_bytes += match &mut self.deflate {
            None => file.write(&self.piece).map(|()| self.piece.len() as u64)?,
            Some(deflate) => deflate.write(&self.piece, file)?,
        };
        Ok(())
    }

    fn missing_bytes(&self) -> u64 {
        self.expected_bytes - self.written.plain_bytes
    }
}

impl Deflate {
    fn new() -> Deflate {
        let stream = Compress::new(flate2::Compression::new(LEVEL), false);
        Deflate { stream, output: Vec::with_capacity(OUTPUT_BYTES) }
    }

    /// Takes all of `bytes`; how many came out and were written.
    fn write(&mut self, mut bytes: &[u8], file: &mut AtomicFile) -> Result<u64> {
        let before = self.stream.total_out();
        while !bytes.is_empty() {
            let taken = self.stream.total_in();
            self.step(bytes, flate2::FlushCompress::None, file)?;
            let taken = self.stream.total_in() - taken;
            bytes = &bytes[usize::try_from(taken).unwrap_or(bytes.len())..];
        }
        Ok(self.stream.total_out() - before)
    }

    /// Ends the stream; how many bytes came out and were written.
    fn finish(&mut self, file: &mut AtomicFile) -> Result<u64> {
        let before = self.stream.total_out();
        while self.step(&[], flate2::FlushCompress::Finish, file)? != Status::StreamEnd {}
        file.write(&self.output)?;
        self.output.clear();
        Ok(self.stream.total_out() - before)
    }

    /// One step, after which there is room for the next one.
    fn step(&mut self, bytes: &[u8], flush: flate2::FlushCompress, file: &mut AtomicFile) -> Result<Status> {
        let status = self.stream.compress_vec(bytes, &mut self.output, flush);
        let status = status.map_err(|why| Error::new(ErrorKind::Internal, why.to_string()))?;
        if self.output.len() == self.output.capacity() {
            file.write(&self.output)?;
            self.output.clear();
        }
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Archive;

    const HEADER: &[u8] = b"an .npy header, as far as this file knows";

    #[test]
    fn a_member_has_the_bytes_it_was_begun_for_or_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for compression in [Compression::Stored, Compression::Deflated] {
            let path = folder.path().join("x.npz");
            let mut writer = NpzWriter::create(&path, compression).unwrap();
            assert_eq!(writer.write(b"1").unwrap_err().kind(), ErrorKind::Mismatch);
            writer.begin("x", HEADER, 3).unwrap();
            assert_eq!(writer.write(b"1234").unwrap_err().kind(), ErrorKind::Mismatch);
            writer.write(b"12").unwrap();
            assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Mismatch);
            assert!(folder.path().read_dir().unwrap().next().is_none());
        }
    }

    #[test]
    fn after_a_failed_write_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = NpzWriter::create(folder.path().join("x.npz"), Compression::Stored).unwrap();
        writer.begin("x", HEADER, 0).unwrap();
        writer
            .noting(Err::<(), _>(Error::system("write", std::io::ErrorKind::StorageFull.into())))
            .unwrap_err();
        assert_eq!(writer.begin("y", HEADER, 0).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(writer.finish().unwrap_err().kind(), ErrorKind::Io);
        assert!(folder.path().read_dir().unwrap().next().is_none());
    }

    #[test]
    fn pieces_of_any_size_deflate_to_what_inflates_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let noise: Vec<u8> =
            (0..3_u64 << 20).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let header =
            npyfeed_npy::header_bytes_of_descr("'|u1'", npyfeed_array::MemoryOrder::C, &[noise.len()]);
        for piece_bytes in [1000, OUTPUT_BYTES, noise.len()] {
            let mut writer = NpzWriter::create(&path, Compression::Deflated).unwrap();
            writer.begin("x", header.as_ref().unwrap(), noise.len() as u64).unwrap();
            for piece in noise.chunks(piece_bytes) {
                writer.write(piece).unwrap();
            }
            writer.finish().unwrap();
            assert!(Archive::open(&path).unwrap().array("x").unwrap().bytes() == noise, "{piece_bytes}");
        }
    }
}
