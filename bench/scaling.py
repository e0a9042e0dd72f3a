"""Measures how the rate per byte bears sizes: `python bench/scaling.py`; `--record` keeps the table.

Samples of 64 bytes to 64 MB, batches of 1 to 4,096, one thread and two: u8 to f32, shuffled, out of a warm
file. The figure is GB/s of bytes read and written, the median over rounds in which all cells take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from report import free_record, machine

import npyfeed as nf
from npyfeed import transforms as T

SAMPLE_BYTES = [64, 1 << 10, 16 << 10, 256 << 10, 4 << 20, 64 << 20]
BATCH_SIZES = [1, 8, 64, 512, 4096]
THREADS = [1, 2]
FILE_BYTES = 256 << 20
BATCH_MAX_BYTES = 1 << 30
ROUNDS = 3
SECONDS = 0.4
# As many buffers as a loader of large batches has. To touch new memory for the first time takes longer than
# to fill it, in a virtual machine a hundred times longer: that is a loader's beginning, and not its rate.
POOL_BATCHES = 8

Cell = tuple[int, int, int]


def cells() -> Iterator[Cell]:
    """Sample size, batch size and threads, as far as a batch is at most 1 GB of f32 and an epoch has two."""
    for sample_bytes in SAMPLE_BYTES:
        for batch_size in BATCH_SIZES:
            if (
                4 * batch_size * sample_bytes <= BATCH_MAX_BYTES
                and 2 * batch_size * sample_bytes <= FILE_BYTES
            ):
                yield from ((sample_bytes, batch_size, threads) for threads in THREADS)


def rate(path: Path, cell: Cell) -> float:
    """GB/s read and written, once the file and the buffers have been touched."""
    sample_bytes, batch_size, threads = cell
    dataset = nf.Dataset(x=path).map(x=T.ToDtype("float32", scale=True))
    loader = nf.Loader(dataset, batch_size, shuffle=True, threads=threads)
    taken_within(loader, SECONDS / 2, at_least=POOL_BATCHES)
    samples, elapsed = taken_within(loader, SECONDS)
    return 5 * sample_bytes * samples / elapsed / 1e9


def taken_within(loader: nf.Loader, seconds: float, at_least: int = 0) -> tuple[int, float]:
    """Samples taken, epoch after epoch, in about so many seconds, and how many it were."""
    samples, batches, began = 0, 0, time.perf_counter()
    while True:
        for batch in loader:
            samples, batches = samples + len(batch.x), batches + 1
            elapsed = time.perf_counter() - began
            if elapsed >= seconds and batches >= at_least:
                return samples, elapsed


def table(rates: dict[Cell, float]) -> list[str]:
    """A row for each sample size and number of threads."""
    lines = ["| sample | threads | " + " | ".join(f"batch {size:,}" for size in BATCH_SIZES) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * len(BATCH_SIZES))
    for sample_bytes in SAMPLE_BYTES:
        for threads in THREADS:
            row = [rates.get((sample_bytes, size, threads)) for size in BATCH_SIZES]
            figures = " | ".join("" if figure is None else f"{figure:.1f}" for figure in row)
            lines.append(f"| {sample_bytes:,} bytes | {threads} | {figures} |")
    return lines


def measure() -> dict[Cell, float]:
    """The median of each cell."""
    rates: dict[Cell, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for sample_bytes in SAMPLE_BYTES:
            array = np.zeros((FILE_BYTES // sample_bytes, sample_bytes), "uint8")
            np.save(Path(folder) / f"{sample_bytes}.npy", array)
        for _ in range(ROUNDS):
            for cell in cells():
                rates.setdefault(cell, []).append(rate(Path(folder) / f"{cell[0]}.npy", cell))
    return {cell: statistics.median(found) for cell, found in rates.items()}


def main() -> None:
    """Prints the table; writes it down if asked to."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--record", action="store_true", help="write bench/record/DATE-MACHINE-scaling.md")
    arguments = parser.parse_args()
    rates = measure()
    best = max(rates.values())
    page = ["# Scaling: sample size, batch size, threads", ""]
    page += [f"- {name}: {value}" for name, value in machine().items()]
    page += [
        "",
        "GB/s read and written, u8 to f32, shuffled, NumPy arrays out. `python bench/scaling.py`.",
        "",
    ]
    page += [*table(rates), "", f"Best: {best:.1f} GB/s.", ""]
    print("\n".join(page))
    if arguments.record:
        free_record("scaling").with_suffix(".md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
