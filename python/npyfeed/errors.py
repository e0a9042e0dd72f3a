"""What can go wrong. I/O errors are Python's own: `FileNotFoundError`, `PermissionError`, `OSError`."""


class FormatError(ValueError):
    """The bytes are not a well-formed .npy file, or fewer than its header says."""


class MismatchError(ValueError):
    """Two things that must agree do not: columns, shapes, dtypes, options and what they apply to."""


class UnsupportedError(TypeError):
    """Well-formed, and not something npyfeed handles; the message names the way out."""
