"""Measures what opening costs, beside NumPy: `python bench/opening.py`; `--record` writes to `bench/record/`.

Each figure is the median over rounds in which the contenders take turns. Files lie in a temporary folder and
are warm. The copy needs 3 GB of memory and 1.2 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from report import free_record, machine

import npyfeed as nf

ROUNDS = 7
Contenders = dict[str, Callable[[], Any]]


def medians(contenders: Contenders, calls: int) -> dict[str, float]:
    """Seconds a call of each, `calls` of them a round."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            began = time.perf_counter()
            for _ in range(calls):
                call()
            seconds[name].append((time.perf_counter() - began) / calls)
    return {name: statistics.median(times) for name, times in seconds.items()}


def small(folder: Path) -> list[str]:
    """A file of 12 KB to a tensor."""
    path = folder / "image.npy"
    np.save(path, np.zeros((64, 64, 3), "uint8"))
    contenders: Contenders = {
        "nf.open(path)": lambda: nf.open(path),
        "nf.open(path).torch()": lambda: nf.open(path).torch(),
        "torch.from_numpy(np.load(path))": lambda: torch.from_numpy(np.load(path)),
    }
    return [f"| {name} | {1e6 * each:.1f} µs |" for name, each in medians(contenders, 2000).items()]


def sparse(folder: Path) -> list[str]:
    """A file of 1 TB that has no blocks on disk."""
    path = folder / "huge.npy"
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2**28, 1024)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2**40)
    before = psutil.Process().memory_info().rss
    held = nf.open(path)
    grown = psutil.Process().memory_info().rss - before
    each = medians({"open": lambda: nf.open(path)}, 100)["open"]
    return [f"| nf.open of {held.nbytes:,} bytes | {1e6 * each:.1f} µs, {grown:,} bytes of memory |"]


def copy(folder: Path) -> list[str]:
    """1.2 GB, warm: to a tensor, and to memory of its own."""
    path = folder / "large.npy"
    np.save(path, np.ones((1_200_000_000,), "uint8"))
    rows = [
        f"| nf.open(path).torch() of 1.2 GB | {1e6 * medians({'x': nf.open(path).torch}, 100)['x']:.1f} µs |"
    ]
    contenders: Contenders = {
        "np.load(path)": lambda: np.load(path),
        "nf.open(path).numpy(copy=True)": lambda: nf.open(path).numpy(copy=True),
    }
    return rows + [
        f"| {name} of 1.2 GB | {1.2 / each:.1f} GB/s |" for name, each in medians(contenders, 1).items()
    ]


def deflated(folder: Path) -> list[str]:
    """Members of an .npz, one thread."""
    random = np.random.default_rng(0)
    kinds = {
        "sparse uint8 images": (random.random((20_000, 784)) < 0.2) * random.integers(1, 255, (20_000, 784)),
        "int64 labels": random.integers(0, 1000, 2_000_000),
        "float32 noise": random.normal(size=4_000_000),
    }
    rows = []
    for name, values in kinds.items():
        array, path = values.astype(name.split()[-2 if "images" in name else 0]), folder / "deflated.npz"
        np.savez_compressed(path, x=array)
        contenders: Contenders = {
            "ours": partial(_member, nf.open, path),
            "numpy": partial(_member, np.load, path),
        }
        ours, numpy = (array.nbytes / 1e6 / each for each in medians(contenders, 1).values())
        rows.append(
            f"| {name}, deflated: ours, np.load | {ours:,.0f}, {numpy:,.0f} MB/s, {ours / numpy:.1f} x |"
        )
    return rows


def _member(load: Callable[[Path], Any], path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(load(path)["x"])


def main() -> None:
    """Print the table; with `--record`, write it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    facts = {**machine(), "load at the start": f"{os.getloadavg()[0]:.2f}"}
    with tempfile.TemporaryDirectory() as name:
        rows = [row for measure in (small, sparse, copy, deflated) for row in measure(Path(name))]
    text = "\n".join(["| what | median |", "|---|---:|", *rows])
    print(text)
    if arguments.record:
        path = free_record("opening")
        listed = "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
        path.write_text(
            f"# {path.stem}\n\n- command: `python bench/opening.py --record`\n{listed}\n\n{text}\n"
        )
        print(f"recorded in bench/record/{path.name}")


if __name__ == "__main__":
    main()
