# ruff: noqa: PLC0415 - a framework is imported only in the process that measures it
"""Who is measured: one function a contender.

A contender gets a workload and a number of threads (or worker processes, where it has those), builds what it
needs once, and returns a callable that starts one epoch: an iterator of `(x, y)` batches in a new shuffled
order, the last short batch included. Whatever it imports, it names in `@contender`, so that imports are timed
apart from building. What takes more than a few lines has a file of its own, `peers_<library>.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from workloads import CROP, CROPS_PER_VOLUME, HIGH, LOW, MEAN, STD, Workload

if TYPE_CHECKING:
    import npyfeed

Epoch = Callable[[], Iterator[tuple[Any, Any]]]
"""Starts one epoch. A batch has `shape`, and `numpy.asarray` reads it."""
Build = Callable[[Workload, int], Epoch]


@dataclass(frozen=True)
class Contender:
    """A way to feed: its name, the modules it imports, and the function that builds it."""

    name: str
    modules: tuple[str, ...]
    build: Build
    cannot: Mapping[str, str]
    """Kind of workload → why this contender is left out of it."""

    def missing(self) -> list[str]:
        """The packages it imports that are not installed."""
        return [name for name in dict.fromkeys(map(_package, self.modules)) if not _is_installed(name)]


def _package(module: str) -> str:
    """What is installed as a whole; several packages share the folder `nvidia`."""
    first, _, rest = module.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first == "nvidia" else first


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the folder above it
        return False


CONTENDERS: dict[str, Contender] = {}
"""In the order in which they are measured and listed."""


def contender(name: str, *modules: str, cannot: Mapping[str, str] | None = None) -> Callable[[Build], Build]:
    """Enter a contender."""

    def enter(build: Build) -> Build:
        CONTENDERS[name] = Contender(name, modules, build, cannot or {})
        return build

    return enter


@contender("torch-naive", "torch", "torchvision.transforms", "torch_naive")
def torch_naive(workload: Workload, threads: int) -> Epoch:
    """As people write it: `__getitem__`, ToTensor and Normalize, a DataLoader with worker processes."""
    from torch.utils.data import DataLoader
    from torch_naive import naive_dataset

    loader = DataLoader(
        naive_dataset(workload),
        batch_size=workload.batch_size,
        shuffle=True,
        num_workers=threads,
        persistent_workers=True,
    )
    return lambda: iter(loader)


@contender("torch-expert", "torch", "torch_datasets")
def torch_expert(workload: Workload, threads: int) -> Epoch:
    """The best that a DataLoader allows: `__getitems__`, few passes, batches written into shared memory."""
    from torch.utils.data import DataLoader
    from torch_datasets import ExpertDataset

    loader = DataLoader(
        ExpertDataset(workload),
        batch_size=workload.batch_size,
        shuffle=True,
        num_workers=threads,
        persistent_workers=True,
        collate_fn=_as_it_is,
    )
    return lambda: iter(loader)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - torch types what it collates as a list
    return batch


@contender("torch-hand", "torch", "torch_datasets")
def torch_hand(workload: Workload, threads: int) -> Epoch:
    """The best without a DataLoader: a loop over shuffled indices in threads of the training process."""
    from torch_datasets import by_hand

    return by_hand(workload, threads)


@contender("tf.data", "tensorflow", "peers_tensorflow")
def tensorflow_data(workload: Workload, threads: int) -> Epoch:
    """tf.data over what it holds in memory, or over files."""
    from peers_tensorflow import epochs

    return epochs(workload, threads)


@contender("dali", "nvidia.dali", "nvidia.dali.fn", "peers_dali")
def dali(workload: Workload, threads: int) -> Epoch:
    """DALI's operators on the CPU."""
    from peers_dali import epochs

    return epochs(workload, threads)


@contender("grain", "torch", "grain", "peers_grain")
def grain(workload: Workload, threads: int) -> Epoch:
    """Grain's order, threads and prefetching, with torch's operators."""
    from peers_grain import epochs

    return epochs(workload, threads)


@contender("spdl", "torch", "spdl.io", "spdl.pipeline", "peers_spdl")
def spdl(workload: Workload, threads: int) -> Epoch:
    """SPDL's threads and prefetching, with torch's operators."""
    from peers_spdl import epochs

    return epochs(workload, threads)


FFCV_CANNOT = {
    "rows": "to write 2,000,000 rows into FFCV's own format takes minutes",
    "files": "FFCV reads no .npy files; packed into its own format they would be `small` in colour",
    "volumes": "FFCV takes no part of an array",
}


@contender("ffcv", "torch", "ffcv.loader", "peers_ffcv", cannot=FFCV_CANNOT)
def ffcv(workload: Workload, threads: int) -> Epoch:
    """FFCV over a file of its own format."""
    from peers_ffcv import epochs

    return epochs(workload, threads)


@contender("npyfeed", "torch", "npyfeed", "npyfeed.transforms", "npyfeed.torch")
def npyfeed_torch(workload: Workload, threads: int) -> Epoch:
    """The project itself, handing out torch tensors."""
    from npyfeed.torch import DataLoader

    dataset = _npyfeed_dataset(workload)
    loader = DataLoader(dataset, batch_size=workload.batch_size, shuffle=True, num_workers=threads)
    return lambda: iter(loader)


@contender("npyfeed-numpy", "npyfeed", "npyfeed.transforms")
def npyfeed_numpy(workload: Workload, threads: int) -> Epoch:
    """The project itself, handing out NumPy arrays."""
    import npyfeed as nf

    dataset = _npyfeed_dataset(workload)
    loader = nf.Loader(dataset, batch_size=workload.batch_size, shuffle=True, seed=0, threads=threads)
    return lambda: iter(loader)


def _npyfeed_dataset(workload: Workload) -> npyfeed.Dataset:
    import npyfeed as nf
    from npyfeed import transforms as T

    if workload.kind == "volumes":
        volumes = nf.Dataset(x=str(workload.x_path), y=str(workload.y_path))
        crops = volumes.select(np.repeat(np.arange(len(volumes)), CROPS_PER_VOLUME))
        scale = T.ScaleIntensityRange(LOW, HIGH, 0, 1)
        return crops.map(x=[T.RandSpatialCrop(CROP), scale, T.AddChannel()])
    steps = [T.ToTensor()] + ([T.Normalize(MEAN, STD)] if workload.normalise else [])
    dataset = nf.Dataset(x=str(workload.x_path), y=str(workload.y_path))
    return dataset if workload.kind == "rows" else dataset.map(x=steps)
