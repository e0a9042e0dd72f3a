"""The table of a run, and the dated record of it: what was measured, on what, and every raw number."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASELINE = "torch-naive"
OURS = ("npyfeed", "npyfeed-numpy")
PACKAGES = (
    "numpy",
    "torch",
    "torchvision",
    "tensorflow-cpu",
    "nvidia-dali-cuda120",
    "grain",
    "spdl",
    "ffcv",
    "npyfeed",
)
HEADINGS = (
    "contender",
    "samples/s, median [min-max]",
    f"x {BASELINE}",
    "x best peer",
    "% of limit",
    "first batch ms",
    "with imports ms",
    "peak private MB (imports)",
    "CPU s/M samples",
)


@dataclass
class Outcome:
    """Everything measured of one workload."""

    workload: str
    batch_size: int
    sample_bytes_in: int
    sample_bytes_out: int
    rates: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Contender → the answer of each round; the limits stand among them, as `limit-<kind of store>`."""
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Contender → why it cannot do this work."""

    def median(self, contender: str, what: str) -> float | None:
        """Over the rounds; None if it was not measured."""
        values = [answer[what] for answer in self.rates.get(contender, []) if what in answer]
        return statistics.median(values) if values else None

    def limit(self) -> float | None:
        """Samples per second of the better kind of store."""
        return self._best([name for name in self.rates if name.startswith("limit-")])

    def best_peer(self) -> float | None:
        """Samples per second of the fastest contender that is not ours."""
        return self._best([name for name in self.rates if name not in OURS and not name.startswith("limit-")])

    def _best(self, names: Sequence[str]) -> float | None:
        medians = [self.median(name, "samples_per_s") for name in names]
        return max((median for median in medians if median is not None), default=None)


def table(outcome: Outcome) -> str:
    """One row a contender, as Markdown that also reads well on a terminal."""
    rows = [list(HEADINGS), *(_row(outcome, contender) for contender in outcome.rates)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(_aligned(row, widths))} |" for row in [rows[0], rule, *rows[1:]])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    figures = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return [row[0].ljust(widths[0]), *figures]


def _row(outcome: Outcome, contender: str) -> list[str]:
    rates = [answer["samples_per_s"] for answer in outcome.rates[contender]]
    median = statistics.median(rates)
    baseline, best, limit = outcome.median(BASELINE, "samples_per_s"), outcome.best_peer(), outcome.limit()
    memory = outcome.memory.get(contender)
    return [
        contender,
        f"{median:,.0f} [{min(rates):,.0f}-{max(rates):,.0f}]",
        f"{median / baseline:.1f}" if baseline else "-",
        f"{median / best:.2f}" if best else "-",
        f"{100 * median / limit:.0f}" if limit else "-",
        _number(outcome.median(contender, "first_batch_ms")),
        _number(outcome.median(contender, "with_imports_ms")),
        f"{_mb(memory['peak_private_bytes'])} ({_mb(memory['imports_private_bytes'])})" if memory else "-",
        _number(outcome.median(contender, "cpu_s_per_million")),
    ]


def _number(value: float | None) -> str:
    """Three digits, no more: the rest is noise."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f}"


def machine() -> dict[str, str]:
    """What a reader needs in order to judge the figures; no name of the machine or of its user."""
    cpu, flags = _cpu()
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    vectors = next((name for name in ("avx512f", "avx2", "asimd") if name in flags), "none known")
    return {
        "CPU": f"{cpu}, {len(os.sched_getaffinity(0))} cores, vectors: {vectors}",
        "memory": f"{memory_bytes / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "commit": _commit(),
    }


def _cpu() -> tuple[str, set[str]]:
    """Model and features; /proc/cpuinfo has no model on some ARM machines."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", text, re.MULTILINE)
    return model[1].strip() if model else platform.machine(), set(flags[1].split()) if flags else set()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of the checkout" if package == "npyfeed" else "not installed"


def _commit() -> str:
    command = [
        "git",
        "--no-optional-locks",
        "describe",
        "--always",
        "--dirty=, with changes not committed",
        "--exclude=*",
    ]
    answer = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def short_machine_name() -> str:
    """The CPU's model and the number of cores: `intel-xeon-2-cores`."""
    words = re.sub(r"\((r|tm)\)|\bcpu\b|\bprocessor\b|@.*", " ", _cpu()[0].lower())
    return "-".join([*re.findall(r"[a-z0-9]+", words), f"{len(os.sched_getaffinity(0))}-cores"])


@dataclass(frozen=True)
class Run:
    """A whole run: its command line, the load of the machine before it, and what it found."""

    arguments: list[str]
    load: float
    outcomes: list[Outcome]
    missing: dict[str, list[str]]
    """Contender → the packages without which it could not be measured."""


def write_record(run: Run) -> Path:
    """Write the page and its raw numbers beside it; a second record of a day gets a number."""
    path = free_record()
    facts = {**machine(), "load at the start": f"{run.load:.2f}"}
    command = shlex.join(["python", "bench/run.py", *run.arguments])
    path.write_text(_page(path.stem, run, {"command": f"`{command}`", **facts}), encoding="utf-8")
    raw = {
        "machine": facts,
        "command": command,
        "missing": run.missing,
        "workloads": [asdict(outcome) for outcome in run.outcomes],
    }
    path.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    return path


def free_record(*names: str) -> Path:
    """Where the next page goes: the date, the machine, what it is about; a number if there is one."""
    date = dt.datetime.now(dt.timezone.utc).date().isoformat()
    path = HERE / "record" / f"{'-'.join([date, short_machine_name(), *names])}.md"
    path.parent.mkdir(exist_ok=True)
    turn, free = 1, path
    while free.exists():
        turn += 1
        free = path.with_stem(f"{path.stem}-{turn}")
    return free


def _page(title: str, run: Run, facts: dict[str, str]) -> str:
    parts = [f"# {title}", "\n".join(f"- {name}: {fact}" for name, fact in facts.items())]
    for outcome in run.outcomes:
        sizes = f"{outcome.sample_bytes_in:,} bytes in, {outcome.sample_bytes_out:,} bytes out a sample"
        parts += [f"## {outcome.workload}", f"Batch {outcome.batch_size}; {sizes}.", table(outcome)]
        parts += [f"Without `{contender}`: {reason}." for contender, reason in outcome.left_out.items()]
    for contender, packages in run.missing.items():
        parts.append(f"`{contender}` was not measured: {', '.join(packages)} not installed.")
    parts.append(f"Every round and what was checked: `{title}.json`. How to read it: `bench/README.md`.")
    return "\n\n".join(parts) + "\n"
