"""What opening a hostile file takes: its error, the time and the memory, measured in a process of its own.

The memory is the highest that the process ever had in use (`VmHWM`), which Linux counts anew when it is told
to: what was taken and given back meanwhile is seen, and what an earlier file took is not.
"""

import ctypes
import io
import time
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

import npyfeed as nf

Result = TypeVar("Result")
CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
MAX_SECONDS = 0.05
MAX_PEAK_BYTES = 16 << 20
ATTEMPTS = 8  # a busy machine is slow now and then, a slow parser always


class Outcome(NamedTuple):
    """What came of one file. Exceptions are told by their name, which another process knows too."""

    path: str
    error: str  # "" if it could be used
    documented: str  # the exception of the documentation that it is one of
    message: str
    seconds: float
    peak_bytes: int


def fresh(work: Callable[..., Result], *arguments: Any) -> Result:
    """The result of `work` in a new process, which ends with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measured(work: Callable[[], object]) -> tuple[BaseException | None, float, int]:
    """What `work` raised, the seconds it took, and the bytes that it had in use at its peak."""
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed before would be used again, and count as nothing
    CLEAR_REFS.write_text("5")
    before_bytes, start, error = peak_bytes(), time.perf_counter(), None
    try:
        work()
    except BaseException as caught:  # noqa: BLE001 - a panic of the extension is a BaseException
        error = caught
    seconds = time.perf_counter() - start
    return error, seconds, peak_bytes() - before_bytes


def peak_bytes() -> int:
    """The most memory that this process has had in use."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


def use(opened: nf.Array | nf.Archive | bytes) -> None:
    """Asks for every element, without reading them: of each member, each field."""
    if isinstance(opened, nf.Archive):
        for name in opened:
            use(opened[name])
    elif isinstance(opened, nf.Array):
        opened.numpy()
        for name in opened.dtype.names or ():
            use(opened[name])


def open_and_use(path: Path, way: str) -> None:
    """Opens `path` in one of the ways: by its path, as an open file, or its bytes; CRCs are checked too."""
    if way == "path":
        use(nf.open(path, check_crc=True))
    elif way == "bytes":
        use(nf.open(path.read_bytes(), check_crc=True))
    else:
        with path.open("rb") as file:
            use(nf.open(file, check_crc=True))


def outcomes(paths: Iterable[Path], way: str) -> list[Outcome]:
    """The outcome of each file, each measured until it is within the bounds, or too often."""
    warm_up()
    return [outcome(path, way) for path in paths]


def outcome(path: Path, way: str) -> Outcome:
    best_seconds, best_bytes = float("inf"), 1 << 62
    error: BaseException | None = None
    for _ in range(ATTEMPTS):
        error, seconds, taken_bytes = measured(lambda: open_and_use(path, way))
        best_seconds, best_bytes = min(best_seconds, seconds), min(best_bytes, taken_bytes)
        if best_seconds < MAX_SECONDS and best_bytes < MAX_PEAK_BYTES:
            break
    name = type(error).__name__ if error else ""
    documented = (nf.FormatError, nf.UnsupportedError, nf.MismatchError, OSError)
    ours = next((kind.__name__ for kind in documented if isinstance(error, kind)), "")
    return Outcome(str(path), name, ours, str(error or ""), best_seconds, best_bytes)


def warm_up() -> None:
    """What the first file of all takes besides: modules, and the first pages of the allocator."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as member:
        np.lib.format.write_array(member, np.zeros(3, [("x", "<f4")]))
    use(nf.open(file.getvalue()))
    measured(lambda: nf.open(b"no array"))
