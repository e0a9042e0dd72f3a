"""Samples to one .npy file, batch after batch."""

import operator
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, final

import numpy as np
import numpy.typing as npt

from npyfeed import _native
from npyfeed.errors import MismatchError
from npyfeed.save import as_ndarray, bytes_of, describe, npy_path

__all__ = ["Writer"]


@final
class Writer:
    """Appends samples to a new .npy file, which NumPy can read at every moment.

    After each `flush` the file holds all samples appended so far, on disk: they outlive a kill, a crash
    and a power cut. Leaving a `with` block flushes and closes, whether it ended well or by an exception.
    Memory holds no samples: a batch is written when it is appended.

    As with `open(path, "w")`, a file that is already there is replaced: at once, by one of no samples.
    Arrays that were opened from it keep what they show. Two writers of one path, or a fork of the process
    that goes on writing, are a mistake; the fork is told so.

    Args:
        path: the file. As in `numpy.save`, `.npy` is appended unless it ends so.
        dtype: the type of the elements, in native byte order, without Python objects. bfloat16 and other
            types of `ml_dtypes` are stored as `numpy.save` stores them, as raw bytes (`<V2`).
        sample_shape: the shape of one sample; `()` for numbers. The file has shape `[sample, *sample_shape]`.

    Raises:
        MismatchError: the dtype is in another byte order or has a shape of its own, or no array can have
            `sample_shape`.
        UnsupportedError: the elements are Python objects, or one sample is larger than the address space.
        FileNotFoundError, PermissionError, IsADirectoryError, OSError: the system will not create the file.

    Source of the idea: the room that `numpy.lib.format` leaves in a header "so that it can be modified
    in-place when changing the array size".

    >>> import os, tempfile
    >>> import numpy as np, npyfeed as nf
    >>> path = os.path.join(tempfile.mkdtemp(), "pairs.npy")
    >>> with nf.Writer(path, dtype="uint8", sample_shape=(2,)) as writer:
    ...     writer.append(np.array([[1, 2]], "uint8"))
    ...     writer.append(np.array([[3, 4], [5, 6]], "uint8"))
    >>> np.load(path).tolist()
    [[1, 2], [3, 4], [5, 6]]
    """

    def __init__(
        self, path: str | os.PathLike[str], dtype: npt.DTypeLike, sample_shape: int | Sequence[int]
    ) -> None:
        self._path = npy_path(path)
        self._doing = f"cannot write '{self._path}'"
        self._dtype = self._checked(np.dtype(dtype))
        empty = self._empty(sample_shape)
        self._sample_shape: tuple[int, ...] = empty.shape[1:]
        descr = describe(self._doing, empty)["descr"]
        self._native = _native.Writer(self._path, descr, self._dtype.itemsize, self._sample_shape)

    @property
    def path(self) -> str:
        """The file."""
        return self._path

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of the elements."""
        return self._dtype

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self._sample_shape

    @property
    def closed(self) -> bool:
        """Whether the file was closed."""
        return self._native.closed

    def append(self, batch: Any) -> None:  # noqa: ANN401, whatever is an array to its library
        """Appends the samples of a batch, `[sample, *sample_shape]`, any number of them.

        They are in the file when this returns, and safe after the next `flush`. If it fails, none of them
        is appended, and more may be. A batch in C order is written without a copy.

        Args:
            batch: what `npyfeed.save` takes, of exactly the writer's dtype.

        Raises:
            MismatchError: the dtype or the shape is another, or the writer is closed.
            UnsupportedError: it is no array that NumPy can see.
            OSError: the system will not take the bytes: a full disk, a quota.
        """
        array = as_ndarray(self._doing, batch)
        if array.dtype != self._dtype:
            raise MismatchError(
                f"{self._doing}: expected a batch of {self._dtype}, found {array.dtype}: "
                f"pass numpy.asarray(batch).astype(writer.dtype)"
            )
        if array.ndim == 0 or array.shape[1:] != self._sample_shape:
            raise MismatchError(self._doing + ": " + self._shape_message(array.shape))
        self._native.append(len(array), bytes_of(array))

    def flush(self) -> None:
        """Puts all samples appended so far on disk, then the header that counts them.

        Raises:
            OSError: the system failed. The samples of earlier flushes are safe; this writer writes no more.
            MismatchError: the writer is closed.
        """
        self._native.flush()

    def close(self) -> None:
        """Flushes and closes the file. Closing twice is nothing.

        Raises:
            OSError: the system failed, as in `flush`. The file is closed all the same.
        """
        self._native.close()

    def __len__(self) -> int:
        """The number of samples appended, flushed or not."""
        return len(self._native)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = ", closed" if self.closed else ""
        shape = [len(self), *self._sample_shape]
        return f"npyfeed.Writer('{self._path}', shape={shape}, dtype={self._dtype}{state})"

    def _checked(self, dtype: "np.dtype[Any]") -> "np.dtype[Any]":
        if not dtype.isnative:
            raise MismatchError(
                f"{self._doing}: expected a dtype in native byte order, found {dtype}: "
                "pass dtype.newbyteorder('=')"
            )
        if dtype.subdtype is not None:
            base, shape = dtype.subdtype
            raise MismatchError(
                f"{self._doing}: expected a dtype of single elements, found {dtype}: "
                f"pass dtype='{base}' and put {list(shape)} at the end of sample_shape"
            )
        return dtype

    def _empty(self, sample_shape: int | Sequence[int]) -> "np.ndarray[Any, np.dtype[Any]]":
        """No samples, to learn from NumPy what it would make of the shape and the dtype."""
        lengths = sample_shape if isinstance(sample_shape, Sequence) else [sample_shape]
        try:
            return np.empty((0, *map(operator.index, lengths)), self._dtype)
        except ValueError as error:
            raise MismatchError(f"{self._doing}: sample_shape {sample_shape}: {error}") from error

    def _shape_message(self, found: tuple[int, ...]) -> str:
        expected = ", ".join(["sample", *map(str, self._sample_shape)])
        single = found == self._sample_shape
        cure = ": pass sample[None], a batch of one" if single else ""
        return f"expected a batch of shape [{expected}], found {list(found)}{cure}"
