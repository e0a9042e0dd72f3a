import os
import signal
import stat
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf

NUMBERS = [*"?bBhHiIqQefdgFDG"]
OTHERS = ["S5", "U3", "V7", "M8[ns]", "M8[25s]", "M8", "m8[D]", "m8"]
RECORDS: list[Any] = [
    [("x", "f4"), ("y", "i2")],
    [("x", "f4"), ("y", "f4", (2, 3))],
    [("outer", [("inner", "u1"), ("wide", "f8")]), ("name", "U4")],
    [(("a title", "x"), "f4")],
    [("größe", "f4")],
    [("大小", "f4")],
    {"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [3, 16], "itemsize": 40},
    [],
]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (7,), (3, 0, 2), (1, 1), (5, 3), (2, 1, 3), (2, 3, 1, 5, 2)]


def dtypes() -> Iterator[np.dtype]:
    for name in [*NUMBERS, *OTHERS, *RECORDS]:
        for order in "<>":
            yield np.dtype(name).newbyteorder(order)
    yield np.dtype([("x", "f4"), ("y", "u1"), ("z", "f8")], align=True)
    yield np.dtype("S0")
    yield np.dtype("V0")


def random_array(dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Any bits at all, but for strings, which have no meaning for some."""
    array = np.zeros(shape, dtype)
    if dtype.kind == "U":
        array[...] = "äb"
    elif array.nbytes and "U" not in str(dtype):
        count = array.nbytes
        array.reshape(-1).view("u1")[:] = np.random.default_rng(count).integers(0, 256, count)
    return array


def memory_orders(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "C", array
    yield "Fortran", np.asfortranarray(array)
    yield "axes swapped", array.swapaxes(0, -1) if array.ndim else array
    yield "every second", np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
    yield "backwards", array[::-1] if array.ndim else array
    yield "one for all", np.broadcast_to(array[..., :1], array.shape) if array.ndim else array
    read_only = array.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_saved_as_numpy_saves(folder: Path, array: Any, what: object = "") -> None:
    expected, found = folder / "expected.npy", folder / "found.npy"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of versions 2.0 and 3.0
        np.save(expected, array, allow_pickle=False)
    nf.save(found, array)
    assert found.read_bytes() == expected.read_bytes(), what


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_dtype_and_order_is_saved_byte_for_byte_as_numpy_saves_it(
    memory_folder: Path, shape: tuple[int, ...]
) -> None:
    for dtype in dtypes():
        for order, array in memory_orders(random_array(dtype, shape)):
            assert_saved_as_numpy_saves(memory_folder, array, (dtype, order))


def test_long_and_many_fields_take_the_version_that_numpy_takes(tmp_path: Path) -> None:
    for count, name, version in [
        (5000, "field", 2),
        (5000, "größe", 2),
        (5000, "大小", 3),
        (700, "field", 1),
    ]:
        array = np.zeros(2, [(f"{name}{index}", "u1") for index in range(count)])
        assert_saved_as_numpy_saves(tmp_path, array, name)
        assert (tmp_path / "found.npy").read_bytes()[6] == version


def test_headers_around_the_end_of_version_1_are_numpys(memory_folder: Path) -> None:
    for letters in range(65_350, 65_540, 3):
        array = np.zeros(3, [("x" * letters, "u1")])
        assert_saved_as_numpy_saves(memory_folder, array, letters)


def test_large_arrays_are_written_in_pieces(memory_folder: Path) -> None:
    array = np.arange(20_000_003, dtype="u4")
    assert_saved_as_numpy_saves(memory_folder, array)
    assert_saved_as_numpy_saves(memory_folder, array[::2])


def test_whatever_is_an_array_to_its_library_is_saved(tmp_path: Path) -> None:
    class OnlyDlpack:
        def __init__(self, array: np.ndarray) -> None:
            self._array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self._array.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self._array.__dlpack_device__()

    array = np.arange(6, dtype="float32").reshape(2, 3)
    path = tmp_path / "array.npy"
    np.save(path, array)
    expected = path.read_bytes()
    for given in [OnlyDlpack(array), torch.from_numpy(array), nf.open(path), np.load(path, mmap_mode="r")]:
        nf.save(tmp_path / "other.npy", given)
        assert (tmp_path / "other.npy").read_bytes() == expected
    for scalar_or_sequence in [3, 2.5, True, [1, 2], ((1.0,), (2.0,)), "text", np.float16(1)]:
        assert_saved_as_numpy_saves(tmp_path, scalar_or_sequence)
    assert_saved_as_numpy_saves(tmp_path, torch.arange(12).reshape(3, 4).T)
    assert_saved_as_numpy_saves(tmp_path, np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]))


def test_what_is_saved_is_loaded_and_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    array = np.arange(24, dtype="int16").reshape(2, 3, 4)
    nf.save(path, array)
    np.testing.assert_array_equal(np.load(path), array)
    np.testing.assert_array_equal(nf.open(path), array)
    nf.save(path, nf.open(path)[:, 1])  # a file may be replaced by a part of itself
    np.testing.assert_array_equal(np.load(path), array[:, 1])


REFUSED: dict[str, tuple[Any, str]] = {
    "objects": (np.array([{}, None]), "pickle"),
    "None": (None, "pickle"),
    "objects in a record": (np.zeros(2, [("a", "i4"), ("b", "O")]), "pickle"),
    "masked": (np.ma.masked_equal([1, 2], 2), r"filled\(value\)"),
    "a tensor with gradients": (torch.ones(2, requires_grad=True), r"detach"),
    "bfloat16": (torch.ones(2, dtype=torch.bfloat16), r"view\(torch.uint16\)"),
    "another device": (torch.ones(2, device="meta"), r"cpu"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_saved_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    given, message = REFUSED[name]
    path = tmp_path / "kept.npy"
    np.save(path, np.arange(3))
    with pytest.raises(nf.UnsupportedError, match=message) as caught:
        nf.save(path, given)
    assert "kept.npy" in str(caught.value)
    assert names(tmp_path) == ["kept.npy"]
    np.testing.assert_array_equal(np.load(path), np.arange(3))


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="StringDType came with NumPy 2.0")
def test_strings_of_any_length_are_refused(tmp_path: Path) -> None:
    array = np.array(["a", "bc"], dtype="T")
    with pytest.raises(nf.UnsupportedError, match=r"astype\(str\)"):
        nf.save(tmp_path / "x.npy", array)
    assert names(tmp_path) == []


def test_the_path_is_completed_as_numpy_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nf.save("plain", 1)
    nf.save("with.npy", 1)
    nf.save(Path("other.dat"), 1)
    nf.save("ünï \udcff", 1)
    assert names(tmp_path) == sorted(["plain.npy", "with.npy", "other.dat.npy", "ünï \udcff.npy"])
    with pytest.raises(TypeError):
        nf.save(3, 1)  # type: ignore[arg-type]


def test_permissions_of_a_replaced_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    for mode in [0o600, 0o640, 0o777]:
        path.touch()
        path.chmod(mode)
        nf.save(path, 1)
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_permissions_of_a_new_file_are_those_of_open(tmp_path: Path) -> None:
    for mask in [0o022, 0o077, 0o002]:
        before = os.umask(mask)
        try:
            nf.save(tmp_path / f"{mask}.npy", 1)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / f"{mask}.npy").stat().st_mode) == 0o666 & ~mask


def test_links_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    links = {
        "there.npy": "elsewhere/target.npy",
        "again.npy": "there.npy",
        "dangling.npy": "elsewhere/new.npy",
    }
    np.save(folder / "target.npy", np.zeros(2))
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    for link in links:
        nf.save(tmp_path / link, [5])
        assert (tmp_path / link).is_symlink()
        np.testing.assert_array_equal(np.load(tmp_path / link), [5])
    assert names(folder) == ["new.npy", "target.npy"]
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    with pytest.raises(OSError, match="symbolic links"):
        nf.save(tmp_path / "loop.npy", 1)


def test_where_open_would_fail_save_fails_alike(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="folder must be there") as caught:
        nf.save(tmp_path / "none" / "x.npy", 1)
    assert caught.value.filename == str(tmp_path / "none" / "x.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(IsADirectoryError):
        nf.save(tmp_path / "folder.npy", 1)
    os.mkfifo(tmp_path / "fifo.npy")
    with pytest.raises(OSError, match="pipe"):
        nf.save(tmp_path / "fifo.npy", 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_write_protected_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, 1)
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        nf.save(path, 2)
    assert np.load(path) == 1


FULL_DISK = """
import os, resource, signal, sys
import numpy as np, npyfeed as nf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for array in np.ones(50_000), np.ones((500, 500))[:, ::2]:
    try:
        nf.save(sys.argv[1], array)
    except OSError as error:
        assert error.errno == 27 and error.filename == sys.argv[1], error
    else:
        sys.exit("saved more than the system takes")
nf.save(sys.argv[1] + ".small", np.ones(5))
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(3))
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], check=True)
    assert names(tmp_path) == ["x.npy", "x.npy.small.npy"]
    np.testing.assert_array_equal(np.load(path), np.arange(3))


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(3))
    interrupted: list[str] = []

    def interrupt() -> None:
        while not interrupted:
            interrupted.extend(name for name in names(tmp_path) if name != "x.npy")
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        nf.save(path, np.zeros(400 << 20, np.uint8))
    thread.join()
    assert interrupted[0].startswith(".npyfeed-")
    assert names(tmp_path) == ["x.npy"]
    np.testing.assert_array_equal(np.load(path), np.arange(3))


def test_readers_see_the_old_or_the_new_file_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    nf.save(path, np.zeros(1))
    stop = threading.Event()

    def write() -> None:
        for count in range(1, 60):
            nf.save(path, np.full(count * 1000, count, "int32"))
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    while not stop.is_set():
        seen = np.load(path)
        assert (seen == seen[0]).all()
        assert len(seen) in {1, seen[0] * 1000}
    thread.join()
    assert names(tmp_path) == ["x.npy"]
