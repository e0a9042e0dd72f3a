"""In which order an epoch takes which samples: what `npyfeed.Loader(..., sampler=...)` takes.

| sampler | an epoch is | memory |
|---|---|---|
| `Sequential()` | the samples as they are stored | none |
| `Shuffle()` | each sample once, in any order equally often; what `shuffle=True` means | none |
| `BlockShuffle(block_size, window)` | each sample once, a few blocks at a time | none |
| `Weighted(weights)` | draws by weights, with or without replacement | 16 bytes a sample |
| `ClassBalanced(labels)` | every class equally often | 8 bytes a sample |
| `Explicit(indices)` | these samples in this order | 8 bytes an index |

Each is the same for the same (seed, epoch) on every machine, whatever the threads, the batch size and the
world size, and can be entered anywhere: `Loader.state_dict`.
"""

import reprlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from npyfeed import _native
from npyfeed.errors import MismatchError, UnsupportedError

__all__ = [
    "BlockShuffle",
    "ClassBalanced",
    "Explicit",
    "Sampler",
    "Sequential",
    "Shuffle",
    "Weighted",
]


class Sampler:
    """One of the samplers of this module. They hold no position, and may be shared by loaders."""

    _order: _native.Order

    def _checked(self) -> _native.Order:
        """The engine's order, its arguments checked."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        object.__setattr__(self, "_order", self._checked())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(self._arguments().values())

    def __repr__(self) -> str:
        # Cut short: a list of a million weights would be told in full.
        told = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({told})"

    def _arguments(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True, repr=False)
class Sequential(Sampler):
    """The samples as they are stored, in every epoch."""

    def _checked(self) -> _native.Order:
        return _native.Order.sequential()


@dataclass(frozen=True, repr=False)
class Shuffle(Sampler):
    """Each sample once, in an order of its own for each (seed, epoch); all orders come equally often.

    The order is computed, not stored: a billion samples take no memory and no time.
    """

    def _checked(self) -> _native.Order:
        return _native.Order.shuffled()


@dataclass(frozen=True, repr=False)
class BlockShuffle(Sampler):
    """Each sample once, a few blocks at a time: for disks and networks, where jumping about is slow.

    Blocks of `block_size` following samples are shuffled; the samples of `window` blocks that follow each
    other in that order are shuffled among each other. So each block is read in one go, and `window` blocks
    are in use at a time. Two samples of one block are less than `block_size * window` places apart; two
    following samples are of one block about once in `window`. Let a window span many blocks where samples are
    stored by class.

    Args:
        block_size: samples in a block; about a megabyte of them reads well.
        window: blocks mixed with each other.

    Raises:
        MismatchError: one of them is less than 1.

    >>> import numpy as np, npyfeed as nf
    >>> sampler = nf.samplers.BlockShuffle(block_size=4, window=2)
    >>> (batch,) = nf.Loader(nf.Dataset(x=np.arange(8)), 8, sampler=sampler)
    >>> sorted(batch.x.tolist())
    [0, 1, 2, 3, 4, 5, 6, 7]
    """

    block_size: int
    window: int

    def _checked(self) -> _native.Order:
        return _native.Order.block_shuffled(self.block_size, self.window)


@dataclass(frozen=True, eq=False, repr=False)
class Weighted(Sampler):
    """Samples drawn by their weights, as `torch.utils.data.WeightedRandomSampler`.

    Chances are exact for any number of samples; `torch.multinomial` ends at 2**24.

    Args:
        weights: `[sample]`, one for each sample of the dataset; they need not sum to 1.
        num_samples: draws in an epoch; `None`: as many as there are weights.
        replacement: whether a sample can be drawn again in the same epoch. Without, each epoch begins with a
            sort of the samples.

    Raises:
        MismatchError: a weight is negative, infinite or NaN, none is above 0, or there are too few above 0 to
            draw that many without replacement.
        UnsupportedError: the weights are not numbers.

    >>> import numpy as np, npyfeed as nf
    >>> sampler = nf.samplers.Weighted([0.0, 1.0, 0.0], num_samples=4)
    >>> (batch,) = nf.Loader(nf.Dataset(x=np.arange(3)), 4, sampler=sampler)
    >>> batch.x
    array([1, 1, 1, 1])
    """

    weights: ArrayLike
    num_samples: int | None = None
    replacement: bool = True

    def _checked(self) -> _native.Order:
        weights = _one_axis("weights", self.weights, "biuf").astype(np.float64)
        if self.replacement not in (True, False):
            raise UnsupportedError(
                f"cannot make a sampler: expected replacement to be True or False, found {self.replacement!r}"
            )
        num_samples = len(weights) if self.num_samples is None else self.num_samples
        return _native.Order.weighted(weights, num_samples, self.replacement)


@dataclass(frozen=True, eq=False, repr=False)
class ClassBalanced(Sampler):
    """Every class equally often, rare ones by repeating their samples.

    An epoch goes in rounds; each takes one sample of every class, the classes in an order of their own. Each
    class gives its samples in shuffled passes, so that within an epoch they come equally often to within one.
    A batch whose size is a multiple of the number of classes has exactly as many samples of each.

    Args:
        labels: `[sample]`, the class of each sample of the dataset: integers, strings, whatever sorts.
        num_samples: samples in an epoch; `None`: as many as there are labels, rounded up to whole rounds.
            imblearn's `RandomOverSampler` is the number of classes times the size of the largest.

    Raises:
        MismatchError: there are no labels, or they have more than one axis.
        UnsupportedError: the labels cannot be sorted.

    >>> import numpy as np, npyfeed as nf
    >>> labels = np.array(["cat"] * 9 + ["dog"])
    >>> sampler = nf.samplers.ClassBalanced(labels)
    >>> (batch,) = nf.Loader(nf.Dataset(x=np.arange(10)), 10, sampler=sampler)
    >>> sorted(labels[batch.x].tolist())
    ['cat', 'cat', 'cat', 'cat', 'cat', 'dog', 'dog', 'dog', 'dog', 'dog']
    """

    labels: ArrayLike
    num_samples: int | None = None

    def _checked(self) -> _native.Order:
        labels = _one_axis("labels", self.labels, "biufSUmM")
        _, classes = np.unique(labels, return_inverse=True)
        return _native.Order.class_balanced(classes.astype(np.uint64), self.num_samples)


@dataclass(frozen=True, eq=False, repr=False)
class Explicit(Sampler):
    """These samples in this order, in every epoch; some may be missing, others come often.

    Args:
        indices: `[place]`, from 0 on.

    Raises:
        MismatchError: an index is negative, or has more than one axis.
        UnsupportedError: the indices are no integers.

    >>> import numpy as np, npyfeed as nf
    >>> loader = nf.Loader(nf.Dataset(x=np.arange(9)), 2, sampler=nf.samplers.Explicit([8, 1, 8]))
    >>> [batch.x.tolist() for batch in loader]
    [[8, 1], [8]]
    """

    indices: ArrayLike

    def _checked(self) -> _native.Order:
        indices = _one_axis("indices", self.indices, "iu")
        if indices.size and indices.min() < 0:
            raise MismatchError(
                f"cannot make a sampler: expected indices from 0 on, found {indices.min()}; add the number "
                "of samples to those that count from the end"
            )
        return _native.Order.explicit(indices.astype(np.uint64))


def _one_axis(name: str, values: object, kinds: str) -> "np.ndarray[Any, Any]":
    """`values` as an array with one axis and elements of one of NumPy's `kinds`."""
    array = np.asarray(values)
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.uint8)  # of an empty list NumPy makes floats
    if array.dtype.kind not in kinds:
        raise UnsupportedError(f"cannot make a sampler: {name} cannot have elements of {array.dtype}")
    if array.ndim != 1:
        raise MismatchError(
            f"cannot make a sampler: expected {name} with one axis, found shape {array.shape}"
        )
    return array
