"""SPDL as an expert uses it: its pipeline runs in threads what makes a batch in few calls of torch.

Imported by the contender `spdl` alone. SPDL brings no operators for arrays; of files it has the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import spdl.io
import torch
from spdl.pipeline import PipelineBuilder
from torch_samples import LARGE_SAMPLE_BYTES, Files, Samples, open_samples
from workloads import Workload

Batch = tuple[torch.Tensor, torch.Tensor]

AHEAD = 3
"""Batches, or pieces, made before they are asked for: SPDL's own choice."""
PIECE_BATCHES = 16
"""Small batches are made this many in one go and cut apart."""


class LoadedFiles(Files):
    """Files read by SPDL."""

    def convert(self, indices: torch.Tensor) -> torch.Tensor:
        """A new batch: all files are read, then changed in three calls."""
        images = [spdl.io.load_npy(Path(self.paths[index]).read_bytes()) for index in indices.tolist()]
        stacked = torch.stack([torch.from_numpy(image) for image in images])
        return self.change(
            stacked.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        )


def epochs(workload: Workload, threads: int) -> Callable[[], Iterator[Batch]]:
    """Builds a pipeline for each epoch: SPDL's go through their source once."""
    torch.set_num_threads(1)
    samples: Samples = LoadedFiles(workload) if workload.kind == "files" else open_samples(workload)
    size = workload.batch_size
    piece = size if workload.sample_bytes_out >= LARGE_SAMPLE_BYTES else PIECE_BATCHES * size

    def batches(indices: torch.Tensor) -> list[Batch]:
        x, y = samples.convert(indices), samples.y.index_select(0, indices)
        return list(zip(x.split(size), y.split(size), strict=True))

    def epoch() -> Iterator[Batch]:
        order = torch.randperm(len(samples.y)).split(piece)
        builder = PipelineBuilder().add_source(order).pipe(batches, concurrency=threads).add_sink(AHEAD)
        pipeline = builder.build(num_threads=threads)
        with pipeline.auto_stop():
            for several in pipeline:
                yield from several

    return epoch
