"""One measurement of one contender in this process; the answer is one line of JSON.

    python bench/measure.py rate|memory|check WORKLOAD CONTENDER --threads 2 --seconds 4 --divisor 1

rate    samples/s, first batch, CPU time; nothing else runs in the process while the clock does
memory  the same epochs, for `run.py` to watch the process from outside
check   one untimed epoch, examined (`equal_work.py`)
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from contenders import CONTENDERS, Contender, Epoch
from equal_work import examine
from process_tree import cpu_s, memory_bytes
from workloads import WORKLOADS, Workload

WARM_UP_S = 1.0
MEMORY_S = 1.0
"""Queues are full by then."""


@dataclass(frozen=True)
class Setting:
    """What is measured, and for how long at most (seconds)."""

    workload: Workload
    contender: Contender
    threads: int
    seconds: float


def rate(setting: Setting) -> dict[str, Any]:
    """Samples per second over `seconds`, after a warm-up of one epoch or a second."""
    import_ms = _import(setting.contender)
    begin = time.perf_counter()
    batches = endless(setting.contender.build(setting.workload, setting.threads))
    next(batches)
    first_batch_ms = (time.perf_counter() - begin) * 1e3
    consume(batches, WARM_UP_S, setting.workload.sample_count)
    cpu_before_s = cpu_s(os.getpid())
    samples, seconds = consume(batches, setting.seconds, math.inf)
    used_s = cpu_s(os.getpid()) - cpu_before_s
    return {
        "samples": samples,
        "seconds": seconds,
        "samples_per_s": samples / seconds,
        "cpu_s_per_million": used_s / samples * 1e6,
        "first_batch_ms": first_batch_ms,
        "import_ms": import_ms,
        "with_imports_ms": import_ms + first_batch_ms,
    }


def memory(setting: Setting) -> dict[str, Any]:
    """What the process held after the imports, in bytes; the peak is seen from outside."""
    _import(setting.contender)
    before = memory_bytes(os.getpid())
    batches = endless(setting.contender.build(setting.workload, setting.threads))
    consume(batches, MEMORY_S, math.inf)
    return {"imports_private_bytes": before.private, "imports_uss_bytes": before.uss}


def check(setting: Setting) -> dict[str, Any]:
    """What one whole epoch holds."""
    start_epoch = setting.contender.build(setting.workload, setting.threads)
    return examine(setting.workload, start_epoch())


def endless(start_epoch: Epoch) -> Iterator[tuple[Any, Any]]:
    """The batches of one epoch after the other; C code, so that it adds nothing to a small batch."""
    return itertools.chain.from_iterable(iter(start_epoch, None))


def consume(batches: Iterator[tuple[Any, Any]], seconds: float, sample_count: float) -> tuple[int, float]:
    """Samples taken and seconds spent until either bound is reached.

    The batch in hand is held while the next one is made, as a training loop holds it.
    """
    samples = 0
    begin = now = time.perf_counter()
    deadline = begin + seconds
    for x, _y in batches:
        samples += x.shape[0]
        now = time.perf_counter()
        if now >= deadline or samples >= sample_count:
            break
    return samples, now - begin


def _import(contender: Contender) -> float:
    """Milliseconds that the contender's imports take; NumPy is there already."""
    begin = time.perf_counter()
    for module in contender.modules:
        importlib.import_module(module)
    return (time.perf_counter() - begin) * 1e3


WHAT: dict[str, Callable[[Setting], dict[str, Any]]] = {"rate": rate, "memory": memory, "check": check}


def main() -> None:
    """Measure what the command line says."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--divisor", type=int, default=1)
    arguments = parser.parse_args()
    workload, contender = WORKLOADS[arguments.workload](arguments.divisor), CONTENDERS[arguments.contender]
    answer = WHAT[arguments.what](Setting(workload, contender, arguments.threads, arguments.seconds))
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
