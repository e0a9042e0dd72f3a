"""Measures a first epoch off the disk: `python bench/cold.py`; `--record` keeps the table.

Each measurement is a process that imports what it needs, drops the file from the page cache, checks that it
is gone, and takes one epoch of the `images` workload, sequential or shuffled, building included; contenders
take turns. The limit is fio, reading the same file in blocks of a sample past the cache, with a deep queue.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import free_record, machine
from workloads import MEAN, QUICK_DIVISOR, STD, WORKLOADS, Workload
from written import prepare

ORDERS = ("sequential", "shuffled")
FIO_DEPTH = 32


def npyfeed(workload: Workload, order: str, threads: int) -> Iterator[Any]:
    """The project itself, NumPy arrays out."""
    import npyfeed as nf  # noqa: PLC0415 - imported only in the process that measures it
    from npyfeed import transforms as T  # noqa: PLC0415 - as above

    dataset = nf.Dataset(x=str(workload.x_path)).map(x=[T.ToTensor(), T.Normalize(MEAN, STD)])
    shuffle = order == "shuffled"
    return iter(nf.Loader(dataset, batch_size=workload.batch_size, shuffle=shuffle, seed=0, threads=threads))


def torch_hand(workload: Workload, order: str, threads: int) -> Iterator[Any]:
    """Torch's loop over the mapped file, in threads."""
    import torch  # noqa: PLC0415 - as above
    import torch_datasets  # noqa: PLC0415 - as above
    from torch_samples import open_samples  # noqa: PLC0415 - as above

    indices = torch.randperm if order == "shuffled" else torch.arange
    samples = open_samples(workload)
    return torch_datasets.large_samples_by_hand(samples, workload.batch_size, threads, indices)()


@dataclass(frozen=True)
class Contender:
    """What starts an epoch, and the modules that it imports."""

    start: Callable[[Workload, str, int], Iterator[Any]]
    modules: tuple[str, ...]


CONTENDERS = {
    "torch-hand": Contender(torch_hand, ("torch_datasets", "torch_samples")),
    "npyfeed-numpy": Contender(npyfeed, ("npyfeed.transforms",)),
}


def drop(path: Path) -> None:
    """Have the kernel forget what it read of a file; no rights are needed, and no other file is forgotten."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        middle = path.stat().st_size // 2
        try:
            os.preadv(file.fileno(), [bytearray(1)], middle, os.RWF_NOWAIT)
        except BlockingIOError:
            return
    sys.exit(f"cannot drop {path.name} from the page cache: another process maps it, or it lies in memory")


def one_epoch(workload: Workload, name: str, order: str, threads: int) -> float:
    """MB of the file a second, over one epoch of one contender; runs in a fresh process."""
    for module in CONTENDERS[name].modules:
        importlib.import_module(module)
    drop(workload.x_path)
    began = time.perf_counter()
    samples = sum(len(batch[0]) for batch in CONTENDERS[name].start(workload, order, threads))
    seconds = time.perf_counter() - began
    if samples != workload.sample_count:
        sys.exit(f"{name}: expected an epoch of {workload.sample_count} samples, found {samples}")
    return workload.sample_bytes_in * samples / seconds / 1e6


def fio(workload: Workload, order: str) -> float:
    """MB a second of fio in a deep queue past the cache, in blocks of a sample, rounded up to 4 KiB."""
    block_bytes = -(-workload.sample_bytes_in // 4096) * 4096
    command = [
        "fio",
        "--name=limit",
        f"--filename={workload.x_path}",
        f"--rw={'read' if order == 'sequential' else 'randread'}",
        f"--bs={block_bytes}",
        f"--iodepth={FIO_DEPTH}",
        "--ioengine=libaio",
        "--direct=1",
        "--readonly",
        "--output-format=json",
    ]
    drop(workload.x_path)
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout)["jobs"][0]["read"]["bw_bytes"]) / 1e6


def rates(workload: Workload, order: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """MB a second of each, a round after the other."""
    found: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        if shutil.which("fio"):
            found.setdefault("limit-fio", []).append(fio(workload, order))
        for name in CONTENDERS:
            command = [sys.executable, __file__, "--one", name, order, "--threads", str(arguments.threads)]
            if arguments.quick:
                command.append("--quick")
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found.setdefault(name, []).append(float(answer.stdout))
    return found


def table(order: str, found: dict[str, list[float]]) -> list[str]:
    """A row a contender."""
    limit = statistics.median(found["limit-fio"]) if "limit-fio" in found else None
    rows = []
    for name, values in found.items():
        median = statistics.median(values)
        percent = f"{100 * median / limit:.0f}" if limit else "-"
        rows.append(
            f"| {order} | {name} | {median:,.0f} [{min(values):,.0f}-{max(values):,.0f}] | {percent} |"
        )
    return rows


def main() -> int:
    """Exit status 0; 1 if a measurement fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a trial on 1/8 of the data, one round")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "ORDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    workload = WORKLOADS["images"](QUICK_DIVISOR if arguments.quick else 1)
    if arguments.one:
        name, order = arguments.one
        print(one_epoch(workload, name, order, arguments.threads))
        return 0
    prepare(workload)
    if not shutil.which("fio"):
        print("warning: no limit: fio is not installed (on Debian: apt install fio)", file=sys.stderr)
    rows = [row for order in ORDERS for row in table(order, rates(workload, order, arguments))]
    heading = ["| order | contender | MB/s of file, median [min-max] | % of fio |", "|---|---|---:|---:|"]
    text = "\n".join([*heading, *rows])
    print(text)
    if arguments.record and not arguments.quick:
        _record(text)
    return 0


def _record(text: str) -> None:
    facts = {**machine(), "load at the start": f"{os.getloadavg()[0]:.2f}"}
    listed = "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
    path = free_record("cold")
    page = f"# {path.stem}\n\n- command: `python bench/cold.py --record`\n{listed}\n\n{text}\n"
    path.write_text(page, encoding="utf-8")
    print(f"recorded in bench/record/{path.name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
