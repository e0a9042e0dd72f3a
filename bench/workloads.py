"""What is fed: deterministic `.npy` files and the batches to make of them.

A workload is one function that names its files, its batch and its sizes; `written.py` writes the data once
into `bench/data/`. The label of a sample is its own index (of a crop, its volume's): so any batch can be
compared with the plain NumPy answer, and an epoch can be shown to hold every sample exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

DATA = Path(__file__).resolve().parent / "data"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
QUICK_DIVISOR = 8
"""`--quick` runs on an eighth of the samples: a trial of the machinery, not a measurement."""
CROP = (96, 96, 96)
CROPS_PER_VOLUME = 16
LOW, HIGH = -1024, 3072
"""What a volume holds, as a CT does: LOW becomes 0, HIGH becomes 1."""

Kind = Literal["array", "rows", "files", "volumes"]
"""`array`: u8 images in one file, divided by 255; `rows`: f32 in one file, as they are; `files`: images, one
a file; `volumes`: i16, one volume a file, of which random crops are taken."""


@dataclass(frozen=True)
class Workload:
    """Samples, i64 labels `[sample]` → f32 batches, channel first, shuffled anew each epoch.

    Images are divided by 255; with `normalise`, then reduced by `MEAN` and divided by `STD` per channel.
    """

    name: str
    kind: Kind
    x_path: Path
    """One `.npy` file; of `files` and `volumes` a folder of them, by name in the order of their labels."""
    y_path: Path
    file_sample_count: int
    """Samples in the file, or files in the folder."""
    sample_shape: tuple[int, ...]
    """Of one sample in the file; of `volumes`, the shape of a whole volume."""
    batch_size: int
    normalise: bool = False

    @property
    def sample_count(self) -> int:
        """Samples in an epoch."""
        return self.file_sample_count * (CROPS_PER_VOLUME if self.kind == "volumes" else 1)

    @property
    def dtype(self) -> np.dtype:
        """Of the file."""
        return np.dtype({"rows": "float32", "volumes": "int16"}.get(self.kind, "uint8"))

    @property
    def sample_elements(self) -> int:
        """Elements of one sample in a batch."""
        return math.prod(self.batch_sample_shape)

    @property
    def sample_bytes_in(self) -> int:
        """Bytes of one sample in the file."""
        return self.dtype.itemsize * self.sample_elements

    @property
    def sample_bytes_out(self) -> int:
        """Bytes of one sample in a batch: four for each element."""
        return 4 * self.sample_elements

    @property
    def batch_sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample in a batch: `[channel, height, width]`, `[channel, depth, height, width]`."""
        if self.kind == "rows":
            return self.sample_shape
        if self.kind == "volumes":
            return (1, *CROP)
        height, width, *channels = self.sample_shape
        return (*(channels or [1]), height, width)

    def x_paths(self) -> list[Path]:
        """The files of `files` and `volumes`, in the order of their labels."""
        return [self.x_path / f"{index:06d}.npy" for index in range(self.file_sample_count)]

    def labels(self) -> np.ndarray:
        """Every label of an epoch, sorted."""
        return np.repeat(np.arange(self.file_sample_count), self.sample_count // self.file_sample_count)


Open = Callable[[int], Workload]
WORKLOADS: dict[str, Open] = {}
"""Name → function from a divisor of the sample count to the workload."""


def workload(open_workload: Open) -> Open:
    """Enter a workload under its function's name."""
    WORKLOADS[open_workload.__name__] = open_workload
    return open_workload


def _named(name: str, kind: Kind, count: int, sample_shape: tuple[int, ...], batch_size: int) -> Workload:
    """A workload with its files named by what they hold, so that two sizes of it do not meet."""
    folder = kind in {"files", "volumes"}
    x_path = DATA / (f"{name}-{count}-x" if folder else f"{name}-{count}-x.npy")
    return Workload(name, kind, x_path, DATA / f"{name}-{count}-y.npy", count, sample_shape, batch_size)


@workload
def images(divisor: int) -> Workload:
    """Colour images of ImageNet's size: 150,528 bytes in, 602,112 bytes out a sample; 1.2 GB of file."""
    return replace(_named("images", "array", 8192 // divisor, (224, 224, 3), 256), normalise=True)


@workload
def small(divisor: int) -> Workload:
    """Grey images of MNIST's size: 784 bytes in, 3,136 bytes out a sample; what a batch costs shows."""
    return _named("small", "array", 60_000 // divisor, (28, 28), 32)


@workload
def rows(divisor: int) -> Workload:
    """A table of features: 256 bytes in and out a sample, 512 MB of file; what finding a row costs shows."""
    return _named("rows", "rows", 2_000_000 // divisor, (64,), 1024)


@workload
def files(divisor: int) -> Workload:
    """One colour image a file: 12,288 bytes in, 49,152 out a sample; what opening a file costs shows."""
    return replace(_named("files", "files", 20_000 // divisor, (64, 64, 3), 64), normalise=True)


@workload
def volumes(divisor: int) -> Workload:
    """Random crops: 1.8 MB in, 3.5 MB out a sample; 24 files of 33 MB, 16 crops of each."""
    return _named("volumes", "volumes", 24 // divisor, (256, 256, 256), 4)
