"""CPU time and memory of a process and all its descendants, as Linux counts them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psutil


class Memory(NamedTuple):
    """Bytes that a process tree keeps from others."""

    private: int
    """Anonymous and shared memory (workers' batches), a page shared by n processes counted 1/n in each.
    Pages of the page cache are left out: the kernel takes them back when it likes."""
    uss: int
    """Pages that one process alone maps, a mapped file's included: the usual figure, for comparison."""


def tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants that live now."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """Seconds of CPU, user and system, that the tree has used, descendants that ended included."""
    return sum(_own_cpu_s(process) for process in tree(pid))


def _own_cpu_s(process: psutil.Process) -> float:
    try:
        return sum(process.cpu_times()[:4])  # user, system, and both of ended children
    except psutil.NoSuchProcess:
        return 0.0


def memory_bytes(pid: int) -> Memory:
    """What the tree holds now."""
    private = uss = 0
    for process in tree(pid):
        held = _rollup_kib(process.pid)
        private += held.get("Pss_Anon", 0) + held.get("Pss_Shmem", 0)
        uss += held.get("Private_Clean", 0) + held.get("Private_Dirty", 0)
    return Memory(private << 10, uss << 10)


def _rollup_kib(pid: int) -> dict[str, int]:
    """The sums over the process's mappings, KiB by name; empty when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
