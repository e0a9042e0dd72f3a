"""Columns of many files that are not there, not alike, or change while they are read: all told by name."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_samples import LARGE, folder, samples, save_each

import npyfeed as nf
from npyfeed.loader import Io

__all__ = ["folder"]  # a fixture


def test_what_matches_nothing_is_an_error_with_the_pattern(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"column 'x'.*none\*\.npy"):
        nf.Dataset(x=tmp_path / "none*.npy")
    with pytest.raises(FileNotFoundError, match="sample in the folder"):
        nf.Dataset(x=tmp_path)
    nothing: list[Any] = [[], ()]
    for empty in nothing:
        with pytest.raises(nf.MismatchError, match="empty list"):
            nf.Dataset(x=empty)
        with pytest.raises(nf.MismatchError, match="empty list"):
            nf.Dataset(x=nf.rows(empty))


WRONG: list[tuple[Any, type[Exception], str]] = [
    ([1, 2], nf.UnsupportedError, "column 'x'.*found int at index 0.*asarray"),
    (["a.npy", 2.5], nf.UnsupportedError, "found float at index 1"),
    (["a.npz"], nf.UnsupportedError, "npz file; name the member"),
    (["."], IsADirectoryError, "directory"),
    (["none.npy"], FileNotFoundError, "none.npy"),
    (["object.npy"], nf.UnsupportedError, "pickle"),
    (["text.npy"], nf.UnsupportedError, "expected numbers"),
    (["zip.npy"], nf.UnsupportedError, "found an .npz file"),
    (["nothing.npy"], nf.FormatError, "nothing.npy"),
    ({"a.npy"}, nf.UnsupportedError, r"found set; pass numpy.asarray\(...\), or list"),
]


@pytest.fixture
def oddities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.arange(3))
    np.savez("a.npz", x=np.arange(3))
    shutil.copy("a.npz", "zip.npy")
    np.save("object.npy", np.array([None]), allow_pickle=True)
    np.save("text.npy", np.array(["a"]))
    Path("nothing.npy").touch()
    return tmp_path


@pytest.mark.parametrize(("source", "error", "message"), WRONG, ids=str)
def test_the_first_file_is_checked_when_the_dataset_is_made(
    oddities: Path, source: Any, error: type[Exception], message: str
) -> None:
    assert oddities.is_dir()
    with pytest.raises(error, match=message):
        nf.Dataset(x=source)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (".", IsADirectoryError, "directory"),
        ("none.npy", FileNotFoundError, r"none\.npy"),
        ("object.npy", nf.UnsupportedError, "pickle"),
        ("text.npy", nf.UnsupportedError, "expected numbers"),
        ("zip.npy", nf.UnsupportedError, "found an .npz file"),
        ("nothing.npy", nf.FormatError, "cut short"),
    ],
)
@pytest.mark.parametrize("io", ["auto", "pread", "uring"])
def test_the_others_are_checked_in_place_of_their_batch(
    oddities: Path, name: str, error: type[Exception], message: str, io: Io
) -> None:
    assert oddities.is_dir()
    dataset = nf.Dataset(x=["a.npy", "a.npy", name])
    batches: Iterator[Any] = iter(nf.Loader(dataset, batch_size=2, threads=1, io=io))
    assert next(batches).x.tolist() == [[0, 1, 2], [0, 1, 2]]
    with pytest.raises(error, match=f"column 'x': .*{message}"):
        next(batches)
    with pytest.raises(error, match=message):
        dataset[2]


@pytest.mark.parametrize("shape", [(4, 3), (1000, 300)], ids=["read", "mapped"])
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((5, 3)), r"expected shape \[.*\] as in .*00000\.npy', found \[5, 3\]"),
        (np.zeros((4, 3), "f4"), "expected float64 as in .*, found float32"),
        (None, "expected float64|expected shape|found big-endian"),
    ],
    ids=["shape", "dtype", "byte order"],
)
def test_a_file_that_is_not_like_the_first_is_named(
    tmp_path: Path, shape: tuple[int, ...], other: np.ndarray | None, message: str
) -> None:
    paths = save_each(tmp_path, samples(3, shape, "float64"))
    dataset = nf.Dataset(x=tmp_path)
    np.save(paths[1], np.zeros(shape, ">f8") if other is None else other)
    with pytest.raises(nf.MismatchError, match=rf"column 'x': .*00001\.npy.*{message}"):
        dataset[:]
    np.testing.assert_array_equal(dataset[[0, 2]].x, samples(3, shape, "float64")[[0, 2]])


@pytest.mark.parametrize("shape", [(4, 3), (1000, 300)], ids=["read", "mapped"])
def test_a_file_that_is_deleted_or_cut_short_in_mid_epoch_is_named(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    paths = save_each(tmp_path, samples(40, shape, "float64"))
    loader = nf.Loader(nf.Dataset(x=tmp_path), batch_size=1, threads=1, prefetch=1)
    epoch = iter(loader)
    next(epoch)
    paths[20].unlink()
    with pytest.raises(FileNotFoundError, match=r"00020\.npy") as caught:
        list(epoch)
    assert caught.value.filename == str(paths[20])
    shutil.copy(paths[19], paths[20])
    os.truncate(paths[30], paths[30].stat().st_size - 1)
    with pytest.raises((OSError, nf.FormatError), match=r"00030\.npy"):
        list(loader)


# Another process, until it is killed. It gives each version a time of its own, as in test_changed_files.py.
SPOILER = """
import itertools, os, sys
path = sys.argv[1]
whole = open(path, "rb").read()
print("ready", flush=True)
for n in itertools.count():
    os.truncate(path, n * 1003 % len(whole))
    with open(path, "r+b") as file:
        file.write(whole)
    os.utime(path, ns=(n, n))
"""


@pytest.mark.parametrize("shape", [(4096,), (900_000,)], ids=["small", "larger"])
def test_no_sample_has_zeros_for_what_a_file_lost_while_it_was_read(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    (path,) = save_each(tmp_path, np.full((1, *shape), 7, "uint8"))
    dataset = nf.Dataset(x=[path])
    command = [sys.executable, "-c", SPOILER, str(path)]
    errors, end = 0, time.perf_counter() + 1.0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as spoiler:
        assert spoiler.stdout is not None
        spoiler.stdout.readline()
        while time.perf_counter() < end or not errors:
            try:
                assert (dataset[0].x == 7).all()
            except (OSError, nf.FormatError) as error:
                assert path.name in str(error)  # noqa: PT017, some of thousands
                errors += 1
        spoiler.kill()


def test_a_large_file_that_was_written_to_is_an_error_once(tmp_path: Path) -> None:
    (path,) = save_each(tmp_path, samples(1, LARGE, "float64"))
    dataset = nf.Dataset(x=tmp_path)
    assert dataset[0].x.shape == LARGE
    np.save(path, np.ones(LARGE))
    os.utime(path, ns=(1, 1))
    with pytest.raises(OSError, match="written to"):
        dataset[0]
    assert (dataset[0].x == 1).all()
