//! The first bytes of a file that is opened, read and closed again: the way to many small files.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::Mode;
use crate::file::Stamp;

/// The first `limit_bytes` of the file at `path`, or all it has, in `scratch`, whose memory is used again.
///
/// Five system calls: the file is opened, read and closed, and asked before and after reading whether it is the same,
/// as a file that is cut short meanwhile gives zeros. Whoever knows how many bytes it should have asks for so many, and
/// sees how many came. Nobody waits for the writer of a pipe.
///
/// ```
/// let mut scratch = Vec::new();
/// let start = npyfeed_io::read_start("Cargo.toml".as_ref(), 9, &mut scratch)?;
/// assert_eq!(start, b"[package]");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The system's own; for a directory it comes when it is read. `StaleNetworkFileHandle` if the file was cut short or
/// written to while it was read.
pub fn read_start<'a>(path: &Path, limit_bytes: usize, scratch: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let opened = Stamp::of(&file.metadata()?);
    if scratch.len() < limit_bytes {
        scratch.resize(limit_bytes, 0);
    }
    let mut found_bytes = 0;
    while found_bytes < limit_bytes {
        match file.read(&mut scratch[found_bytes..limit_bytes]) {
            Ok(0) => break,
            Ok(read_bytes) => found_bytes += read_bytes,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    opened.check(&file, Mode::ReadOnly).map_err(|_| io::ErrorKind::StaleNetworkFileHandle)?;
    Ok(&scratch[..found_bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_has_comes_up_to_the_limit_and_the_scratch_serves_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Vec::new();
        for (name, content, limit_bytes, expected) in [
            ("long", "0123456789", 4, "0123"),
            ("exact", "abcd", 4, "abcd"),
            ("short", "xy", 4, "xy"),
            ("empty", "", 4, ""),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let start = read_start(&path, limit_bytes, &mut scratch).unwrap();
            assert_eq!(start, expected.as_bytes(), "{name}");
        }
        assert_eq!(scratch.len(), 4);
    }

    #[test]
    fn what_is_no_file_is_an_error_or_empty_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Vec::new();
        assert!(read_start(folder.path(), 4, &mut scratch).is_err());
        let missing = read_start(&folder.path().join("none"), 4, &mut scratch).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read_start(&pipe, 4, &mut scratch).unwrap(), b"");
    }
}
