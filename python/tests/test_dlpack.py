"""`__dlpack__` and `bytes`: the memory of an array in the hands of others."""

import gc
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils.dlpack import from_dlpack

import npyfeed as nf

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "float32", "float64", "complex64", "complex128"]
SHAPES = [(), (0,), (1,), (3,), (5, 7), (2, 0, 3), (2, 3, 4, 5, 6)]
VERSIONED = {"max_version": (1, 0)}


def opened(folder: Path, array: np.ndarray) -> Any:
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return nf.open(path)


def name_of(capsule: object) -> str:
    return repr(capsule).split('"')[1]


def member_at_an_odd_byte(folder: Path) -> tuple[Any, np.ndarray]:
    """A member of an archive whose elements start where no int32 should."""
    expected = np.arange(6, dtype="int32")
    for length in range(1, 9):
        path = folder / f"{length}.npz"
        arrays: dict[str, Any] = {"n" * length: expected}
        np.savez(path, **arrays)
        array = nf.open(path)["n" * length]
        if not array.numpy().flags.aligned:
            return array, expected
    message = "no name of a member makes it start at an odd byte"
    raise AssertionError(message)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_and_torch_share_every_dtype(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], order: Any
) -> None:
    expected = np.asarray(np.random.default_rng(0).integers(0, 2, shape).astype(dtype), order=order)
    array = opened(tmp_path, expected)
    found, tensor = np.from_dlpack(array), from_dlpack(array)
    assert found.dtype == expected.dtype
    assert found.shape == tuple(tensor.shape) == shape
    assert tensor.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(tensor.numpy(), expected)
    if expected.size:
        assert found.ctypes.data == tensor.data_ptr() == array.numpy().ctypes.data
        assert found.flags.writeable
    if expected.size > 1:
        assert found.strides == expected.strides


@pytest.mark.parametrize("asked", [{}, {"max_version": None}, {"max_version": (0, 8)}, {"copy": True}])
def test_without_a_version_the_capsule_is_the_old_one(tmp_path: Path, asked: dict[str, Any]) -> None:
    array = opened(tmp_path, np.arange(3))
    assert name_of(array.__dlpack__(**asked)) == "dltensor"


@pytest.mark.parametrize("version", [(1, 0), (1, 3), (2, 0)])
def test_with_a_version_the_capsule_has_one(tmp_path: Path, version: tuple[int, int]) -> None:
    array = opened(tmp_path, np.arange(3))
    assert name_of(array.__dlpack__(max_version=version)) == "dltensor_versioned"
    assert array.__dlpack_device__() == (1, 0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"stream": 1}, "a stream.*pass stream=None"),
        ({"dl_device": (2, 0)}, r"expected the CPU, device \(1, 0\), found device \(2, 0\)"),
    ],
)
def test_what_the_cpu_has_not_is_refused(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    array = opened(tmp_path, np.arange(3))
    assert array.__dlpack__(stream=None, dl_device=(1, 0)) is not None
    with pytest.raises(BufferError, match=message):
        array.__dlpack__(**asked)


def test_what_cannot_be_shared_is_copied_unless_that_is_ruled_out(tmp_path: Path) -> None:
    unaligned, _ = member_at_an_odd_byte(tmp_path)
    arrays = {"byte order": opened(tmp_path, np.arange(6, dtype=">i4")), "multiple of 4 bytes": unaligned}
    for message, array in arrays.items():
        with pytest.raises(BufferError, match=rf"cannot export '.*' through DLPack: .*{message}.*copy=False"):
            array.__dlpack__(copy=False)
        tensor = from_dlpack(array)
        np.testing.assert_array_equal(tensor.numpy(), array.numpy())
        assert tensor.data_ptr() != array.numpy().ctypes.data


def copied(array: Any) -> np.ndarray:
    """What a consumer gets from `copy=True`; `np.from_dlpack` has the argument since NumPy 2.1 only."""

    class Copying:
        def __dlpack__(self, **options: Any) -> Any:
            return array.__dlpack__(**{**options, "copy": True})

        def __dlpack_device__(self) -> Any:
            return array.__dlpack_device__()

    found: np.ndarray = np.from_dlpack(Copying())
    return found


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_copy_is_packed_native_and_aligned(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], byte_order: Any, order: Any
) -> None:
    native = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    array = opened(tmp_path, np.asarray(native.astype(native.dtype.newbyteorder(byte_order)), order=order))
    found = copied(array)
    assert found.dtype == native.dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, native)
    if found.size:
        assert found.flags.writeable
        assert found.ctypes.data % 64 == 0


def test_a_copy_is_independent_of_array_and_file(tmp_path: Path) -> None:
    array = opened(tmp_path, np.arange(6))
    before = array.path.read_bytes()
    copy = copied(array)
    copy[0] = 9
    assert array[0] == 0
    array.numpy()[1] = 7
    assert copy[1] == 1
    assert array.path.read_bytes() == before
    unaligned, expected = member_at_an_odd_byte(tmp_path)
    np.testing.assert_array_equal(copied(unaligned), expected)


def test_a_shared_tensor_never_reaches_the_file(tmp_path: Path) -> None:
    array = opened(tmp_path, np.arange(6))
    before = array.path.read_bytes()
    from_dlpack(array)[0] = 9
    assert array[0] == 9
    assert array.path.read_bytes() == before


class AsItIs:
    """Who asks for the array without a copy."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**{**options, "copy": False})

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def test_a_read_only_array_is_said_to_be_one_and_copied_for_who_may_not_know(tmp_path: Path) -> None:
    array = nf.open(opened(tmp_path, np.arange(10_000)).path, mode="r")
    with pytest.raises(BufferError, match=r"only be read.*max_version=\(1, 0\)"):
        array.__dlpack__(copy=False)
    shared = np.from_dlpack(AsItIs(array))
    assert not shared.flags.writeable
    assert shared.ctypes.data == array.numpy().ctypes.data
    assert copied(array).flags.writeable
    # PyTorch takes no heed of the flag; it would write to memory that ends the process.
    for tensor in [from_dlpack(array), torch.as_tensor(array), torch.asarray(array)]:
        tensor[0] = 7
    assert array[0] == 0


def test_memory_is_given_back_with_the_last_tensor() -> None:
    file = io.BytesIO()
    np.save(file, np.arange(100))
    content = bytearray(file.getvalue())
    tensor = from_dlpack(nf.open(content, mode="r+"))
    with pytest.raises(BufferError):
        content.append(1)
    del tensor
    gc.collect()
    content.append(1)


def test_a_tensor_outlives_array_and_file(tmp_path: Path) -> None:
    array = opened(tmp_path, np.arange(10_000))
    tensor, ndarray, copy = from_dlpack(array), np.from_dlpack(array), copied(array)
    path = array.path
    del array
    gc.collect()
    path.unlink()
    assert torch.equal(tensor, torch.arange(10_000))
    np.testing.assert_array_equal(ndarray, np.arange(10_000))
    np.testing.assert_array_equal(copy, np.arange(10_000))


def maps_of(path: Path) -> int:
    return Path("/proc/self/maps").read_text(encoding="utf-8").count(str(path))


@pytest.mark.parametrize("asked", [{}, VERSIONED])
def test_an_unconsumed_capsule_lets_go_of_the_file(tmp_path: Path, asked: dict[str, Any]) -> None:
    array = opened(tmp_path, np.arange(10_000))
    path, capsule = array.path, array.__dlpack__(**asked)
    del array
    gc.collect()
    assert maps_of(path) == 1
    del capsule
    gc.collect()
    assert maps_of(path) == 0


def test_a_tensor_may_be_freed_on_another_thread(tmp_path: Path) -> None:
    array = opened(tmp_path, np.arange(10_000))
    path, held = array.path, [from_dlpack(array), np.from_dlpack(array)]
    del array
    gc.collect()
    assert maps_of(path) == 1
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert maps_of(path) == 0


@pytest.mark.parametrize("asked", [{}, VERSIONED, {"copy": True}, {**VERSIONED, "copy": True}])
def test_many_exports_do_not_leak(tmp_path: Path, asked: dict[str, Any]) -> None:
    array, process = opened(tmp_path, np.arange(100_000)), psutil.Process()

    def exports(count: int) -> int:
        for _ in range(count):
            array.__dlpack__(**asked)
            from_dlpack(array.__dlpack__(**asked))
        return int(process.memory_info().rss)

    before = exports(100)
    count = 1000 if "copy" in asked else 50_000  # 100 kB, or more than 100 bytes, that could leak each time
    assert exports(count) - before < 4 << 20


def test_a_capsule_is_consumed_once(tmp_path: Path) -> None:
    capsule = opened(tmp_path, np.arange(3)).__dlpack__()
    tensor = from_dlpack(capsule)
    with pytest.raises((RuntimeError, ValueError)):
        from_dlpack(capsule)
    assert tensor.tolist() == [0, 1, 2]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [*DTYPES, ">i4", ">f8", ">c16"])
def test_the_bytes_are_numpys(tmp_path: Path, dtype: str, shape: tuple[int, ...], order: Any) -> None:
    expected = np.asarray(np.random.default_rng(0).integers(0, 2, shape).astype(dtype), order=order)
    array = opened(tmp_path, expected)
    assert bytes(array) == expected.tobytes()
    assert memoryview(array.numpy()).tobytes() == expected.tobytes()


def test_no_framework_takes_an_array_for_a_row_of_bytes(tmp_path: Path) -> None:
    """With a buffer protocol, `torch.asarray` gave one axis, in the order of memory."""
    array = opened(tmp_path, np.asfortranarray(np.arange(6).reshape(2, 3)))
    for make in (torch.asarray, torch.as_tensor, torch.tensor):
        assert make(array).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(TypeError, match="bytes-like"):
        memoryview(array)


@pytest.mark.parametrize("read", [bytes, lambda array: array.__dlpack__()])
def test_a_file_cut_short_is_named(tmp_path: Path, read: Any) -> None:
    array = opened(tmp_path, np.arange(10_000))
    with array.path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(OSError, match=r"\.npy.*cut short"):
        read(array)
