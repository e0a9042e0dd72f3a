"""tf.data as an expert uses it: whole batches a call, large ones changed by what XLA compiles, prefetched.

Imported by the contender `tf.data` alone, because importing it imports TensorFlow. Arrays and volumes are
held in memory, as `from_tensor_slices` would hold them, but batches are gathered: to shuffle and batch sample
by sample is many times slower. The shuffle is of the whole epoch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from workloads import CROP, CROPS_PER_VOLUME, HIGH, LOW, MEAN, STD, Workload

Batches = Callable[[], Iterator[tuple[Any, Any]]]
Node = Any
"""A tensor or dataset of TensorFlow's, which comes without types."""

PIECE_BYTES = 1 << 20
"""Small batches are made in pieces of about this many bytes and cut apart by TensorFlow."""


def epochs(workload: Workload, threads: int) -> Batches:
    """Cuts epochs from one endless dataset: XLA would compile anew for each iterator, for seconds."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    count, size = workload.sample_count, workload.batch_size
    piece = size * max(1, PIECE_BYTES // (size * workload.sample_bytes_out))
    change = _change(workload, compiled=piece == size)
    dataset = tf.data.Dataset.counter().map(lambda _epoch: tf.random.shuffle(tf.range(count, dtype=tf.int64)))
    if workload.kind == "files":
        dataset = dataset.flat_map(_files(workload))
    elif workload.kind == "volumes":
        dataset = dataset.flat_map(_volumes(workload))
    elif piece == size:
        dataset = dataset.flat_map(_gathered(workload, size))
    else:
        gathered = _gathered(workload, piece)
        dataset = dataset.flat_map(lambda order: _mapped(gathered(order), change).rebatch(size))
    if piece == size:
        dataset = _mapped(dataset, change)
    batches = iter(dataset.prefetch(tf.data.AUTOTUNE))
    return lambda: itertools.islice(batches, -(-count // size))


def _mapped(dataset: Node, change: Callable[[Node], Node]) -> Node:
    return dataset.map(lambda x, y: (change(x), y), num_parallel_calls=tf.data.AUTOTUNE)


def _gathered(workload: Workload, piece: int) -> Callable[[Node], Node]:
    """From an order to what an array holds in that order, `piece` samples at a time."""
    x, y = tf.constant(np.load(workload.x_path)), tf.constant(np.load(workload.y_path))

    def epoch(order: Node) -> Node:
        def read(first: Node) -> tuple[Node, Node]:
            indices = order[first : first + piece]
            return tf.gather(x, indices), tf.gather(y, indices)

        dataset = tf.data.Dataset.range(0, workload.sample_count, piece)
        return dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE)

    return epoch


def _files(workload: Workload) -> Callable[[Node], Node]:
    """From an order to batches of what files hold, read one a call, as `tf.io.read_file` does."""
    paths = tf.constant([str(path) for path in workload.x_paths()])
    y = tf.constant(np.load(workload.y_path))
    header_bytes = workload.x_paths()[0].stat().st_size - workload.sample_bytes_in  # NumPy's, the same in all

    def read(index: Node) -> tuple[Node, Node]:
        return tf.io.read_file(paths[index]), y[index]

    def decode(raw: Node, labels: Node) -> tuple[Node, Node]:
        stored = tf.io.decode_raw(raw, tf.uint8)[:, header_bytes:]
        return tf.reshape(stored, (-1, *workload.sample_shape)), labels

    def epoch(order: Node) -> Node:
        dataset = tf.data.Dataset.from_tensor_slices(order).map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return dataset.batch(workload.batch_size).map(decode, num_parallel_calls=tf.data.AUTOTUNE)

    return epoch


def _volumes(workload: Workload) -> Callable[[Node], Node]:
    """From an order to batches of crops; TensorFlow reads files whole, so they are in memory."""
    x = tf.constant(np.stack([np.load(path) for path in workload.x_paths()]))
    room = tf.cast(tf.constant(workload.sample_shape) - CROP + 1, tf.float32)

    def read(index: Node) -> tuple[Node, Node]:
        volume = index // CROPS_PER_VOLUME
        corner = tf.cast(tf.random.uniform((3,)) * room, tf.int64)
        return tf.slice(x, tf.concat([[volume], corner], 0), (1, *CROP)), volume

    def epoch(order: Node) -> Node:
        dataset = tf.data.Dataset.from_tensor_slices(order).map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return dataset.batch(workload.batch_size)

    return epoch


def _change(workload: Workload, *, compiled: bool) -> Callable[[Node], Node]:
    """From stored samples to a batch; TensorFlow alone makes a pass of each operation, XLA one of all."""
    mean, std = (np.array(MEAN), np.array(STD)) if workload.normalise else (np.zeros(1), np.ones(1))
    scale = np.reshape(1 / (255 * std), (-1, 1, 1)).astype(np.float32)
    shift = np.reshape(-mean / std, (-1, 1, 1)).astype(np.float32)

    def change(stored: Node) -> Node:
        if workload.kind == "rows":
            return stored
        if workload.kind == "volumes":
            return (tf.cast(stored, tf.float32) - LOW) / (HIGH - LOW)
        images = stored[..., tf.newaxis] if len(workload.sample_shape) == 2 else stored
        images = tf.cast(tf.transpose(images, (0, 3, 1, 2)), tf.float32) * scale
        return images + shift if workload.normalise else images

    return tf.function(change, jit_compile=True) if compiled else change
