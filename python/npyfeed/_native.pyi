"""The engine, built from Rust. What users type is in the modules beside this one."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, final, type_check_only

import numpy as np
import torch

__version__: str

class LoaderOptions(TypedDict):
    """What a loader is asked for. `None`: chosen."""

    batch_size: int
    shuffle: bool
    seed: int
    drop_last: bool
    threads: int | None
    prefetch: int | None
    memory: int | None
    epoch: int

@type_check_only
class Description(TypedDict):
    """What the header of an array says; `descr` is a `repr`."""

    descr: str
    fortran_order: bool
    shape: tuple[int, ...]

def open(path: str | os.PathLike[str]) -> Array:
    """Opens an .npy file: checks its header against its size and maps it. No element is read.

    Raises:
        FileNotFoundError, PermissionError, IsADirectoryError, OSError: the system will not open it.
        FormatError: it is no .npy file, or shorter than its header says; the message has the byte.
        UnsupportedError: its elements are not numbers, or not yet handled; the message has the way out.

    """

@final
class Array:
    """One array in an .npy file, mapped and not yet read. `npyfeed.open` makes it.

    The mapping is copy-on-write, as `numpy.memmap(mode="c")`: arrays and tensors over it are writable,
    and the file never changes.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
    @property
    def ndim(self) -> int:
        """The number of axes."""
    @property
    def size(self) -> int:
        """The number of elements."""
    @property
    def nbytes(self) -> int:
        """The size of the elements in bytes."""
    @property
    def fortran_order(self) -> bool:
        """Whether the first axis runs fastest."""
    @property
    def version(self) -> tuple[int, int] | None:
        """The version of the file format, such as `(1, 0)`."""
    @property
    def path(self) -> Path | None:
        """The file."""
    def numpy(self) -> np.ndarray[Any, Any]:
        """The array as a writable ndarray over the mapped file, without a copy."""
    def torch(self) -> torch.Tensor:
        """The array as a torch tensor over the mapped file, without a copy."""
    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> np.ndarray[Any, Any]: ...
    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __len__(self) -> int: ...

def save(
    path: str, description: Description, chunks: Iterator[np.ndarray[Any, np.dtype[np.uint8]]]
) -> None: ...

@final
class Writer:
    def __new__(cls, path: str, descr: str, item_bytes: int, sample_shape: Sequence[int]) -> Writer: ...
    @property
    def closed(self) -> bool: ...
    def append(self, sample_count: int, samples: np.ndarray[Any, np.dtype[np.uint8]]) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    def __len__(self) -> int: ...

@final
class Dataset:
    def __new__(
        cls, columns: Sequence[tuple[str, str | os.PathLike[str] | np.ndarray[Any, Any] | Array]]
    ) -> Dataset: ...
    def map(self, column: str, transforms: Sequence[tuple[object, ...]]) -> Dataset: ...
    def select(self, indices: np.ndarray[Any, np.dtype[np.uint64]]) -> Dataset: ...
    def split(self, fractions: Sequence[float], seed: int) -> list[Dataset]: ...
    def spec(self) -> list[tuple[str, str, tuple[int, ...]]]: ...
    def batch(self, indices: np.ndarray[Any, np.dtype[np.uint64]]) -> list[np.ndarray[Any, Any]]: ...
    def __len__(self) -> int: ...

@final
class Loader:
    def __new__(cls, dataset: Dataset, options: Mapping[str, Any] | LoaderOptions) -> Loader: ...
    @property
    def epoch(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def prefetch(self) -> int: ...
    def set_epoch(self, epoch: int) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def __iter__(self) -> Epoch: ...
    def __len__(self) -> int: ...

@final
class Epoch:
    def __iter__(self) -> Epoch: ...
    def __next__(self) -> tuple[np.ndarray[Any, Any], ...]: ...
