"""DALI on the CPU: its own operators, threads and prefetching.

Imported by the contender `dali` alone. DALI's reader takes one file a sample, so arrays come in through
`external_source`: large samples as views of the mapped file, which DALI's threads then read; small ones
gathered by NumPy, a whole batch as one sample of DALI's, which pays for each sample that it handles. A batch
is DALI's own memory, valid until the next one is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from nvidia.dali import Pipeline, fn, pipeline_def, types
from workloads import CROP, CROPS_PER_VOLUME, HIGH, LOW, MEAN, STD, Workload

Batches = Callable[[], Iterator[tuple[Any, Any]]]

OPTIONS = {"device_id": None, "prefetch_queue_depth": 2}
"""On the CPU; a batch is made while another is used."""
LARGE_SAMPLE_BYTES = 32 << 10
PIECE_BYTES = 2 << 20
"""Small batches are handed to DALI this many bytes at a time: 20 of 28 x 28 cost a third of one at a time."""
KEPT_PIECES = 8
"""More than are ever on their way through DALI, which reads them in place."""


def epochs(workload: Workload, threads: int) -> Batches:
    """Starts an epoch of the workload's kind."""
    if workload.kind in {"files", "volumes"}:
        return _files(workload, threads)
    if workload.sample_bytes_out >= LARGE_SAMPLE_BYTES:
        return _large_samples(workload, threads)
    return _small_samples(workload, threads)


def _large_samples(workload: Workload, threads: int) -> Batches:
    """A DALI sample is a sample of ours, seen where the file is mapped."""
    x, y = np.load(workload.x_path, mmap_mode="r"), np.load(workload.y_path)

    def source() -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        for indices in _shuffled(workload.sample_count, workload.batch_size):
            yield [x[index] for index in indices.tolist()], y[indices]

    @pipeline_def(batch_size=workload.batch_size, num_threads=threads, **OPTIONS)
    def steps() -> tuple[Any, Any]:
        images, labels = fn.external_source(source=source, num_outputs=2, cycle="raise", no_copy=True)
        return _normalised(images, workload), labels

    pipeline = steps()
    return lambda: _whole_batches(pipeline)


def _small_samples(workload: Workload, threads: int) -> Batches:
    """A DALI sample is a batch of ours, a DALI batch a few of them."""
    x, y = np.load(workload.x_path, mmap_mode="r"), np.load(workload.y_path)
    size = workload.batch_size
    piece = max(1, PIECE_BYTES // (size * workload.sample_bytes_out))
    kept: deque[Any] = deque(maxlen=KEPT_PIECES)

    def source() -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
        for indices in _shuffled(workload.sample_count, size * piece):
            cuts = range(size, len(indices), size)
            kept.append((np.split(x[indices], cuts), np.split(y[indices], cuts)))
            yield kept[-1]

    @pipeline_def(batch_size=piece, num_threads=threads, **OPTIONS)
    def steps() -> tuple[Any, Any]:
        batch, labels = fn.external_source(source=source, num_outputs=2, cycle="raise", no_copy=True)
        if workload.kind == "array":
            batch = fn.expand_dims(fn.cast(batch, dtype=types.FLOAT) * np.float32(1 / 255), axes=1)
        return batch, labels

    pipeline = steps()

    def epoch() -> Iterator[tuple[Any, Any]]:
        for batches, labels in _runs(pipeline):
            for turn in range(len(batches)):
                yield np.asarray(batches[turn]), np.asarray(labels[turn])

    return epoch


def _files(workload: Workload, threads: int) -> Batches:
    """DALI's reader of .npy files. It has no labels: they are in the names, which it tells."""
    volumes = workload.kind == "volumes"
    names = [path.name for path in workload.x_paths()] * (CROPS_PER_VOLUME if volumes else 1)

    @pipeline_def(batch_size=workload.batch_size, num_threads=threads, **OPTIONS)
    def steps() -> tuple[Any, Any]:
        options = _random_crop(workload) if volumes else {}
        stored = fn.readers.numpy(
            name="reader",
            file_root=str(workload.x_path),
            files=names,
            shuffle_after_epoch=True,  # of all files, before the first epoch too; `random_shuffle` is of 1024
            pad_last_batch=True,
            cache_header_information=True,
            **options,
        )
        name = fn.get_property(stored, key="source_info")
        if volumes:  # one pass: DALI fuses an expression
            change = stored * np.float32(1 / (HIGH - LOW)) + np.float32(-LOW / (HIGH - LOW))
            return fn.expand_dims(change, axes=0), name
        return _normalised(stored, workload), name

    pipeline = steps()

    def epoch() -> Iterator[tuple[Any, Any]]:
        left = workload.sample_count
        while left > 0:
            batch, files = pipeline.run()
            count = min(left, workload.batch_size)  # what is more, DALI has padded
            yield np.asarray(batch.as_tensor())[:count], _labels(files, count)
            left -= count

    return epoch


def _random_crop(workload: Workload) -> dict[str, Any]:
    room = workload.sample_shape[0] - CROP[0] + 1
    corner = fn.random.uniform(values=list(range(room)), shape=3, dtype=types.INT32)
    return {"roi_start": corner, "roi_shape": CROP}


def _labels(names: Any, count: int) -> np.ndarray:  # noqa: ANN401 - DALI's list of tensors
    """`000123.npy` is label 123."""
    return np.array([int(bytes(np.asarray(names[place]))[-10:-4]) for place in range(count)])


def _normalised(images: Any, workload: Workload) -> Any:  # noqa: ANN401 - DALI's nodes have no public type
    """Normalised and channel first in one operator."""
    mean, std = ([255 * value for value in values] for values in (MEAN, STD))
    images = fn.reshape(images, layout="HWC")
    if not workload.normalise:
        mean, std = [0.0], [255.0]
    return fn.crop_mirror_normalize(images, dtype=types.FLOAT, output_layout="CHW", mean=mean, std=std)


def _shuffled(count: int, step: int) -> Iterator[np.ndarray]:
    order = np.random.default_rng().permutation(count)
    for first in range(0, count, step):
        yield order[first : first + step]


def _whole_batches(pipeline: Pipeline) -> Iterator[tuple[Any, Any]]:
    for batch, labels in _runs(pipeline):
        yield np.asarray(batch.as_tensor()), np.asarray(labels.as_tensor())


def _runs(pipeline: Pipeline) -> Iterator[Any]:
    """What the pipeline gives until its source ends; it can be run again then."""
    while True:
        try:
            outputs = pipeline.run()
        except StopIteration:
            break
        yield outputs
    pipeline.reset()
