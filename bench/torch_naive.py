"""The datasets of `torch-naive`, as people write them.

Imported by that contender alone, because importing it imports torch and torchvision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset
from torchvision import transforms
from workloads import CROP, CROPS_PER_VOLUME, HIGH, LOW, MEAN, STD, Workload


def naive_dataset(workload: Workload) -> Dataset[Any]:
    """One sample a call, changed by torchvision: the tutorial's way."""
    if workload.kind == "rows":
        x, y = np.load(workload.x_path), np.load(workload.y_path)
        return TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    return NaiveVolumes(workload) if workload.kind == "volumes" else NaiveImages(workload)


class NaiveImages(Dataset[tuple[torch.Tensor, np.int64]]):
    """Images of one mapped file, or of a file each."""

    def __init__(self, workload: Workload) -> None:
        one_file = workload.kind == "array"
        self.x = np.load(workload.x_path, mmap_mode="r") if one_file else workload.x_paths()
        self.y = np.load(workload.y_path)
        normalise = [transforms.Normalize(MEAN, STD)] if workload.normalise else []
        self.transform = transforms.Compose([transforms.ToTensor(), *normalise])

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, np.int64]:
        x = self.x[index]
        return self.transform(np.array(x) if isinstance(x, np.ndarray) else np.load(x)), self.y[index]


class NaiveVolumes(Dataset[tuple[torch.Tensor, int]]):
    """A crop of a volume that is read whole."""

    def __init__(self, workload: Workload) -> None:
        self.paths = workload.x_paths()

    def __len__(self) -> int:
        return len(self.paths) * CROPS_PER_VOLUME

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        volume = np.load(self.paths[index // CROPS_PER_VOLUME])
        room = np.array(volume.shape) - CROP + 1
        z, y, x = (torch.rand(3).numpy() * room).astype(
            int
        )  # torch's, for NumPy's repeats itself in each worker
        crop = torch.from_numpy(volume[z : z + CROP[0], y : y + CROP[1], x : x + CROP[2]]).float()
        return ((crop - LOW) / (HIGH - LOW)).unsqueeze(0), index // CROPS_PER_VOLUME
