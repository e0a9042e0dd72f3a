//! A regular file that is read by position, by several threads at once.
//!
//! Beside the descriptor that everyone has there is a second one, made when it is first asked for, through which reads
//! go past the system's page cache (`O_DIRECT`): the disk writes into our memory, nobody copies, and what others have
//! cached stays. It is opened through `/proc/self/fd`, so that it is the same file under whatever name, or none.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

use crate::file::Stamp;
use crate::file_system::FileSystem;
use crate::{ChangeError, Mode, RegularFile, residency};

/// An open regular file, with what it was like when it was opened.
///
/// ```
/// use npyfeed_io::{Mode, ReadFile, RegularFile};
///
/// # let path = tempfile::NamedTempFile::new()?.into_temp_path();
/// # std::fs::write(&path, b"0123456789")?;
/// let file = ReadFile::new(RegularFile::open(&path, Mode::ReadOnly)?);
/// let mut middle = [0; 4];
/// file.read_at(&mut middle, 3)?;
/// assert_eq!(&middle, b"3456");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReadFile {
    regular: RegularFile,
    pub(crate) opened: Stamp,
    direct: OnceLock<Result<DirectFile, NoDirect>>,
}

/// A descriptor of a file whose reads go past the page cache.
#[derive(Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "there is none"))]
pub struct DirectFile {
    pub(crate) file: File,
    /// What offsets, lengths and addresses of reads are multiples of, in bytes; a power of two.
    pub(crate) align_bytes: u64,
}

/// Why a file cannot be read past the page cache: a sentence.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoDirect(String);

/// What direct reads are aligned to where the system does not say: every disk's block divides it.
#[cfg(target_os = "linux")]
pub(crate) const BLOCK_BYTES: usize = 4096;

impl ReadFile {
    /// A file that was opened.
    pub fn new(regular: RegularFile) -> ReadFile {
        let opened = Stamp::of(&regular.metadata);
        ReadFile { regular, opened, direct: OnceLock::new() }
    }

    /// The path that it was opened by; what lies there now may be another file.
    pub fn path(&self) -> &Path {
        &self.regular.path
    }

    /// The size in bytes, when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.opened.len_bytes
    }

    /// What it was opened for.
    pub fn mode(&self) -> Mode {
        self.regular.mode
    }

    /// Whether it is what it was when it was opened: see [`Source::check`](crate::Source::check).
    ///
    /// # Errors
    /// [`ChangeError`], which says what has happened to it.
    pub fn check(&self) -> Result<(), ChangeError> {
        self.opened.check(self.file(), self.mode())
    }

    /// Fills `bytes` from `offset` on, with as many system calls as that takes.
    ///
    /// # Errors
    /// [`ChangeError`] if the file ends before, or the system fails. Whether what was read was written to meanwhile,
    /// [`check`](ReadFile::check) says.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), ChangeError> {
        match self.file().read_exact_at(bytes, offset) {
            Ok(()) => Ok(()),
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => Err(self.why_short()),
            Err(why) => Err(ChangeError::Io(why)),
        }
    }

    /// The descriptor whose reads go past the page cache. Asked of the system once.
    ///
    /// # Errors
    /// [`NoDirect`]: a file system without it, as tmpfs was until Linux 6.6; no `/proc`; no Linux.
    pub fn direct(&self) -> Result<&DirectFile, &NoDirect> {
        if self.direct.get().is_none() {
            // Not within the cell: who is forked while someone else asks would wait for ever. Two may ask at once, and
            // one answer is thrown away.
            drop(self.direct.set(DirectFile::of(self.file())));
        }
        self.direct.get_or_init(|| Err(NoDirect("it is not known".to_owned()))).as_ref()
    }

    /// How many of the bytes `range` the system has in memory, in whole pages. `None` if it does not say, as to those
    /// who neither own the file nor may write it.
    pub fn resident_bytes(&self, range: Range<u64>) -> Option<u64> {
        residency::resident_bytes(self.file(), range)
    }

    /// The file system it lies on.
    pub fn file_system(&self) -> FileSystem {
        FileSystem::of(self.file())
    }

    /// Has the system begin to bring `range` into its page cache. A wish: nothing is said if it is not granted.
    #[cfg(target_os = "linux")]
    pub(crate) fn advise_needed(&self, range: &Range<u64>) {
        if let Some(len_bytes) = std::num::NonZeroU64::new(range.end - range.start) {
            let advice = rustix::fs::Advice::WillNeed;
            let _granted = rustix::fs::fadvise(self.file(), range.start, Some(len_bytes), advice);
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn advise_needed(&self, _: &Range<u64>) {}

    pub(crate) fn file(&self) -> &File {
        &self.regular.file
    }

    /// What to say of a file that ended too early.
    fn why_short(&self) -> ChangeError {
        match self.check() {
            Ok(()) => ChangeError::Missing { expected_bytes: self.len_bytes() },
            Err(why) => why,
        }
    }
}

impl DirectFile {
    #[cfg(target_os = "linux")]
    fn of(file: &File) -> Result<DirectFile, NoDirect> {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::OpenOptionsExt;

        let align_bytes = alignment_bytes(file)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
        let file = opened.map_err(|why| NoDirect(format!("it cannot be opened with O_DIRECT: {why}")))?;
        Ok(DirectFile { file, align_bytes })
    }

    #[cfg(not(target_os = "linux"))]
    fn of(_: &File) -> Result<DirectFile, NoDirect> {
        Err(NoDirect("O_DIRECT is Linux's, and this is another system".to_owned()))
    }
}

/// What direct reads of the file have to be multiples of, as Linux 6.1 and newer say by `STATX_DIOALIGN`.
#[cfg(target_os = "linux")]
fn alignment_bytes(file: &File) -> Result<u64, NoDirect> {
    use rustix::fs::{AtFlags, StatxFlags, statx};

    let asked = StatxFlags::DIOALIGN;
    let known =
        statx(file, c"", AtFlags::EMPTY_PATH, asked).ok().filter(|found| found.stx_mask & asked.bits() != 0);
    let Some(found) = known else { return Ok(BLOCK_BYTES as u64) };
    let align_bytes = found.stx_dio_mem_align.max(found.stx_dio_offset_align);
    if found.stx_dio_mem_align == 0 || found.stx_dio_offset_align == 0 {
        return Err(NoDirect("its file system has no O_DIRECT for it".to_owned()));
    }
    if !align_bytes.is_power_of_two() || align_bytes as usize > BLOCK_BYTES {
        return Err(NoDirect(format!(
            "its direct reads are aligned to {align_bytes} bytes, expected a power of two up to {BLOCK_BYTES}"
        )));
    }
    Ok(align_bytes.into())
}
