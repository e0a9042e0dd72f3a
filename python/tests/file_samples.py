"""Samples, one a file: what the tests of columns of many files are made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

LARGE = (600, 601)  # of float64: 2.9 MB, which is mapped


def samples(count: int, shape: tuple[int, ...] = (4, 3), dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(count).integers(0, 100, (count, *shape)).astype(dtype)


def save_each(folder: Path, array: np.ndarray, *, order: Any = "C") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05d}.npy" for number in range(len(array))]
    for path, sample in zip(paths, array, strict=True):
        np.save(path, np.asarray(sample, order=order))
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_each(tmp_path / "x", samples(30))
    np.save(tmp_path / "y.npy", np.arange(30))
    return tmp_path
