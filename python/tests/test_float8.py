"""8-bit floats: all 256 values of each are torch's, and nothing is ever rounded to one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

pytest.importorskip("ml_dtypes", reason="NumPy has no 8-bit floats without it")

FLOAT8 = ["float8_e4m3fn", "float8_e5m2"]
WIDER = ["float16", "bfloat16", "float32", "float64"]


def every_value(dtype: str) -> np.ndarray:
    """Sixteen rows of sixteen, each byte once."""
    return np.arange(256, dtype=np.uint8).view(dtype).reshape(16, 16)


def torchs(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.view(np.uint8)).view(getattr(torch, array.dtype.name))


def batch_of(dataset: nf.Dataset) -> torch.Tensor:
    (batch,) = DataLoader(dataset, len(dataset))
    return batch.x  # type: ignore[no-any-return]


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize(("narrow", "wide"), list(itertools.product(FLOAT8, WIDER)))
def test_every_value_widens_as_torch_widens_it(narrow: str, wide: str) -> None:
    array = every_value(narrow)
    found = batch_of(nf.Dataset(x=array).map(x=T.ToDtype(wide)))
    expected = torchs(array).to(getattr(torch, wide))
    assert found.dtype == expected.dtype
    assert bits(found) == bits(expected)


@pytest.mark.parametrize("dtype", FLOAT8)
def test_untouched_values_keep_their_bits(dtype: str) -> None:
    array = every_value(dtype)
    for dataset in [nf.Dataset(x=array), nf.Dataset(x=array).map(x=T.ToDtype(dtype))]:
        found = batch_of(dataset)
        assert found.dtype == getattr(torch, dtype)
        assert bits(found) == array.tobytes()


@pytest.mark.parametrize("dtype", FLOAT8)
def test_images_of_many_channels_are_widened_and_put_channels_first(dtype: str) -> None:
    # More channels than a table of answers is made for.
    array = every_value(dtype).repeat(3 * 1100, axis=0).reshape(4, 3, 4, -1)[..., :1100]
    found = batch_of(nf.Dataset(x=array).map(x=[T.ToTensor(), T.ToDtype("float32"), T.Normalize([0.5], [2])]))
    wide = torchs(np.ascontiguousarray(array)).permute(0, 3, 1, 2).float()
    assert bits(found) == bits((wide - 0.5) / 2)


def test_a_file_of_e5m2_says_what_it_is(tmp_path: Path) -> None:
    array = every_value("float8_e5m2")
    np.save(tmp_path / "narrow.npy", array)
    opened: nf.Array = nf.open(tmp_path / "narrow.npy")
    assert opened.torch().dtype == torch.float8_e5m2
    assert bits(opened.torch()) == array.tobytes()
    assert bits(batch_of(nf.Dataset(x=tmp_path / "narrow.npy"))) == array.tobytes()


@pytest.mark.parametrize(("dtype", "other"), [FLOAT8, FLOAT8[::-1]])
def test_nothing_is_rounded_to_8_bits(dtype: str, other: str) -> None:
    for source, scale in itertools.product(["uint8", "float32", other], [False, True]):
        dataset = nf.Dataset(x=np.ones((2, 3), source))
        with pytest.raises(nf.UnsupportedError, match=f"cast to {dtype} is not supported.*expected float16"):
            dataset.map(x=T.ToDtype(dtype, scale=scale))


@pytest.mark.parametrize("dtype", FLOAT8)
def test_nothing_is_computed_in_8_bits(dtype: str) -> None:
    dataset = nf.Dataset(x=np.ones((2, 3, 4, 4), dtype))
    with pytest.raises(nf.MismatchError, match=f"16 bits or more, found .* {dtype}.*ToDtype"):
        dataset.map(x=T.Normalize([0.5], [0.5]))


@pytest.mark.parametrize("dtype", FLOAT8)
def test_there_is_no_ndarray_of_it(dtype: str) -> None:
    dataset = nf.Dataset(x=every_value(dtype))
    with pytest.raises(nf.UnsupportedError, match=f"NumPy has no {dtype}; use"):
        dataset[0]
    with pytest.raises(nf.UnsupportedError, match=f"NumPy has no {dtype}; use"):
        nf.Loader(dataset, 4)


def test_what_is_written_is_what_numpy_writes(tmp_path: Path) -> None:
    for dtype in [*FLOAT8, "bfloat16"]:
        array = np.arange(6).astype(dtype).reshape(2, 3)
        np.save(tmp_path / "theirs.npy", array)
        nf.save(tmp_path / "ours.npy", array)
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
