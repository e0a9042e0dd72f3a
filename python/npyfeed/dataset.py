"""Named columns of one length, and what is done with their samples."""

import copyreg
import functools
import operator
import os
from collections import namedtuple
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from npyfeed import _native
from npyfeed.errors import MismatchError, UnsupportedError
from npyfeed.transforms import Transform

__all__ = ["ColumnSource", "ColumnSpec", "Dataset", "Draw", "Plan"]

ColumnSource: TypeAlias = (
    str
    | os.PathLike[str]
    | Sequence[str | os.PathLike[str]]
    | np.ndarray[Any, Any]
    | _native.Array
    | _native.Rows
)
"""Where the samples of a column are: a path, `"file.npz:member"` or `"file.npy:field"` whose rows they are;
a folder, a pattern or a list of files, which are one sample each; the rows of several files,
`nf.rows(files)`; an ndarray, or an open `Array`."""


class ColumnSpec(NamedTuple):
    """What a column gives: the dtype and the shape of one sample, known without reading."""

    dtype: str
    shape: tuple[int, ...]


class Draw(NamedTuple):
    """What a random transform draws: where the box begins, along each axis that is cropped."""

    step: int
    """Its place in the chain of its column, counted from 1."""
    transform: str
    corner: tuple[int, ...]


class Plan(str):
    """What is read, computed and written for each sample: a text for people, shown as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Dataset:
    """Named columns of one length. Sample `i` is row `i` of each, transformed.

    Args:
        columns: for each name, the path of an .npy file whose rows are the samples, `"file.npz:member"`, or a
            field of records in either, `"file.npy:field"` (a file of that whole name comes first); an
            ndarray (not copied: do not change or resize it while batches are made of it), or an `Array`.
            Or one sample a file: a folder, whose .npy files these are, or a pattern as
            `glob.glob(pattern, recursive=True)` has them, both sorted by name; a list or tuple of paths, in
            its order. Or the rows of several files, one after the other: `nf.rows(files)`.

    Of files that are one sample each, the first is opened here, and tells dtype and shape; to open a million
    would take a minute. The others are opened when their samples are made. One that cannot be, or is not of
    that dtype, shape, byte order and memory order, is an error in place of its batch. What is in a file is
    read at that time, each time; files of more than 1 MiB are mapped, and up to 128 of them stay open.

    A pickle of it, as `multiprocessing` makes one for a child process, carries the paths of its columns,
    their transforms and which samples are picked. Whoever unpickles opens the files again, and gets an
    `OSError` if one was written to or replaced since. Of a column that was given as an ndarray it carries the
    data, for want of a path; one of an `Array` in memory is refused. Of columns of several files, their names
    are looked up again: others are an `OSError`, other contents are not noticed.

    Raises:
        FileNotFoundError, PermissionError, IsADirectoryError, OSError: a file cannot be opened; a pattern
            matches no file, a folder has none.
        FormatError: a file is not .npy, or shorter than its header says.
        UnsupportedError: its elements are not numbers, or not yet handled; the message says the way out.
        MismatchError: the columns differ in length.

    >>> import numpy as np, npyfeed as nf
    >>> dataset = nf.Dataset(x=np.zeros((10, 28, 28), "uint8"), y=np.arange(10))
    >>> len(dataset), dataset.spec["x"]
    (10, ColumnSpec(dtype='uint8', shape=(28, 28)))
    """

    def __init__(self, /, **columns: ColumnSource) -> None:
        native = _native.Dataset(list(columns.items()))
        # An Array may be closed later, and the dataset not: what the engine can tell again is not held.
        given = {
            name: _absolute(source) if native.array(place) is None else source
            for place, (name, source) in enumerate(columns.items())
            if native.array(place) is None or isinstance(source, np.ndarray)
        }
        self._adopt(native, _Made(given, {}))

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str]) -> "Dataset":
        """The samples below `folder/<class>/`, one .npy file each: columns `image`, and `label`, int64.

        Samples, their order, `classes` and `class_to_idx` are those of `torchvision.datasets.DatasetFolder`
        with `extensions=".npy"`: classes are the folders, sorted; files in folders inside them belong to
        them. When the files are opened: as for `Dataset`.

        Raises:
            FileNotFoundError: there is no folder in it, or one without an .npy file.
            FormatError, UnsupportedError: the first file is no array of numbers.

        >>> dataset = nf.Dataset.from_folder("train/")  # train/cat/1.npy, train/dog/1.npy  # doctest: +SKIP
        >>> dataset.classes, dataset[1].label  # doctest: +SKIP
        (['cat', 'dog'], np.int64(1))
        """
        return cls._of(_native.Dataset.from_folder(folder), _Made({}, {}, str(Path(folder).absolute())))

    @property
    def classes(self) -> list[str]:
        """The names of the classes, by number; of a dataset made by `from_folder`, and of those from it.

        Raises:
            AttributeError: of any other.
        """
        classes = self._native.classes()
        if classes is None:
            raise AttributeError("only a dataset made by Dataset.from_folder has classes")
        return classes

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class, by its name. Raises as `classes`."""
        return {name: number for number, name in enumerate(self.classes)}

    def _adopt(self, native: _native.Dataset, made: "_Made") -> None:
        self._native = native
        self._made = made
        self._spec = {name: ColumnSpec(dtype, shape) for name, dtype, shape in native.spec()}
        self.batch_type = _batch_type(tuple(self._spec))

    @classmethod
    def _of(cls, native: _native.Dataset, made: "_Made") -> "Dataset":
        dataset = cls.__new__(cls)
        dataset._adopt(native, made)  # noqa: SLF001, made here
        return dataset

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(self._spec)

    @property
    def spec(self) -> dict[str, ColumnSpec]:
        """What each column gives: dtype and shape of one sample, known without reading."""
        return dict(self._spec)

    def map(self, /, **transforms: Transform | Iterable[Transform]) -> "Dataset":
        """The dataset with transforms done to the columns named, after those they have.

        Raises:
            MismatchError: there is no such column, or a transform does not fit dtype or shape.
            UnsupportedError: a cast could lose values, or something is no transform of ours.

        >>> import numpy as np, npyfeed as nf
        >>> from npyfeed import transforms as T
        >>> dataset = nf.Dataset(x=np.zeros((10, 28, 28), "uint8"))
        >>> dataset.map(x=T.ToTensor()).spec["x"]
        ColumnSpec(dtype='float32', shape=(1, 28, 28))
        """
        native, chains = self._native, dict(self._made.chains)
        for column, transform in transforms.items():
            chain = tuple(_chain(transform))
            native = native.map(column, [_spec_of(column, step) for step in chain])
            chains[column] = chains.get(column, ()) + chain
        return Dataset._of(native, self._made._replace(chains=chains))

    def select(self, indices: Iterable[int]) -> "Dataset":
        """The samples at `indices`, in that order; negative ones count from the end.

        Raises:
            IndexError: there is no such sample.
        """
        return Dataset._of(self._native.select(self._indices(indices)), self._made)

    def split(self, fractions: Sequence[float], *, seed: int = 0) -> list["Dataset"]:
        """Disjoint datasets whose sizes are `fractions` of this one's, of samples drawn by `seed`.

        Sizes follow `torch.utils.data.random_split`.

        Raises:
            MismatchError: the fractions are negative or do not sum to 1.
        """
        return [Dataset._of(native, self._made) for native in self._native.split(list(fractions), seed)]

    def draw(self, epoch: int, sample: int, seed: int = 0) -> dict[str, list[Draw]]:
        """What the random transforms of each column draw for a sample in an epoch of a loader with this seed.

        Outside an epoch, as in `dataset[0]`, seed and epoch are 0.

        Args:
            epoch: the number of the epoch, from 0 on.
            sample: the index of the sample in this dataset; negative ones count from the end.
            seed: the loader's.

        Raises:
            IndexError: there is no such sample.
            MismatchError: `epoch` or `seed` is negative.

        >>> import numpy as np, npyfeed as nf
        >>> from npyfeed import transforms as T
        >>> dataset = nf.Dataset(x=np.zeros((10, 64, 64), "uint8")).map(x=T.RandomCrop(32))
        >>> dataset.draw(epoch=1, sample=4)
        {'x': [Draw(step=1, transform='RandomCrop', corner=(21, 7))]}
        """
        (index,) = self._indices([sample]).tolist()
        drawn = self._native.draw(index, epoch, seed)
        return {
            name: [Draw(step, transform, tuple(corner)) for step, transform, corner in column]
            for name, column in zip(self._spec, drawn, strict=True)
        }

    @property
    def plan(self) -> Plan:
        """What is read, computed and written for each sample, known without reading; `print(dataset.plan)`.

        >>> import numpy as np, npyfeed as nf
        >>> from npyfeed import transforms as T
        >>> nf.Dataset(x=np.zeros((10, 28, 28), "uint8")).map(x=T.ToTensor()).plan
        10 samples
        x: 10 rows uint8 [28, 28]
          read: whole rows, 784 bytes
          step 1 ToTensor: float32 [1, 28, 28]
          passes: 1, loop 'vector'
          write: 3,136 bytes
        """
        return Plan(self._native.plan())

    def __len__(self) -> int:
        return len(self._native)

    def __getitem__(self, key: "int | slice | Sequence[int] | np.ndarray[Any, Any]") -> Any:  # noqa: ANN401, a namedtuple of arrays
        """One sample for an index; samples stacked for a slice or a sequence of indices."""
        self._refuse_what_numpy_lacks()
        if isinstance(key, slice | Sequence | np.ndarray):
            return self.batch_type(*self._native.batch(self._indices(key)))
        stacked = self._native.batch(self._indices([operator.index(key)]))
        return self.batch_type(*(array[0] for array in stacked))

    def __reduce__(self) -> tuple[Any, ...]:
        made = self._made
        if made.folder is not None:
            return _folder_again, (made.folder, made.chains, self._native.rows(), self._native.names_mark())
        columns = [
            (name, made.given[name] if name in made.given else self._native.array(place))
            for place, name in enumerate(self._spec)
        ]
        return _made_again, (columns, made.chains, self._native.rows(), self._native.names_mark())

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}: {spec.dtype} {list(spec.shape)}" for name, spec in self._spec.items())
        return f"<npyfeed.Dataset of {len(self)} samples, {columns}>"

    def _refuse_what_numpy_lacks(self) -> None:
        for name, spec in self._spec.items():
            if spec.dtype in _native.NUMPY_LACKS:
                raise UnsupportedError(
                    f"column '{name}': NumPy has no {spec.dtype}; use npyfeed.torch.DataLoader, or "
                    "ToDtype('float32')"
                )

    def _indices(self, key: slice | Iterable[int]) -> "np.ndarray[Any, np.dtype[np.uint64]]":
        """`key` as indices from 0 on."""
        count = len(self)
        if isinstance(key, slice):
            return np.arange(*key.indices(count)).astype(np.uint64)
        indices = np.asarray(key if isinstance(key, np.ndarray) else list(key))
        if indices.dtype == np.bool_:
            indices = np.flatnonzero(_whole_mask(indices, count))
        if indices.size == 0:
            return np.empty(0, np.uint64)
        if indices.dtype.kind not in "iu" or indices.ndim != 1:
            raise IndexError(f"expected a sequence of integers, found shape {indices.shape} {indices.dtype}")
        wrong = indices[(indices < -count) | (indices >= count)]
        if wrong.size:
            raise IndexError(f"expected sample indices from {-count} to {count - 1}, found {wrong[0]}")
        wrapped = indices.astype(np.uint64)
        wrapped[indices < 0] += np.uint64(count)  # modulo 2**64, as the conversion was
        return wrapped


class _Made(NamedTuple):
    """What a dataset was made of, as far as the engine does not tell it."""

    given: dict[str, ColumnSource]
    chains: dict[str, tuple[Transform, ...]]
    folder: str | None = None


def _made_again(
    columns: list[tuple[str, ColumnSource]],
    chains: dict[str, tuple[Transform, ...]],
    rows: "np.ndarray[Any, np.dtype[np.uint64]] | None",
    names_mark: int,
) -> Dataset:
    """A dataset out of its pickle."""
    return _picked(Dataset(**dict(columns)).map(**chains), rows, names_mark)


def _folder_again(
    folder: str,
    chains: dict[str, tuple[Transform, ...]],
    rows: "np.ndarray[Any, np.dtype[np.uint64]] | None",
    names_mark: int,
) -> Dataset:
    """A dataset of a folder out of its pickle."""
    return _picked(Dataset.from_folder(folder).map(**chains), rows, names_mark)


def _picked(
    dataset: Dataset, rows: "np.ndarray[Any, np.dtype[np.uint64]] | None", names_mark: int
) -> Dataset:
    if dataset._native.names_mark() != names_mark:  # noqa: SLF001, as above
        raise OSError(
            f"cannot make the dataset again: expected {names_mark >> 32} samples of the same names, found "
            f"{len(dataset)}, or other names; files were added, removed or renamed since"
        )
    return dataset if rows is None else dataset.select(rows)


def _absolute(source: ColumnSource) -> ColumnSource:
    """Paths from the root on, so that the working directory of whoever unpickles them does not matter."""
    if isinstance(source, str | os.PathLike):
        return str(Path(source).absolute())
    if isinstance(source, Sequence):
        return [str(Path(path).absolute()) for path in source]
    return source


@functools.cache
def _batch_type(columns: tuple[str, ...]) -> Any:  # noqa: ANN401, a class made here, of which mypy knows nothing
    """The namedtuple of a batch with these columns."""
    try:
        batch_type: Any = namedtuple("Batch", columns)  # type: ignore[misc]  # noqa: PYI024, the names come at run time
    except ValueError as error:
        raise MismatchError(
            f"expected column names that are Python identifiers and no keywords: {error}"
        ) from error
    copyreg.pickle(batch_type, lambda batch: (_batch, (columns, tuple(batch))))
    return batch_type


def _batch(columns: tuple[str, ...], values: tuple[Any, ...]) -> Any:  # noqa: ANN401, as above
    """A batch out of its pickle: its class is made at run time, so that pickle cannot look it up."""
    return _batch_type(columns)(*values)


def _whole_mask(mask: "np.ndarray[Any, Any]", count: int) -> "np.ndarray[Any, Any]":
    if mask.shape != (count,):
        raise IndexError(f"expected a mask of {count} samples, found shape {mask.shape}")
    return mask


def _chain(chain: Transform | Iterable[Transform]) -> Iterable[Transform]:
    return chain if isinstance(chain, Iterable) else [chain]


def _spec_of(column: str, transform: Transform) -> tuple[object, ...]:
    if isinstance(transform, Transform):
        return transform.spec()
    raise UnsupportedError(
        f"cannot map column '{column}': expected a transform from npyfeed.transforms, as ToTensor(), found "
        f"{transform!r}; Python functions are not taken yet"
    )
