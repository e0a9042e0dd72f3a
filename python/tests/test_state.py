"""`Loader.state_dict`: stopped anywhere, resumed with anything else, exactly the samples that were left."""

import json
import random
import time
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import samplers
from npyfeed.torch import DataLoader

COUNT = 203
SAMPLERS = [
    samplers.Sequential(),
    samplers.Shuffle(),
    samplers.BlockShuffle(8, 3),
    samplers.Weighted(np.arange(COUNT) % 5, 301),
    samplers.Weighted(np.arange(COUNT) % 5, 99, replacement=False),
    samplers.ClassBalanced(np.arange(COUNT) % 7 == 0),
    samplers.Explicit(np.arange(250) * 13 % COUNT),
]


def dataset(count: int = COUNT) -> nf.Dataset:
    return nf.Dataset(x=np.arange(count))


def some_steps(loaders: list[nf.Loader], step_count: int) -> list[int]:
    """What all ranks take together in a few steps."""
    samples: list[int] = []
    epochs = [iter(loader) for loader in loaders]
    for _ in range(step_count):
        for epoch in epochs:
            samples += [int(sample) for batch in [next(epoch, None)] if batch for sample in batch.x]
    return samples


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_an_epoch_in_many_parts_is_the_uninterrupted_one(sampler: samplers.Sampler) -> None:
    whole = nf.Loader(dataset(), 16, sampler=sampler, seed=11, epoch=2)
    state, expected = whole.state_dict(), [int(sample) for batch in whole for sample in batch.x]
    draw = random.Random(0)
    for _ in range(10):
        found, part = [], state
        while part["epoch"] == 2:
            world_size = draw.randint(1, 4)
            options: dict[str, Any] = {"threads": draw.randint(1, 3), "prefetch": draw.randint(1, 9)}
            batch_size = draw.randint(1, 40)
            loaders = [
                nf.Loader(dataset(), batch_size, sampler=sampler, rank=rank, world_size=world_size, **options)
                for rank in range(world_size)
            ]
            for loader in loaders:
                loader.load_state_dict(json.loads(json.dumps(part)))
            found += some_steps(loaders, draw.randint(1, 4))
            part, *others = [loader.state_dict() for loader in loaders]
            assert all(other == part for other in others)
        assert found[: len(expected)] == expected
        assert found[len(expected) :] == expected[: len(found) - len(expected)]
        assert len(found) - len(expected) < 4


def test_a_state_is_five_integers_that_say_what_was_handed_out_and_not_what_was_filled() -> None:
    loader = nf.Loader(dataset(), 10, shuffle=True, seed=4, prefetch=9)
    epoch = iter(loader)
    for taken in range(5):
        state = loader.state_dict()
        assert set(state) == {"version", "seed", "epoch", "position", "order"}
        assert (state["seed"], state["epoch"], state["position"]) == (4, 0, 10 * taken)
        assert all(type(number) is int for number in state.values())
        next(epoch)


def test_after_the_last_batch_the_next_epoch_begins() -> None:
    loader = nf.Loader(dataset(), 100, shuffle=True)
    states = [loader.state_dict() for _ in loader]
    assert [(state["epoch"], state["position"]) for state in states] == [(0, 100), (0, 200), (1, 0)]


def test_the_usual_loop_with_set_epoch_goes_on_in_the_midst() -> None:
    def train(loader: nf.Loader, epochs: int, stop_after: int | None = None) -> list[int]:
        seen: list[int] = []
        for number in range(loader.epoch, epochs):
            loader.set_epoch(number)
            for batch in loader:
                seen += batch.x.tolist()
                if len(seen) == stop_after:
                    return seen
        return seen

    expected = train(nf.Loader(dataset(100), 10, shuffle=True), 3)
    stopped = nf.Loader(dataset(100), 10, shuffle=True)
    begun = train(stopped, 3, stop_after=150)
    resumed = nf.Loader(dataset(100), 25, shuffle=True)
    resumed.load_state_dict(stopped.state_dict())
    assert begun + train(resumed, 3) == expected


def test_the_seed_comes_with_the_state() -> None:
    loader = DataLoader(dataset(100), 10, shuffle=True)
    state, expected = loader.state_dict(), [batch.x.tolist() for batch in loader]
    torch.manual_seed(12345)
    later = DataLoader(dataset(100), 10, shuffle=True)
    later.load_state_dict(state)
    assert [batch.x.tolist() for batch in later] == expected
    assert f"seed={state['seed']}" in repr(later)


def test_a_billion_samples_are_entered_anywhere_at_once() -> None:
    billion = nf.Dataset(x=np.broadcast_to(np.uint8(7), 10**9))
    for sampler in (samplers.Shuffle(), samplers.BlockShuffle(1000, 50)):
        loader = nf.Loader(billion, 64, sampler=sampler, threads=1)
        begin = time.monotonic()
        loader.load_state_dict({**loader.state_dict(), "epoch": 5, "position": 10**9 - 70})
        assert [len(batch.x) for batch in loader] == [64, 6]
        assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"order": 5}, nf.MismatchError, "the same order (kind, arguments, number of samples)"),
        ({"version": 2}, nf.MismatchError, "expected a state of version 1, found version 2"),
        ({"position": 204}, nf.MismatchError, "from 0 to the 203 samples of an epoch, found 204"),
        ({"position": -1}, nf.MismatchError, "expected position from 0"),
        ({"epoch": "1"}, nf.UnsupportedError, "expected epoch to be an integer, found '1'"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(
    change: dict[str, Any], error: type, message: str
) -> None:
    loader = nf.Loader(dataset(), 10, shuffle=True, epoch=3)
    state = loader.state_dict()
    with pytest.raises(error) as raised:
        loader.load_state_dict({**state, **change})
    assert message in str(raised.value)
    assert str(raised.value).startswith("cannot load the state: ")
    assert loader.state_dict() == state


def test_a_state_of_another_order_or_another_dataset_is_refused() -> None:
    loader = nf.Loader(dataset(), 10, shuffle=True)
    for other in [nf.Loader(dataset(), 10), nf.Loader(dataset(204), 10, shuffle=True)]:
        with pytest.raises(nf.MismatchError, match="make the loader as the one that saved it"):
            loader.load_state_dict(other.state_dict())
    with pytest.raises(nf.MismatchError, match="expected a number 'version'"):
        loader.load_state_dict({})
    with pytest.raises(nf.UnsupportedError, match=r"what state_dict\(\) gave, found int"):
        loader.load_state_dict(5)  # type: ignore[arg-type]
