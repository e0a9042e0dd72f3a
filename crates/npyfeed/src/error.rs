//! One opaque error for the whole crate, with a kind to act on and a sentence to read.

use std::path::{Path, PathBuf};

use npyfeed_io::{ChangeError, OpenError, Stamp};
use npyfeed_npy::{ArchiveError, HeaderError};

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, on what, what was expected and found, and the cure where one is known.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    cause: Option<std::io::Error>,
}

/// What a program can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The bytes are not a well-formed file, or fewer than the file says.
    Format,
    /// Two things that must agree do not: columns, shapes, dtypes, options and what they apply to.
    Mismatch,
    /// Well-formed, and not something this version handles.
    Unsupported,
    /// It was closed, or made in another process: it cannot be used here any more.
    Closed,
    /// The system's own error; [`Error::io_error`] has it.
    Io,
    /// A defect of npyfeed itself: please report it.
    Internal,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), path: None, cause: None }))
    }

    pub(crate) fn mismatch(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Mismatch, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported, message)
    }

    /// The system refused something that is not about one file.
    pub(crate) fn system(doing: &str, cause: std::io::Error) -> Error {
        let mut error = Error::new(ErrorKind::Io, format!("cannot {doing}: {cause}"));
        error.0.cause = Some(cause);
        error
    }

    /// The system refused to open a file, or it is no file.
    pub(crate) fn cannot_open(path: &Path, why: OpenError) -> Error {
        const TOO_MANY_OPEN: i32 = 24; // EMFILE, on every Unix
        let cure = match &why {
            OpenError::Io(cause) if cause.kind() == std::io::ErrorKind::NotFound && path.starts_with("~") => {
                " ('~' is not expanded: os.path.expanduser does that)"
            }
            OpenError::Io(cause) if cause.kind() == std::io::ErrorKind::NotFound && names_inside(path) => {
                " ('file:inside' names a column of a dataset; open the file, and take what is inside by its name)"
            }
            OpenError::Io(cause) if cause.kind() == std::io::ErrorKind::NotFound && path.is_relative() => {
                " (a relative path starts at the working directory)"
            }
            OpenError::Io(cause) if cause.raw_os_error() == Some(TOO_MANY_OPEN) => {
                " (a file of more than 16 KiB stays open while it is in use: raise the limit, as 'ulimit -n' does)"
            }
            OpenError::Directory => " (name one of the files inside)",
            OpenError::Io(_) | OpenError::NotRegular => "",
        };
        let message = format!("cannot open '{}': {why}{cure}", path.display());
        let cause = match why {
            OpenError::Io(cause) => cause,
            OpenError::Directory => std::io::ErrorKind::IsADirectory.into(),
            OpenError::NotRegular => std::io::ErrorKind::Unsupported.into(),
        };
        let inner = Inner { kind: ErrorKind::Io, message, path: None, cause: Some(cause) };
        Error(Box::new(inner)).on(path)
    }

    /// Where files were expected, there are none: `message` says which, `path` is where they were looked for.
    pub(crate) fn no_files(message: impl Into<String>, path: &Path) -> Error {
        const NOT_FOUND: i32 = 2; // ENOENT, on every Unix
        let cause = Some(std::io::Error::from_raw_os_error(NOT_FOUND));
        Error(Box::new(Inner { kind: ErrorKind::Io, message: message.into(), path: None, cause })).on(path)
    }

    /// The bytes that were read from the source called `name` are not those that were opened.
    pub(crate) fn changed(name: &str, why: ChangeError) -> Error {
        const CURE: &str = "open it again, and change a file in use by renaming a new one over it";
        let message = match &why {
            ChangeError::CutShort { .. } | ChangeError::Rewritten { .. } => {
                format!("cannot read '{name}': {why} ({CURE})")
            }
            ChangeError::Missing { .. } => {
                format!(
                    "cannot read '{name}': {why} (cut short in between, or a failing disk: open it again)"
                )
            }
            ChangeError::Io(_) => format!("cannot read '{name}': {why}"),
        };
        let cause = match why {
            ChangeError::CutShort { .. } | ChangeError::Rewritten { .. } | ChangeError::Missing { .. } => {
                std::io::ErrorKind::StaleNetworkFileHandle.into()
            }
            ChangeError::Io(cause) => cause,
        };
        Error(Box::new(Inner { kind: ErrorKind::Io, message, path: None, cause: Some(cause) }))
    }

    /// The file to be opened again is not what it was.
    pub(crate) fn other_file(path: &Path, expected: Stamp, found: Stamp) -> Error {
        let later = if found.len_bytes == expected.len_bytes { " of another date" } else { "" };
        let message = format!(
            "cannot open '{}' again: it was written to or replaced since: expected the {} bytes that were opened, \
             found {} bytes{later} (open it anew by its path)",
            path.display(),
            expected.len_bytes,
            found.len_bytes
        );
        let cause = Some(std::io::ErrorKind::StaleNetworkFileHandle.into());
        Error(Box::new(Inner { kind: ErrorKind::Io, message, path: None, cause })).on(path)
    }

    /// The system refused to create, write or rename a file.
    pub(crate) fn cannot_write(path: &Path, cause: std::io::Error) -> Error {
        let cure = if cause.kind() == std::io::ErrorKind::NotFound {
            " (the folder must be there already)"
        } else {
            ""
        };
        let message = format!("cannot write '{}': {cause}{cure}", path.display());
        let inner = Inner { kind: ErrorKind::Io, message, path: None, cause: Some(cause) };
        Error(Box::new(inner)).on(path)
    }

    /// A header that could not be understood, at byte `offset` of the source called `name`.
    pub(crate) fn bad_header(name: &str, offset: usize, why: &HeaderError) -> Error {
        let counted = if offset == 0 { String::new() } else { format!(", counted from byte {offset}") };
        Error::new(ErrorKind::Format, format!("cannot open '{name}': {why}{counted}"))
    }

    /// An archive, or a member of it, that could not be understood.
    pub(crate) fn bad_archive(name: &str, why: &ArchiveError) -> Error {
        let kind = if why.is_unsupported() { ErrorKind::Unsupported } else { ErrorKind::Format };
        Error::new(kind, format!("cannot open '{name}': {why}"))
    }

    /// The same error, about the file at `path`, if it is about one.
    pub(crate) fn about(self, path: Option<&Path>) -> Error {
        match path {
            Some(path) => self.on(path),
            None => self,
        }
    }

    /// The same error, about the file at `path`.
    pub(crate) fn on(mut self, path: &Path) -> Error {
        self.0.path = Some(path.to_owned());
        self
    }

    /// The same error, with what was being done in front.
    pub(crate) fn while_doing(mut self, doing: &str) -> Error {
        self.0.message = format!("{doing}: {}", self.0.message);
        self
    }

    /// The same error once more, for another batch that it befell.
    pub(crate) fn again(&self) -> Error {
        let Inner { kind, message, path, cause } = &*self.0;
        let cause = cause.as_ref().map(|cause| match cause.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code),
            None => cause.kind().into(),
        });
        Error(Box::new(Inner { kind: *kind, message: message.clone(), path: path.clone(), cause }))
    }

    /// What a program can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The system's own error, for [`ErrorKind::Io`].
    pub fn io_error(&self) -> Option<&std::io::Error> {
        self.0.cause.as_ref()
    }
}

/// Whether a path is that of a file, a colon, and something else.
fn names_inside(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.rmatch_indices(':').any(|(colon, _)| Path::new(&text[..colon]).is_file())
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}
