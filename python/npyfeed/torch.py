"""PyTorch: batches and arrays as torch tensors, without a copy."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import torch

from npyfeed import _native
from npyfeed.dataset import Dataset
from npyfeed.loader import Io, Loader
from npyfeed.samplers import Sampler

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DataLoader", "from_array"]


class DataLoader(Loader):
    """`torch.utils.data.DataLoader` over an npyfeed `Dataset`: torch tensors out, threads inside.

    A batch is a namedtuple of tensors, one for each column; it unpacks as `images, labels`. Each tensor
    is the memory that the engine filled, and is filled again only when no tensor shares it any more.

    Args:
        dataset: what to go through.
        batch_size: samples in a batch.
        shuffle: whether each epoch is an exact shuffle of all samples.
        num_workers: worker threads, not processes; 0: one for each processor this process may use.
        drop_last: whether a last batch with fewer samples is left out.
        seed: what orders and random transforms are drawn from; `None`: drawn from torch's generator, so that
            `torch.manual_seed` settles it, as it does for torch's own loader; with `rank`, 0, as torch's
            `DistributedSampler` has it, since all ranks need the same.
        prefetch: batches filled ahead; `None`: 4, and more if the loop has to wait for them, as many as fit
            `memory`, 64 at most.
        memory: bytes of batches filled ahead, at most; `None`: 64 MiB, or two batches if they are larger.
        io: which way the bytes of files come: "map", mapped pages; "pread", read through the page cache;
            "uring", many at once past the page cache, for what does not fit there; "memory", columns are read
            as a whole when the loader is made; "auto": chosen by what lies in the page cache, again and
            again. `explain()` says which and why. Batches do not depend on it.
        epoch: the number of the first epoch.
        sampler: in which order an epoch takes which samples, one of `npyfeed.samplers`; instead of `shuffle`.
        rank, world_size, uneven: this process's share of every epoch, in place of a `DistributedSampler`:
            as `npyfeed.Loader` has them.

    Raises:
        MismatchError, UnsupportedError: as `npyfeed.Loader`.

    >>> import numpy as np, npyfeed as nf
    >>> from npyfeed.torch import DataLoader
    >>> loader = DataLoader(nf.Dataset(x=np.arange(5)), batch_size=2)
    >>> [batch.x for batch in loader]
    [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,  # noqa: FBT001, FBT002, torch's signature
        *,
        num_workers: int = 0,
        drop_last: bool = False,
        seed: int | None = None,
        prefetch: int | None = None,
        memory: int | None = None,
        io: Io = "auto",
        epoch: int = 0,
        sampler: Sampler | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        uneven: Literal["pad", "drop"] = "pad",
    ) -> None:
        if seed is None:
            is_random = shuffle or sampler is not None or _draws(dataset)
            seed = _drawn_seed() if is_random and rank is None else 0
        super().__init__(
            dataset,
            batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
            threads=num_workers or None,
            prefetch=prefetch,
            memory=memory,
            io=io,
            epoch=epoch,
            sampler=sampler,
            rank=rank,
            world_size=world_size,
            uneven=uneven,
        )

    def _finisher(self, *, as_dict: bool) -> Callable[[tuple[Any, ...]], Any]:  # noqa: ARG002, of the NumPy loader
        make, from_numpy = self.dataset.batch_type, torch.from_numpy
        dtypes = [spec.dtype for spec in self.dataset.spec.values()]
        if any(dtype in _native.NUMPY_LACKS for dtype in dtypes):
            return lambda arrays: make(*map(_tensor, arrays, dtypes))
        return lambda arrays: make(*map(from_numpy, arrays))


def from_array(array: _native.Array) -> torch.Tensor:
    """The array as a writable tensor over its own memory: what is written reaches no file, but in mode "r+".

    A copy is made only of what torch cannot hold: elements in the other byte order, strides that are no
    multiple of an element, and memory that may only be read (`mode="r"`, `bytes`).

    Raises:
        UnsupportedError: the elements are not numbers.
        OSError: the file was cut short or written to since it was opened.
    """
    return _tensor(array.plain_numpy(), array.dtype_name)


def _tensor(array: "np.ndarray[Any, Any]", dtype: str) -> torch.Tensor:
    """The array as a tensor of the dtype of this name; what NumPy lacks has come as its bits."""
    tensor = torch.from_numpy(array)
    return tensor.view(getattr(torch, dtype)) if dtype in _native.NUMPY_LACKS else tensor


def _draws(dataset: object) -> bool:
    """Whether transforms of the dataset draw random numbers."""
    return isinstance(dataset, Dataset) and len(dataset) > 0 and any(dataset.draw(0, 0).values())


def _drawn_seed() -> int:
    return int(torch.empty((), dtype=torch.int64).random_().item())
