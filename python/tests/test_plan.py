"""`dataset.plan` says what is read, computed and written; its bytes are those that a loader counts."""

from typing import Any

import numpy as np
import pytest

import npyfeed as nf
from npyfeed import transforms as T


def test_the_plan_of_random_crops_of_volumes() -> None:
    volumes = np.zeros((3, 40, 60, 50), "int16")
    dataset = nf.Dataset(x=volumes, label=np.arange(3)).map(
        x=[T.RandSpatialCrop((30, 20, 20)), T.ScaleIntensityRange(-1024, 3072, 0, 1), T.AddChannel()]
    )
    expected = """3 samples
x: 3 rows int16 [40, 60, 50]
  read: a box [30, 20, 20] at a drawn place, 24,000 of 240,000 bytes
  step 1 RandSpatialCrop: int16 [30, 20, 20]
  step 2 ScaleIntensityRange: float32 [30, 20, 20]
  step 3 AddChannel: float32 [1, 30, 20, 20]
  passes: 1, loop 'single', in 2 strips
  write: 48,000 bytes
label: 3 rows int64 []
  read: whole rows, 8 bytes
  passes: 1, loop 'move'
  write: 8 bytes"""
    assert str(dataset.plan) == expected
    assert repr(dataset.plan) == expected
    assert isinstance(dataset.plan, str)


def test_the_plan_of_a_dataset_that_was_not_mapped_counts_its_samples() -> None:
    dataset = nf.Dataset(x=np.zeros((1200, 4), ">f8")).select(range(1100))
    assert str(dataset.plan).splitlines() == [
        "1,100 samples",
        "x: 1,200 rows float64 [4], to be swapped",
        "  read: whole rows, 32 bytes",
        "  passes: 1, loop 'move'",
        "  write: 32 bytes",
    ]


CHAINS: dict[str, tuple[Any, list[T.Transform], list[str]]] = {
    "whole rows": (np.zeros((2, 6, 8), "uint8"), [], ["read: whole rows, 48 bytes", "loop 'move'"]),
    "contiguous box": (
        np.zeros((2, 6, 8), "uint8"),
        [T.SpatialCrop(roi_start=(2, 0), roi_end=(4, 8))],
        ["read: a box [2, 8], 16 of 48 bytes", "passes: 1, loop 'move'\n"],
    ),
    "box of interleaved pixels": (
        np.zeros((2, 6, 8, 3), "uint8"),
        [T.ToTensor(), T.CenterCrop(4)],
        [
            "read: a box [4, 4, 3], 48 of 144 bytes",
            "step 2 CenterCrop: float32 [3, 4, 4]",
            "passes: 2, elements",
        ],
    ),
    "crop of the whole": (
        np.zeros((2, 6, 8), "uint8"),
        [T.RandSpatialCrop((6, 8))],
        ["read: whole rows, 48 bytes", "step 1 RandSpatialCrop: uint8 [6, 8]"],
    ),
    "Fortran order": (
        np.asfortranarray(np.zeros((2, 6, 8), "float32")),
        [T.ToDtype("float64")],
        ["read: whole rows, 192 bytes", "step 1 ToDtype: float64 [6, 8]", "in 1 strips", "write: 384 bytes"],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_plans_say_what_is_done(name: str) -> None:
    source, chain, expected = CHAINS[name]
    plan = str(nf.Dataset(x=source).map(x=chain).plan)
    for line in expected:
        assert line in plan


@pytest.mark.parametrize("name", CHAINS)
def test_a_loader_reads_and_writes_the_bytes_of_the_plan(name: str) -> None:
    source, chain, _ = CHAINS[name]
    dataset = nf.Dataset(x=source).map(x=chain)
    loader = nf.Loader(dataset, batch_size=2)
    (batch,) = loader
    read, write = (line for line in dataset.plan.splitlines() if line.startswith(("  read", "  write")))
    assert write == f"  write: {batch.x.nbytes // 2} bytes"
    assert f" {loader.stats().bytes_read // 2} " in read
