"""The datasets of the torch contenders: as people write them, and as well as torch allows.

Imported by the contenders of torch alone, because importing it imports torch.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info
from workloads import MEAN, STD, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Batch = tuple[torch.Tensor, torch.Tensor]

LARGE_SAMPLE_BYTES = 64 << 10
"""From here on a sample is worth its own calls into torch: 1 to 2 us each, against 80 us to fill it."""
PIECE_BATCHES = 16
"""Small batches are made this many in one go and cut apart: 16 and 8 beat 1 and 64 at 32 of 28 x 28."""


class NaiveDataset(Dataset[tuple[torch.Tensor, np.int64]]):
    """One sample a call, changed by torchvision: the tutorial's way."""

    def __init__(self, workload: Workload, transform: Callable[[np.ndarray], torch.Tensor]) -> None:
        self.x = np.load(workload.x_path, mmap_mode="r")
        self.y = np.load(workload.y_path)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, np.int64]:
        return self.transform(np.array(self.x[index])), self.y[index]


class ExpertDataset(Dataset[Batch]):
    """One batch a call, written straight into memory that the consumer's process shares."""

    def __init__(self, workload: Workload) -> None:
        self.samples = Samples(workload)

    def __len__(self) -> int:
        return len(self.samples.y)

    def __getitems__(self, indices: list[int]) -> Batch:
        samples, chosen = self.samples, torch.tensor(indices)
        if samples.large:
            x = samples.fill(shared_batch((len(indices), *samples.shape)), chosen)
        else:
            x = samples.convert(chosen)
        return x, samples.y.index_select(0, chosen)


class Samples:
    """The mapped file as torch tensors, and its conversion to f32 batches in as few passes as torch has."""

    def __init__(self, workload: Workload) -> None:
        # "c" maps copy-on-write: none is written, so none is copied, and torch takes it without a warning.
        file = torch.from_numpy(np.load(workload.x_path, mmap_mode="c"))
        self.x = file.permute(0, 3, 1, 2) if file.ndim == 4 else file.unsqueeze(1)  # a view
        self.y = torch.from_numpy(np.load(workload.y_path))
        self.shape = workload.batch_sample_shape
        self.large = workload.sample_bytes_out >= LARGE_SAMPLE_BYTES
        mean, std = (MEAN, STD) if workload.normalise else ((0.0,), (1.0,))
        self.scale = 1 / (255 * torch.tensor(std).view(-1, 1, 1))
        self.shift = -torch.tensor(mean).view(-1, 1, 1) / torch.tensor(std).view(-1, 1, 1)
        self.shifted = workload.normalise

    def fill(self, batch: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """`batch`, filled sample by sample: the second and third pass over a sample find it in the cache."""
        for slot, index in zip(batch, indices.tolist(), strict=True):
            slot.copy_(self.x[index]).mul_(self.scale)
            if self.shifted:
                slot.add_(self.shift)
        return batch

    def convert(self, indices: torch.Tensor) -> torch.Tensor:
        """A new batch in three or four calls: for samples so small that calls are what costs."""
        batch = self.x.index_select(0, indices).float().mul_(self.scale)
        return batch.add_(self.shift) if self.shifted else batch


def shared_batch(shape: tuple[int, ...]) -> torch.Tensor:
    """An f32 batch, in shared memory if a worker process asks: torch's own collate does the same."""
    if get_worker_info() is None:
        return torch.empty(shape)
    new_shared = torch.UntypedStorage._new_shared  # noqa: SLF001 - torch has no public name for it
    storage = new_shared(4 * math.prod(shape))  # type: ignore[no-untyped-call]
    return torch.empty(0).set_(storage).view(shape)


def large_samples_by_hand(samples: Samples, batch_size: int, threads: int) -> Callable[[], Iterator[Batch]]:
    """Epochs of a plain loop over two batch buffers used in turn: a batch is valid until the next but one.

    Each thread fills a part of the batch, a sample at a time. Torch's own threads would meet three times a
    sample, at the end of every call: as fast on an idle machine, 3 to 40 times slower on a busy one.
    """
    torch.set_num_threads(1)
    buffers = [torch.zeros(batch_size, *samples.shape) for _ in range(2)]
    pool = ThreadPoolExecutor(threads)

    def epoch() -> Iterator[Batch]:
        for turn, chosen in enumerate(torch.split(torch.randperm(len(samples.y)), batch_size)):
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
