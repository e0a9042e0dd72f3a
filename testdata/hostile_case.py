"""What is said of a hostile file."""

from typing import NamedTuple


class Case(NamedTuple):
    """One file, its error, the byte where it goes wrong, and a part of the message.

    In an archive that byte is one of the archive, or of the first member that is a hostile .npy file itself.
    """

    name: str
    content: bytes
    error: str
    offset: int | None
    message: str
