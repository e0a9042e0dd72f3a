"""What is fed: deterministic `.npy` files and the batches to make of them.

A workload is one function that names its files, its batch and its sizes; the data are written once into
`bench/data/` and kept. The label of a sample is its own index: so any batch can be compared with the plain
NumPy answer, and an epoch can be shown to hold every sample exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent / "data"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
QUICK_DIVISOR = 8
"""`--quick` runs on an eighth of the samples: a trial of the machinery, not a measurement."""
CHUNK_BYTES = 64 << 20
"""Written and read at a time, so that preparing 1.2 GB needs no 1.2 GB of memory."""


@dataclass(frozen=True)
class Workload:
    """u8 samples `[sample, *sample_shape]`, i64 labels `[sample]` → f32 batches, channel first, shuffled.

    Values are divided by 255; with `normalise`, then reduced by `MEAN` and divided by `STD` per channel.
    """

    name: str
    x_path: Path
    y_path: Path
    sample_count: int
    sample_shape: tuple[int, ...]
    batch_size: int
    normalise: bool

    @property
    def sample_bytes_in(self) -> int:
        """Bytes of one sample in the file."""
        return math.prod(self.sample_shape)

    @property
    def sample_bytes_out(self) -> int:
        """Bytes of one sample in a batch: four for each element."""
        return 4 * self.sample_bytes_in

    @property
    def batch_sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample in a batch: `[channel, height, width]`."""
        height, width, *channels = self.sample_shape
        return (*(channels or [1]), height, width)


Open = Callable[[int], Workload]
WORKLOADS: dict[str, Open] = {}
"""Name → function from a divisor of the sample count to the workload."""


def workload(open_workload: Open) -> Open:
    """Enter a workload under its function's name."""
    WORKLOADS[open_workload.__name__] = open_workload
    return open_workload


def _arrays(
    name: str, sample_count: int, sample_shape: tuple[int, ...], *, batch_size: int, normalise: bool
) -> Workload:
    """A workload of two arrays, one file each."""
    x_path, y_path = DATA / f"{name}-{sample_count}-x.npy", DATA / f"{name}-{sample_count}-y.npy"
    return Workload(name, x_path, y_path, sample_count, sample_shape, batch_size, normalise)


@workload
def images(divisor: int) -> Workload:
    """Colour images of ImageNet's size: 150,528 bytes in, 602,112 bytes out a sample; 1.2 GB of file."""
    return _arrays("images", 8192 // divisor, (224, 224, 3), batch_size=256, normalise=True)


@workload
def small(divisor: int) -> Workload:
    """Grey images of MNIST's size: 784 bytes in, 3,136 bytes out a sample; what a batch costs shows."""
    return _arrays("small", 60_000 // divisor, (28, 28), batch_size=32, normalise=False)


def prepare(workload: Workload) -> None:
    """Write the files of `workload` unless they are there whole, then read them once into the page cache."""
    DATA.mkdir(exist_ok=True)
    x_shape = (workload.sample_count, *workload.sample_shape)
    if not _is_whole(workload.x_path, x_shape, np.uint8):
        _write(workload.x_path, lambda path: _write_noise(path, x_shape))
    if not _is_whole(workload.y_path, (workload.sample_count,), np.int64):
        _write(workload.y_path, lambda path: np.save(path, np.arange(workload.sample_count, dtype=np.int64)))
    for path in (workload.x_path, workload.y_path):
        with path.open("rb") as file:
            while file.read(CHUNK_BYTES):
                pass


def _is_whole(path: Path, shape: tuple[int, ...], dtype: type) -> bool:
    """Whether the header says `shape` and `dtype` and the file is as long as they need."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r")
    except (FileNotFoundError, ValueError):
        return False
    return array.shape == shape and bool(array.dtype == dtype)


def _write(path: Path, fill: Callable[[Path], None]) -> None:
    """Whole file or none: an interrupted run leaves nothing that looks finished."""
    partial = path.with_suffix(".partial.npy")
    fill(partial)
    partial.replace(path)


def _write_noise(path: Path, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(len(shape))
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    step = max(1, CHUNK_BYTES // math.prod(shape[1:]))
    for first in range(0, shape[0], step):
        array[first : first + step] = random.integers(0, 256, array[first : first + step].shape, np.uint8)
    array.flush()
