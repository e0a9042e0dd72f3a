"""Named arrays to .npz files, as `numpy.savez` writes them, and whole or not at all."""

import os
from typing import Any

from npyfeed import _native
from npyfeed.errors import MismatchError
from npyfeed.save import as_ndarray, checked, chunks, describe

__all__ = ["save_npz"]


def save_npz(
    path: str | os.PathLike[str],
    /,
    *arrays: Any,  # noqa: ANN401, whatever is an array to its library
    compressed: bool = False,
    **named_arrays: Any,  # noqa: ANN401, as above
) -> None:
    """Saves arrays as an .npz file, of the names and contents that `numpy.savez` gives it.

    As in `numpy.savez`, named arrays come first, in their order, then the others as `arr_0`, `arr_1`, ...
    The file is there whole or not at all, as with `npyfeed.save`, and the same arrays give the same bytes.
    They are not NumPy's bytes: the elements of a stored member start at a multiple of 64 bytes in the file,
    so that an array or tensor over the mapped file is aligned. What lies together is written without a copy.

    Args:
        path: the file. As in `numpy.savez`, `.npz` is appended unless it ends so.
        arrays: what `npyfeed.save` takes.
        compressed: deflate the members, as `numpy.savez_compressed`: a smaller file, written and read more
            slowly. Stored members are opened without being read.
        named_arrays: the same, by name. A name may have any letters and `/`, as in
            `**{"block/weight": array}`; `compressed` is the one name that an array cannot have here.

    Raises:
        MismatchError: an array without a name would get that of a named one, or a name is one that
            `npyfeed.open` refuses: it climbs out of a folder, is absolute, or has a backslash or a NUL.
        UnsupportedError: elements are Python objects, or an array is masked, on another device, or of a dtype
            that NumPy lacks; the message has the way out.
        FileNotFoundError, PermissionError, IsADirectoryError, OSError: the system will not write the file.

    Source: `numpy.savez`, `numpy.savez_compressed`, APPNOTE.TXT.

    >>> import os, tempfile
    >>> import numpy as np, npyfeed as nf
    >>> path = os.path.join(tempfile.mkdtemp(), "squares.npz")
    >>> nf.save_npz(path, np.arange(4), squares=np.arange(4) ** 2)
    >>> {name: array.tolist() for name, array in np.load(path).items()}
    {'squares': [0, 1, 4, 9], 'arr_0': [0, 1, 2, 3]}
    """
    target = _npz_path(path)
    doing = f"cannot write '{target}'"
    all_arrays = dict(named_arrays)
    for index, array in enumerate(arrays):
        name = f"arr_{index}"
        if name in named_arrays:
            raise MismatchError(
                f"{doing}: expected other names than those of arrays without one, found '{name}' given "
                f"twice: name array {index} too"
            )
        all_arrays[name] = array
    # All are described before the first is written: what cannot be saved is told at once.
    members = [_member(doing, name, array) for name, array in all_arrays.items()]
    _native.save_npz(target, members, compressed)


def _npz_path(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    return text if text.endswith(".npz") else text + ".npz"


def _member(doing: str, name: str, array: Any) -> "_native.Member":  # noqa: ANN401, as in `save_npz`
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise MismatchError(f"{doing}: expected names that are text, found {name!r}: {error}") from error
    doing = f"{doing}: member {name!r}"
    plain = as_ndarray(doing, array)
    return {
        "name": name,
        "description": describe(doing, plain, array),
        "data_bytes": plain.nbytes,
        "chunks": checked(array, chunks(plain)),
    }
