"""Grain as an expert uses it: Grain shuffles and batches indices, torch makes a batch of them in few calls.

Imported by the contender `grain` alone. Grain brings no operators: its users bring NumPy, or torch, which is
faster. Batches are made in threads: worker processes of Grain's send each through shared memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import grain
import numpy as np
import torch
from torch_samples import open_samples
from workloads import Workload

Batches = Callable[[], Iterator[tuple[Any, Any]]]

AHEAD = 4
"""Batches made before they are asked for; Grain's own 500 would be 77 GB of images."""


def epochs(workload: Workload, threads: int) -> Batches:
    """Cuts epochs from one endless dataset, which Grain shuffles anew for each."""
    torch.set_num_threads(1)
    samples = open_samples(workload)

    def batch(indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.from_numpy(indices)
        return samples.convert(chosen), samples.y.index_select(0, chosen)

    dataset = grain.MapDataset.range(workload.sample_count).seed(0).shuffle()
    dataset = dataset.batch(workload.batch_size, batch_fn=np.asarray).repeat().map(batch)
    batches = iter(dataset.to_iter_dataset(grain.ReadOptions(threads, AHEAD)))
    batch_count = -(-workload.sample_count // workload.batch_size)
    return lambda: itertools.islice(batches, batch_count)
