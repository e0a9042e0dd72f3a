"""FFCV as an expert uses it: an operator of our own, compiled by Numba into FFCV's pipeline.

Imported by the contender `ffcv` alone. FFCV reads its own format only: the file is written once, beside the
data, and before any clock runs: the first check of equal work does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ffcv.fields import IntField, NDArrayField
from ffcv.fields.basics import IntDecoder
from ffcv.fields.ndarray import NDArrayDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.allocation_query import AllocationQuery
from ffcv.pipeline.compiler import Compiler
from ffcv.pipeline.operation import Operation
from ffcv.transforms import Squeeze, ToTensor
from ffcv.writer import DatasetWriter
from workloads import MEAN, STD, Workload


class Change(Operation):
    """Images `[height, width, channel] u8` to `[channel, height, width] f32`, normalised, in one pass."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.shape = workload.batch_sample_shape
        mean, std = (np.array(MEAN), np.array(STD)) if workload.normalise else (np.zeros(1), np.ones(1))
        self.scale, self.shift = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def generate_code(self) -> Callable[[Any, Any], Any]:
        """What Numba compiles; its loop over samples is spread over FFCV's threads."""
        samples = Compiler.get_iterator()
        scale, shift, (channels, height, width) = self.scale, self.shift, self.shape

        def change(images: Any, batch: Any) -> Any:  # noqa: ANN401 - Numba finds the types
            for index in samples(len(images)):
                image = images[index].reshape(height, width, channels)
                for channel in range(channels):
                    for row in range(height):
                        for column in range(width):
                            value = np.float32(image[row, column, channel])
                            batch[index, channel, row, column] = value * scale[channel] + shift[channel]
            return batch[: len(images)]

        change.is_parallel = True  # type: ignore[attr-defined]
        return change

    def declare_state_and_memory(self, previous_state: Any) -> tuple[Any, AllocationQuery]:  # noqa: ANN401
        """f32 of the new shape, in memory that FFCV reuses."""
        dtype = np.dtype(np.float32)
        state = replace(previous_state, jit_mode=True, shape=self.shape, dtype=dtype)
        return state, AllocationQuery(self.shape, dtype)


def epochs(workload: Workload, threads: int) -> Callable[[], Iterator[tuple[Any, Any]]]:
    """Starts an epoch of FFCV's loader."""
    loader = Loader(
        str(_packed(workload)),
        batch_size=workload.batch_size,
        num_workers=threads,
        order=OrderOption.RANDOM,
        os_cache=True,
        drop_last=False,
        pipelines={
            "x": [NDArrayDecoder(), Change(workload), ToTensor()],
            "y": [IntDecoder(), ToTensor(), Squeeze(1)],
        },
    )
    return lambda: iter(loader)


class _Samples:
    """What FFCV's writer asks of a dataset."""

    def __init__(self, workload: Workload) -> None:
        self.x, self.y = np.load(workload.x_path, mmap_mode="r"), np.load(workload.y_path)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.array(self.x[index]), int(self.y[index])


def _packed(workload: Workload) -> Path:
    path = workload.x_path.with_suffix(".beton")
    if not path.exists():
        partial = path.with_suffix(".partial")
        fields = {"x": NDArrayField(workload.dtype, workload.sample_shape), "y": IntField()}
        DatasetWriter(str(partial), fields, num_workers=1).from_indexed_dataset(_Samples(workload))
        partial.replace(path)
    return path
