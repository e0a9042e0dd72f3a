//! Many paths in little memory, and where they come from.

use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::pattern::Pattern;
use crate::error::{Error, Result};

/// Paths, numbered from 0, each of its length and 8 bytes: a million take some 60 MB less than as many `PathBuf`s.
#[derive(Default)]
pub(crate) struct Paths {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Paths {
    /// The .npy files in a folder, and not in those inside it, sorted by name. Hidden ones are left out, as `*` does.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot be read, or has none.
    pub(super) fn of_folder(folder: &Path) -> Result<Paths> {
        let mut paths = Paths::default();
        for entry in entries(folder)? {
            let name = entry.file_name();
            if is_npy(&name)
                && !name.as_bytes().starts_with(b".")
                && !entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                paths.push(&folder.join(name));
            }
        }
        if paths.len() == 0 {
            let doing = format!("find a sample in the folder '{}'", folder.display());
            let cure = "one in which each sample is a file, of the ending .npy, and not in a folder inside; \
                        Dataset.from_folder takes a folder for each class";
            return Err(Error::no_files(format!("cannot {doing}: expected {cure}"), folder));
        }
        Ok(paths.sorted())
    }

    /// The files that match a pattern, sorted.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if none does, or a folder cannot be read.
    pub(super) fn matching(text: &str) -> Result<Paths> {
        let mut paths = Paths::default();
        Pattern::new(text)
            .for_each(&mut |path| paths.push(path))
            .map_err(|(folder, why)| Error::cannot_open(&folder, why.into()))?;
        if paths.len() == 0 {
            let message = format!(
                "cannot open '{text}': expected a pattern that matches a file, found none that does (a relative \
                 pattern starts at the working directory, '*' matches no hidden file and no '/', '**' any number of \
                 folders)"
            );
            return Err(Error::no_files(message, Path::new(text)));
        }
        Ok(paths.sorted())
    }

    /// Adds a path, from the root on: its file is opened later, when the working directory may be another.
    pub(crate) fn push(&mut self, path: &Path) {
        let absolute = std::path::absolute(path);
        let path = absolute.as_deref().unwrap_or(path);
        self.text.extend_from_slice(path.as_os_str().as_bytes());
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// # Panics
    /// If there is no such path.
    pub(super) fn get(&self, number: usize) -> &Path {
        let start = number.checked_sub(1).map_or(0, |previous| self.ends[previous]);
        Path::new(OsStr::from_bytes(&self.text[start..self.ends[number]]))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Path> {
        (0..self.len()).map(|number| self.get(number))
    }

    /// By their bytes, as Python sorts strings: the order of UTF-8 is that of the characters. Each once.
    fn sorted(&self) -> Paths {
        let mut order: Vec<&Path> = self.iter().collect();
        order.sort_unstable_by_key(|path| path.as_os_str().as_bytes());
        order.dedup();
        order.into_iter().collect()
    }
}

impl<P: AsRef<Path>> FromIterator<P> for Paths {
    fn from_iter<I: IntoIterator<Item = P>>(all: I) -> Paths {
        let mut paths = Paths::default();
        all.into_iter().for_each(|path| paths.push(path.as_ref()));
        paths.text.shrink_to_fit();
        paths.ends.shrink_to_fit();
        paths
    }
}

impl std::fmt::Debug for Paths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Paths({} from {:?} on)", self.len(), self.iter().next())
    }
}

/// Whether a file of this name is an .npy file; `.NPY` is one too.
pub(crate) fn is_npy(name: &OsStr) -> bool {
    name.as_bytes().last_chunk::<4>().is_some_and(|ending| ending.eq_ignore_ascii_case(b".npy"))
}

/// What is in a folder, in no order.
pub(crate) fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    let read = || std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>();
    read().map_err(|why| Error::cannot_open(folder, why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_were_put_in_and_sorted_by_their_characters() {
        let names = ["/b", "/", "/a/é.npy", "/a/z.npy", "/a/😀", "/a/\u{ffff}", "/a", "/b"];
        let paths: Paths = names.iter().collect();
        assert_eq!(paths.iter().collect::<Vec<_>>(), names.map(Path::new));
        let mut expected: Vec<&str> = names.into();
        expected.sort_by_key(|name| name.chars().collect::<Vec<_>>());
        expected.dedup();
        assert_eq!(
            paths.sorted().iter().collect::<Vec<_>>(),
            expected.iter().map(Path::new).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_relative_path_stays_where_it_was_when_the_working_directory_changes() {
        let paths: Paths = ["a/../b.npy"].iter().collect();
        assert_eq!(paths.get(0), std::env::current_dir().unwrap().join("a/../b.npy"));
    }

    #[test]
    fn a_name_is_not_its_ending() {
        let names = ["a.npy", "a.NPY", ".npy", "npy", "a.npy.bak", "a.npz", ""];
        let found: Vec<bool> = names.map(|name| is_npy(OsStr::new(name))).into();
        assert_eq!(found, [true, true, true, false, false, false, false]);
    }
}
