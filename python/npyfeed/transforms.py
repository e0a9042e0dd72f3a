"""Transforms of one sample, with torchvision's names, arguments and results.

They are plain descriptions: `Dataset.map` checks a chain of them against the column and fuses it into
one pass over the memory, from the bytes of the file to the batch.

>>> from npyfeed import transforms as T
>>> [T.ToTensor(), T.Normalize(mean=(0.5,), std=(0.25,))]
[ToTensor(), Normalize(mean=(0.5,), std=(0.25,))]
"""

import dataclasses
import operator
from collections.abc import Iterable
from typing import SupportsFloat, SupportsIndex

from npyfeed.errors import MismatchError

__all__ = [
    "AddChannel",
    "CenterSpatialCrop",
    "Clip",
    "Normalize",
    "RandSpatialCrop",
    "SpatialCrop",
    "ToDtype",
    "ToTensor",
    "Transform",
]


class Transform:
    """A change of one sample. Subclasses are dataclasses that the engine knows by name."""

    def spec(self) -> tuple[object, ...]:
        """The name and the arguments, as the engine takes them."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return (type(self).__name__, *(getattr(self, field.name) for field in fields))


@dataclasses.dataclass(frozen=True)
class ToTensor(Transform):
    """`[height, width, channel]` or `[height, width]` to `[channel, height, width]`.

    uint8 becomes float32 divided by 255; any other dtype stays as it is. A sample that is
    `[channel, height, width]` already wants `ToDtype("float32", scale=True)` instead.
    Source: `torchvision.transforms.ToTensor` for an ndarray.
    """


@dataclasses.dataclass(frozen=True)
class ToDtype(Transform):
    """Another dtype: a name, a NumPy dtype or a torch dtype.

    With `scale=True` integers become floats, divided by the greatest value of their dtype, and floats
    from 0 to 1 become uint8. Casts that could lose values (float to integer, to a narrower integer) are
    refused when the dataset is built, unless `Clip` right before them bounds the values; then fractions
    are cut off, and NaN becomes 0.
    Source: `torchvision.transforms.v2.ToDtype`. One number differs: 1 in float16 and bfloat16 scaled to
    uint8 is 255, where torchvision gets 256, which is no uint8.

    >>> ToDtype("float32", scale=True)
    ToDtype(dtype='float32', scale=True)
    """

    dtype: str
    scale: bool = False

    def __init__(self, dtype: object, scale: bool = False) -> None:  # noqa: FBT001, FBT002, torchvision's
        object.__setattr__(self, "dtype", dtype_name(dtype))
        object.__setattr__(self, "scale", scale)


@dataclasses.dataclass(frozen=True)
class Normalize(Transform):
    """`(x - mean) / std`, one number for each channel or one for all.

    The sample is `[..., channel, height, width]` and floating-point: put `ToTensor` before it.
    Source: `torchvision.transforms.Normalize`.

    >>> Normalize(0.5, 0.25)
    Normalize(mean=(0.5,), std=(0.25,))
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __init__(
        self, mean: SupportsFloat | Iterable[SupportsFloat], std: SupportsFloat | Iterable[SupportsFloat]
    ) -> None:
        object.__setattr__(self, "mean", _floats(mean))
        object.__setattr__(self, "std", _floats(std))


@dataclasses.dataclass(frozen=True)
class AddChannel(Transform):
    """A new first axis of length 1: `[depth, height, width]` to `[1, depth, height, width]`.

    Source: `monai.transforms.EnsureChannelFirst(channel_dim="no_channel")`, earlier called `AddChannel`.
    """


@dataclasses.dataclass(frozen=True)
class SpatialCrop(Transform):
    """The box from `roi_start` to `roi_end`, which it does not contain, along the last axes of the sample.

    Only its bytes are read. Source: `monai.transforms.SpatialCrop`.

    >>> SpatialCrop((0, 8), (16, 24))
    SpatialCrop(roi_start=(0, 8), roi_end=(16, 24))
    """

    roi_start: tuple[int, ...]
    roi_end: tuple[int, ...]

    def __init__(self, roi_start: Iterable[SupportsIndex], roi_end: Iterable[SupportsIndex]) -> None:
        object.__setattr__(self, "roi_start", _lengths(roi_start))
        object.__setattr__(self, "roi_end", _lengths(roi_end))


@dataclasses.dataclass(frozen=True)
class CenterSpatialCrop(Transform):
    """A box of `roi_size` in the middle, along the last axes of the sample; 0 takes all of an axis.

    Only its bytes are read. Source: `monai.transforms.CenterSpatialCrop`.
    """

    roi_size: tuple[int, ...]

    def __init__(self, roi_size: Iterable[SupportsIndex]) -> None:
        object.__setattr__(self, "roi_size", _lengths(roi_size))


@dataclasses.dataclass(frozen=True)
class RandSpatialCrop(Transform):
    """A box of `roi_size` at a place drawn for each sample, along the last axes; 0 takes all of an axis.

    Only its bytes are read. The place depends on the seed, the epoch, the index of the sample in its
    dataset and the place of the transform in its chain, on nothing else. Outside an epoch, as in
    `dataset[0]`, seed and epoch are 0. Source: `monai.transforms.RandSpatialCrop(random_size=False)`.
    """

    roi_size: tuple[int, ...]

    def __init__(self, roi_size: Iterable[SupportsIndex]) -> None:
        object.__setattr__(self, "roi_size", _lengths(roi_size))


@dataclasses.dataclass(frozen=True)
class Clip(Transform):
    """What is less than `min` becomes `min`, what is greater than `max` becomes `max`; NaN stays NaN.

    The dtype stays. Bounds of integers are whole numbers; a bound beyond their range does nothing.
    Source: `torch.clamp`.

    >>> [Clip(-1000, 3000), ToDtype("int16")]
    [Clip(min=-1000.0, max=3000.0), ToDtype(dtype='int16', scale=False)]
    """

    min: float
    max: float

    def __init__(self, min: SupportsFloat, max: SupportsFloat) -> None:  # noqa: A002, torch.clamp's names
        object.__setattr__(self, "min", _bound(min))
        object.__setattr__(self, "max", _bound(max))


def dtype_name(dtype: object) -> str:
    """`"float32"` from itself, `numpy.float32`, `numpy.dtype("float32")` or `torch.float32`."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    if name is None:
        name = getattr(dtype, "__name__", None) or str(dtype)
    return str(name).removeprefix("torch.")


def _bound(number: SupportsFloat) -> float:
    bound = float(number)
    if isinstance(number, int) and number != bound:
        raise ValueError(f"Clip: {number} is not exact as a float64; expected a bound below 2**53")
    return bound


def _floats(numbers: SupportsFloat | Iterable[SupportsFloat]) -> tuple[float, ...]:
    if isinstance(numbers, Iterable):
        return tuple(float(number) for number in numbers)
    return (float(numbers),)


def _lengths(numbers: Iterable[SupportsIndex]) -> tuple[int, ...]:
    lengths = tuple(operator.index(number) for number in numbers)
    if any(length < 0 for length in lengths):
        raise MismatchError(f"expected indices and lengths from 0 on, found {lengths}")
    return lengths
