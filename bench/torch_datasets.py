"""The datasets of the torch contenders, as well as torch allows.

Imported by the contenders of torch alone, because importing it imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch.utils.data import Dataset, get_worker_info
from torch_samples import Samples, open_samples
from workloads import Workload

Batch = tuple[torch.Tensor, torch.Tensor]

PIECE_BATCHES = 16
"""Small batches are made this many in one go and cut apart: 16 and 8 beat 1 and 64 at 32 of 28 x 28."""


class ExpertDataset(Dataset[Batch]):
    """One batch a call, written straight into memory that the consumer's process shares."""

    def __init__(self, workload: Workload) -> None:
        self.samples = open_samples(workload)

    def __len__(self) -> int:
        return len(self.samples.y)

    def __getitems__(self, indices: list[int]) -> Batch:
        samples, chosen = self.samples, torch.tensor(indices)
        if samples.large:
            x = samples.fill(shared_batch((len(indices), *samples.shape)), chosen)
        else:
            x = samples.convert(chosen)
        return x, samples.y.index_select(0, chosen)


def shared_batch(shape: tuple[int, ...]) -> torch.Tensor:
    """An f32 batch, in shared memory if a worker process asks: torch's own collate does the same."""
    if get_worker_info() is None:
        return torch.empty(shape)
    new_shared = torch.UntypedStorage._new_shared  # noqa: SLF001 - torch has no public name for it
    storage = new_shared(4 * math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0).set_(storage).view(shape)


def by_hand(workload: Workload, threads: int) -> Callable[[], Iterator[Batch]]:
    """Epochs of a plain loop, of large samples or of small ones."""
    samples = open_samples(workload)
    epochs = large_samples_by_hand if samples.large else small_samples_by_hand
    return epochs(samples, workload.batch_size, threads)


def large_samples_by_hand(
    samples: Samples, batch_size: int, threads: int, indices: Callable[[int], torch.Tensor] = torch.randperm
) -> Callable[[], Iterator[Batch]]:
    """Epochs of a plain loop over two batch buffers used in turn: a batch is valid until the next but one.

    Each thread fills a part of the batch, a sample at a time. Torch's own threads would meet three times a
    sample, at the end of every call: as fast on an idle machine, 3 to 40 times slower on a busy one.
    """
    torch.set_num_threads(1)
    buffers = [torch.zeros(batch_size, *samples.shape) for _ in range(2)]
    pool = ThreadPoolExecutor(threads)

    def epoch() -> Iterator[Batch]:
        for turn, chosen in enumerate(torch.split(indices(len(samples.y)), batch_size)):
            x = buffers[turn % 2][: len(chosen)]
            list(pool.map(samples.fill, x.chunk(threads), chosen.chunk(threads)))
            yield x, samples.y.index_select(0, chosen)

    return epoch


def small_samples_by_hand(samples: Samples, batch_size: int, threads: int) -> Callable[[], Iterator[Batch]]:
    """Epochs of a plain loop that makes several batches in one go in torch's threads: views of one tensor."""
    torch.set_num_threads(threads)

    def epoch() -> Iterator[Batch]:
        for chosen in torch.split(torch.randperm(len(samples.y)), PIECE_BATCHES * batch_size):
            x, y = samples.convert(chosen), samples.y.index_select(0, chosen)
            yield from zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True)

    return epoch
