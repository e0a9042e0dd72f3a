import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch

import npyfeed as nf

DTYPES: list[Any] = [
    *"?bBhHiIqQefdFD",
    "S5",
    "U3",
    "M8[ns]",
    "m8[D]",
    "V7",
    [("x", "f4"), ("大小", "i2", (2,))],
]


@pytest.mark.parametrize("sample_shape", [(), (1,), (3,), (0,), (5, 3), (2, 1, 3, 2)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_file_is_the_one_that_numpy_saves(
    memory_folder: Path, dtype: Any, sample_shape: tuple[int, ...]
) -> None:
    size = int(np.prod((11, *sample_shape)))
    samples = np.arange(size).astype("S5" if np.dtype(dtype).kind == "V" else dtype)
    samples = samples.astype(dtype).reshape(11, *sample_shape)
    path, expected = memory_folder / "x.npy", memory_folder / "expected.npy"
    with nf.Writer(path, dtype, sample_shape) as writer:
        for start, stop in [(0, 1), (1, 1), (1, 4), (4, 11)]:
            writer.append(samples[start:stop])
            assert len(writer) == stop
            writer.flush()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy warns of version 3.0
                np.save(expected, samples[:stop])
            assert path.read_bytes() == expected.read_bytes()
    np.testing.assert_array_equal(np.load(path), samples)
    if np.dtype(dtype).kind in "buif":
        np.testing.assert_array_equal(nf.open(path), samples)


def test_the_file_is_valid_before_the_first_sample_and_counts_only_what_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with nf.Writer(path, "int32", (2,)) as writer:
        assert np.load(path).shape == (0, 2)
        writer.append(np.ones((3, 2), "int32"))
        assert len(writer) == 3
        assert np.load(path).shape == (0, 2)
        assert nf.open(path).shape == (0, 2)
        writer.flush()
        assert np.load(path, mmap_mode="r").shape == (3, 2)
    assert writer.closed
    assert repr(writer) == f"npyfeed.Writer('{path}', shape=[3, 2], dtype=int32, closed)"


def test_counts_of_more_and_more_digits_never_move_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    with nf.Writer(path, "uint8", ()) as writer:
        for count in [9, 1, 89, 1, 899, 1, 98_999, 1, 899_999, 1]:
            writer.append(np.arange(len(writer), len(writer) + count).astype("uint8"))
            writer.flush()
            np.testing.assert_array_equal(np.load(path), np.arange(len(writer)).astype("uint8"))


def test_batches_may_lie_in_any_order_and_come_from_any_library(tmp_path: Path) -> None:
    batch = np.arange(24, dtype="float32").reshape(2, 3, 4)
    given: list[Any] = [
        batch,
        np.asfortranarray(batch),
        np.repeat(batch, 2, axis=1)[:, ::2],
        batch[::-1][::-1],
        np.ascontiguousarray(batch.T).T,
        torch.from_numpy(batch),
        list(batch),
    ]
    with nf.Writer(tmp_path / "x", "float32", (3, 4)) as writer:
        for same in given:
            writer.append(same)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.concatenate([batch] * len(given)))


WRONG: dict[str, tuple[Any, str]] = {
    "a single sample": (np.zeros((4, 3), "f4"), r"\[sample, 4, 3\], found \[4, 3\]: pass sample\[None\]"),
    "another shape": (np.zeros((2, 3, 4), "f4"), r"expected .*\[sample, 4, 3\], found \[2, 3, 4\]"),
    "too many axes": (np.zeros((2, 4, 3, 1), "f4"), r"found \[2, 4, 3, 1\]"),
    "no axis": (np.float32(3), r"found \[\]"),
    "another dtype": (np.zeros((2, 4, 3), "f8"), r"expected .*float32, found float64: .*astype"),
    "another byte order": (np.zeros((2, 4, 3), ">f4"), r"expected .*float32, found >f4: .*astype"),
    "integers of the same size": (np.zeros((2, 4, 3), "i4"), "found int32"),
    "a list of Python floats": ([[[0.0] * 3] * 4], "found float64"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_batch_is_refused_and_the_next_one_taken(tmp_path: Path, name: str) -> None:
    batch, message = WRONG[name]
    path = tmp_path / "x.npy"
    with nf.Writer(path, "float32", (4, 3)) as writer:
        with pytest.raises(nf.MismatchError, match=message) as caught:
            writer.append(batch)
        assert "x.npy" in str(caught.value)
        writer.append(np.ones((1, 4, 3), "f4"))
    np.testing.assert_array_equal(np.load(path), np.ones((1, 4, 3)))


BAD_OPTIONS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "big-endian": (">i4", (2,), nf.MismatchError, "native.*newbyteorder"),
    "big-endian field": ([("a", ">i4")], (2,), nf.MismatchError, "native"),
    "a shape in the dtype": (("f4", (3,)), (2,), nf.MismatchError, "sample_shape"),
    "objects": ("O", (2,), nf.UnsupportedError, "pickle"),
    "negative length": ("i4", (-1,), nf.MismatchError, "negative"),
    "too many axes": ("i4", (1,) * 64, nf.MismatchError, "dimension"),
    "no shape": ("i4", "12", TypeError, "integer"),
    "no dtype": ("no such", (2,), TypeError, "no such"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_wrong_options_are_refused_before_a_file_is_touched(tmp_path: Path, name: str) -> None:
    dtype, sample_shape, expected, message = BAD_OPTIONS[name]
    path = tmp_path / "x.npy"
    np.save(path, np.arange(3))
    with pytest.raises(expected, match=message):
        nf.Writer(path, dtype, sample_shape)
    np.testing.assert_array_equal(np.load(path), np.arange(3))
    assert list(tmp_path.iterdir()) == [path]


def test_a_sample_larger_than_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises((nf.UnsupportedError, nf.MismatchError), match=r"larger|too big|dimension"):
        nf.Writer(tmp_path / "x.npy", "i8", (2**40, 2**40))
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced_and_its_arrays_live_on(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(1000))
    path.chmod(0o640)
    old = nf.open(path)
    with nf.Writer(path, "int64", ()) as writer:
        writer.append([7])
    assert np.load(path).tolist() == [7]
    np.testing.assert_array_equal(old, np.arange(1000))
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_an_exception_in_the_block_leaves_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"

    def write() -> None:
        with nf.Writer(path, "int64", ()) as writer:
            writer.append([1, 2])
            writer.flush()
            writer.append([3])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert np.load(path).tolist() == [1, 2, 3]


def test_a_closed_writer_says_so_and_closes_again(tmp_path: Path) -> None:
    writer = nf.Writer(tmp_path / "x.npy", "int64", ())
    writer.append([1])
    writer.close()
    writer.close()
    for act in (writer.flush, lambda: writer.append([2])):
        with pytest.raises(nf.MismatchError, match="closed"):
            act()
    assert len(writer) == 1


def test_a_forgotten_writer_flushes_when_it_dies(tmp_path: Path) -> None:
    writer = nf.Writer(tmp_path / "x.npy", "int64", ())
    writer.append([1, 2])
    del writer
    assert np.load(tmp_path / "x.npy").tolist() == [1, 2]


FORK = """
import os, sys
import numpy as np, npyfeed as nf
writer = nf.Writer(sys.argv[1], "int64", ())
writer.append([1])
child = os.fork()
if child == 0:
    try:
        writer.append([9])
    except nf.MismatchError as error:
        assert "fork" in str(error), error
        del writer
        os._exit(0)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(np.load(sys.argv[1])) == 0, "the fork has flushed"
writer.append([2])
writer.close()
"""


def test_a_fork_cannot_write_over_its_parents_samples(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    subprocess.run([sys.executable, "-c", FORK, str(path)], check=True)
    assert np.load(path).tolist() == [1, 2]


FULL_DISK = """
import resource, signal, sys
import numpy as np, npyfeed as nf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with nf.Writer(sys.argv[1], "uint8", (1000,)) as writer:
    writer.append(np.full((60, 1000), 1, "uint8"))
    try:
        writer.append(np.full((60, 1000), 2, "uint8"))
    except OSError as error:
        assert error.errno == 27 and error.filename == sys.argv[1], error
    else:
        sys.exit("appended more than the system takes")
    assert len(writer) == 60
    writer.append(np.full((20, 1000), 3, "uint8"))
"""


def test_a_full_disk_costs_only_the_batch_that_did_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], check=True)
    expected = np.repeat(np.array([1, 3], "uint8"), [60, 20])
    np.testing.assert_array_equal(np.load(path)[:, 0], expected)
    assert path.stat().st_size == 128 + 80 * 1000


# Sample i is [i, i, i]. The child forks for each round, which is cheaper than to import NumPy anew.
KILLED = """
import os, sys
import numpy as np, npyfeed as nf
path = sys.argv[1]
for line in sys.stdin:
    seed = int(line)
    child = os.fork()
    if child == 0:
        random = np.random.default_rng(seed)
        with nf.Writer(path, "int64", (3,)) as writer:
            while True:
                for _ in range(random.integers(1, 4)):
                    count = int(random.choice([1, 2, 7, 400, 5000]))
                    first = len(writer)
                    writer.append(np.repeat(np.arange(first, first + count)[:, None], 3, axis=1))
                writer.flush()
                os.write(1, f"flushed {len(writer)}\\n".encode())
    os.write(1, f"child {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"dead 0\\n")
"""


def rounds(path: Path, count: int) -> None:
    """Kills a writer `count` times, each after a few flushes and a moment more."""
    generator = random.Random(count)
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for seed in range(count):
            print(seed, file=parent.stdin, flush=True)
            patience = generator.randint(0, 4)
            said: list[tuple[str, int]] = []
            while len(said) <= patience or "child" not in dict(said):
                said.append(heard(parent.stdout))
            time.sleep(generator.choice([0, 0.001, 0.005]) * generator.random())
            os.kill(dict(said)["child"], signal.SIGKILL)
            while "dead" not in dict(said):
                said.append(heard(parent.stdout))
            check_survivor(path, dict(said).get("flushed", 0))
        parent.stdin.close()


def heard(stream: IO[str]) -> tuple[str, int]:
    word, number = stream.readline().split()
    return word, int(number)


def check_survivor(path: Path, flushed: int) -> None:
    if flushed == 0 and not path.exists():
        return  # killed before there was a file
    found = np.load(path)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.repeat(np.arange(len(found))[:, None], 3, axis=1))
    assert len(found) >= flushed
    assert nf.open(path).shape == found.shape
    path.unlink()


@pytest.mark.parametrize("count", [20, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_all_flushed_samples(tmp_path: Path, count: int) -> None:
    rounds(tmp_path / "x.npy", count)
    left = {path.name for path in tmp_path.iterdir()} - {"x.npy"}
    assert all(name.startswith(".npyfeed-") for name in left), left
