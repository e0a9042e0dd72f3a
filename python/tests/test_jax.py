"""`npyfeed.jax`: `jax.Array`s over the memory of an array, and the copies where JAX needs one."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import npyfeed as nf
from npyfeed.jax import from_array

NARROW = ["bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "float16", "float32", "complex64"]
WIDE = ["int64", "uint64", "float64", "complex128"]
SHAPES = [(), (0,), (1,), (3,), (5, 7), (2, 0, 3), (2, 3, 4, 5, 6)]


@pytest.fixture
def _wide() -> Iterator[None]:
    """64 bits switched on, as `jax.config.update("jax_enable_x64", True)` does for a program."""
    with jax.enable_x64(True):  # noqa: FBT003, JAX's signature
        yield


def opened(folder: Path, array: np.ndarray) -> Any:
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return nf.open(path)


@pytest.mark.usefixtures("_wide")
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [*NARROW, *WIDE])
def test_every_dtype_becomes_jaxs(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], byte_order: Any, order: Any
) -> None:
    native = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    saved = np.asarray(native.astype(native.dtype.newbyteorder(byte_order)), order=order)
    array = opened(tmp_path, saved)
    found = array.jax()
    assert isinstance(found, jax.Array)
    assert (found.dtype, found.shape) == (native.dtype, shape)
    np.testing.assert_array_equal(found, native)
    np.testing.assert_array_equal(found + found, native + native)
    if saved.size:
        assert (found.unsafe_buffer_pointer() == array.numpy().ctypes.data) == saved.dtype.isnative
        assert found.unsafe_buffer_pointer() % 64 == 0


@pytest.mark.parametrize("dtype", NARROW)
def test_narrow_dtypes_need_no_switch(tmp_path: Path, dtype: str) -> None:
    array = opened(tmp_path, np.ones(5, dtype))
    assert from_array(array).dtype == dtype
    assert from_array(array).unsafe_buffer_pointer() == array.numpy().ctypes.data


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("dtype", WIDE)
def test_wide_dtypes_are_never_narrowed_without_a_word(tmp_path: Path, dtype: str, byte_order: Any) -> None:
    array = opened(tmp_path, np.ones(5, np.dtype(dtype).newbyteorder(byte_order)))
    message = (
        rf"cannot hand '.*\.npy' to JAX: .*found {dtype}, .*jax\.config\.update\(\"jax_enable_x64\", True\)"
    )
    with pytest.raises(nf.MismatchError, match=message):
        array.jax()


def test_jax_alone_takes_the_array_itself(tmp_path: Path) -> None:
    array = opened(tmp_path, np.ones((3, 4), "float32"))
    found = jax.dlpack.from_dlpack(array)
    assert found.unsafe_buffer_pointer() == array.numpy().ctypes.data


def test_members_that_start_anywhere_come_out_right(tmp_path: Path) -> None:
    expected = np.arange(1000, dtype="float32")
    is_shared = set()
    for length in range(1, 65):
        path, name = tmp_path / f"{length}.npz", "n" * length
        arrays: dict[str, Any] = {name: expected}
        np.savez(path, **arrays)
        array = nf.open(path)[name]
        found = from_array(array)
        np.testing.assert_array_equal(found + found, expected + expected)
        is_shared.add(found.unsafe_buffer_pointer() == array.numpy().ctypes.data)
    assert is_shared == {False, True}


def test_a_donated_array_is_not_written_to(tmp_path: Path) -> None:
    expected = np.arange(1024, dtype="float32")
    array = opened(tmp_path, expected)
    found = jax.jit(lambda x: x + 1, donate_argnums=0)(from_array(array))
    np.testing.assert_array_equal(found, expected + 1)
    np.testing.assert_array_equal(array, expected)


def test_an_array_outlives_the_file(tmp_path: Path) -> None:
    array = opened(tmp_path, np.arange(10_000, dtype="int32"))
    path, found = array.path, array.jax()
    del array
    gc.collect()
    path.unlink()
    np.testing.assert_array_equal(found, np.arange(10_000))
    assert str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")
    del found
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")
