//! Patterns of paths, as Python's `glob.glob(pattern, recursive=True)` has them.
//!
//! The rules: `*`, `?` and `[...]` match within one name, and match no name that begins with a dot unless the pattern
//! of that name does; `**`, as a whole name, any number of folders that are not hidden; a bracket that is not closed
//! is one. Otherwise than there, what matches and is a folder is left out: a folder is no sample. And a folder that
//! may not be read is an error, since nobody would miss its files.

use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use glob::MatchOptions;

/// A path of names and patterns of names.
#[derive(Debug)]
pub(super) struct Pattern {
    start: PathBuf,
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq)]
enum Part {
    /// This name.
    Name(String),
    /// The names that match.
    Matching(glob::Pattern),
    /// Any number of folders, one inside the other.
    Folders,
}

/// ELOOP, which the standard library does not name yet.
const LINK_LOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };

type Failure = (PathBuf, io::Error);

/// Whether Python's `glob` would look for anything but a file of this name.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

impl Pattern {
    pub(super) fn new(text: &str) -> Pattern {
        let start = PathBuf::from(if text.starts_with('/') { "/" } else { "" });
        let mut parts: Vec<Part> = text.split('/').filter(|name| !name.is_empty()).map(Part::new).collect();
        if parts.last() == Some(&Part::Folders) {
            parts.push(Part::new("*"));
        }
        Pattern { start, parts }
    }

    /// Gives each file that matches to `take`, in no order, one perhaps twice.
    ///
    /// # Errors
    /// The folder that could not be read, and why.
    pub(super) fn for_each(&self, take: &mut impl FnMut(&Path)) -> Result<(), Failure> {
        walk(&self.start, &self.parts, take)
    }
}

impl Part {
    fn new(name: &str) -> Part {
        if name == "**" {
            return Part::Folders;
        }
        let pattern = is_pattern(name).then(|| glob::Pattern::new(&in_words_of_the_crate(name)));
        match pattern {
            Some(Ok(pattern)) => Part::Matching(pattern),
            Some(Err(_)) | None => Part::Name(name.to_owned()),
        }
    }
}

/// The crate has errors where Python has a meaning: several stars are one, and a bracket that is not closed is one.
fn in_words_of_the_crate(name: &str) -> String {
    let (mut text, mut rest) = (String::new(), name);
    while let Some(next) = rest.chars().next() {
        let set_end = (next == '[').then(|| end_of_set(rest));
        let (word, length) = match (next, set_end) {
            ('*', _) => ("*", rest.len() - rest.trim_start_matches('*').len()),
            (_, Some(Some(end))) => (&rest[..end], end),
            (_, Some(None)) => ("[[]", 1),
            (_, None) => (&rest[..next.len_utf8()], next.len_utf8()),
        };
        text.push_str(word);
        rest = &rest[length..];
    }
    text
}

/// Where the set that begins `text`, `[...]`, ends. Its first character may be a closing bracket.
fn end_of_set(text: &str) -> Option<usize> {
    let start = if text.starts_with("[!") { 2 } else { 1 };
    let first = text[start..].chars().next()?.len_utf8();
    text[start + first..].find(']').map(|length| start + first + length + 1)
}

fn walk(folder: &Path, parts: &[Part], take: &mut impl FnMut(&Path)) -> Result<(), Failure> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    match part {
        Part::Name(name) if rest.is_empty() => {
            let path = folder.join(name);
            if std::fs::metadata(&path).is_ok_and(|found| !found.is_dir()) {
                take(&path);
            }
            Ok(())
        }
        Part::Name(name) => walk(&folder.join(name), rest, take),
        Part::Matching(pattern) => {
            for entry in entries(folder)? {
                if matches(pattern, &entry) {
                    step(&folder.join(entry.file_name()), &entry, rest, take)?;
                }
            }
            Ok(())
        }
        Part::Folders => {
            walk(folder, rest, take)?;
            for entry in entries(folder)? {
                if !is_hidden(&entry) {
                    let path = folder.join(entry.file_name());
                    if is_folder(&path, &entry) {
                        walk(&path, parts, take)?;
                    }
                }
            }
            Ok(())
        }
    }
}

/// Takes a file at the end of the pattern, enters a folder before it.
fn step(path: &Path, entry: &DirEntry, rest: &[Part], take: &mut impl FnMut(&Path)) -> Result<(), Failure> {
    match (rest.is_empty(), is_folder(path, entry)) {
        (true, false) => take(path),
        (false, true) => walk(path, rest, take)?,
        (true, true) | (false, false) => {}
    }
    Ok(())
}

fn matches(pattern: &glob::Pattern, entry: &DirEntry) -> bool {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    pattern.matches_with(&entry.file_name().to_string_lossy(), options)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

/// Whether it is a folder, or a link to one. Only a link is asked about.
fn is_folder(path: &Path, entry: &DirEntry) -> bool {
    let is_dir = |kind: FileType| kind.is_dir() || kind.is_symlink() && path.is_dir();
    entry.file_type().is_ok_and(is_dir)
}

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> Result<Vec<DirEntry>, Failure> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let read = || std::fs::read_dir(here)?.collect::<io::Result<Vec<_>>>();
    match read() {
        Err(why) if is_no_folder(&why) => Ok(Vec::new()),
        Err(why) => Err((here.to_owned(), why)),
        Ok(entries) => Ok(entries),
    }
}

/// Not there, a file, or a link that leads back to itself.
fn is_no_folder(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || why.raw_os_error() == Some(LINK_LOOP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_error_to_the_crate_has_pythons_meaning() {
        for (name, words) in [
            ("a**b", "a*b"),
            ("[ab]*", "[ab]*"),
            ("a[b", "a[[]b"),
            ("[]", "[[]]"),
            ("[!]]x[", "[!]]x[[]"),
            ("é?[", "é?[[]"),
        ] {
            assert_eq!(in_words_of_the_crate(name), words);
            assert!(glob::Pattern::new(words).is_ok(), "{words}");
        }
    }
}
