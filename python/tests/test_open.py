"""`npyfeed.open`: what NumPy wrote is what comes out, and what is broken is named."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "float32", "float64"]
SHAPES = [(), (0,), (1,), (3,), (5, 7), (2, 0, 3), (2, 3, 4, 5, 6)]


def saved(folder: Path, array: np.ndarray, version: tuple[int, int] | None = None) -> Path:
    path = folder / "array.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, array, version)
    return path


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_to_numpys_load(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], version: tuple[int, int]
) -> None:
    random = np.random.default_rng(0)
    path = saved(tmp_path, random.integers(0, 100, shape).astype(dtype), version)
    expected, array = np.load(path), nf.open(path)
    assert (array.shape, array.dtype, array.nbytes) == (expected.shape, expected.dtype, expected.nbytes)
    assert (array.version, array.path, array.fortran_order) == (version, path, False)
    found = np.asarray(array)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_nothing_is_copied_and_the_file_never_changes(tmp_path: Path) -> None:
    path = saved(tmp_path, np.arange(12, dtype="float32").reshape(3, 4))
    before = path.read_bytes()
    array = nf.open(path)
    view, tensor = np.asarray(array), torch.utils.dlpack.from_dlpack(array)
    assert view.ctypes.data == tensor.data_ptr() == array.numpy().ctypes.data == array.torch().data_ptr()
    view[0, 0] = -1
    assert tensor[0, 0] == -1
    assert path.read_bytes() == before
    assert np.load(path)[0, 0] == 0


def test_the_bytes_outlive_the_array(tmp_path: Path) -> None:
    path = saved(tmp_path, np.arange(1000))
    view = nf.open(path)[10:20]
    path.unlink()
    np.testing.assert_array_equal(view, np.arange(10, 20))


def test_indexing_is_numpys(tmp_path: Path) -> None:
    expected = np.arange(60).reshape(3, 4, 5)
    array = nf.open(saved(tmp_path, expected))
    keys: list[Any] = [0, -1, slice(1, 3), [2, 0, 2], (..., slice(None, None, 2)), (1, slice(None), 3)]
    for key in keys:
        np.testing.assert_array_equal(array[key], expected[key])
    assert len(array) == 3
    with pytest.raises(IndexError):
        array[3]


def test_comparison_iteration_and_assignment_are_numpys(tmp_path: Path) -> None:
    expected = np.arange(12).reshape(3, 4) % 5
    array = nf.open(saved(tmp_path, expected))
    np.testing.assert_array_equal(array == 1, expected == 1)
    np.testing.assert_array_equal(array != expected, np.zeros((3, 4), bool))
    np.testing.assert_array_equal(array > 2, expected > 2)
    np.testing.assert_array_equal(np.eye(5)[array[0]], np.eye(5)[expected[0]])
    np.testing.assert_array_equal([row.sum() for row in array], expected.sum(1))
    array[1, 2] = 99
    array[0] += 1
    assert (array[1, 2], array[0, 0]) == (99, 1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(array)
    with pytest.raises(TypeError, match="0-d"):
        iter(nf.open(saved(tmp_path, np.array(1))))
    with pytest.raises(AttributeError, match=r"no attribute 'mean', its ndarray has: array\.numpy\(\)\.mean"):
        array.mean()
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        array.nothing  # noqa: B018, looked up to fail


def test_array_protocol_converts_and_copies_when_asked(tmp_path: Path) -> None:
    array = nf.open(saved(tmp_path, np.arange(4, dtype="int16")))
    assert np.asarray(array, dtype="float64").dtype == np.float64
    copied = np.array(array)
    copied[0] = 9
    assert np.asarray(array)[0] == 0
    with pytest.raises(ValueError, match=r"(?i)copy"):
        np.asarray(array, dtype="float64", copy=False)


def test_a_sparse_terabyte_opens_without_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.npy"
    rows = 2**40 // (1024 * 4)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, 1024)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + rows * 1024 * 4)
    array = nf.open(path)
    assert array.nbytes == 2**40
    assert array[rows - 1, 1023] == 0


def header(text: str) -> bytes:
    body = text.encode("latin1")
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


SOUND = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"

BROKEN = {
    "empty file": (b"", nf.FormatError, "expected 6 bytes of the magic string.*found 0"),
    "no magic": (b"\x89HDF\r\n\x1a\n" + bytes(64), nf.FormatError, "NUMPY.*HDF5"),
    "header cut": (header(SOUND)[:30], nf.FormatError, "header"),
    "data cut": (header(SOUND) + bytes(7), nf.FormatError, "8 bytes.*7"),
    "version 4.0": (b"\x93NUMPY\x04\x00" + bytes(64), nf.FormatError, "version"),
    "no dict": (header("[1, 2]"), nf.FormatError, "byte 10"),
    "code": (header("__import__('os').system('true')"), nf.FormatError, "byte 10"),
    "objects": (header(SOUND.replace("<f4", "|O")) + bytes(99), nf.UnsupportedError, "pickle"),
    "long double": (header(SOUND.replace("<f4", "<f16")) + bytes(32), nf.UnsupportedError, "float64"),
    "negative length": (header(SOUND.replace("(2,)", "(-2,)")) + bytes(8), nf.FormatError, "-2|negative"),
    "absurd shape": (header(SOUND.replace("(2,)", f"({2**40}, {2**40})")), nf.FormatError, "shape|address"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path: Path, name: str) -> None:
    content, expected, message = BROKEN[name]
    path = tmp_path / "broken.npy"
    path.write_bytes(content)
    with pytest.raises(expected, match=message) as caught:
        nf.open(path)
    assert "broken.npy" in str(caught.value)
    assert type(pickle.loads(pickle.dumps(caught.value))) is expected


def test_io_errors_are_pythons_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npy") as caught:
        nf.open(tmp_path / "none.npy")
    assert caught.value.filename == str(tmp_path / "none.npy")
    with pytest.raises(IsADirectoryError, match="directory"):
        nf.open(tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="pipe"):
        nf.open(fifo)


def test_a_path_is_what_python_calls_a_path(tmp_path: Path) -> None:
    path = saved(tmp_path, np.arange(3))
    spellings: list[Path | str] = [path, str(path)]
    for spelled in spellings:
        assert nf.open(spelled).shape == (3,)
    with pytest.raises(nf.UnsupportedError, match=r"cannot open: expected a path.*found int"):
        nf.open(3)  # type: ignore[arg-type]


def test_repr_says_what_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((2, 3), "uint8"))
    assert repr(nf.open(path)) == f"npyfeed.Array('{path}', shape=[2, 3], dtype=uint8)"
