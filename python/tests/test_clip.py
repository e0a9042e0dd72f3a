"""Clips, and the casts to integers that they allow, give the numbers of torch and torchvision."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

FLOATS = ["float16", "bfloat16", "float32", "float64"]
INTEGERS = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
WIDE = ["int32", "uint32", "int64", "uint64"]
BOUNDS = [(0.0, 255.0), (-0.0, 1.0), (-1000.25, 3000.75), (-np.inf, 0.3), (7.0, np.inf), (5.0, 5.0)]


def numbers(dtype: str) -> np.ndarray:
    """Ordinary and extreme ones, in two samples of `[5, 7]`."""
    random = np.random.default_rng(1)
    if np.issubdtype(dtype, np.floating):
        found = random.normal(0, 1000, 70)
        found[:9] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 255.0, 254.99, -0.99]
        with np.errstate(over="ignore"):
            return found.astype(dtype).reshape(2, 5, 7)
    bits = random.integers(0, 256, 70 * np.dtype(dtype).itemsize, np.uint8).view(dtype).copy()
    bits[:40] = bits[:40] % bits.dtype.type(100)
    return bits.reshape(2, 5, 7)


def ours(array: np.ndarray, chain: list[T.Transform]) -> torch.Tensor:
    (batch,) = DataLoader(nf.Dataset(x=array).map(x=chain), batch_size=len(array))
    return batch.x  # type: ignore[no-any-return]


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    bits = [tensor.contiguous().view(torch.uint8).numpy().tobytes() for tensor in (found, expected)]
    assert bits[0] == bits[1]


@pytest.mark.parametrize(("dtype", "bounds"), list(itertools.product(FLOATS, BOUNDS)))
def test_floats_are_clipped_as_by_torch(dtype: str, bounds: tuple[float, float]) -> None:
    array = numbers("float32")
    if dtype == "bfloat16":
        array[np.isnan(array)] = 0  # the bits of its NaNs differ between torch's own loops
    tensor = torch.from_numpy(array).to(getattr(torch, dtype))
    assert_same(ours(array, [T.ToDtype(dtype), T.Clip(*bounds)]), tensor.clamp(*bounds))


@pytest.mark.parametrize("source", [*INTEGERS, "int32", "int64", ">i2", ">i4"])
def test_integers_are_clipped_as_by_torch(source: str) -> None:
    array = numbers(source)
    info = np.iinfo(source)
    for least, greatest in [(0, 100), (info.min, info.max // 2), (3, 3)]:
        expected = np.clip(array, array.dtype.type(least), array.dtype.type(greatest))
        native = torch.from_numpy(expected.astype(expected.dtype.newbyteorder("=")))
        if abs(greatest) < 2**53:
            assert_same(ours(array, [T.Clip(least, greatest)]), native)


@pytest.mark.parametrize(
    ("source", "target"), list(itertools.product(["float32", "float64", "float16"], INTEGERS))
)
def test_clipped_floats_become_the_integers_of_torch(source: str, target: str) -> None:
    array = numbers(source)
    array[np.isnan(array)] = 0  # torch gives NaN a number that differs between CPUs
    least, greatest = INTEGERS[target]
    if source == "float16":
        least, greatest = max(least, -2048), min(greatest, 2048)  # the ends are no float16
    expected = torch.from_numpy(array).clamp(least, greatest).to(getattr(torch, target))
    assert_same(ours(array, [T.Clip(least, greatest), T.ToDtype(target)]), expected)


@pytest.mark.parametrize(("source", "target"), list(itertools.product([*INTEGERS, *WIDE], INTEGERS)))
def test_clipped_integers_become_narrower_ones(source: str, target: str) -> None:
    array = numbers(source)
    least, greatest = INTEGERS[target]
    expected = np.clip(array.astype(object), least, greatest).astype(target)
    assert_same(ours(array, [T.Clip(least, greatest), T.ToDtype(target)]), torch.from_numpy(expected))


def test_nan_becomes_0_and_fractions_are_cut_off() -> None:
    array = np.array([[np.nan, -0.9, 0.9, 254.99, 300.0]], np.float32)
    assert ours(array, [T.Clip(-1, 255), T.Clip(0, 255), T.ToDtype("uint8")]).tolist() == [
        [0, 0, 0, 254, 255]
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scale_to_uint8_is_torchvisions(dtype: str) -> None:
    ramp = np.linspace(-0.1, 1.1, 20_000).astype(dtype).reshape(2, 100, 100)
    expected = functional.to_dtype(torch.from_numpy(ramp).clamp(0, 1), torch.uint8, scale=True)
    assert_same(ours(ramp, [T.Clip(0, 1), T.ToDtype("uint8", scale=True)]), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scale_of_16_bit_floats_to_uint8_is_torchvisions_below_1(dtype: str) -> None:
    every = np.arange(0, 0x3C00 if dtype == "float16" else 0x3F80, dtype=np.uint16)
    tensor = torch.from_numpy(every).view(getattr(torch, dtype))
    product = tensor.mul(255 + 1 - 1e-3)
    inside = product < 256  # of what rounds to 256 torch makes 0
    expected = functional.to_dtype(tensor, torch.uint8, scale=True)
    chain = [T.ToDtype(dtype), T.Clip(0, 1), T.ToDtype("uint8", scale=True)]
    found = ours(tensor.float().numpy().reshape(1, -1), chain)[0]
    assert_same(found[inside], expected[inside])
    assert found[~inside].eq(255).all()


def test_an_image_goes_to_floats_and_back() -> None:
    images = np.random.default_rng(2).integers(0, 256, (3, 9, 11, 3), np.uint8)
    chain = [T.ToTensor(), T.Clip(0, 1), T.ToDtype("uint8", scale=True)]
    assert_same(ours(images, chain), torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


REFUSED: dict[str, tuple[str, list[T.Transform], type[Exception], str]] = {
    "no clip": ("float32", [T.ToDtype("uint8")], nf.UnsupportedError, r"Clip\(0, 255\) right before"),
    "narrower": ("int16", [T.ToDtype("int8")], nf.UnsupportedError, r"Clip\(-128, 127\) right before"),
    "too wide": ("int16", [T.Clip(0, 256), T.ToDtype("uint8")], nf.UnsupportedError, r"Clip\(0, 255\)"),
    "not before": (
        "float32",
        [T.Clip(0, 1), T.ToTensor(), T.Normalize(0.5, 0.5), T.ToDtype("uint8")],
        nf.UnsupportedError,
        r"Clip\(0, 255\)",
    ),
    "to int64": ("float32", [T.Clip(0, 1), T.ToDtype("int64")], nf.UnsupportedError, "could lose values"),
    "scale": ("float32", [T.ToDtype("uint8", scale=True)], nf.UnsupportedError, r"Clip\(0, 1\) right before"),
    "bool": ("bool", [T.Clip(0, 1)], nf.MismatchError, "ToDtype first"),
    "upside down": ("float32", [T.Clip(1, 0)], nf.MismatchError, "min <= max"),
    "not a number": ("float32", [T.Clip(float("nan"), 0)], nf.MismatchError, "min <= max"),
    "fractions": ("uint8", [T.Clip(0, 0.5)], nf.MismatchError, "whole numbers"),
    "nothing left": ("uint8", [T.Clip(300, 400)], nf.MismatchError, "between which some uint8 lies"),
    "nothing left of a widened one": (
        "uint8",
        [T.ToDtype("int32"), T.Clip(300, 400)],
        nf.MismatchError,
        "between which some uint8 lies",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_the_cure(case: str) -> None:
    dtype, chain, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        nf.Dataset(x=np.zeros((2, 4, 4), dtype)).map(x=chain)


def test_bounds_that_no_float64_holds_are_refused() -> None:
    bound: Any = 2**53 + 1
    with pytest.raises(ValueError, match="not exact"):
        T.Clip(0, bound)
