"""JAX: arrays as `jax.Array`s, without a copy where JAX can compute on their memory."""

from typing import Any

import jax

from npyfeed import _native
from npyfeed.errors import MismatchError

__all__ = ["from_array"]


def from_array(array: _native.Array) -> jax.Array:
    """The array as a `jax.Array` on the CPU over its own memory, or over that of a copy.

    Shared is an array in C or Fortran order and this machine's byte order whose elements start at a multiple
    of 64 bytes, as those of an .npy file written by NumPy do. JAX takes it for immutable: write no more to
    `array.numpy()`.

    Copied is one that starts elsewhere (many members of an .npz file), has gaps (a field of records) or the
    other byte order, is read-only, or has 8-bit floats.

    Raises:
        MismatchError: the elements have 64 bits, complex ones 128, and JAX has them switched off: left to
            itself, it halves them without a word.
        UnsupportedError: the elements are not numbers.
        OSError: the file was cut short or written to since it was opened.

    >>> import numpy as np, npyfeed as nf, tempfile
    >>> path = tempfile.mkdtemp() + "/points.npy"
    >>> np.save(path, np.arange(3, dtype="float32"))
    >>> nf.open(path).jax()
    Array([0., 1., 2.], dtype=float32)
    """
    if array.dtype_name.startswith("float8"):  # the capsules that JAX takes have no name for them
        copied: jax.Array = jax.numpy.array(array.numpy().view(array.dtype_name))
        array.check()
        return copied
    dtype = array.dtype.newbyteorder("=")
    narrowed = jax.dtypes.canonicalize_dtype(dtype)
    if narrowed != dtype:
        message = (
            f"cannot hand '{array.path or 'memory'}' to JAX: expected elements that it keeps, found {dtype}, "
            f'which it would turn into {narrowed}; call jax.config.update("jax_enable_x64", True) first'
        )
        raise MismatchError(message)
    made: jax.Array = jax.dlpack.from_dlpack(array if _is_taken(array) else _Packed(array))
    return made


def _is_taken(array: _native.Array) -> bool:
    """Whether JAX reads it where it lies, or copies it itself since only the 64 bytes are not met."""
    view = array.numpy()
    lies_whole = view.flags.c_contiguous or view.flags.f_contiguous
    return lies_whole and view.flags.aligned and view.flags.writeable and bool(view.dtype.isnative)


class _Packed:
    """An array that is copied for whoever asks for it."""

    def __init__(self, array: _native.Array) -> None:
        self._array = array

    def __dlpack__(self, *, stream: None = None) -> Any:  # noqa: ANN401, a capsule has no type
        return self._array.__dlpack__(stream=stream, copy=True)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()
