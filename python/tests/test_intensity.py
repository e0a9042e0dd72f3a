"""Scaled intensities are MONAI's numbers, bit for bit."""

import itertools
from typing import Any

import monai.transforms as monai
import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

INTEGERS = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64"]
FLOATS = ["float16", "float32", "float64"]
RANGES: list[tuple[float, float, Any, Any]] = [
    (-1024.0, 3072.0, 0.0, 1.0),
    (-1024.0, 3072.0, None, None),
    (-175.0, 250.0, -1.0, 1.0),
    (0.1, 0.7, 0.3, -2.9),
    (3.0, -5.0, 0.0, 1e-3),
]


def samples(dtype: str, count: int = 1000) -> np.ndarray:
    random = np.random.default_rng(0)
    if dtype in FLOATS:
        special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1024.0, -1024.0, 3072.0]
        return np.append(random.normal(0, 1000, 2 * count - 8), special).astype(dtype).reshape(2, count)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (2, count), dtype, endpoint=True)


def ours(array: np.ndarray, *chain: T.Transform) -> torch.Tensor:
    (batch,) = DataLoader(nf.Dataset(x=array).map(x=chain), batch_size=len(array))
    return batch.x  # type: ignore[no-any-return]


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    is_number = ~expected.isnan()
    assert torch.equal(found.isnan(), expected.isnan())
    same = found[is_number].numpy().tobytes() == expected[is_number].numpy().tobytes()
    assert same, (found[is_number] - expected[is_number]).abs().max()


@pytest.mark.parametrize(("dtype", "given"), list(itertools.product(INTEGERS + FLOATS, RANGES)))
def test_scaled_intensities_are_monais(dtype: str, given: tuple[float, float, Any, Any]) -> None:
    array = samples(dtype)
    expected = monai.ScaleIntensityRange(*given)(torch.from_numpy(array))
    assert_same(ours(array, T.ScaleIntensityRange(*given)), torch.as_tensor(expected))


@pytest.mark.parametrize(
    ("dtype", "given"), list(itertools.product(INTEGERS + FLOATS, [RANGES[0], RANGES[2]]))
)
def test_clipped_intensities_are_monais(dtype: str, given: tuple[float, float, Any, Any]) -> None:
    array = samples(dtype)
    expected = monai.ScaleIntensityRange(*given, clip=True)(torch.from_numpy(array))
    assert_same(ours(array, T.ScaleIntensityRange(*given, clip=True)), torch.as_tensor(expected))


@pytest.mark.parametrize("given", RANGES)
def test_bfloat16_is_scaled_as_monai_does(given: tuple[float, float, Any, Any]) -> None:
    array = samples("float32")
    expected = monai.ScaleIntensityRange(*given)(torch.from_numpy(array).to(torch.bfloat16))
    found = ours(array, T.ToDtype("bfloat16"), T.ScaleIntensityRange(*given))
    assert_same(found, torch.as_tensor(expected))


def test_every_value_of_16_bits_scaled_by_many_ranges_is_monais() -> None:
    array = np.arange(-(2**15), 2**15, dtype=np.int16).reshape(1, -1)
    random = np.random.default_rng(1)
    for _ in range(50):
        given = (*random.normal(0, 2000, 2), *random.normal(0, 10, 2))
        expected = monai.ScaleIntensityRange(*given)(torch.from_numpy(array))
        assert_same(ours(array, T.ScaleIntensityRange(*given)), torch.as_tensor(expected))


def test_large_samples_and_swapped_ones_are_scaled_alike() -> None:
    array = np.random.default_rng(2).integers(-1024, 3072, (2, 90, 91, 92)).astype("int16")
    expected = torch.as_tensor(monai.ScaleIntensityRange(-1024.0, 3072.0, 0.0, 1.0)(torch.from_numpy(array)))
    chain = [T.ScaleIntensityRange(-1024, 3072, 0, 1), T.AddChannel()]
    for source in [array, array.astype(">i2"), np.asfortranarray(array)]:
        assert_same(ours(source, *chain), expected[:, None])
    cropped = ours(array, T.SpatialCrop(roi_start=(1, 2, 3), roi_end=(80, 81, 82)), *chain)
    assert_same(cropped, expected[:, None, 1:80, 2:81, 3:82].contiguous())


def test_the_ends_of_the_range_meet_their_marks() -> None:
    ends = np.array([[-1024, 3072]], "int16")
    assert ours(ends, T.ScaleIntensityRange(-1024, 3072, 10, 20)).tolist() == [[10.0, 20.0]]
    assert ours(ends, T.ScaleIntensityRange(-1024, 3072)).tolist() == [[0.0, 1.0]]


def test_a_mask_is_scaled_as_zeros_and_ones() -> None:
    mask = np.array([[False, True]])
    assert ours(mask, T.ScaleIntensityRange(-1, 1)).tolist() == [[0.5, 1.0]]


def test_integers_do_not_wrap_around() -> None:
    """MONAI subtracts a whole `a_min` in the integers of the image: 32767 + 1024 is below zero in 16 bits."""
    greatest = np.array([[32767]], "int16")
    assert ours(greatest, T.ScaleIntensityRange(-1024, 3072)).tolist() == [[33791 / 4096]]


@pytest.mark.parametrize(
    ("dtype", "given", "error", "message"),
    [
        ("int16", (5, 5), nf.MismatchError, r"step 1 \(ScaleIntensityRange\): .*5 and 5 as float32.*zero"),
        ("int16", (1, 1 + 1e-60), nf.MismatchError, "divide by zero"),
        ("int16", (0, 1, 5, 4, True), nf.MismatchError, "min <= max"),
        ("int16", (0, float("inf")), nf.MismatchError, "not finite"),
        ("complex64", (0, 1), nf.UnsupportedError, "imaginary"),
    ],
)
def test_ranges_that_cannot_be_are_refused_when_mapped(
    dtype: str, given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        nf.Dataset(x=np.zeros((2, 3), dtype)).map(x=T.ScaleIntensityRange(*given))


def test_arguments_that_are_not_supported_are_refused_when_made() -> None:
    with pytest.raises(nf.MismatchError, match="clip=True expects b_min"):
        T.ScaleIntensityRange(0, 1, clip=True)
    with pytest.raises(nf.MismatchError, match="both b_min and b_max"):
        T.ScaleIntensityRange(0, 1, 0)
