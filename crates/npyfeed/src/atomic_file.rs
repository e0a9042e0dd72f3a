//! A file that is there whole or not at all.
//!
//! 1. The bytes go to a new file in the folder of the target, under a name nobody looks for.
//! 2. It is synchronised, then renamed over the target, then the folder is synchronised.
//!
//! So whoever opens the target, at any moment and after any crash, finds the old file or the new one. What
//! fails before the rename removes the new file again; only a killed process leaves one behind,
//! `.npyfeed-*.tmp`, which may be deleted.
//!
//! Not here: what the bytes mean.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// As many links as Linux follows before it calls them a loop.
const MAX_LINKS: usize = 40;

/// What `open()` asks for; the umask takes away from it.
const NEW_FILE_MODE: u32 = 0o666;

/// A file being written that takes its place only when it is finished. Dropped before, it leaves nothing.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("notes.txt");
/// let mut file = npyfeed::AtomicFile::create(&path)?;
/// file.write(b"whole, ")?;
/// assert!(!path.exists());
/// file.write(b"or not at all")?;
/// file.finish()?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"whole, or not at all");
/// # Ok::<(), npyfeed::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    /// As the user wrote it, for messages.
    path: PathBuf,
    /// Where the file will lie: the path with its links followed.
    target: PathBuf,
    temporary: NamedTempFile<File>,
}

impl AtomicFile {
    /// Begins a file that will lie at `path`, or where the links at `path` lead.
    ///
    /// It has the permissions of the file it will replace, and its owner if the system allows it, else
    /// those that `open()` would give it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the folder is missing or may not be written, or if
    /// `path` is something that `open()` would not write either: a folder, a write-protected file; nor may
    /// it be a pipe or a device, which cannot be replaced.
    pub fn create(path: impl AsRef<Path>) -> Result<AtomicFile> {
        let path = path.as_ref().to_owned();
        let began = begin(&path);
        let (target, temporary) = began.map_err(|why| Error::cannot_write(&path, why))?;
        Ok(AtomicFile { path, target, temporary })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system will not take them: a full disk, a quota.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.temporary.as_file_mut().write_all(bytes);
        written.map_err(|why| Error::cannot_write(&self.path, why))
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `bytes` over those at `offset`, which have been written before.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system will not take them.
    pub fn write_over(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        // A write at a place does not move where the next one appends.
        let written = self.temporary.as_file().write_all_at(bytes, offset);
        written.map_err(|why| Error::cannot_write(&self.path, why))
    }

    /// Puts the file in its place, on disk, and hands it back open for writing.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the system fails to store the bytes or the name.
    pub fn finish(self) -> Result<File> {
        let AtomicFile { path, target, temporary } = self;
        let placed = temporary
            .as_file()
            .sync_all()
            .and_then(|()| temporary.persist(&target).map_err(|why| why.error))
            .and_then(|file| sync_folder(folder_of(&target)).map(|()| file));
        placed.map_err(|why| Error::cannot_write(&path, why))
    }
}

fn begin(path: &Path) -> io::Result<(PathBuf, NamedTempFile<File>)> {
    let target = follow_links(path)?;
    let replaced = replaceable(&target)?;
    let temporary =
        tempfile::Builder::new().prefix(".npyfeed-").suffix(".tmp").make_in(folder_of(&target), |path| {
            OpenOptions::new().write(true).create_new(true).mode(NEW_FILE_MODE).open(path)
        })?;
    if let Some(replaced) = replaced {
        take_permissions(temporary.as_file(), &replaced)?;
    }
    Ok((target, temporary))
}

/// The path that `open()` would create: links followed, also one that leads to nothing yet.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = folder_of(&path).join(link),
            // No link, or nothing at all: both are where the file will lie.
            Err(why) if matches!(why.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(why) => return Err(why),
        }
    }
    // The system has a number and a sentence for it.
    fs::metadata(&path).map(|_| path)
}

/// The file at `target`, if there is one, and if whoever runs this may write it: a rename would not ask.
fn replaceable(target: &Path) -> io::Result<Option<Metadata>> {
    let found = match fs::metadata(target) {
        Ok(found) => found,
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    if found.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        let message = "expected a regular file, found a pipe, a socket or a device";
        return Err(io::Error::new(ErrorKind::Unsupported, message));
    }
    OpenOptions::new().write(true).open(target)?;
    Ok(Some(found))
}

/// Owner first: to change it takes away the set-user-id bit.
fn take_permissions(file: &File, replaced: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid()) {
        // Only root may give a file away. To others the new file is theirs, as with any editor.
        let _ = fchown(file, Some(replaced.uid()), Some(replaced.gid()));
    }
    file.set_permissions(replaced.permissions())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Makes a rename last. A folder that may be written and not read cannot be opened, and some network file
/// systems know no synchronising of folders: there the rename is as lasting as the system makes it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(why) if matches!(why.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        synchronised => synchronised,
    }
}
