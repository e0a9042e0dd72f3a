"""The files of each kind of workload as torch reads them fastest, a batch a call.

Imported by contenders that hand out torch tensors alone, because importing it imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from workloads import CROP, CROPS_PER_VOLUME, HIGH, LOW, MEAN, STD, Workload

LARGE_SAMPLE_BYTES = 32 << 10
"""From here on a sample is worth its own calls into torch: 1 to 2 us each, against 10 to 80 us to fill it."""


class Samples(Protocol):
    """What a file, or a folder of files, gives."""

    y: torch.Tensor
    """The labels."""
    shape: tuple[int, ...]
    """Of a sample in a batch."""
    large: bool
    """Whether a sample is worth its own calls into torch."""

    def fill(self, batch: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """`batch`, filled."""
        ...

    def convert(self, indices: torch.Tensor) -> torch.Tensor:
        """A new batch."""
        ...


def open_samples(workload: Workload) -> Samples:
    """The samples of the workload's kind."""
    kinds: dict[str, type[Images | Rows | Files | Crops]] = {
        "array": Images,
        "rows": Rows,
        "files": Files,
        "volumes": Crops,
    }
    return kinds[workload.kind](workload)


class _Opened:
    """What all kinds have."""

    def __init__(self, workload: Workload) -> None:
        self.y = torch.from_numpy(workload.labels())
        self.shape = workload.batch_sample_shape
        self.large = workload.sample_bytes_out >= LARGE_SAMPLE_BYTES

    def fill(self, batch: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def convert(self, indices: torch.Tensor) -> torch.Tensor:
        """A new batch, filled."""
        return self.fill(torch.empty(len(indices), *self.shape), indices)


class _Pixels(_Opened):
    """u8 to f32 in as few passes as torch has."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        mean, std = (MEAN, STD) if workload.normalise else ((0.0,), (1.0,))
        self.scale = 1 / (255 * torch.tensor(std).view(-1, 1, 1))
        self.shift = -torch.tensor(mean).view(-1, 1, 1) / torch.tensor(std).view(-1, 1, 1)
        self.shifted = workload.normalise

    def change(self, x: torch.Tensor) -> torch.Tensor:
        """`x`, f32 from 0 to 255, changed in place."""
        x.mul_(self.scale)
        return x.add_(self.shift) if self.shifted else x


class Images(_Pixels):
    """A mapped file of images."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        file = mapped(workload.x_path)
        self.x = file.permute(0, 3, 1, 2) if file.ndim == 4 else file.unsqueeze(1)  # a view

    def fill(self, batch: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """`batch`, filled sample by sample: the second and third pass over a sample find it in the cache."""
        for slot, index in zip(batch, indices.tolist(), strict=True):
            self.change(slot.copy_(self.x[index]))
        return batch

    def convert(self, indices: torch.Tensor) -> torch.Tensor:
        """A new batch; of small samples in three or four calls, for then calls are what costs."""
        if self.large:
            return super().convert(indices)
        return self.change(self.x.index_select(0, indices).float())


class Rows(_Opened):
    """A mapped table."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.x = mapped(workload.x_path)

    def fill(self, batch: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """`batch`, filled in one call."""
        return torch.index_select(self.x, 0, indices, out=batch)


class Files(_Pixels):
    """One image a file, read whole into one buffer a batch and then changed together."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.paths = [str(path) for path in workload.x_paths()]
        self.file_bytes = workload.x_paths()[0].stat().st_size
        self.header_bytes = self.file_bytes - workload.sample_bytes_in  # NumPy's, of one shape in all
        self.stored = workload.sample_shape

    def fill(self, batch: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """`batch`, filled: all its files are read, then changed in three calls."""
        raw = np.empty((len(indices), self.file_bytes), np.uint8)
        for buffer, index in zip(raw, indices.tolist(), strict=True):
            with Path(self.paths[index]).open("rb", buffering=0) as file:
                file.readinto(buffer.data)
        images = torch.from_numpy(raw)[:, self.header_bytes :].unflatten(1, self.stored)
        return self.change(batch.copy_(images.permute(0, 3, 1, 2)))


class Crops(_Opened):
    """Mapped volumes, of which only the crop is read."""

    def __init__(self, workload: Workload) -> None:
        super().__init__(workload)
        self.volumes = [mapped(path) for path in workload.x_paths()]
        self.room = torch.tensor(workload.sample_shape) - torch.tensor(CROP) + 1

    def fill(self, batch: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """`batch`, filled crop by crop."""
        places = (torch.rand(len(indices), 3) * self.room).long().tolist()
        depth, height, width = CROP
        for slot, index, (z, y, x) in zip(batch, indices.tolist(), places, strict=True):
            volume = self.volumes[index // CROPS_PER_VOLUME]
            crop = volume[z : z + depth, y : y + height, x : x + width]
            slot[0].copy_(crop).sub_(LOW).mul_(1 / (HIGH - LOW))
        return batch


def mapped(path: Path) -> torch.Tensor:
    """The array of a file; "c" maps copy-on-write: none is written, so none is copied, and torch takes it."""
    return torch.from_numpy(np.load(path, mmap_mode="c"))
