"""Elements that NumPy lacks, in the hands of every framework."""

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import npyfeed as nf

LACKING = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]


@pytest.fixture(params=LACKING)
def name(request: Any) -> str:
    return str(request.param)


def every_value(name: str, shape: tuple[int, ...] = (16, 16)) -> np.ndarray:
    size = np.dtype(getattr(ml_dtypes, name)).itemsize
    return (
        np.arange(256**size, dtype=f"u{size}")[: np.prod(shape)].reshape(shape).view(getattr(ml_dtypes, name))
    )


def test_every_framework_gets_the_name_and_the_bits(tmp_path: Path, name: str) -> None:
    expected = every_value(name)
    np.save(tmp_path / "a.npy", expected)
    array = nf.open(tmp_path / "a.npy", dtype=name)
    bits = expected.view(array.dtype)
    assert array.dtype_name == name
    np.testing.assert_array_equal(array.numpy(), bits)
    tensor = array.torch()
    assert str(tensor.dtype) == f"torch.{name}"
    np.testing.assert_array_equal(tensor.view(torch.uint8).numpy(), bits.view("u1"))
    in_jax = array.jax()
    assert in_jax.dtype == expected.dtype
    np.testing.assert_array_equal(np.asarray(in_jax).view(array.dtype), bits)
    in_tensorflow = array.tensorflow()
    assert in_tensorflow.dtype.name == name
    np.testing.assert_array_equal(in_tensorflow.numpy().view(array.dtype), bits)


def test_dlpack_hands_over_the_dtype_and_not_its_bits(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "a.npy", every_value(name))
    array = nf.open(tmp_path / "a.npy", dtype=name)
    if name.startswith("float8"):
        with pytest.raises(BufferError, match=f"{name} is of DLPack 1.1"):
            array.__dlpack__(max_version=(1, 0))
    tensor = torch.utils.dlpack.from_dlpack(array.__dlpack__(max_version=(1, 1)))
    assert str(tensor.dtype) == f"torch.{name}"
    assert tensor.data_ptr() == array.numpy().ctypes.data
    np.testing.assert_array_equal(tensor.view(torch.uint8).numpy(), array.numpy().view("u1"))


@pytest.mark.parametrize("dtype", ["<U3", "<M8[s]", "V3", [("x", "<f4")]])
def test_what_is_no_number_is_refused_by_every_export(tmp_path: Path, dtype: Any) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3, dtype))
    array = nf.open(tmp_path / "a.npy")
    exports: list[Any] = [array.torch, array.tensorflow, array.jax, array.__dlpack__]
    for export in exports:
        with pytest.raises(nf.UnsupportedError, match=r"a\.npy.*expected numbers"):
            export()
    assert bytes(array) == array.numpy().tobytes()


def test_a_field_is_copied_where_a_framework_wants_it_packed(tmp_path: Path) -> None:
    records = np.zeros(50, [("flag", "u1"), ("x", "<f4"), ("y", ">i2")])
    records["x"] = np.arange(50)
    records["y"] = np.arange(50) - 25
    np.save(tmp_path / "a.npy", records)
    array = nf.open(tmp_path / "a.npy")
    for name in ["x", "y"]:
        field = array.field(name)
        with pytest.raises(BufferError, match="copy=False"):
            field.__dlpack__(copy=False)
        np.testing.assert_array_equal(torch.utils.dlpack.from_dlpack(field).numpy(), records[name])
        np.testing.assert_array_equal(field.torch().numpy(), records[name])
        np.testing.assert_array_equal(field.tensorflow().numpy(), records[name])
        np.testing.assert_array_equal(np.asarray(field.jax()), records[name])


def test_a_read_only_array_is_copied_by_every_framework(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6, dtype="float32"))
    array = nf.open(tmp_path / "a.npy", mode="r")
    for made in [array.tensorflow().numpy(), np.asarray(array.jax()), array.torch().numpy()]:
        np.testing.assert_array_equal(made, np.arange(6))
        assert made.ctypes.data != array.numpy().ctypes.data


def test_bits_are_never_taken_for_numbers(tmp_path: Path, name: str) -> None:
    np.save(tmp_path / "a.npy", every_value(name))
    array = nf.open(tmp_path / "a.npy", dtype=name)
    uses: list[Any] = [np.asarray, np.mean, lambda a: np.asarray(a, "f4"), lambda a: a[0], list]
    for use in [*uses, lambda a: a == 1]:
        with pytest.raises(nf.UnsupportedError, match=rf"NumPy has no {name}.*\.torch\(\).*view\(ml_dtypes"):
            use(array)
    np.testing.assert_array_equal(array.numpy(), every_value(name).view(array.dtype))


@pytest.mark.parametrize("save", [nf.save, nf.save_npz])
def test_saving_keeps_the_dtype_that_numpy_lacks(tmp_path: Path, name: str, save: Any) -> None:
    np.save(tmp_path / "a.npy", every_value(name))
    array = nf.open(tmp_path / "a.npy", dtype=name)
    save(tmp_path / "again", array)
    if save is nf.save:
        assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()
        again = nf.open(tmp_path / "again.npy", dtype=name)
    else:
        again = nf.open(tmp_path / "again.npz", dtype=name)["arr_0"]
    np.testing.assert_array_equal(again.numpy(), array.numpy())
