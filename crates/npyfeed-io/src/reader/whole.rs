//! A small file, opened, read and closed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::OpenError;

/// Reads the file at `path` until `bytes` are full or it ends; gives how many were read.
pub(super) fn read_whole(path: &Path, bytes: &mut [u8]) -> Result<usize, OpenError> {
    // Opening a pipe waits for its writer otherwise. Reading it by position then fails, as of all that is no file.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let mut read_bytes = 0;
    while read_bytes < bytes.len() {
        match file.read_at(&mut bytes[read_bytes..], read_bytes as u64) {
            Ok(0) => break,
            Ok(more_bytes) => read_bytes += more_bytes,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(refusal(why)),
        }
    }
    Ok(read_bytes)
}

/// Reads the file at `path` as [`read_whole`] does, if its path, inode and bytes are all cached; `None` if a disk
/// would have to be waited for, and if anything is wrong.
#[cfg(target_os = "linux")]
pub(super) fn read_whole_if_cached(path: &Path, bytes: &mut [u8]) -> Option<usize> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::{ReadWriteFlags, preadv2};

    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
    // To read on at its end, to see that it is the end, would wait for a page that is not there.
    let size = u64::try_from(rustix::fs::fstat(&file).ok()?.st_size).ok()?;
    let wanted_bytes = usize::try_from(size).ok()?.min(bytes.len());
    let read =
        preadv2(&file, &mut [io::IoSliceMut::new(&mut bytes[..wanted_bytes])], 0, ReadWriteFlags::NOWAIT);
    // Nothing at all may also be a pipe, or a file of `/proc`, which has no size.
    read.ok().filter(|&read_bytes| read_bytes == wanted_bytes && read_bytes > 0)
}

fn refusal(why: io::Error) -> OpenError {
    match why.raw_os_error() {
        Some(libc::EISDIR) => OpenError::Directory,
        Some(libc::ESPIPE) => OpenError::NotRegular,
        Some(_) | None => OpenError::Io(why),
    }
}
