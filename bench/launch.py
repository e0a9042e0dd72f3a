"""Starts measurements, each in a process of its own, and reads the line of JSON that it prints."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from process_tree import Memory, memory_bytes
from workloads import CROP, Workload

HERE = Path(__file__).resolve().parent
LIMIT_SOURCE, LIMIT_PROGRAM = HERE / "limit.c", HERE / "bin" / "limit"
LIMIT_UNSUPPORTED = 3
"""Exit status of `limit` where the CPU lacks the asked kind of store."""
STORES = ("ordinary", "streaming")
LONGEST_S = 300.0
"""A measurement that takes longer hangs: it is ended and the run fails."""
WATCH_EVERY_S = 0.02


class MeasurementError(Exception):
    """A measurement that gave no answer; its own words went to stderr."""


def measure(what: str, workload: Workload, contender: str, options: list[str]) -> dict[str, Any]:
    """The answer of `measure.py`."""
    answer = _answer(_command(what, workload, contender, options))
    if answer is None:
        raise MeasurementError(f"{contender} on {workload.name}: no answer to {what!r}")
    return answer


def measure_memory(workload: Workload, contender: str, options: list[str]) -> dict[str, Any]:
    """The peak memory of the contender's process tree, bytes, seen from outside every 20 ms."""
    peak = Memory(0, 0)

    def watch(pid: int) -> None:
        nonlocal peak
        now = memory_bytes(pid)
        peak = Memory(max(peak.private, now.private), max(peak.uss, now.uss))

    answer = _answer(_command("memory", workload, contender, options), watch)
    if answer is None:
        raise MeasurementError(f"{contender} on {workload.name}: no answer to 'memory'")
    return {**answer, "peak_private_bytes": peak.private, "peak_uss_bytes": peak.uss}


def build_limit() -> None:
    """Compile `limit.c` for this very CPU, if its program is missing or older."""
    if LIMIT_PROGRAM.exists() and LIMIT_PROGRAM.stat().st_mtime >= LIMIT_SOURCE.stat().st_mtime:
        return
    compiler = shutil.which("cc")
    if compiler is None:
        raise MeasurementError("cannot build limit.c: no C compiler `cc` (on Debian: apt install gcc)")
    LIMIT_PROGRAM.parent.mkdir(exist_ok=True)
    command = [compiler, "-O3", "-march=native", "-Wall", "-Wextra", "-pthread"]
    if subprocess.run([*command, str(LIMIT_SOURCE), "-o", str(LIMIT_PROGRAM)], check=False).returncode != 0:
        raise MeasurementError("cannot build limit.c: the compiler's words are above")


def measure_limit(workload: Workload, store: str, threads: int, seconds: float) -> dict[str, Any] | None:
    """The answer of `limit` for one kind of store, or None where the CPU lacks it."""
    kind = {"files": "files", "volumes": "crops"}.get(workload.kind, "array")
    stored = {"uint8": "u8", "int16": "i16", "float32": "f32"}[workload.dtype.name]
    volumes = workload.kind == "volumes"
    sample = f"{workload.sample_shape[0]}:{CROP[0]}" if volumes else workload.sample_elements
    options = [stored, sample, workload.batch_size, threads, seconds, store]
    return _answer([str(LIMIT_PROGRAM), kind, str(workload.x_path), *map(str, options)])


def _command(what: str, workload: Workload, contender: str, options: list[str]) -> list[str]:
    return [sys.executable, str(HERE / "measure.py"), what, workload.name, contender, *options]


def _answer(command: list[str], watch: Callable[[int], None] = lambda _pid: None) -> dict[str, Any] | None:
    """The JSON that `command` prints, while `watch` is shown its process; None where it is unsupported."""
    end = time.monotonic() + LONGEST_S
    with _process(command) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=WATCH_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                watch(process.pid)
            if time.monotonic() > end:
                raise MeasurementError(f"no answer after {LONGEST_S:.0f} s from {Path(command[1]).name}")
    if process.returncode == LIMIT_UNSUPPORTED:
        return None
    if process.returncode != 0 or not output.strip():
        raise MeasurementError(f"{' '.join(command[2:4])}: exit status {process.returncode}, see above")
    answer: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return answer


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, so that whatever happens here, it ends together with its workers."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
