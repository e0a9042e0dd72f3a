"""Inflated members: several at once, the recent ones kept, and in a fork."""

import gc
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import npyfeed as nf

KEPT_BYTES = 256 << 20


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 99, count, dtype="uint8")


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_members_loaded_together_are_those_loaded_one_by_one(tmp_path: Path, *, compressed: bool) -> None:
    path = tmp_path / "arrays.npz"
    arrays: dict[str, Any] = {f"x{index}": noise(200_000, index) for index in range(20)}
    nf.save_npz(path, compressed=compressed, **arrays)
    loaded = nf.open(path).load()
    assert list(loaded) == list(arrays)
    for name, array in loaded.items():
        assert isinstance(array, nf.Array)
        np.testing.assert_array_equal(array, np.load(path)[name])
    some = nf.open(path).load("x3", "x1.npy", "x3")
    assert list(some) == ["x3", "x1.npy"]
    np.testing.assert_array_equal(some["x1.npy"], arrays["x1"])


def test_what_is_loaded_is_what_is_asked_for_later(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    nf.save_npz(path, x=noise(1000), compressed=True)
    archive = nf.open(path)
    loaded = archive.load("x")["x"].numpy()
    assert loaded.ctypes.data == archive["x"].numpy().ctypes.data


def test_the_error_of_the_earliest_name_wins(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    arrays: dict[str, Any] = {f"x{index}": noise(100_000, index) for index in range(8)}
    nf.save_npz(path, compressed=True, **arrays)
    content = bytearray(path.read_bytes())
    for name in ("x6.npy", "x3.npy"):
        start = content.index(name.encode()) + 1000
        content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    for _ in range(10):
        archive, before = nf.open(path), threading.active_count()
        with pytest.raises(nf.FormatError, match=r"member 'x3\.npy'"):
            archive.load()
        with pytest.raises(nf.FormatError, match=r"member 'x6\.npy'"):
            archive.load("x0", "x6", "x3")
        with pytest.raises(KeyError, match="no member 'y'"):
            archive.load("x3", "y")
        assert threading.active_count() == before
        np.testing.assert_array_equal(archive.load("x0", "x7")["x7"], arrays["x7"])


def test_no_thread_outlives_a_load(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    arrays: dict[str, Any] = {f"x{index}": noise(100_000, index) for index in range(8)}
    nf.save_npz(path, compressed=True, **arrays)
    before = psutil.Process().num_threads()
    nf.open(path).load()
    assert psutil.Process().num_threads() <= before


def test_indexing_again_does_not_inflate_again(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    nf.save_npz(path, x=np.zeros(5), compressed=True)
    archive = nf.open(path)
    archive["x"].numpy()[3] = 7  # seen by whoever gets the same memory, and not by who inflates again
    gc.collect()
    assert archive["x"][3] == 7
    assert nf.open(path)["x"][3] == 0


def test_kept_members_stay_within_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    size = 32 << 20
    arrays: dict[str, Any] = {f"x{index}": np.full(size, index, "uint8") for index in range(10)}
    nf.save_npz(path, compressed=True, **arrays)
    del arrays
    gc.collect()
    archive, process = nf.open(path), psutil.Process()
    before = process.memory_info().rss
    for name in archive:
        assert archive[name][-1] == int(name[1:])
        assert process.memory_info().rss - before < KEPT_BYTES + (16 << 20)
    assert process.memory_info().rss - before > KEPT_BYTES - size - (16 << 20)
    del archive
    gc.collect()
    assert process.memory_info().rss - before < 16 << 20


FORK = """
import os, signal, sys, threading
import numpy as np, npyfeed as nf
import psutil
archive, process = nf.open(sys.argv[1]), psutil.Process()
inflating = threading.Thread(target=lambda: archive["x"])
before = process.memory_info().rss
inflating.start()
while inflating.is_alive() and process.memory_info().rss < before + (16 << 20):
    pass  # until the first of 251 MB are there, so that the other thread is in the middle of it
child = os.fork()
if child == 0:
    signal.alarm(60)  # a child that waits for a thread it does not have is ended, and told of below
    same = archive["x"].numpy().ctypes.data == archive["x"].numpy().ctypes.data
    loaded = archive.load()
    right = archive["x"][7] == 7 and archive["small"][3] == 3 and archive["x"].numpy().sum() == %d
    os._exit(0 if same and right and len(loaded) == 2 else 1)
in_the_middle = inflating.is_alive()
_, status = os.waitpid(child, 0)
assert status == 0, status
inflating.join()
assert archive["x"][7] == 7
print(in_the_middle)
"""


def test_a_fork_while_a_member_is_inflated_inflates_it_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    array = np.tile(np.arange(251, dtype="uint8"), 1_000_000)
    nf.save_npz(path, x=array, small=np.arange(9), compressed=True)
    program = FORK % array.sum(dtype="uint64")
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(path)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    assert answer.stdout == b"True\n", "the fork came after the member was inflated"
