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

fn refusal(why: io::Error) -> OpenError {
    match why.raw_os_error() {
        Some(libc::EISDIR) => OpenError::Directory,
        Some(libc::ESPIPE) => OpenError::NotRegular,
        Some(_) | None => OpenError::Io(why),
    }
}
