"""Arrays to .npy files, as `numpy.save` writes them, and whole or not at all."""

import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from npyfeed import _native
from npyfeed.errors import UnsupportedError

__all__ = ["save"]

AnyArray: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

# Elements that do not lie together are gathered into pieces of this size, NumPy's own.
_GATHER_BYTES = 16 << 20


def save(path: str | os.PathLike[str], array: Any) -> None:  # noqa: ANN401, whatever is an array to its library
    """Saves an array as an .npy file, the same bytes that `numpy.save` writes.

    The file is there whole or not at all: the bytes go to a new file in the same folder, which is
    synchronised to disk and then renamed. A file that is already there keeps its permissions, and is
    untouched if anything fails; arrays that were opened from it keep what they show. A symbolic link is
    followed. To put a file on disk takes a millisecond or more, whatever its size: for samples by the
    thousand, one `npyfeed.Writer` is faster than a file each.

    Args:
        path: the file. As in `numpy.save`, `.npy` is appended unless it ends so.
        array: what `numpy.asarray` takes: an ndarray, an `npyfeed.Array`, a tensor on the CPU, a scalar,
            nested sequences; or anything with `__dlpack__`. Any shape, any dtype without Python objects,
            in either byte order. One that lies in Fortran order only is written in Fortran order, any
            other in C order. What lies together is written without a copy.

    Raises:
        UnsupportedError: the elements are Python objects, or the array is masked, on another device, or
            of a dtype that NumPy lacks; the message has the way out.
        FileNotFoundError, PermissionError, IsADirectoryError, OSError: the system will not write the file, or
            `array` is an `npyfeed.Array` whose own file was cut short or written to meanwhile.

    Source: `numpy.save`, `numpy.lib.format`.

    >>> import os, tempfile
    >>> import numpy as np, npyfeed as nf
    >>> path = os.path.join(tempfile.mkdtemp(), "squares.npy")
    >>> nf.save(path, np.arange(4) ** 2)
    >>> np.load(path)
    array([0, 1, 4, 9])
    """
    target = npy_path(path)
    doing = f"cannot write '{target}'"
    plain = as_ndarray(doing, array)
    _native.save(target, describe(doing, plain, array), checked(array, chunks(plain)))


def npy_path(path: str | os.PathLike[str]) -> str:
    """The path that `numpy.save` writes for `path`: it ends in `.npy`."""
    text = os.fspath(path)
    return text if text.endswith(".npy") else text + ".npy"


def as_ndarray(doing: str, array: Any) -> AnyArray:  # noqa: ANN401, as in `save`
    """`array` as an ndarray, over its own memory where it can be; `doing` begins the message if not."""
    if isinstance(array, np.ma.MaskedArray):
        raise UnsupportedError(
            f"{doing}: expected an array without a mask, which an .npy file cannot hold, found a masked one: "
            "pass array.filled(value), and save array.mask beside it if you need it"
        )
    if isinstance(array, _native.Array):
        return array.numpy()
    try:
        if hasattr(array, "__dlpack__") and not hasattr(array, "__array__"):
            return np.from_dlpack(array)
        return np.asarray(array)
    except (TypeError, RuntimeError, BufferError) as error:
        kind = f"{type(array).__module__}.{type(array).__qualname__}"
        raise UnsupportedError(
            f"{doing}: expected an array that NumPy can see, found a {kind}: {error} (for a torch tensor, "
            "pass tensor.detach().cpu(), and bfloat16 as tensor.float() or tensor.view(torch.uint16))"
        ) from error


def describe(doing: str, array: AnyArray, source: object = None) -> "_native.Description":
    """What the header of `array`, made of `source`, says; `doing` begins the message if none can say it."""
    # NumPy would pickle objects, and what its newer kinds of dtype hold, such as StringDType.
    if array.dtype.hasobject or not getattr(type(array.dtype), "_legacy", True):
        raise UnsupportedError(
            f"{doing}: expected elements of one size, found {array.dtype!r}, which only pickle stores: "
            "pass numbers, strings as array.astype(str), ragged arrays as one file each"
        )
    header = np.lib.format.header_data_from_array_1_0(array)
    name = source.dtype_name if isinstance(source, _native.Array) else ""
    return {
        "descr": repr(_native.NUMPY_LACKS.get(name, header["descr"])),
        "fortran_order": header["fortran_order"],
        "shape": header["shape"],
    }


def checked(
    array: object, pieces: Iterator["np.ndarray[Any, np.dtype[np.uint8]]"]
) -> Iterator["np.ndarray[Any, np.dtype[np.uint8]]"]:
    """The pieces of `array`, and behind the last one an error if its file changed while they were read."""
    yield from pieces
    if isinstance(array, _native.Array):
        array.check()


def bytes_of(array: AnyArray) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """The elements in C order as bytes, `[byte] u8`; a copy only if they lie otherwise."""
    if array.nbytes == 0:
        return np.empty(0, np.uint8)
    return np.ascontiguousarray(_raw(array)).reshape(-1).view(np.uint8)


def _raw(array: AnyArray) -> AnyArray:
    """The same elements without a meaning: a copy of a record would leave its padding to chance."""
    return array.view(f"V{array.itemsize}")


def chunks(array: AnyArray) -> Iterator["np.ndarray[Any, np.dtype[np.uint8]]"]:
    """The bytes that follow the header of `array`."""
    if array.flags.c_contiguous or array.nbytes == 0:
        yield bytes_of(array)
    elif array.flags.f_contiguous:
        yield bytes_of(array.T)
    else:
        item_count = max(_GATHER_BYTES // array.itemsize, 1)
        flags: Any = ("external_loop", "buffered", "zerosize_ok")
        for piece in np.nditer(_raw(array), flags, buffersize=item_count, order="C"):
            yield bytes_of(np.asarray(piece))
