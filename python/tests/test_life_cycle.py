"""How a loader's life ends: dropped ten thousand times, interrupted, forked, shared, with its interpreter.

The contract that these tests hold is in `npyfeed/loader.py`.
"""

import contextlib
import gc
import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import npyfeed as nf
from npyfeed import transforms as T

SAMPLES = 64
BATCH_SIZE = 8
BATCH_BYTES = BATCH_SIZE * 40 * 40 * 3 * 4
ROUNDS = 10_000

# RSS is counted in pages and threads keep arenas, so it wavers by itself. A buffer of a batch leaked in every
# tenth round would be 1000 of 150 KB: 150 MB. This is a tenth of that.
LEFT_OVER_MAX_BYTES = ROUNDS // 10 * BATCH_BYTES // 10


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    np.save(tmp_path / "image.npy", np.zeros((SAMPLES, 40, 40, 3), "uint8"))
    np.save(tmp_path / "label.npy", np.arange(SAMPLES))
    return {"image": tmp_path / "image.npy", "label": tmp_path / "label.npy"}


@pytest.fixture
def dataset(paths: dict[str, Path]) -> nf.Dataset:
    return opened(paths)


def opened(paths: dict[str, Path]) -> nf.Dataset:
    return nf.Dataset(**paths).map(image=[T.ToTensor(), T.Normalize(0.5, 0.5)])


def one_batch(paths: dict[str, Path]) -> None:
    batch = next(iter(nf.Loader(opened(paths), BATCH_SIZE, threads=2, prefetch=2)))
    assert batch.label[0] == 0


def early_break(paths: dict[str, Path]) -> None:
    for count, _ in enumerate(nf.Loader(opened(paths), BATCH_SIZE, shuffle=True, threads=2)):
        if count == 2:
            break


def error_in_the_loop(paths: dict[str, Path]) -> None:
    with contextlib.suppress(KeyError):
        for _ in nf.Loader(opened(paths), BATCH_SIZE, threads=2):
            raise KeyError


def two_iterators(paths: dict[str, Path]) -> None:
    loader = nf.Loader(opened(paths), BATCH_SIZE, threads=1)
    first, second = iter(loader), iter(loader)
    assert next(first).label[0] == next(second).label[0]


def batches_outlive_their_loader(paths: dict[str, Path]) -> None:
    held = list(nf.Loader(opened(paths), BATCH_SIZE, threads=2))
    columns = [memoryview(batch.image) for batch in held]
    del held
    assert columns[-1][-1, 0, 0, 0] == -1


def file_cut_short(paths: dict[str, Path]) -> None:
    path = paths["image"].with_name("cut.npy")
    with path.open("wb") as file:
        np.save(file, np.zeros((SAMPLES, 1000), "uint8"))
    epoch = iter(nf.Loader(nf.Dataset(x=path), 1, threads=1, prefetch=1))
    next(epoch)
    os.truncate(path, 1000)
    with pytest.raises(OSError, match="cut short"):
        list(epoch)


def standing() -> dict[str, int]:
    """What a process has of the system, once threads that have ended are gone."""
    gc.collect()
    tasks, deadline = Path("/proc/self/task"), time.monotonic() + 10
    while time.monotonic() < deadline and any(map(is_ours, tasks.glob("*/comm"))):
        pass
    return {
        "threads": len(list(tasks.iterdir())),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
        "bytes": psutil.Process().memory_info().rss,
    }


def is_ours(comm: Path) -> bool:
    with contextlib.suppress(OSError):  # it ended between being listed and being read
        return comm.read_text().startswith("npyfeed-")
    return False


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts what Linux lists under /proc")
@pytest.mark.parametrize(
    ("life", "rounds"),
    [
        (one_batch, ROUNDS),
        (early_break, ROUNDS // 5),
        (error_in_the_loop, ROUNDS // 5),
        (two_iterators, ROUNDS // 5),
        (batches_outlive_their_loader, ROUNDS // 5),
        (file_cut_short, ROUNDS // 10),
    ],
)
def test_ten_thousand_loaders_leave_nothing(
    paths: dict[str, Path], life: Callable[[dict[str, Path]], None], rounds: int
) -> None:
    for _ in range(rounds // 10):
        life(paths)
    before = standing()
    for _ in range(rounds):
        life(paths)
    after = standing()
    assert after["threads"] <= before["threads"]
    assert after["descriptors"] <= before["descriptors"]
    assert after["mappings"] <= before["mappings"] + 8  # the allocator's own arenas
    assert after["bytes"] - before["bytes"] < LEFT_OVER_MAX_BYTES * rounds / ROUNDS + (4 << 20)


def run_python(code: str, *arguments: str, seconds: int = 60) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


# What is to be interrupted begins at once; Ctrl-C comes 20 ms later. What was done by then does not count.
INTERRUPTED = """
import os, sys, signal, threading, time
import numpy as np, npyfeed as nf
path, told = sys.argv[1], []
def interrupt(begin):
    begin.wait(); time.sleep(0.02); told.append(time.monotonic()); os.kill(os.getpid(), signal.SIGINT)
def interrupted(act):
    for _ in range(20):
        was_done, begin = False, threading.Event()
        threading.Thread(target=interrupt, args=(begin,)).start()
        try:
            begin.set()
            act()
            was_done = True
            time.sleep(60)
        except KeyboardInterrupt:
            if not was_done: return time.monotonic() - told.pop()
    sys.exit("it was always done before Ctrl-C came")
"""

INFLATING = """
archive = nf.open(path)
print(interrupted(lambda: archive["x"]))
print(interrupted(lambda: archive["x"]))
print(interrupted(archive.load))
print(interrupted(lambda: nf.Dataset(x=path + ":x")))
again = archive["x"]
assert (again.shape, again[-1]) == ((400 << 20,), 9)
"""

COPYING = """
array = nf.open(path)
print(interrupted(lambda: array.numpy(copy=True)))
dataset = nf.Dataset(x=array).map(x=nf.transforms.ToDtype("float64"))
print(interrupted(lambda: dataset[:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("act", ["inflating", "copying"])
def test_ctrl_c_is_answered_within_100_ms_whatever_is_being_done(tmp_path: Path, act: str) -> None:
    path = tmp_path / "arrays.npz"
    if act == "inflating":
        array = np.tile(np.arange(251, dtype="uint8"), (400 << 20) // 251 + 1)[: 400 << 20]
        array[-1] = 9
        np.savez_compressed(path, x=array)
    else:
        path = tmp_path / "array.npy"
        np.lib.format.open_memmap(path, "w+", np.float32, (1 << 10, 1 << 18))  # 1 GB of zeros, on no disk
    done = run_python(INTERRUPTED + (INFLATING if act == "inflating" else COPYING), str(path), seconds=120)
    assert done.returncode == 0, done.stderr
    assert max(map(float, done.stdout.split())) < 0.1, done.stdout


LOADER = """
import atexit, os, sys, threading
import numpy as np, npyfeed as nf
loader = nf.Loader(nf.Dataset(x=np.zeros((1000, 1000), "uint8")), 4, threads=4)
"""

ENDINGS = {
    "an epoch and its batches in globals": ("epoch = iter(loader); held = [next(epoch), next(epoch)]", 0),
    "a batch alone in globals": ("held = next(iter(loader)).x[1:]; del loader", 0),
    "in a cycle": ("class A: pass\na = A(); a.a = a; a.epoch = iter(loader); next(a.epoch); del a", 0),
    "sys.exit inside an iteration": ("for batch in loader: sys.exit(7)", 7),
    "an exception inside an iteration": ("for batch in loader: raise KeyError", 1),
    "a daemon thread in the middle of it": (
        (
            "begun = threading.Event()\n"
            "def endless():\n while True:\n  for b in loader: begun.set()\n"
            "threading.Thread(target=endless, daemon=True).start(); begun.wait()"
        ),
        0,
    ),
    "a thread that is waited for": (
        "def whole():\n for b in loader: pass\nthreading.Thread(target=whole).start()",
        0,
    ),
    "a first epoch in an atexit handler": ("atexit.register(lambda: print(len(list(loader))))", 0),
    "an epoch gone on with in an atexit handler": (
        "epoch = iter(loader); next(epoch); atexit.register(lambda: print(len(list(epoch)) + 1))",
        0,
    ),
    "os._exit": ("epoch = iter(loader); next(epoch); os._exit(3)", 3),
    "a member being inflated and left": (
        "threading.Thread(target=lambda: nf.open(sys.argv[1])['x'], daemon=True).start()",
        0,
    ),
}


@pytest.mark.parametrize(("ending", "code"), ENDINGS.values(), ids=ENDINGS.keys())
def test_the_interpreter_ends_with_loaders_running(tmp_path: Path, ending: str, code: int) -> None:
    if "inflated" in ending or "argv" in ending:
        np.savez_compressed(tmp_path / "a.npz", x=np.zeros(100 << 20, "uint8"))
    done = run_python(LOADER + ending, str(tmp_path / "a.npz"))
    assert done.returncode == code, done.stderr
    assert "KeyError" in done.stderr if code == 1 else done.stderr == ""
    assert done.stdout == ("250\n" if "atexit.register" in ending else "")


def read_in_fork(dataset: nf.Dataset, answers: Any) -> None:
    loader = nf.Loader(dataset, BATCH_SIZE, shuffle=True, seed=1, threads=2)
    answers.put(([batch.label.tolist() for batch in loader], dataset[3].label.item()))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_makes_a_loader_over_its_parents_dataset(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, BATCH_SIZE, shuffle=True, seed=1, threads=2)
    expected = [batch.label.tolist() for batch in loader]
    running = iter(loader)
    next(running)
    context: Any = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [context.Process(target=read_in_fork, args=(dataset, answers)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in children:
        assert answers.get(timeout=60) == (expected, 3)
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert len(list(running)) == len(expected) - 1


def test_two_iterators_at_once_do_not_disturb_each_other(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, BATCH_SIZE, shuffle=True, seed=1)
    expected = [[batch.label.tolist() for batch in loader] for _ in range(2)]
    loader.set_epoch(0)
    together = list(zip(iter(loader), iter(loader), strict=True))
    assert [[batch.label.tolist() for batch in epoch] for epoch in zip(*together, strict=True)] == expected


@pytest.mark.parametrize("thread_count", [2, 5])
def test_threads_that_share_an_iterator_get_each_batch_once(dataset: nf.Dataset, thread_count: int) -> None:
    for _ in range(20):
        epoch = iter(nf.Loader(dataset, 1, shuffle=True, threads=2, prefetch=2))
        got: list[list[int]] = [[] for _ in range(thread_count)]
        errors: list[BaseException] = []

        def take(mine: list[int], epoch: Any = epoch, errors: list[BaseException] = errors) -> None:
            try:
                mine.extend(int(batch.label[0]) for batch in epoch)
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                errors.append(error)

        threads = [threading.Thread(target=take, args=(mine,)) for mine in got]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert sorted(itertools.chain(*got)) == list(range(SAMPLES))


def test_an_error_in_a_shared_iterator_reaches_one_thread_and_ends_it_for_all(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((5000, 1000), "uint8"))
    epoch = iter(nf.Loader(nf.Dataset(x=tmp_path / "x.npy"), 1, threads=1, prefetch=1))
    next(epoch)
    os.truncate(tmp_path / "x.npy", 1000)
    raised: list[OSError] = []

    def take() -> None:
        try:
            list(epoch)
        except OSError as error:
            raised.append(error)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(raised) == 1
    assert next(epoch, None) is None


def test_threads_use_arrays_archives_and_loaders_while_others_close_them(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(10_000))
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(10_000))
    for _ in range(50):
        array, archive = nf.open(tmp_path / "a.npy"), nf.open(tmp_path / "a.npz")
        loader = nf.Loader(nf.Dataset(x=array, y=archive["x"]), 1000, threads=2)
        wrong: list[BaseException] = []

        def use(array: Any = array, archive: Any = archive, loader: Any = loader, wrong: Any = wrong) -> None:
            try:
                for batch in loader:
                    np.testing.assert_array_equal(batch.x, batch.y)
                while True:
                    assert array[9_999] == archive["x"][9_999] == 9_999
            except ValueError as error:
                if "closed" not in str(error):
                    wrong.append(error)
            except BaseException as error:  # noqa: BLE001 - told by the test's own thread
                wrong.append(error)

        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        loader.set_epoch(5)
        assert loader.stats().batches <= 30
        assert loader.state_dict()["seed"] == 0
        array.close()
        archive.close()
        for thread in threads:
            thread.join(60)
        assert not wrong


FORKED_WHILE_WAITING = """
import os, signal, sys, threading, time, numpy as np, npyfeed as nf
from npyfeed import transforms as T
# A sample takes more than a second: sixty times there and back between dtypes.
casts = [T.ToDtype("float64"), T.ToDtype("float16")] * 60
x = np.zeros((4, 32 << 20), "float32")
epoch = iter(nf.Loader(nf.Dataset(x=x).map(x=casts), 1, threads=1, prefetch=1))
waiter = threading.Thread(target=next, args=(epoch,), daemon=True)
waiter.start()
time.sleep(0.1)
if not (child := os.fork()):
    signal.alarm(20)
    try: next(epoch)
    except RuntimeError: os._exit(7)
    os._exit(1)
was_waiting = waiter.is_alive()
print(os.waitpid(child, 0)[1] >> 8, was_waiting, flush=True)
os._exit(0)
"""


@pytest.mark.slow
def test_a_forked_child_is_told_while_a_thread_of_its_parent_waits_for_a_batch() -> None:
    assert run_python(FORKED_WHILE_WAITING).stdout.split() == ["7", "True"]
