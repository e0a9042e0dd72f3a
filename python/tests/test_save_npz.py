"""`npyfeed.save_npz`: what `numpy.savez` keeps is in the file, aligned, and opens in NumPy and here."""

import functools
import os
import signal
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_save import NUMBERS, SHAPES, dtypes, memory_orders, names, random_array

import npyfeed as nf

BOTH = pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])


def save_as_numpy(path: Path, /, *arrays: Any, compressed: bool = False, **named: Any) -> None:
    # NumPy's stubs take the first of `**arrays` for `allow_pickle`.
    save: Any = np.savez_compressed if compressed else np.savez
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of versions 2.0 and 3.0
        save(path, *arrays, **named)


def plain_bytes(array: np.ndarray) -> bytes:
    return array.copy(order="C").tobytes()


@BOTH
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_dtype_and_order_is_loaded_as_if_numpy_had_saved_it(
    memory_folder: Path, shape: tuple[int, ...], *, compressed: bool
) -> None:
    path, member = memory_folder / "x.npz", memory_folder / "member.npy"
    arrays: dict[str, Any] = {}
    for dtype in dtypes():
        for order, array in memory_orders(random_array(dtype, shape)):
            arrays[f"{len(arrays)} {order}"] = array
    nf.save_npz(path, compressed=compressed, **arrays)
    with zipfile.ZipFile(path) as archive, np.load(path) as loaded, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of versions 2.0 and 3.0
        assert archive.testzip() is None
        assert loaded.files == list(arrays)
        for name, array in arrays.items():
            np.save(member, array)
            assert archive.read(f"{name}.npy") == member.read_bytes(), (name, array.dtype)
            found = loaded[name]
            assert (found.dtype, found.shape) == (np.load(member).dtype, array.shape), name


@BOTH
@pytest.mark.parametrize("order", "<>=")
def test_what_is_saved_opens_checked_and_aligned(
    memory_folder: Path, order: str, *, compressed: bool
) -> None:
    path = memory_folder / "x.npz"
    arrays: dict[str, Any] = {}
    for name in NUMBERS:
        if name in "gG":
            continue  # long doubles are bytes to us, and not opened
        for shape in SHAPES:
            array = random_array(np.dtype(name).newbyteorder(order), shape)
            array = np.asarray(array.astype("?") if name == "?" else array)
            arrays[f"{name}{shape}"] = array
            arrays[f"{name}{shape}F"] = np.asfortranarray(array)
    nf.save_npz(path, compressed=compressed, **arrays)
    archive = nf.open(path, check_crc=True)
    assert list(archive) == list(arrays)
    for name, expected in arrays.items():
        found = archive[name].numpy()
        assert plain_bytes(found) == plain_bytes(expected), name
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.nbytes == 0 or found.ctypes.data % 64 == 0, name
    assert list(nf.open(path, check_crc=True).load()) == list(arrays)


def test_elements_of_stored_members_start_at_multiples_of_64(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for letters in range(1, 67):
        arrays: dict[str, Any] = {"n" * letters: np.arange(7, dtype="u1"), "b": np.arange(3.0)}
        nf.save_npz(path, **arrays)
        content = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            for info, array in zip(archive.infolist(), arrays.values(), strict=True):
                name_bytes, extra_bytes = struct.unpack_from("<HH", content, info.header_offset + 26)
                start = info.header_offset + 30 + name_bytes + extra_bytes + 128
                assert start % 64 == 0
                assert content[start:].startswith(array.tobytes())
        tensor = nf.open(path)["b"].torch()
        assert tensor.data_ptr() % 64 == 0
        torch.testing.assert_close(tensor, torch.arange(3.0, dtype=torch.float64))


@BOTH
def test_names_are_numpys(tmp_path: Path, *, compressed: bool) -> None:
    ours, theirs = tmp_path / "ours.npz", tmp_path / "theirs.npz"
    odd = ["b", "a", "block/weight", "", "größe", "大小", "😀", "x.npy", "x", "with space", "a:b", "..a"]
    odd += ["path", "arrays", "file.txt", "new\nline", "n" * 3000, "./a"]
    named: dict[str, Any] = {name: np.full(2, index) for index, name in enumerate(odd)}
    nf.save_npz(ours, 1.5, [2, 3], compressed=compressed, **named)
    save_as_numpy(theirs, 1.5, [2, 3], compressed=compressed, **named)
    with np.load(ours) as found, np.load(theirs) as expected:
        assert found.files == expected.files
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name])
    archive = nf.open(ours, check_crc=True)
    assert list(archive) == [*named, "arr_0", "arr_1"]
    for name, array in named.items():
        np.testing.assert_array_equal(archive[name], array)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../up", "climb out"),
        ("a/../../up", "climb out"),
        ("/absolute", "absolute"),
        ("back\\slash", "backslash"),
        ("nul\0byte", "NUL"),
        ("\udcff", "text"),
        ("n" * 65_532, "65,532"),
        ("arr_0", "arr_0"),
    ],
)
def test_names_that_would_not_open_are_refused(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")
    named: dict[str, Any] = {name: 2}
    with pytest.raises(nf.MismatchError, match=message) as caught:
        nf.save_npz(path, 1, **named)
    assert "x.npz" in str(caught.value)
    assert names(tmp_path) == ["x.npz"]
    assert path.read_bytes() == b"before"


def test_the_path_is_completed_as_numpy_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nf.save_npz("plain", 1)
    nf.save_npz("with.npz", 1)
    nf.save_npz(Path("other.npy"), 1)
    assert names(tmp_path) == ["other.npy.npz", "plain.npz", "with.npz"]


def test_no_arrays_make_the_file_that_numpy_makes(tmp_path: Path) -> None:
    nf.save_npz(tmp_path / "ours.npz")
    np.savez(tmp_path / "theirs.npz")
    assert (tmp_path / "ours.npz").read_bytes() == (tmp_path / "theirs.npz").read_bytes()
    assert len(nf.open(tmp_path / "ours.npz")) == 0


@BOTH
def test_the_same_arrays_make_the_same_bytes(tmp_path: Path, *, compressed: bool) -> None:
    arrays: dict[str, Any] = {name: random_array(np.dtype(name), (5, 300)) for name in "fdB"}
    nf.save_npz(tmp_path / "a.npz", compressed=compressed, **arrays)
    nf.save_npz(tmp_path / "b.npz", compressed=compressed, **arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.flag_bits for info in archive.infolist()} == {0}  # no descriptors behind the data


def test_deflated_members_are_as_small_as_numpys(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sparse = (random.random((2000, 28, 28)) < 0.2) * random.integers(1, 255, (2000, 28, 28))
    arrays = {
        "sparse": sparse.astype("u1"),
        "noise": random.normal(size=200_000),
        "steps": np.arange(100_000),
    }
    nf.save_npz(tmp_path / "ours.npz", compressed=True, **arrays)
    save_as_numpy(tmp_path / "theirs.npz", compressed=True, **arrays)
    with zipfile.ZipFile(tmp_path / "ours.npz") as ours, zipfile.ZipFile(tmp_path / "theirs.npz") as theirs:
        for name in ours.namelist():
            sizes = ours.getinfo(name).compress_size, theirs.getinfo(name).compress_size
            print(name, *sizes)  # noqa: T201, a figure for the record
            assert sizes[0] < sizes[1] * 1.1


@BOTH
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, *, compressed: bool) -> None:
    path = tmp_path / "x.npz"
    nf.save_npz(path, kept=np.arange(3))
    before = path.read_bytes()
    for refused in [np.array([{}, None]), np.ma.masked_equal([1, 2], 2), np.zeros(2, [("a", "O")])]:
        with pytest.raises(nf.UnsupportedError, match=r"x\.npz': member 'bad'"):
            nf.save_npz(path, compressed=compressed, good=np.ones(100), bad=refused)
        assert names(tmp_path) == ["x.npz"]
        assert path.read_bytes() == before


class LateError(Exception):
    pass


@BOTH
def test_an_exception_between_members_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, compressed: bool
) -> None:
    path = tmp_path / "x.npz"
    nf.save_npz(path, kept=np.arange(3))
    before, pieces = path.read_bytes(), nf.save_npz.__globals__["chunks"]
    seen = []

    def fails_late(array: np.ndarray) -> Any:
        yield from pieces(array)
        seen.extend(names(tmp_path))
        if array.dtype == np.float32:
            raise LateError

    monkeypatch.setitem(nf.save_npz.__globals__, "chunks", fails_late)
    with pytest.raises(LateError):
        nf.save_npz(path, compressed=compressed, a=np.zeros(9), b=np.zeros(9, "f4"), c=np.zeros(9))
    assert any(name.startswith(".npyfeed-") for name in seen)
    assert names(tmp_path) == ["x.npz"]
    assert path.read_bytes() == before


@BOTH
def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path, *, compressed: bool) -> None:
    path = tmp_path / "x.npz"
    nf.save_npz(path, kept=np.arange(3))
    interrupted: list[str] = []

    def interrupt() -> None:
        while not interrupted:
            interrupted.extend(name for name in names(tmp_path) if name != "x.npz")
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        nf.save_npz(path, np.zeros(400 << 20, np.uint8), compressed=compressed)
    thread.join()
    assert names(tmp_path) == ["x.npz"]
    np.testing.assert_array_equal(np.load(path)["kept"], np.arange(3))


FULL_DISK = """
import resource, signal, sys
import numpy as np, npyfeed as nf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).normal(size=1_000_000)
for compressed in False, True:
    try:
        nf.save_npz(sys.argv[1], small=np.arange(3), large=noise, compressed=compressed)
    except OSError as error:
        assert error.errno == 27 and error.filename == sys.argv[1], error
    else:
        sys.exit("saved more than the system takes")
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    nf.save_npz(path, kept=np.arange(3))
    before = path.read_bytes()
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], check=True)
    assert names(tmp_path) == ["x.npz"]
    assert path.read_bytes() == before


@BOTH
def test_what_does_not_lie_together_is_gathered_in_pieces(memory_folder: Path, *, compressed: bool) -> None:
    array = np.arange(20_000_000, dtype="u4").reshape(1000, -1)[:, ::2]
    path = memory_folder / "x.npz"
    tracemalloc.start()
    nf.save_npz(path, x=array, y=array[:, :100].T, compressed=compressed)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < array.nbytes / 2 + (1 << 20)
    archive = nf.open(path, check_crc=True)
    np.testing.assert_array_equal(archive["x"], array)
    np.testing.assert_array_equal(archive["y"], array[:, :100].T)


@pytest.mark.slow
def test_a_deflated_member_beyond_4_gib_and_one_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    zeros = np.zeros((5 << 30) + 7, np.uint8)
    nf.save_npz(path, small=np.arange(3), large=zeros, behind=np.arange(9), compressed=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("large.npy").file_size == len(zeros) + 128
    with np.load(path) as loaded:
        np.testing.assert_array_equal(loaded["behind"], np.arange(9))
    opened = nf.open(path)
    np.testing.assert_array_equal(opened["behind"], np.arange(9))
    assert opened["large"].shape == zeros.shape


def test_permissions_and_links_are_those_of_save(tmp_path: Path) -> None:
    (tmp_path / "target.npz").touch()
    (tmp_path / "target.npz").chmod(0o640)
    (tmp_path / "link.npz").symlink_to("target.npz")
    nf.save_npz(tmp_path / "link.npz", 1)
    assert (tmp_path / "link.npz").is_symlink()
    assert os.stat(tmp_path / "target.npz").st_mode & 0o777 == 0o640  # noqa: PTH116, the system's own word
    with pytest.raises(FileNotFoundError):
        nf.save_npz(tmp_path / "none" / "x.npz", 1)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_whose_file_is_cut_short_meanwhile_is_not_saved(tmp_path: Path, compressed: bool) -> None:  # noqa: FBT001, a parameter
    for save in (nf.save, functools.partial(nf.save_npz, compressed=compressed)):
        np.save(tmp_path / "a.npy", np.ones(100_000))
        array = nf.open(tmp_path / "a.npy")
        os.truncate(tmp_path / "a.npy", 4096)
        with pytest.raises(OSError, match=r"a\.npy.*cut short|Bad address"):
            save(tmp_path / "saved", array)
        assert not list(tmp_path.glob("saved*"))


def test_an_array_that_is_written_meanwhile_is_saved_with_the_crc_of_what_is_saved(tmp_path: Path) -> None:
    array, stop = np.zeros(4_000_000, "uint8"), threading.Event()

    def write() -> None:
        while not stop.is_set():
            array[:] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(10):
            nf.save_npz(tmp_path / "a.npz", x=array, compressed=turn % 2 == 1)
            with zipfile.ZipFile(tmp_path / "a.npz") as archive:
                assert archive.testzip() is None
    finally:
        stop.set()
        writer.join()
