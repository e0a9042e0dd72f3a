"""`npyfeed.tensorflow`: tensors over the memory of an array, and the copies where TensorFlow needs one."""

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from torch.utils.dlpack import from_dlpack

import npyfeed as nf
from npyfeed.tensorflow import from_array

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "float32", "float64", "complex64", "complex128"]
SHAPES = [(), (0,), (1,), (3,), (5, 7), (2, 0, 3), (2, 3, 4, 5, 6)]


def opened(folder: Path, array: np.ndarray) -> Any:
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return nf.open(path)


def address(tensor: Any) -> int:
    return from_dlpack(tf.experimental.dlpack.to_dlpack(tensor)).data_ptr()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_becomes_tensorflows(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], byte_order: Any, order: Any
) -> None:
    native = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    saved = np.asarray(native.astype(native.dtype.newbyteorder(byte_order)), order=order)
    array = opened(tmp_path, saved)
    tensor = array.tensorflow()
    expected = tf.convert_to_tensor(native)
    assert (tensor.dtype, tensor.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(tensor.numpy(), native)
    if saved.size:
        is_shared = saved.flags.c_contiguous and saved.dtype.isnative
        assert (address(tensor) == array.numpy().ctypes.data) == is_shared
        assert address(tensor) % 64 == 0


def test_the_capsule_itself_is_taken_by_tensorflow(tmp_path: Path) -> None:
    array = opened(tmp_path, np.arange(6))
    tensor = tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    assert address(tensor) == array.numpy().ctypes.data


def test_members_that_start_anywhere_are_copied_and_computed_with(tmp_path: Path) -> None:
    """Sharing them would end the process: TensorFlow checks the alignment at the first operation."""
    expected = np.arange(1000, dtype="float32")
    is_shared = set()
    for length in range(1, 65):
        path, name = tmp_path / f"{length}.npz", "n" * length
        arrays: dict[str, Any] = {name: expected}
        np.savez(path, **arrays)
        array = nf.open(path)[name]
        tensor = from_array(array)
        np.testing.assert_array_equal((tensor + tensor).numpy(), expected + expected)
        is_shared.add(address(tensor) == array.numpy().ctypes.data)
    assert is_shared == {False, True}


def test_tensorflow_does_not_write_to_what_it_shares(tmp_path: Path) -> None:
    expected = np.arange(1024, dtype="float32")
    array = opened(tmp_path, expected)

    @tf.function  # type: ignore[untyped-decorator] # TensorFlow has no types
    def in_place_where_it_may(x: Any) -> Any:
        return tf.nn.relu(tf.exp(-(x + 1.0)) * 2.0)

    in_place_where_it_may(from_array(array))
    tf.raw_ops.Exp(x=from_array(array))
    variable = tf.Variable(from_array(array))
    variable.assign_add(tf.ones(1024))
    assert variable.numpy()[0] == 1
    np.testing.assert_array_equal(array, expected)


def test_a_tensor_outlives_array_and_file(tmp_path: Path) -> None:
    array = opened(tmp_path, np.arange(10_000))
    path, tensor = array.path, array.tensorflow()
    del array
    gc.collect()
    path.unlink()
    np.testing.assert_array_equal(tensor.numpy(), np.arange(10_000))
    assert str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")
    del tensor
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.slow
def test_tensorflow_alone_ends_the_process_on_memory_that_starts_anywhere(tmp_path: Path) -> None:
    """Why `from_array` copies. When this fails, TensorFlow has learnt it, and `_ALIGNMENT_BYTES` may go."""
    np.savez(tmp_path / "a.npz", nn=np.ones(1000, "float32"))
    program = (
        "import sys, npyfeed as nf, tensorflow as tf\n"
        "array = nf.open(sys.argv[1])['nn']\n"
        "assert array.numpy().ctypes.data % 64 != 0\n"
        "tensor = tf.experimental.dlpack.from_dlpack(array.__dlpack__())\n"
        "tensor + tensor\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.npz")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode < 0
    assert "IsAligned" in answer.stderr
