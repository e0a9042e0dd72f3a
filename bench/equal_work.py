"""Whether all contenders do the same work: one untimed epoch of each, examined.

The rule, the same for every contender and without exception:

- the whole epoch, the last short batch included, must hold every sample exactly once, hence the exact sum of
  the labels;
- its order must not be the order of the file;
- every element of the first `COMPARED_BATCHES` batches must be within `TOLERANCE` of plain NumPy's answer;
- random crops are compared with the place that their values tell, and no two of them are of one place;
- the means over all elements of the epoch, unless of random crops, must agree within `TOLERANCE` between any
  two contenders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from workloads import CROP, HIGH, LOW, MEAN, STD, Workload
from written import decoded

COMPARED_BATCHES = 8
TOLERANCE = 1e-4


@dataclass
class Findings:
    """What one epoch of one contender was found to hold."""

    sample_count: int
    label_sum: int
    mean: float
    largest_error: float
    exactly_once: bool
    in_file_order: bool
    distinct_samples: bool
    """Of the compared batches, whether no two samples are the same, place of the crop included."""
    x_dtype: str
    y_dtype: str


def plain_batch(workload: Workload, indices: np.ndarray) -> np.ndarray:
    """What a batch of these samples must be, `[batch, channel, height, width] f32`, in plain NumPy."""
    x = _stored(workload, indices)
    if workload.kind == "rows":
        return x
    x = x.astype(np.float32) / np.float32(255)
    if x.ndim == 3:
        x = x[..., np.newaxis]
    if workload.normalise:
        x = (x - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return x.transpose(0, 3, 1, 2)


def _stored(workload: Workload, indices: np.ndarray) -> np.ndarray:
    if workload.kind == "files":
        paths = workload.x_paths()
        return np.stack([np.load(paths[index]) for index in indices])
    file: np.ndarray = np.load(workload.x_path, mmap_mode="r")
    return np.asarray(file[indices])


def plain_crops(workload: Workload, places: list[tuple[int, int, int, int]]) -> np.ndarray:
    """The crops that stand at these places, `(volume, z, y, x)`, `[batch, 1, depth, height, width] f32`."""
    volumes: list[np.ndarray] = [np.load(path, mmap_mode="r") for path in workload.x_paths()]
    depth, height, width = CROP
    crops = [volumes[v][z : z + depth, y : y + height, x : x + width] for v, z, y, x in places]
    return ((np.stack(crops).astype(np.float32) - LOW) / (HIGH - LOW))[:, np.newaxis]


def examine(workload: Workload, epoch: Iterator[tuple[Any, Any]]) -> dict[str, Any]:
    """The findings over one epoch, as plain data."""
    labels: list[np.ndarray] = []
    samples: list[Any] = []
    total, element_count, largest_error = 0.0, 0, 0.0
    x_dtype = y_dtype = "none"
    for batch in epoch:
        x, y = np.asarray(batch[0]), np.array(batch[1])  # labels are kept, so they are copied
        if len(labels) < COMPARED_BATCHES:
            error, seen = _compare(workload, x, y)
            largest_error = max(largest_error, error)
            samples += seen
        total += float(x.ravel().sum())  # f32, but pairwise: good to 1e-6
        element_count += x.size
        labels.append(y)
        x_dtype, y_dtype = str(x.dtype), str(y.dtype)
    order, expected = np.concatenate(labels), workload.labels()
    findings = Findings(
        sample_count=len(order),
        label_sum=int(order.sum()),
        mean=total / element_count,
        largest_error=largest_error,
        exactly_once=bool(np.array_equal(np.sort(order), expected)),
        in_file_order=bool(np.array_equal(order, expected)),
        distinct_samples=len(set(samples)) == len(samples),
        x_dtype=x_dtype,
        y_dtype=y_dtype,
    )
    return asdict(findings)


def _compare(workload: Workload, x: np.ndarray, y: np.ndarray) -> tuple[float, list[Any]]:
    """The largest error of a batch, and which samples it holds."""
    if workload.kind != "volumes":
        return _error(x, plain_batch(workload, y)), y.tolist()
    places = [decoded(np.rint(crop[0] * (HIGH - LOW))) for crop in x]
    if [volume for volume, *_ in places] != y.tolist():
        return float("inf"), places
    return _error(x, plain_crops(workload, places)), places


def _error(x: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(x - expected).max()) if x.shape == expected.shape else float("inf")


def differences(workload: Workload, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence for each contender's each departure from the rule; none if the work is equal."""
    sentences = []
    for name, one in found.items():
        label_sum = int(workload.labels().sum())
        expectations = {
            "samples in an epoch": (workload.sample_count, one["sample_count"]),
            "sum of the labels": (label_sum, one["label_sum"]),
            "every sample exactly once": (True, one["exactly_once"]),
            "samples in file order": (False, one["in_file_order"]),
            "no two samples the same": (True, one["distinct_samples"]),
            "dtype of x": ("float32", one["x_dtype"]),
            "dtype of y": ("int64", one["y_dtype"]),
        }
        sentences += [
            f"{name} on {workload.name}: {what}: expected {expected}, found {actual}"
            for what, (expected, actual) in expectations.items()
            if expected != actual
        ]
        if not one["largest_error"] <= TOLERANCE:
            expected = f"at most {TOLERANCE} from plain NumPy"
            sentences.append(f"{name} on {workload.name}: expected {expected}, found {one['largest_error']}")
    if workload.kind == "volumes":
        return sentences
    return sentences + _different_means(workload, {name: one["mean"] for name, one in found.items()})


def _different_means(workload: Workload, means: Mapping[str, float]) -> list[str]:
    if not means:
        return []
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    if means[high] - means[low] <= TOLERANCE:
        return []
    found = f"{means[low]:.6f} of {low} and {means[high]:.6f} of {high}"
    return [f"means on {workload.name}: expected to agree within {TOLERANCE}, found {found}"]
