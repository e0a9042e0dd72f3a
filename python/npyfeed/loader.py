"""Batches of a dataset, epoch after epoch, as NumPy arrays."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from npyfeed import _native
from npyfeed.dataset import Dataset
from npyfeed.errors import UnsupportedError

__all__ = ["Loader", "Stats"]


class Stats(NamedTuple):
    """What a loader has done since it was made. Times are nanoseconds."""

    batches: int
    """Batches handed out."""
    samples: int
    """Samples in them."""
    bytes_read: int
    """Bytes of samples read from their sources, for batches handed out or not."""
    bytes_written: int
    """Bytes written to batches, handed out or not."""
    fill_ns: int
    """Time that all workers together spent filling."""
    wait_ns: int
    """Time that the consumer spent waiting for a batch."""


class Loader:
    """Batches of a dataset, epoch after epoch. Each `iter(loader)` is one epoch.

    A batch is a namedtuple of arrays `[batch, ...]`, one for each column, in memory of its own: keep it
    as long as you like. With `as_dict=True` it is a dict.

    Args:
        dataset: what to go through.
        batch_size: samples in a batch.
        shuffle: whether each epoch is an exact shuffle of all samples, or the dataset's order.
        seed: what the shuffle is drawn from. The same seed gives the same bytes, whatever the threads.
        drop_last: whether a last batch with fewer samples is left out.
        threads: worker threads; `None`: one for each processor this process may use.
        prefetch: batches filled ahead, at most; `None`: as many as fit `memory`, 64 at most.
        memory: bytes of batches filled ahead, at most; `None`: 64 MiB, or two batches if they are larger.
        epoch: the number of the first epoch.
        as_dict: whether batches are dicts.

    Raises:
        MismatchError: an option is out of its range, or `memory` is less than one batch.
        UnsupportedError: the dataset is none of ours, an option no integer, or NumPy lacks the dtype.

    >>> import numpy as np, npyfeed as nf
    >>> loader = nf.Loader(nf.Dataset(x=np.arange(10)), batch_size=4)
    >>> [batch.x.tolist() for batch in loader]
    [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        threads: int | None = None,
        prefetch: int | None = None,
        memory: int | None = None,
        epoch: int = 0,
        as_dict: bool = False,
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise UnsupportedError(
                f"cannot make a loader: expected an npyfeed.Dataset, found {type(dataset).__name__}; "
                "nf.Dataset(x=numpy.asarray(...)) makes one"
            )
        for name, flag in [("shuffle", shuffle), ("drop_last", drop_last)]:
            if flag not in (True, False):
                raise UnsupportedError(
                    f"cannot make a loader: expected {name} to be True or False, found {flag!r}"
                )
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self._options: _native.LoaderOptions = {
            "batch_size": batch_size,
            "shuffle": shuffle,
            "seed": seed,
            "drop_last": drop_last,
            "threads": threads,
            "prefetch": prefetch,
            "memory": memory,
            "epoch": epoch,
        }
        self._finish = self._finisher(as_dict=as_dict)
        self._native = _native.Loader(dataset._native, self._options)  # noqa: SLF001, the two are one house

    def __iter__(self) -> Iterator[Any]:
        """The next epoch. Its threads end with it, and with the iterator if that is dropped before."""
        return map(self._finish, iter(self._native))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._native)

    @property
    def epoch(self) -> int:
        """The epoch that the next `iter` begins."""
        return self._native.epoch

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next `iter` begins."""
        self._native.set_epoch(epoch)

    def stats(self) -> Stats:
        """What has been done so far."""
        return Stats(**self._native.stats())

    def __reduce__(self) -> Any:  # noqa: ANN401, it never returns
        raise UnsupportedError(
            "a loader cannot be pickled: its workers are threads; make it in the process that uses it"
        )

    def __repr__(self) -> str:
        chosen = {"threads": self._native.threads, "prefetch": self._native.prefetch}
        options = ", ".join(f"{name}={value}" for name, value in {**self._options, **chosen}.items())
        name = f"{type(self).__module__.removesuffix('.loader')}.{type(self).__name__}"
        return f"<{name} of {self.dataset!r}, {options}>"

    def _finisher(self, *, as_dict: bool) -> Callable[[tuple[Any, ...]], Any]:
        """What makes a batch of the engine's arrays."""
        self.dataset._refuse_what_numpy_lacks()  # noqa: SLF001, the two are one house
        if as_dict:
            columns = self.dataset.columns
            return lambda arrays: dict(zip(columns, arrays, strict=True))
        make: Callable[[tuple[Any, ...]], Any] = self.dataset.batch_type._make
        return make
