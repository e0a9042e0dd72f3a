"""Writes the files of a workload once, and reads them into the page cache."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from workloads import DATA, LOW, Workload

CHUNK_BYTES = 64 << 20
"""Written and read at a time, so that preparing 1.2 GB needs no 1.2 GB of memory."""


def prepare(workload: Workload) -> None:
    """Write the files of `workload` unless they are there whole, then read them once into the page cache."""
    DATA.mkdir(exist_ok=True)
    if workload.x_path.suffix == ".npy":
        shape = (workload.file_sample_count, *workload.sample_shape)
        if not _is_whole(workload.x_path, shape, workload.dtype):
            _write(workload.x_path, lambda path: _write_noise(path, shape, workload.dtype))
    elif not workload.x_path.is_dir():
        _write(workload.x_path, lambda path: _write_folder(path, workload))
    labels = np.arange(workload.file_sample_count, dtype=np.int64)
    if not _is_whole(workload.y_path, labels.shape, labels.dtype):
        _write(workload.y_path, lambda path: np.save(path, labels))
    for path in _files(workload):
        with path.open("rb") as file:
            while file.read(CHUNK_BYTES):
                pass


def _files(workload: Workload) -> Iterator[Path]:
    yield workload.y_path
    yield from [workload.x_path] if workload.x_path.suffix == ".npy" else workload.x_paths()


def _is_whole(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether the header says `shape` and `dtype` and the file is as long as they need."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r")
    except (FileNotFoundError, ValueError):
        return False
    return array.shape == shape and bool(array.dtype == dtype)


def _write(path: Path, fill: Callable[[Path], None]) -> None:
    """Whole file or folder, or none: an interrupted run leaves nothing that looks finished."""
    partial = path.with_suffix(f".partial{path.suffix}")
    if partial.is_dir():
        shutil.rmtree(partial)
    fill(partial)
    partial.replace(path)


def _write_noise(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    random = np.random.default_rng(len(shape))
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    step = max(1, CHUNK_BYTES // math.prod(shape[1:]))
    for first in range(0, shape[0], step):
        chunk = array[first : first + step]
        chunk[:] = _noise(random, chunk.shape, dtype)
    array.flush()


def _noise(random: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if dtype == np.float32:
        return random.standard_normal(shape, np.float32)
    return random.integers(0, 256, shape, np.uint8)


def _write_folder(folder: Path, workload: Workload) -> None:
    """One sample a file: noise, or volumes that say where each of their values stands."""
    folder.mkdir()
    random = np.random.default_rng(4)
    for index, path in enumerate(workload.x_paths()):
        if workload.kind == "volumes":
            np.save(folder / path.name, coded_volume(index, workload.sample_shape))
        else:
            np.save(folder / path.name, _noise(random, workload.sample_shape, workload.dtype))


def coded_volume(index: int, shape: tuple[int, ...]) -> np.ndarray:
    """A volume of which four neighbours tell number and place: so that a random crop can be checked.

    Along x, every four values from `LOW` on are z, 256 + y, 512 + x and 1024 + `index`.
    """
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    code = np.choose(x % 4, [z, 256 + y, 512 + x, np.full_like(z, 1024 + index)])
    return (code + LOW).astype(np.int16)


def decoded(crop: np.ndarray) -> tuple[int, int, int, int]:
    """`(volume, z, y, x)` of a crop `[depth, height, width]` of a coded volume less `LOW`."""
    code = {min(int(value) // 256, 4): (int(value), place) for place, value in enumerate(crop[0, 0, :4])}
    (z, _), (y, _), (x, place), (volume, _) = (code[part] for part in (0, 1, 2, 4))
    return volume - 1024, z, y - 256, x - 512 - place
