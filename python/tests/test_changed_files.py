"""Files that someone else changes while they are read: an exception that names the file, or sound data."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

ROWS, COLUMNS = 2000, 1000
ERRORS_WANTED = 20
SECONDS_MAX = 2.0  # once there is one error


def content() -> np.ndarray:
    """Every row has a value of its own and none has zeros, so that zeros betray themselves."""
    return np.repeat(np.arange(1, ROWS + 1, dtype="int32")[:, None], COLUMNS, axis=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "watched.npy", content())
    return tmp_path / "watched.npy"


# Another process, in a loop until it is killed. What it writes back is what was there, so a reader must get
# that or an exception. It gives each version a time of its own: before Linux 6.13, two versions written
# within one tick of the clock have the same.
SPOILERS = {
    "cut short": """
import itertools, os, sys
path = sys.argv[1]
whole = open(path, "rb").read()
print("ready", flush=True)
for n in itertools.count():
    os.truncate(path, n * 1_000_003 % len(whole))
    with open(path, "r+b") as file:
        file.write(whole)
    os.utime(path, ns=(n, n))
""",
    "rewritten": """
import itertools, os, sys
import numpy as np
path = sys.argv[1]
array = np.load(path)
print("ready", flush=True)
for n in itertools.count():
    np.save(path, array)
    os.utime(path, ns=(n, n))
""",
    "replaced": """
import itertools, os, sys
import numpy as np
path = sys.argv[1]
array = np.load(path)
print("ready", flush=True)
for n in itertools.count():
    np.save(path + ".new.npy", array)
    os.replace(path + ".new.npy", path)
""",
}


@contextlib.contextmanager
def spoiled(path: Path, how: str) -> Iterator[None]:
    command = [sys.executable, "-c", SPOILERS[how], str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
            assert process.poll() is None
        finally:
            process.kill()


def sound(rows: np.ndarray, first: int = 0, step: int = 1) -> None:
    expected = np.arange(first + 1, first + 1 + step * len(rows), step, dtype="int32")
    np.testing.assert_array_equal(rows, np.broadcast_to(expected[:, None], (len(rows), COLUMNS)))


def by_asarray(path: Path) -> None:
    array = nf.open(path)
    copied = np.array(np.asarray(array))  # a view that was handed out reads zeros; `check` tells
    array.check()
    sound(copied)


def by_copying_array(path: Path) -> None:
    sound(np.array(nf.open(path), copy=True))


def by_indexing(path: Path) -> None:
    array = nf.open(path)
    for first in range(0, 500, 100):
        sound(array[list(range(first, ROWS, 7))], first, 7)


def by_torch(path: Path) -> None:
    array = nf.open(path)
    copied = array.torch().clone()
    array.check()
    sound(copied.numpy())


def by_dlpack(path: Path) -> None:
    array = nf.open(path)
    copied = torch.utils.dlpack.from_dlpack(array).clone()
    array.check()
    sound(copied.numpy())


def by_dataset(path: Path) -> None:
    dataset = nf.Dataset(x=path)
    for first in range(0, ROWS, 500):
        sound(dataset[first : first + 500].x, first)
    sound(dataset[[ROWS - 1]].x, ROWS - 1)


def by_loader(path: Path) -> None:
    dataset = nf.Dataset(index=np.arange(1, ROWS + 1), x=path).map(x=[T.ToDtype("float64")])
    for batch in nf.Loader(dataset, 64, shuffle=True, threads=4):
        np.testing.assert_array_equal(batch.x, np.broadcast_to(batch.index[:, None], batch.x.shape))


def by_torch_loader(path: Path) -> None:
    dataset = nf.Dataset(index=np.arange(1, ROWS + 1), x=path)
    for batch in DataLoader(dataset, 700, shuffle=True, num_workers=3):
        assert bool((batch.x == batch.index[:, None]).all())


READERS: list[Callable[[Path], None]] = [
    by_asarray,
    by_copying_array,
    by_indexing,
    by_torch,
    by_dlpack,
    by_dataset,
    by_loader,
    by_torch_loader,
]


@pytest.mark.parametrize("how", ["cut short", "rewritten"])
@pytest.mark.parametrize("read", READERS)
def test_a_file_spoiled_while_it_is_read_is_an_exception_or_sound_data(
    path: Path, read: Callable[[Path], None], how: str
) -> None:
    errors: list[Exception] = []
    formats: list[Exception] = []
    deadline = time.monotonic() + SECONDS_MAX
    with spoiled(path, how):
        while not errors or (len(errors) < ERRORS_WANTED and time.monotonic() < deadline):
            try:
                read(path)
            except nf.FormatError as error:  # it was incomplete when it was opened
                formats.append(error)
            except OSError as error:
                errors.append(error)
    assert all("watched.npy" in str(error) for error in errors + formats)


@pytest.mark.parametrize("read", READERS)
def test_a_file_replaced_by_renaming_disturbs_nobody(path: Path, read: Callable[[Path], None]) -> None:
    with spoiled(path, "replaced"):
        for _ in range(5):
            read(path)


def expected_error(path: Path, what: str) -> Any:
    return pytest.raises(OSError, match=rf"(?s)cannot read '{path}': .*{what}.*open it again")


def test_every_way_to_read_an_array_refuses_after_a_cut(path: Path) -> None:
    array, size = nf.open(path), path.stat().st_size
    view = np.asarray(array)
    os.truncate(path, 4096)
    assert view[-1, -1] == 0
    ways: list[Callable[[], object]] = [
        array.check,
        array.numpy,
        array.torch,
        lambda: np.asarray(array),
        lambda: np.array(array, dtype="float64"),
        lambda: array[0],
        lambda: array[[1, 2]],
        lambda: torch.utils.dlpack.from_dlpack(array),
        lambda: nf.Dataset(x=array)[0],
        lambda: list(nf.Loader(nf.Dataset(x=array), 10)),
    ]
    for way in ways:
        with expected_error(path, f"expected {size} bytes, found 4096") as caught:
            way()
        assert caught.value.filename == str(path)
    with pytest.raises(nf.FormatError):
        nf.open(path)


def test_writing_in_place_is_noticed_at_the_same_size(path: Path) -> None:
    os.utime(path, ns=(1, 1))
    array, loader = nf.open(path), nf.Loader(nf.Dataset(x=path), 10)
    assert len(list(loader)) == ROWS // 10
    np.save(path, content() + 1)
    with expected_error(path, "written to while in use"):
        array[0]
    with expected_error(path, "column 'x'|written to while in use"):
        next(iter(loader))
    assert nf.open(path)[0, 0] == 2


def test_what_leaves_the_bytes_alone_is_no_change(path: Path) -> None:
    array = nf.open(path)
    path.chmod(0o400)
    path.read_bytes()
    path.rename(path.with_name("moved.npy"))
    os.link(path.with_name("moved.npy"), path)
    path.unlink()
    path.with_name("moved.npy").unlink()
    sound(array[:])


def test_the_error_comes_in_its_place_and_ends_the_epoch(tmp_path: Path) -> None:
    path = tmp_path / "watched.npy"
    np.save(path, content())
    loader = nf.Loader(nf.Dataset(a=np.arange(ROWS), x=path), 100, threads=2, prefetch=2)
    epoch = iter(loader)
    sound(next(epoch).x)
    os.truncate(path, 4096)
    delivered = 1
    with pytest.raises(OSError, match=r"column 'x': cannot read '.*watched\.npy'"):  # noqa: PT012, a loop
        for batch in epoch:
            sound(batch.x, delivered * 100)
            delivered += 1
    assert delivered <= 3 + 2  # what was filled before the cut
    assert list(epoch) == []


FAULTHANDLER = """
import faulthandler, os, sys
import numpy as np
faulthandler.enable()
import npyfeed as nf
array = nf.open(sys.argv[1])
view = array.numpy()
os.truncate(sys.argv[1], 4096)
assert view[-1, -1] == 0
try:
    array[0]
except OSError:
    print("borne", flush=True)
foreign = np.memmap(sys.argv[2], "uint8", "r")
os.truncate(sys.argv[2], 0)
foreign[-1]
"""


def test_pythons_faulthandler_reports_what_is_not_ours_and_only_that(path: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.bin"
    foreign.write_bytes(bytes(1 << 20))
    command = [sys.executable, "-c", FAULTHANDLER, str(path), str(foreign)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "borne\n"
    assert done.stderr.count("Fatal Python error: Bus error") == 1
    assert 'File "<string>", line 16 in <module>' in done.stderr  # the last line
    assert done.returncode < 0
