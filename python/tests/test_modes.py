"""Copy-on-write, read-only and read-write; closing; copies."""

import gc
import os
import threading
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import pytest
import torch

import npyfeed as nf

# Below 16 KiB a file is read when it is opened, above it is mapped: both must be the same to the user.
LENGTHS = [100, 100_000]


def saved(folder: Path, length: int) -> Path:
    np.save(folder / "a.npy", np.arange(length))
    return folder / "a.npy"


@pytest.mark.parametrize("length", LENGTHS)
def test_copy_on_write_never_reaches_the_file(tmp_path: Path, length: int) -> None:
    path = saved(tmp_path, length)
    array = nf.open(path, mode="c")
    array.numpy()[:] = -1
    assert array[0] == -1
    array.flush()
    np.testing.assert_array_equal(np.load(path), np.arange(length))
    np.testing.assert_array_equal(nf.open(path).numpy(), np.arange(length))


@pytest.mark.parametrize("length", LENGTHS)
def test_read_only_arrays_refuse_to_be_written_and_tensors_are_copies(tmp_path: Path, length: int) -> None:
    array = nf.open(saved(tmp_path, length), mode="r")
    with pytest.raises(ValueError, match="read-only"):
        array.numpy()[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(array)[0] = 1
    tensor = array.torch()
    tensor[0] = 9
    assert array[0] == 0
    array.numpy(copy=True)[0] = 9
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(length))
    np.savez(tmp_path / "b.npz", x=np.arange(length))
    for name in ["a.npz", "b.npz"]:
        assert not nf.open(tmp_path / name, mode="r")["x"].numpy().flags.writeable
        assert nf.open(tmp_path / name)["x"].numpy().flags.writeable


@pytest.mark.parametrize("length", LENGTHS)
def test_read_write_reaches_the_file_and_is_no_change_of_it(tmp_path: Path, length: int) -> None:
    path = saved(tmp_path, length)
    array = nf.open(path, mode="r+")
    array.numpy()[1] = 77
    array.torch()[2] = 78
    array.flush()
    assert np.load(path)[:4].tolist() == [0, 77, 78, 3]
    assert nf.Dataset(x=array)[1].x == 77
    array.check()
    with path.open("r+b") as file:
        file.truncate(50)
    with pytest.raises(OSError, match="cut short"):
        array.check()


def test_what_is_written_where_a_file_has_lost_its_bytes_is_said_to_be_lost(tmp_path: Path) -> None:
    path = saved(tmp_path, 100_000)
    array = nf.open(path, mode="r+")
    view = array.numpy()
    os.truncate(path, 4096)
    view[:] = 9
    os.truncate(path, 800_128)
    with pytest.raises(OSError, match=r"a\.npy"):
        array.flush()
    with pytest.raises(OSError, match=r"a\.npy"), array:
        pass


@pytest.mark.parametrize("length", LENGTHS)
def test_a_tensor_that_would_be_a_copy_is_refused_where_it_is_to_be_written(
    tmp_path: Path, length: int
) -> None:
    np.save(tmp_path / "big.npy", np.arange(length).astype(">i8"))
    array = nf.open(tmp_path / "big.npy", mode="r+")
    for hand_over in [array.torch, array.__dlpack__]:
        with pytest.raises(nf.MismatchError, match=r"big\.npy.*byte order.*\.numpy\(\)"):
            hand_over()
    assert array.__dlpack__(copy=True) is not None


def test_modes_that_are_none_and_files_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, 10)
    unknown: Any = "w"
    with pytest.raises(nf.MismatchError, match=r"mode 'w'.*'c'.*'r'.*'r\+'"):
        nf.open(path, mode=unknown)
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with pytest.raises(nf.UnsupportedError, match=r"a\.npz.*r\+"):
        nf.open(tmp_path / "a.npz", mode="r+")


@pytest.mark.parametrize("mode", ["c", "r", "r+"])
def test_a_terabyte_opens_in_every_mode(tmp_path: Path, mode: Literal["c", "r", "r+"]) -> None:
    with (tmp_path / "huge.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2**28, 1024)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2**40)
    before = psutil.Process().memory_info().rss
    array = nf.open(tmp_path / "huge.npy", mode=mode)
    assert array[2**28 - 1, 1023] == 0
    assert psutil.Process().memory_info().rss - before < 4 << 20


USES: dict[str, Any] = {
    "shape": lambda array: array.shape,
    "dtype": lambda array: array.dtype,
    "nbytes": lambda array: array.nbytes,
    "numpy": lambda array: array.numpy(),
    "copy": lambda array: array.numpy(copy=True),
    "asarray": np.asarray,
    "torch": lambda array: array.torch(),
    "dlpack": torch.utils.dlpack.from_dlpack,
    "index": lambda array: array[0],
    "field": lambda array: array["x"],
    "len": len,
    "check": lambda array: array.check(),
    "flush": lambda array: array.flush(),
    "enter": lambda array: array.__enter__(),
    "dataset": lambda array: nf.Dataset(x=array),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("length", LENGTHS)
def test_a_closed_array_is_an_error_in_every_use(tmp_path: Path, use: str, length: int) -> None:
    array = nf.open(saved(tmp_path, length))
    assert not array.closed
    array.close()
    array.close()
    assert array.closed
    with pytest.raises(ValueError, match="closed"):
        USES[use](array)
    assert repr(array) == "<npyfeed.Array, closed>"


@pytest.mark.parametrize("length", LENGTHS)
def test_what_was_made_of_an_array_outlives_its_closing(tmp_path: Path, length: int) -> None:
    with nf.open(saved(tmp_path, length)) as array:
        view, tensor, part = array.numpy(), array.torch(), array[3:5]
        dataset = nf.Dataset(x=array)
    (tmp_path / "a.npy").unlink()
    del array
    gc.collect()
    np.testing.assert_array_equal(view, np.arange(length))
    np.testing.assert_array_equal(tensor.numpy(), view)
    assert part.tolist() == [3, 4]
    assert dataset[7].x == 7


def test_closing_lets_go_of_the_file(tmp_path: Path) -> None:
    process = psutil.Process()
    path = saved(tmp_path, 100_000)
    before = process.num_fds()
    arrays = [nf.open(path) for _ in range(50)]
    assert process.num_fds() == before + 50
    for array in arrays:
        array.close()
    assert process.num_fds() == before
    small = [nf.open(saved(tmp_path, 100)) for _ in range(50)]
    assert process.num_fds() == before
    assert len(small) == 50


def test_a_closed_archive_is_an_error_and_its_arrays_stay(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(5000))
    np.savez_compressed(tmp_path / "b.npz", x=np.arange(5000))
    uses: list[Any] = [
        len,
        list,
        lambda z: z["x"],
        lambda z: "x" in z,
        lambda z: z.get("x"),
        lambda z: z.path,
    ]
    for name in ["a.npz", "b.npz"]:
        with nf.open(tmp_path / name) as archive:
            array = archive["x"]
        assert archive.closed
        np.testing.assert_array_equal(array.numpy(), np.arange(5000))
        assert repr(archive) == "<npyfeed.Archive, closed>"
        for use in uses:
            with pytest.raises(ValueError, match="closed"):
                use(archive)


def test_closing_while_others_read_is_an_error_there_and_no_crash(tmp_path: Path) -> None:
    path = saved(tmp_path, 1_000_000)
    for _ in range(20):
        array = nf.open(path)
        outcomes: list[int | str] = []

        def read(array: nf.Array = array, outcomes: list[int | str] = outcomes) -> None:
            try:
                outcomes.append(int(array.numpy(copy=True)[-1]))
            except ValueError as error:
                outcomes.append(str(error))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        array.close()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 4
        assert all(found == 999_999 or "closed" in str(found) for found in outcomes)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", ">f4", "<c16", "<U3"])
def test_a_copy_is_equal_and_independent(tmp_path: Path, dtype: str, order: Literal["C", "F"]) -> None:
    expected: np.ndarray = (np.arange(60_000).reshape(3, 200, 100) % 90).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", expected)
    array = nf.open(tmp_path / "a.npy")
    copied = array.numpy(copy=True)
    assert (copied.dtype, copied.strides) == (np.load(tmp_path / "a.npy").dtype, expected.strides)
    np.testing.assert_array_equal(copied, expected)
    copied[...] = np.zeros((), dtype)
    np.testing.assert_array_equal(array.numpy(), expected)
    assert copied.ctypes.data % 64 == 0
    assert np.array(array).ctypes.data != array.numpy().ctypes.data


def test_a_header_longer_than_the_limit_is_refused_until_it_is_raised(tmp_path: Path) -> None:
    array = np.zeros(3, [(f"a_field_with_a_long_name_{index}", "u1") for index in range(40_000)])
    with pytest.warns(UserWarning, match="format 2.0"):
        np.save(tmp_path / "a.npy", array)
    with pytest.raises(nf.FormatError, match="header of at most 1048576 bytes, found"):
        nf.open(tmp_path / "a.npy")
    found = nf.open(tmp_path / "a.npy", max_header_size=4 << 20)
    assert found.dtype == array.dtype
    np.save(tmp_path / "b.npy", np.arange(3))
    with pytest.raises(nf.FormatError, match="at most 100 bytes"):
        nf.open(tmp_path / "b.npy", max_header_size=100)
