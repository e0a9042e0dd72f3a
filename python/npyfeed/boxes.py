"""How long a box is and where, as the arguments of crops say it: MONAI's forms, and torchvision's."""

import operator
from collections.abc import Iterable, Sequence
from typing import SupportsIndex, TypeAlias

from npyfeed.errors import MismatchError, UnsupportedError

__all__ = ["Indices", "Lengths", "box_around", "box_between", "box_of_slices", "box_size", "picture_size"]

Lengths: TypeAlias = SupportsIndex | Iterable[SupportsIndex | None] | None
"""A length for each of the last axes, or one for all spatial axes; `None`, -1 and 0: the whole axis."""

Indices: TypeAlias = SupportsIndex | Iterable[SupportsIndex]
"""An index along each of the last axes, or along the last one."""

Box: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""The first index along each axis, and the first behind the box; 0: the end of the axis."""


def box_size(name: str, lengths: Lengths) -> int | tuple[int, ...]:
    """The lengths, 0 for a whole axis.

    >>> box_size("roi_size", (96, None, -1)), box_size("roi_size", 96)
    ((96, 0, 0), 96)
    """
    if isinstance(lengths, Iterable):
        return tuple(_length(name, length) for length in lengths)
    return _length(name, lengths)


def box_between(start: Indices, end: Indices) -> Box:
    """The box from `start` to `end`, which it does not contain."""
    starts, ends = _together(_indices("roi_start", start), _indices("roi_end", end))
    if any(index == 0 for index in ends):
        raise MismatchError(f"expected ends behind their starts, found roi_end={ends}")
    return starts, ends


def box_around(center: Indices, size: Indices) -> Box:
    """The box of this size around an index, which is the second of the two in the middle of an even length.

    >>> box_around((5, 5), (4, 3))
    ((3, 4), (7, 7))
    """
    centers, sizes = _together(_indices("roi_center", center), _indices("roi_size", size))
    starts = tuple(center - length // 2 for center, length in zip(centers, sizes, strict=True))
    if any(start < 0 for start in starts) or 0 in sizes:
        raise MismatchError(
            f"expected a box inside the sample, found one of size {sizes} around {centers}; give "
            "roi_start and roi_end, or another center"
        )
    return starts, tuple(start + length for start, length in zip(starts, sizes, strict=True))


def box_of_slices(slices: slice | Iterable[slice]) -> Box:
    """The box of a slice for each of the last axes.

    >>> box_of_slices([slice(2, 5), slice(None)])
    ((2, 0), (5, 0))
    """
    each = (slices,) if isinstance(slices, slice) else tuple(slices)
    if any(one.step not in {None, 1} for one in each):
        raise UnsupportedError(f"expected slices without steps, found roi_slices={each}")
    starts = _indices("the starts of roi_slices", [one.start or 0 for one in each])
    stops = [one.stop for one in each]
    if 0 in stops:
        raise MismatchError(f"expected slices that hold something, found roi_slices={each}")
    return starts, _indices("the stops of roi_slices", [stop or 0 for stop in stops])


def picture_size(size: SupportsIndex | Sequence[SupportsIndex]) -> tuple[int, int]:
    """Height and width: one number is both.

    >>> picture_size(224), picture_size((480, 640))
    ((224, 224), (480, 640))
    """
    numbers = tuple(map(operator.index, size)) if isinstance(size, Sequence) else (operator.index(size),)
    if len(numbers) not in {1, 2} or min(numbers) < 1:
        raise MismatchError(f"expected height and width, or one number for both, from 1 on; found {size}")
    return numbers[0], numbers[-1]


def _length(name: str, length: SupportsIndex | None) -> int:
    number = 0 if length is None else operator.index(length)
    if number < -1:
        raise MismatchError(
            f"expected lengths from 1 on, or None, 0 or -1 for a whole axis, found {number} in {name}"
        )
    return max(number, 0)


def _indices(name: str, numbers: Indices) -> tuple[int, ...]:
    indices = tuple(map(operator.index, numbers if isinstance(numbers, Iterable) else (numbers,)))
    if any(index < 0 for index in indices):
        raise MismatchError(f"expected indices from 0 on, counted from the start, found {indices} in {name}")
    return indices


def _together(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both as long as each other: a single number counts for every axis, as in MONAI."""
    count = max(len(first), len(second))
    first, second = (one * count if len(one) == 1 else one for one in (first, second))
    if len(first) != len(second):
        raise MismatchError(f"expected as many numbers in both, found {first} and {second}")
    return first, second
