"""The engine, built from Rust. What users type is in the modules beside this one."""

import io
import os
from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict, final, type_check_only

import jax
import numpy as np
import tensorflow as tf
import torch
from typing_extensions import Buffer, Self

# A framework that is not installed is `Any` to a type checker; inside installed packages it reports nothing.
__all__ = [
    "NUMPY_LACKS",
    "Archive",
    "Array",
    "Dataset",
    "Epoch",
    "Loader",
    "Order",
    "Rows",
    "Writer",
    "__version__",
    "open",
    "reopen",
    "rows",
    "save",
    "save_npz",
]

__version__: str

NUMPY_LACKS: Mapping[str, str]
"""The dtypes that NumPy lacks, bfloat16 and 8-bit floats, and what a header says of them."""

@type_check_only
class LoaderOptions(TypedDict):
    """What a loader is asked for. `None`: chosen."""

    batch_size: int
    order: Order
    seed: int
    drop_last: bool
    threads: int | None
    prefetch: int | None
    memory: int | None
    io: str
    epoch: int
    rank: int | None
    world_size: int | None
    uneven: str

@type_check_only
class Description(TypedDict):
    """What the header of an array says; `descr` is a `repr`."""

    descr: str
    fortran_order: bool
    shape: tuple[int, ...]

@type_check_only
class Member(TypedDict):
    """A member of an archive that is to be written."""

    name: str
    description: Description
    data_bytes: int
    chunks: Iterator[np.ndarray[Any, np.dtype[np.uint8]]]

def open(
    source: str | os.PathLike[str] | BinaryIO | io.BufferedIOBase | io.RawIOBase | Buffer,
    *,
    mode: Literal["c", "r", "r+"] = "c",
    dtype: object | None = None,
    check_crc: bool = False,
    memory: int | None = None,
    max_header_size: int | None = None,
) -> Any:
    """Opens an .npy file as an `Array`, an .npz file as an `Archive`: the bytes decide, not the name.

    Of an .npy file the header is checked against its size, of an .npz file the directory. No element is read;
    a file of at most 16 KiB is read whole, which is faster than to map it. Type checkers see `Any`, as with
    `numpy.load`; say which it is: `array: nf.Array = nf.open(path)`.

    Args:
        source: a path; a file opened in binary mode, from its position on, which is moved behind the array,
            so that the next call opens the next one; or the bytes of a file: `bytes`, `bytearray`,
            `memoryview`, `mmap`, `BytesIO`, which are not copied and must not be changed meanwhile.
        mode: "c", copy-on-write: what is written to arrays and tensors never reaches the file. "r": arrays
            are read-only. "r+": what is written is written to the file. Bytes in memory are read-only but
            in "r+".
        dtype: what the elements are, for those that NumPy has no name for: "bfloat16" and "float8_e4m3fn"
            kept as raw bytes or integers of that size, "int64" for dates, any number for raw bytes of its
            size; a name, a NumPy dtype or a torch dtype. Nothing is converted. Of an archive: those of each
            member used.
        check_crc: hold also the stored members of an .npz file against their CRC-32, at their first use,
            for a pass over their bytes. Deflated ones are always checked.
        memory: the most bytes of inflated members that an archive keeps for their next use; `None`: 256 MiB.
        max_header_size: the most bytes that a header may have; `None`: 1 MiB.

    Raises:
        FileNotFoundError, PermissionError, IsADirectoryError, OSError: the system will not open it.
        FormatError: it is neither, or shorter than its header says, or its directory is not sound (cut short,
            members that overlap, share a name, climb out by their names, or state sizes that cannot be); the
            message has the byte.
        UnsupportedError: its elements are Python objects, or mean something else on another machine (`long
            double`), or an archive is to be written, or the source is none; the message has the way out.
        MismatchError: the elements cannot be of that dtype, or the memory cannot be written.

    >>> import io, numpy as np, npyfeed as nf
    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(3)), np.save(file, np.eye(2)), file.seek(0)
    (None, None, 0)
    >>> nf.open(file).numpy(), nf.open(file).shape
    (array([0, 1, 2]), (2, 2))
    """

@final
class Archive(Mapping[str, Any]):
    """The arrays of an .npz file, by name: a lazy mapping. `npyfeed.open` makes it.

    Names come without ".npy" and are looked up with or without it, in the order of the file, as
    `numpy.load` has it. `archive["x"]` is an `Array`; a member that is no .npy file is its bytes.

    A stored member (`numpy.savez`) is mapped where it lies and not copied; it may start at any byte, so an
    ndarray over it may not be aligned (`array.flags.aligned`), unless `npyfeed.save_npz` wrote it. A deflated
    one (`numpy.savez_compressed`) is inflated when it is asked for and checked against its CRC-32. It is
    shared while an `Array` or ndarray over it lives, and the archive keeps those last used, 256 MiB at most,
    so that `archive["x"][0]`, `archive["x"][1]` inflates once: asking again gives the same memory, with what
    was written to it. Several threads inflate several members side by side, and so does `load`. After a fork
    the child inflates what it needs for itself. Ctrl-C is answered meanwhile; the inflating goes on without
    its caller, and whoever asks again gets what it makes.

    A pickle carries the path and how the file was opened. Whoever unpickles opens it again, and gets an
    `OSError` if it was written to or replaced meanwhile; so does `copy.deepcopy`. `copy.copy` is the same
    archive. What lies in memory cannot be pickled.

    Raises on `archive[name]`:
        KeyError: there is no such member.
        FormatError: its local header and the directory disagree, it does not inflate to the size or the
            CRC-32 stated, or its .npy header is not sound. The message names file, member and byte.
        UnsupportedError: it is encrypted or kept by bzip2, lzma and the like, or holds Python objects.

    Source of the rules: `numpy.savez`, `numpy.lib.npyio.NpzFile`, APPNOTE.TXT.

    >>> import numpy as np, npyfeed as nf, tempfile
    >>> path = tempfile.mkdtemp() + "/arrays.npz"
    >>> np.savez(path, x=np.zeros((2, 3)), y=np.arange(4, dtype="uint8"))
    >>> archive = nf.open(path)
    >>> list(archive), archive["x"].shape
    (['x', 'y'], (2, 3))
    >>> nf.Dataset(y=f"{path}:y").spec["y"]
    ColumnSpec(dtype='uint8', shape=())
    """

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def close(self) -> None:
        """Lets go of the file. Arrays made of it before stay valid; also what `with` does at its end."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def __getitem__(self, name: str, /) -> Any: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def get(self, name: str, default: Any = None) -> Any:
        """The member, or `default` if there is none of that name."""
    def load(self, *names: str) -> dict[str, Any]:
        """The members of these names, or all, as `archive[name]` gives them, by the names asked for.

        Deflated ones are inflated side by side, by as many threads as the CPU has, which have ended when this
        returns. Stored ones are not read.

        Raises:
            KeyError: there is no such member; nothing is inflated then.
            FormatError, UnsupportedError: as `archive[name]`, for the earliest name that has an error.

        """
    def __reduce__(self) -> Any: ...
    def __copy__(self) -> Archive:
        """Another handle on the same archive, which `close` of this one leaves open."""
    def keys(self) -> KeysView[str]:
        """The names."""
    def values(self) -> ValuesView[Any]:
        """The members, each opened when the view comes to it."""
    def items(self) -> ItemsView[str, Any]:
        """Names and members, each opened when the view comes to it."""

@final
class Array:
    """One array in an .npy or .npz file, mapped and not yet read. `npyfeed.open` makes it.

    `numpy.asarray(array)`, `array[key]` and everything else that takes an array gets NumPy's view of the
    mapped file. The mapping is copy-on-write unless another mode was asked for, as `numpy.memmap(mode="c")`:
    arrays and tensors over it are writable, and the file never changes.

    `array[key]` is read, and assigned to, by NumPy's indexing; comparison and iteration are NumPy's too. For
    all else there is `array.numpy()`. Of dtypes that NumPy lacks (bfloat16) it gives the bits, and nothing
    else does: to take them for numbers is refused. No buffer protocol: `memoryview(array.numpy())`.

    Numbers become tensors, and columns of a `Dataset`. Text, dates, raw bytes and records are NumPy arrays
    only; `array.field("x")`, or `array["x"]`, is one field of records, again an `Array`, without a copy.

    If someone else cuts the file short or writes to it meanwhile, reading raises an `OSError` that names
    it. Arrays and tensors that were handed out before cannot raise: they read zeros where bytes are
    missing, and `check` tells. To change a file in use, rename a new one over it; that disturbs nobody.

    A pickle carries the path and how the array was opened (member, field, mode and so on), not the elements
    and not what was written to them in memory. Whoever unpickles opens the file again, and gets an
    `OSError` if it was written to or replaced meanwhile; so does `copy.deepcopy`. `copy.copy` has the same
    elements. What lies in memory cannot be pickled.

    Raises on any use after `close`: ValueError.

    >>> import numpy as np, npyfeed as nf, tempfile
    >>> path = tempfile.mkdtemp() + "/image.npy"
    >>> np.save(path, np.zeros((480, 640, 3), "uint8"))
    >>> with nf.open(path) as image:
    ...     image.shape, image[0, :2].tolist()
    ((480, 640, 3), [[0, 0, 0], [0, 0, 0]])
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements; the unsigned integer of their size if NumPy lacks it."""
    @property
    def dtype_name(self) -> str:
        """The name of the type of the elements, also of those that NumPy lacks: `"bfloat16"`.

        What is no number is told in words.
        """
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
        """The file; of a member of an .npz file, that."""
    @property
    def closed(self) -> bool:
        """Whether it was closed."""
    def close(self) -> None:
        """Lets go of the file. Arrays and tensors made of it before stay valid, and keep what they need.

        Also what `with nf.open(path) as array:` does at its end. In mode "r+" it flushes first.
        """
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def field(self, name: str, *, dtype: object | None = None) -> Array:
        """One field of records, `[*shape, *axes of the field]`: the same bytes, not copied.

        `"file.npy:field"` names it as a column of a `Dataset`, `"file.npz:member:field"` that of a member.

        Args:
            name: its name or title.
            dtype: what its elements are, as in `npyfeed.open`: dates as "int64".

        Raises:
            MismatchError: the elements have no such field, or its bytes are no such numbers.
            UnsupportedError: it has more axes, with those of the records, than NumPy's arrays can have.

        """
    def check(self) -> None:
        """Nothing, if the bytes are still those of the file that was opened.

        Call it after reading through an array or tensor handed out before, where others change files.

        Raises:
            OSError: the file was cut short or written to since it was opened, or could not be read.

        """
    def flush(self) -> None:
        """Has what was written to the array put on disk, in mode "r+"; else there is nothing to do.

        Memory that was opened (`bytearray`, `mmap`) is its owner's to flush.

        Raises:
            OSError: the system failed, or something written is lost: a file cut short, a full disk.

        """
    def numpy(self, *, copy: bool = False) -> np.ndarray[Any, Any]:
        """The array as an ndarray over the mapped file, writable unless the mode is "r", without a copy.

        With `copy=True` in memory of its own, in the order of the file; a large one is copied by several
        threads.
        """
    def plain_numpy(self) -> np.ndarray[Any, Any]:
        """As `numpy`, for who can take only what is writable, native, and steps by whole elements.

        A copy in C order, if the array is not so as it lies.
        """
    def torch(self) -> torch.Tensor:
        """The array as a writable torch tensor over the mapped file.

        A copy is made only of what torch cannot hold: the other byte order, strides that are no multiple of
        an element, and memory that may only be read.

        Raises:
            UnsupportedError: the elements are not numbers; the message has the way out.
            MismatchError: a copy is needed in mode "r+": what is written to it would be lost.

        """
    def tensorflow(self) -> tf.Tensor:
        """The array as a TensorFlow tensor: `npyfeed.tensorflow.from_array` says when without a copy."""
    def jax(self) -> jax.Array:
        """The array as a `jax.Array`: `npyfeed.jax.from_array` says when without a copy."""
    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> np.ndarray[Any, Any]: ...
    def __dlpack__(
        self,
        *,
        stream: None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule over the array, for `from_dlpack` of any framework.

        TensorFlow's own takes what does not start at a multiple of 64 bytes (members of an .npz file) and
        then ends the process: there, call `tensorflow` instead. JAX's own halves 64-bit numbers; `jax`
        raises.

        Args:
            stream: none, on the CPU.
            max_version: the version of DLPack that the consumer knows; 1.0 is the first that can say of an
                array that it may only be read.
            dl_device: the CPU, `(1, 0)`.
            copy: whether to copy, into C order, this machine's byte order and memory of its own that starts
                at a multiple of 64 bytes. Without `True`, nothing is ever copied.

        Raises:
            BufferError: DLPack cannot say it (the other byte order, gaps that are no whole elements) or may
                not (read-only, without a version); the message has the cure.
            OSError: the file was cut short or written to since it was opened.

        Source of the rules: `dlpack.h` 1.1 and the Python array API standard 2024.12.

        """
    def __dlpack_device__(self) -> tuple[int, int]:
        """The CPU: `(1, 0)`."""
    def __bytes__(self) -> bytes:
        """The elements in C order, copied. For their memory itself: `memoryview(array.numpy())`."""
    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __eq__(self, other: object, /) -> Any: ...
    def __ne__(self, other: object, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __le__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __ge__(self, other: Any, /) -> Any: ...
    def __reduce__(self) -> Any: ...
    def __copy__(self) -> Array:
        """Another handle on the same elements, which `close` of this one leaves open."""
    def __len__(self) -> int: ...

def reopen(opened: dict[str, Any]) -> Any:
    """Opens again what a pickle was made of.

    Raises:
        FileNotFoundError: the file is no longer there.
        OSError: it was written to or replaced since it was opened.

    """

def rows(files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Rows:
    """The rows of several files, one after the other, as a column of `npyfeed.Dataset`: each row is a sample.

    The files are opened when the dataset is made. A list of files without `rows` has one sample a file.

    Args:
        files: a pattern as `glob.glob` has them, with `**` for any number of folders, or a folder, whose
            .npy files these are; both sorted by name. Or a list of paths, in its order, each of which may
            also be `"file.npz:member"` or `"file.npy:field"`. dtype, byte order and the shape of a row must
            be the same in all; `Dataset` raises `MismatchError` where they are not.

    Raises:
        UnsupportedError: it is neither.

    >>> import numpy as np, npyfeed as nf
    >>> np.save("part0.npy", np.zeros((3, 2))), np.save("part1.npy", np.ones((4, 2)))  # doctest: +SKIP
    >>> len(nf.Dataset(x=nf.rows("part*.npy")))  # doctest: +SKIP
    7
    """

def save(
    path: str, description: Description, chunks: Iterator[np.ndarray[Any, np.dtype[np.uint8]]]
) -> None: ...
def save_npz(path: str, members: Sequence[Member], compressed: bool) -> None: ...

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
        cls,
        columns: Sequence[
            tuple[
                str,
                str
                | os.PathLike[str]
                | Sequence[str | os.PathLike[str]]
                | np.ndarray[Any, Any]
                | Array
                | Rows,
            ]
        ],
    ) -> Dataset: ...
    @staticmethod
    def from_folder(folder: str | os.PathLike[str]) -> Dataset: ...
    def classes(self) -> list[str] | None: ...
    def map(self, column: str, transforms: Sequence[tuple[object, ...]]) -> Dataset: ...
    def select(self, indices: np.ndarray[Any, np.dtype[np.uint64]]) -> Dataset: ...
    def split(self, fractions: Sequence[float], seed: int) -> list[Dataset]: ...
    def spec(self) -> list[tuple[str, str, tuple[int, ...]]]: ...
    def draw(self, sample: int, epoch: int, seed: int) -> list[list[tuple[int, str, list[int]]]]: ...
    def plan(self) -> str: ...
    def array(self, place: int) -> Array | None: ...
    def names_mark(self) -> int: ...
    def rows(self) -> np.ndarray[Any, np.dtype[np.uint64]] | None: ...
    def batch(self, indices: np.ndarray[Any, np.dtype[np.uint64]]) -> list[np.ndarray[Any, Any]]: ...
    def __len__(self) -> int: ...

@final
class Rows:
    def __reduce__(self) -> tuple[object, tuple[object]]: ...

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
    def state(self) -> dict[str, int]: ...
    def load_state(self, state: dict[str, int]) -> None: ...
    def stats(self) -> dict[str, int]: ...
    def verdict(self) -> str: ...
    def explain(self) -> str: ...
    def __iter__(self) -> Epoch: ...
    def __len__(self) -> int: ...

@final
class Order:
    @staticmethod
    def sequential() -> Order: ...
    @staticmethod
    def shuffled() -> Order: ...
    @staticmethod
    def block_shuffled(block_size: int, window: int) -> Order: ...
    @staticmethod
    def weighted(
        weights: np.ndarray[Any, np.dtype[np.float64]], num_samples: int, replacement: bool
    ) -> Order: ...
    @staticmethod
    def class_balanced(labels: np.ndarray[Any, np.dtype[np.uint64]], num_samples: int | None) -> Order: ...
    @staticmethod
    def explicit(indices: np.ndarray[Any, np.dtype[np.uint64]]) -> Order: ...

@final
class Epoch:
    def __iter__(self) -> Epoch: ...
    def __next__(self) -> tuple[np.ndarray[Any, Any], ...]: ...
