"""What a loader says of itself: counts, choices and what limits the loop."""

import time
from pathlib import Path

import numpy as np
import pytest

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.samplers import Weighted


@pytest.fixture
def dataset(tmp_path: Path) -> nf.Dataset:
    np.save(tmp_path / "x.npy", np.zeros((64, 32, 32, 3), "uint8"))
    return nf.Dataset(x=tmp_path / "x.npy", y=np.arange(64)).map(x=T.ToTensor())


def test_a_slow_consumer_is_told_that_it_is_the_limit(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 8, threads=1, prefetch=2)
    for _ in loader:
        time.sleep(0.02)
    stats = loader.stats()
    assert stats.busy_ns > 7 * 20_000_000
    assert stats.idle_ns > stats.fill_ns
    assert stats.verdict.startswith("loader idle ")
    assert stats.verdict.endswith("the network is the limit")


def test_a_consumer_that_does_nothing_is_told_what_it_waits_for() -> None:
    casts = [T.ToDtype("float64"), T.ToDtype("float16")] * 4
    loader = nf.Loader(nf.Dataset(x=np.zeros((8, 1 << 20), "float32")).map(x=casts), 1, threads=1)
    assert sum(1 for _ in loader) == 8
    stats = loader.stats()
    assert stats.wait_ns > stats.busy_ns
    assert stats.verdict.startswith("filling at ")
    assert stats.verdict.endswith("the processors are the limit")


def test_nothing_is_claimed_before_a_batch_was_taken(dataset: nf.Dataset) -> None:
    assert nf.Loader(dataset, 8).stats().verdict == "nothing measured yet: no batch was taken"


def test_explain_names_each_choice_and_why(dataset: nf.Dataset) -> None:
    lines = nf.Loader(dataset, 8, shuffle=True, threads=3, memory=1 << 20).explain().splitlines()
    assert lines[0] == "batches   8 an epoch, of 8 samples shuffled"
    assert lines[1] == "threads   3: as asked for"
    assert lines[2] == (
        "prefetch  4 batches by now, 10 at most if need be: as many as memory=1,048,576 holds"
    )
    assert lines[3].startswith("column    x: uint8 [32, 32, 3] of '")
    assert lines[3].endswith("x.npy' to float32 [3, 32, 32]")
    assert lines[4] == "          map: 100 % of its 196.61 kB lie in the page cache"
    assert lines[5].endswith("3,072 bytes in, 12,288 out")
    assert lines[6] == "column    y: int64 [] of 'memory' to int64 []"
    assert "threads   " in nf.Loader(dataset, 8).explain()


def test_explain_names_order_and_share(dataset: nf.Dataset) -> None:
    weighted = nf.Loader(dataset, 4, sampler=Weighted([1.0] * 64, 12), rank=1, world_size=3)
    assert weighted.explain().startswith(
        "batches   1 an epoch, of 4 samples drawn by weight, the share of rank 1 of 3\n"
    )


def test_prefetch_grows_with_stalls_and_stays_within_the_memory(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 1, threads=1, memory=10 * (12_288 + 8))
    assert loader._native.prefetch == 4
    for _ in range(200):
        for number, _ in enumerate(loader):
            if number % 16 == 0:
                time.sleep(0.0005)  # let the workers run ahead, so that they sleep for want of room
        if loader._native.prefetch == 10:
            break
    assert loader._native.prefetch == 10
    assert "10 batches by now, 10 at most" in loader.explain()


def test_an_asked_prefetch_stays(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 1, prefetch=2)
    for _ in range(5):
        for _ in loader:
            pass
    assert loader._native.prefetch == 2
    assert "prefetch  2 batches: as asked for" in loader.explain()
