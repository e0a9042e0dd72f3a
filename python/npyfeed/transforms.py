"""Transforms of one sample, with the names, arguments and results of torchvision and MONAI.

They are plain descriptions: `Dataset.map` checks a chain of them against the column and fuses it into
one pass over the memory, from the bytes of the file to the batch.

>>> from npyfeed import transforms as T
>>> [T.ToTensor(), T.Normalize(mean=(0.5,), std=(0.25,))]
[ToTensor(), Normalize(mean=(0.5,), std=(0.25,))]
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import SupportsFloat, SupportsIndex

from npyfeed.boxes import Indices, Lengths, box_around, box_between, box_of_slices, box_size, picture_size
from npyfeed.errors import MismatchError, UnsupportedError

__all__ = [
    "AddChannel",
    "CenterCrop",
    "CenterSpatialCrop",
    "Clip",
    "Normalize",
    "RandSpatialCrop",
    "RandomCrop",
    "ScaleIntensityRange",
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
    """A box at a given place, along the last axes of the sample: as many as there are numbers.

    Given by `roi_start` and `roi_end`, which it does not contain, by `roi_center` and `roi_size`, or by
    `roi_slices`. Only its bytes are read. Source: `monai.transforms.SpatialCrop`, which clips a box that is
    not inside the sample; here that is an error.

    >>> SpatialCrop(roi_start=(0, 8), roi_end=(16, 24))
    SpatialCrop(roi_start=(0, 8), roi_end=(16, 24))
    >>> SpatialCrop(roi_center=(8, 16), roi_size=16)
    SpatialCrop(roi_start=(0, 8), roi_end=(16, 24))
    """

    roi_start: tuple[int, ...]
    roi_end: tuple[int, ...]

    def __init__(
        self,
        roi_center: Indices | None = None,
        roi_size: Indices | None = None,
        roi_start: Indices | None = None,
        roi_end: Indices | None = None,
        roi_slices: slice | Iterable[slice] | None = None,
    ) -> None:
        if roi_slices is not None:
            start, end = box_of_slices(roi_slices)
        elif roi_center is not None and roi_size is not None:
            start, end = box_around(roi_center, roi_size)
        elif roi_start is not None and roi_end is not None:
            start, end = box_between(roi_start, roi_end)
        else:
            raise MismatchError("expected roi_start and roi_end, roi_center and roi_size, or roi_slices")
        object.__setattr__(self, "roi_start", start)
        object.__setattr__(self, "roi_end", end)


@dataclasses.dataclass(frozen=True)
class CenterSpatialCrop(Transform):
    """A box of `roi_size` in the middle of the sample.

    A length for each of the last axes; `None`, -1 and 0 take all of an axis. One number is the length along
    every axis but the first, which is that of the channels; of samples with two or three axes it must be
    known that they have one, from `AddChannel` or `ToTensor` before. Only its bytes are read. Source:
    `monai.transforms.CenterSpatialCrop`, which clips a box longer than the sample; here that is an error.

    >>> CenterSpatialCrop((96, 96, None))
    CenterSpatialCrop(roi_size=(96, 96, 0))
    """

    roi_size: int | tuple[int, ...]

    def __init__(self, roi_size: Lengths) -> None:
        object.__setattr__(self, "roi_size", box_size("roi_size", roi_size))


@dataclasses.dataclass(frozen=True)
class RandSpatialCrop(Transform):
    """A box of `roi_size`, given as to `CenterSpatialCrop`, at a place drawn for each sample and epoch.

    Only its bytes are read. The place depends on the seed, the epoch, the index of the sample in its dataset
    and how many random transforms stand before it, on nothing else: the first of each column draws the same
    numbers, so that an image and its mask are cropped alike. `Dataset.draw` tells the place. Outside an
    epoch, as in `dataset[0]`, seed and epoch are 0. With `random_center=False` the box is in the middle.
    Source: `monai.transforms.RandSpatialCrop`, without `random_size`: a batch holds samples of one size.
    """

    roi_size: int | tuple[int, ...]
    random_center: bool = True

    def __init__(
        self,
        roi_size: Lengths,
        max_roi_size: Lengths = None,
        random_center: bool = True,  # noqa: FBT001, FBT002, MONAI's
        random_size: bool = False,  # noqa: FBT001, FBT002, MONAI's
    ) -> None:
        if random_size or max_roi_size is not None:
            raise UnsupportedError(
                "RandSpatialCrop: expected boxes of one size, which a batch can hold, found random_size or "
                "max_roi_size; leave them out"
            )
        object.__setattr__(self, "roi_size", box_size("roi_size", roi_size))
        object.__setattr__(self, "random_center", random_center)

    def spec(self) -> tuple[object, ...]:
        """The name and the arguments, as the engine takes them."""
        return ("RandSpatialCrop" if self.random_center else "CenterSpatialCrop", self.roi_size)


@dataclasses.dataclass(frozen=True)
class CenterCrop(Transform):
    """The picture of `size` in the middle of `[..., height, width]`: `(height, width)`, or one for both.

    Only its bytes are read. A picture `[height, width, channel]` wants `ToTensor` before it. Source:
    `torchvision.transforms.CenterCrop` of a tensor, which pads what is smaller; here that is an error.

    >>> CenterCrop(224)
    CenterCrop(size=(224, 224))
    """

    size: tuple[int, int]

    def __init__(self, size: SupportsIndex | Sequence[SupportsIndex]) -> None:
        object.__setattr__(self, "size", picture_size(size))


@dataclasses.dataclass(frozen=True)
class RandomCrop(Transform):
    """A picture of `size` of `[..., height, width]`, at a place drawn for each sample and epoch.

    Only its bytes are read. The place is drawn as `RandSpatialCrop` says. A picture `[height, width,
    channel]` wants `ToTensor` before it. Source: `torchvision.transforms.RandomCrop` of a tensor, without
    padding.
    """

    size: tuple[int, int]

    def __init__(
        self,
        size: SupportsIndex | Sequence[SupportsIndex],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,  # noqa: FBT001, FBT002, torchvision's
    ) -> None:
        if padding is not None or pad_if_needed:
            raise UnsupportedError(
                "RandomCrop: expected no padding, which is not supported yet, found padding or "
                "pad_if_needed; pad the file with numpy.pad"
            )
        object.__setattr__(self, "size", picture_size(size))


@dataclasses.dataclass(frozen=True)
class ScaleIntensityRange(Transform):
    """`a_min` becomes `b_min` and `a_max` becomes `b_max`, or 0 and 1 without them; float32 comes out.

    Computed as `(x - a_min) / (a_max - a_min) * (b_max - b_min) + b_min`, each operation rounded, in the
    dtype of the sample if that is floating-point of 16 bits or more, and in float32 otherwise. With `clip`,
    what is beyond `b_min` and `b_max` becomes the nearer of them. Source:
    `monai.transforms.ScaleIntensityRange`.

    >>> ScaleIntensityRange(-1024, 3072, 0, 1)
    ScaleIntensityRange(a_min=-1024.0, a_max=3072.0, b_min=0.0, b_max=1.0, clip=False)
    """

    a_min: float
    a_max: float
    b_min: float | None = None
    b_max: float | None = None
    clip: bool = False

    def __init__(
        self,
        a_min: SupportsFloat,
        a_max: SupportsFloat,
        b_min: SupportsFloat | None = None,
        b_max: SupportsFloat | None = None,
        clip: bool = False,  # noqa: FBT001, FBT002, MONAI's
    ) -> None:
        if (b_min is None) != (b_max is None):
            raise MismatchError(
                f"ScaleIntensityRange: expected both b_min and b_max, or none, found {b_min} and {b_max}"
            )
        if clip and b_min is None:
            raise MismatchError("ScaleIntensityRange: clip=True expects b_min and b_max, found none")
        object.__setattr__(self, "clip", clip)
        for name, number in {"a_min": a_min, "a_max": a_max, "b_min": b_min, "b_max": b_max}.items():
            object.__setattr__(self, name, None if number is None else float(number))

    def spec(self) -> tuple[object, ...]:
        """The name and the arguments, as the engine takes them."""
        to = None if self.b_min is None else (self.b_min, self.b_max)
        return ("ScaleIntensityRange", (self.a_min, self.a_max), to, self.clip)


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
