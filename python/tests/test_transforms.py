"""Transforms give torchvision's numbers, bit for bit; chains that cannot be are refused at once."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGES = [(5, 7, 3), (224, 224, 3), (28, 28), (8, 8, 1), (6, 5, 4), (1, 1, 3), (3, 17, 2)]
INTEGERS = ["bool", "uint8", "int8", "int16", "uint16", "int32", "int64"]
FLOATS = ["float16", "float32", "float64"]


def samples(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    random = np.random.default_rng(len(shape))
    bits = random.integers(0, 256, (4, *shape, np.dtype(dtype).itemsize), np.uint8)
    if np.issubdtype(dtype, np.floating):
        return random.normal(0, 10, (4, *shape)).astype(dtype)
    return (bits % 2).astype(bool)[..., 0] if dtype == "bool" else bits.view(dtype)[..., 0]


def ours(array: np.ndarray, chain: list[T.Transform]) -> torch.Tensor:
    (batch,) = DataLoader(nf.Dataset(x=array).map(x=chain), batch_size=len(array))
    return batch.x  # type: ignore[no-any-return]


def to_tensor(image: np.ndarray) -> torch.Tensor:
    """torchvision's own `to_tensor` of an ndarray, which the deprecated class `ToTensor` calls."""
    from torchvision.transforms.functional import to_tensor as torchvision_to_tensor  # noqa: PLC0415

    return torchvision_to_tensor(image)  # type: ignore[no-any-return]


def assert_same(found: torch.Tensor, expected: list[torch.Tensor]) -> None:
    stacked = torch.stack(expected)
    assert (found.dtype, found.shape) == (stacked.dtype, stacked.shape)
    assert found.numpy().tobytes() == stacked.contiguous().numpy().tobytes()


@pytest.mark.parametrize(("shape", "dtype"), list(itertools.product(IMAGES, INTEGERS + FLOATS)))
def test_to_tensor_is_torchvisions(shape: tuple[int, ...], dtype: str) -> None:
    array = samples(shape, dtype)
    assert_same(ours(array, [T.ToTensor()]), [to_tensor(image) for image in array])


@pytest.mark.parametrize("shape", IMAGES)
def test_normalised_images_are_torchvisions(shape: tuple[int, ...]) -> None:
    array = samples(shape, "uint8")
    channels = shape[2] if len(shape) == 3 else 1
    for count in {1, channels}:
        mean, std = [*MEAN, 0.5][:count], [*STD, 0.1][:count]
        expected = [functional.normalize(to_tensor(image), mean, std) for image in array]
        assert_same(ours(array, [T.ToTensor(), T.Normalize(mean, std)]), expected)


def test_every_byte_normalised_by_many_numbers_is_torchvisions() -> None:
    array = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    random = np.random.default_rng(0)
    for _ in range(200):
        mean, std = random.uniform(0, 1, 3).tolist(), random.uniform(0.01, 2, 3).tolist()
        expected = [functional.normalize(to_tensor(array[0]), mean, std)]
        assert_same(ours(array, [T.ToTensor(), T.Normalize(mean, std)]), expected)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize(("source", "target"), list(itertools.product(INTEGERS + FLOATS, FLOATS)))
def test_to_dtype_is_torchvisions(source: str, target: str, scale: bool) -> None:  # noqa: FBT001
    array = samples((5, 7), source)
    dtype = getattr(torch, target)
    convert = v2.ToDtype(dtype, scale=scale)
    expected = [convert(torch.from_numpy(image)) for image in array]
    assert_same(ours(array, [T.ToDtype(dtype, scale=scale)]), expected)


@pytest.mark.parametrize("source", [*INTEGERS, *FLOATS])
def test_bfloat16_is_torchs(source: str) -> None:
    array = samples((5, 7), source)
    found = ours(array, [T.ToDtype("bfloat16")])
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, torch.from_numpy(array).to(torch.bfloat16))


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_normalises_as_torchvision(half: str) -> None:
    array = samples((9, 9, 3), "uint8")
    dtype = getattr(torch, half)
    expected = [functional.normalize(to_tensor(image).to(dtype), list(MEAN), list(STD)) for image in array]
    found = ours(array, [T.ToTensor(), T.ToDtype(half), T.Normalize(MEAN, STD)])
    assert torch.equal(found, torch.stack(expected))


def test_labels_widen_to_int64() -> None:
    labels = np.array([3, 0, 255], np.uint8)
    found = ours(labels, [T.ToDtype(torch.int64)])
    assert found.dtype == torch.int64
    assert found.tolist() == [3, 0, 255]


def test_stacked_images_in_one_sample_normalise_each() -> None:
    array = samples((2, 3, 4, 5), "float32")  # [frame, channel, height, width]
    expected = [functional.normalize(torch.from_numpy(clip), list(MEAN), list(STD)) for clip in array]
    assert_same(ours(array, [T.Normalize(MEAN, STD)]), expected)


def test_maps_add_up() -> None:
    dataset = nf.Dataset(x=samples((8, 8, 3), "uint8"))
    at_once = dataset.map(x=[T.ToTensor(), T.Normalize(MEAN, STD)])
    one_by_one = dataset.map(x=T.ToTensor()).map(x=T.Normalize(MEAN, STD))
    np.testing.assert_array_equal(at_once[0].x, one_by_one[0].x)
    assert dataset.spec["x"].dtype == "uint8"


MISFITS: dict[str, tuple[tuple[int, ...], str, list[Any], type[Exception], str]] = {
    "Normalize before ToTensor": ((8, 8, 3), "uint8", [T.Normalize(MEAN, STD)], nf.MismatchError, "ToTensor"),
    "channels last": ((8, 9, 3), "float32", [T.Normalize(MEAN, STD)], nf.MismatchError, "expected 1 or 8"),
    "two means for three channels": (
        (8, 8, 3),
        "uint8",
        [T.ToTensor(), T.Normalize((0.1, 0.2), STD)],
        nf.MismatchError,
        r"step 2 \(Normalize\): mean has 2 numbers, expected 1 or 3",
    ),
    "std of zero": ((8, 8), "uint8", [T.ToTensor(), T.Normalize(0, 0)], nf.MismatchError, "zero"),
    "std of zero after rounding": (
        (8, 8),
        "uint8",
        [T.ToTensor(), T.Normalize(0, 1e-60)],
        nf.MismatchError,
        "zero as float32",
    ),
    "mean of NaN": (
        (8, 8),
        "uint8",
        [T.ToTensor(), T.Normalize(float("nan"), 1)],
        nf.MismatchError,
        "finite",
    ),
    "ToTensor of a vector": ((8,), "uint8", [T.ToTensor()], nf.MismatchError, r"\[8\] uint8"),
    "ToTensor of a video": ((2, 8, 8, 3), "uint8", [T.ToTensor()], nf.MismatchError, r"\[2, 8, 8, 3\]"),
    "ToTensor twice": (
        (8, 8),
        "uint8",
        [T.ToTensor(), T.ToTensor()],
        nf.MismatchError,
        r"step 2 \(ToTensor\)",
    ),
    "Normalize before ToTensor, of a float": (
        (3, 4, 3),
        "float32",
        [T.Normalize((0, 1, 2), 1), T.ToTensor()],
        nf.MismatchError,
        r"step 2 \(ToTensor\): expected a sample with its channels last",
    ),
    "Normalize a vector": ((8,), "float32", [T.Normalize(0, 1)], nf.MismatchError, "channel, height, width"),
    "float to integer": ((8,), "float32", [T.ToDtype("int64")], nf.UnsupportedError, "lose values"),
    "narrower integer": ((8,), "int64", [T.ToDtype("int32")], nf.UnsupportedError, "lose values"),
    "unknown dtype": ((8,), "int64", [T.ToDtype("float128")], nf.UnsupportedError, "float128"),
    "scale to integer": ((8,), "uint8", [T.ToDtype("int32", scale=True)], nf.UnsupportedError, "scale"),
    "scale of uint32": ((8,), "uint32", [T.ToDtype("float32", scale=True)], nf.UnsupportedError, "uint32"),
    "a function": ((8,), "uint8", [abs], nf.UnsupportedError, "npyfeed.transforms"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_chain_that_cannot_be_is_refused_when_mapped(name: str) -> None:
    shape, dtype, chain, expected, message = MISFITS[name]
    dataset = nf.Dataset(image=samples(shape, dtype))
    with pytest.raises(expected, match=message) as caught:
        dataset.map(image=chain)
    assert "'image'" in str(caught.value)


def test_arguments_are_numbers_sequences_arrays_and_tensors() -> None:
    expected = T.Normalize([0.5, 0.25], [1.0, 2.0])
    kinds: list[Any] = [tuple, np.array, torch.tensor]
    for kind in kinds:
        assert T.Normalize(kind([0.5, 0.25]), kind([1.0, 2.0])) == expected
    for dtype in ["float32", np.float32, np.dtype("float32"), torch.float32]:
        assert T.ToDtype(dtype) == T.ToDtype("float32")
