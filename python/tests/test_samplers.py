"""`npyfeed.samplers`: which samples an epoch takes, in which order, and on which rank."""

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import samplers
from npyfeed.torch import DataLoader


def indices(count: int) -> nf.Dataset:
    """A dataset whose samples are their own indices."""
    return nf.Dataset(x=np.arange(count))


def epoch(count: int, sampler: samplers.Sampler, **options: Any) -> np.ndarray:
    """The samples of an epoch."""
    return np.concatenate([batch.x for batch in nf.Loader(indices(count), 16, sampler=sampler, **options)])


def counts(samples: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(samples, minlength=count)


NOT_A_FLAG: Any = 2
NOT_AN_INTEGER: Any = 2.5

ALL = [
    samplers.Sequential(),
    samplers.Shuffle(),
    samplers.BlockShuffle(8, 3),
    samplers.Weighted(np.arange(100) % 4),
    samplers.Weighted(np.ones(100), 50, replacement=False),
    samplers.ClassBalanced(np.arange(100) % 9 == 0),
    samplers.Explicit([5, 5, 99, 0, 17]),
]


@pytest.mark.parametrize("sampler", ALL, ids=repr)
def test_a_sampler_survives_pickle_and_gives_the_same_epoch_on_any_number_of_threads(
    sampler: samplers.Sampler,
) -> None:
    expected = epoch(100, sampler, seed=3, threads=1)
    again = pickle.loads(pickle.dumps(sampler))
    assert type(again) is type(sampler)
    assert epoch(100, again, seed=3, threads=5, prefetch=2).tolist() == expected.tolist()


def test_sequential_and_shuffle_are_what_shuffle_says() -> None:
    for sampler, shuffle in [(samplers.Sequential(), False), (samplers.Shuffle(), True)]:
        ours = epoch(100, sampler, seed=5)
        theirs = np.concatenate([b.x for b in nf.Loader(indices(100), 16, shuffle=shuffle, seed=5)])
        assert ours.tolist() == theirs.tolist()


def test_a_block_shuffle_takes_each_sample_once_and_each_block_in_one_go() -> None:
    samples = epoch(1000, samplers.BlockShuffle(block_size=16, window=4))
    assert sorted(samples) == list(range(1000))
    places = np.argsort(samples)
    spans = [np.ptp(places[start : start + 16]) for start in range(0, 1000, 16)]
    assert max(spans) < 16 * 4
    assert np.ptp(places[::16]) > 800, "blocks come from everywhere"


def test_weights_with_replacement_are_kept_as_torch_keeps_them() -> None:
    weights = np.array([0, 1, 2, 5, 0, 12], "float32")
    drawn = counts(epoch(6, samplers.Weighted(torch.from_numpy(weights), 100_000)), 6)
    expected = weights / weights.sum() * 100_000
    assert drawn[weights == 0].sum() == 0
    chi_square = ((drawn - expected)[weights > 0] ** 2 / expected[weights > 0]).sum()
    assert chi_square < 30  # of 3 degrees of freedom: once in 700,000
    theirs = torch.utils.data.WeightedRandomSampler(weights.tolist(), 100_000)
    assert np.abs(counts(np.array(list(theirs)), 6) - drawn).max() < 1500  # both within five deviations


def test_without_replacement_each_sample_comes_once_at_most_and_the_heavy_ones_first() -> None:
    weights = np.ones(100)
    weights[:10] = 1e6
    weights[50:] = 0
    samples = epoch(100, samplers.Weighted(weights, 50, replacement=False))
    assert sorted(samples) == list(range(50))
    assert sorted(samples[:10]) == list(range(10))


@pytest.mark.slow
def test_more_weights_than_torch_can_count() -> None:
    weights = np.zeros((1 << 24) + 2)
    weights[-2:] = [1, 3]
    with pytest.raises(RuntimeError, match="2\\^24"):
        torch.multinomial(torch.from_numpy(weights), 1)
    dataset = nf.Dataset(x=np.arange(len(weights), dtype="uint32"))
    (batch,) = nf.Loader(dataset, 10_000, sampler=samplers.Weighted(weights, 10_000))
    heavy = int((batch.x == len(weights) - 1).sum())
    assert batch.x.min() == len(weights) - 2
    assert abs(heavy - 7500) < 5 * 44


@pytest.mark.parametrize("labels", [[0] * 90 + [7] * 8 + [-3] * 2, ["a"] * 90 + ["b"] * 8 + ["c"] * 2])
def test_every_class_comes_equally_often_in_every_batch_of_whole_rounds(labels: list[Any]) -> None:
    classes = np.unique(labels, return_inverse=True)[1]
    loader = nf.Loader(indices(100), 6, shuffle=False, sampler=samplers.ClassBalanced(labels))
    batches = [batch.x for batch in loader]
    assert [len(batch) for batch in batches] == [6] * 17
    for batch in batches:
        assert np.bincount(classes[batch]).tolist() == [2, 2, 2]
    drawn = counts(np.concatenate(batches), 100)
    for number in range(3):
        assert np.ptp(drawn[classes == number]) <= 1, "the samples of a class come equally often"


def test_a_class_balanced_epoch_is_as_long_as_asked() -> None:
    assert len(epoch(4, samplers.ClassBalanced([1, 1, 1, 2], num_samples=6))) == 6


def test_explicit_indices_come_as_given_in_every_epoch() -> None:
    loader = nf.Loader(indices(9), 2, sampler=samplers.Explicit(np.array([8, 1, 8], "int16")))
    for _ in range(2):
        assert [batch.x.tolist() for batch in loader] == [[8, 1], [8]]
    assert list(nf.Loader(indices(9), 2, sampler=samplers.Explicit([]))) == []


@pytest.mark.parametrize("uneven", ["pad", "drop"])
@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_have_the_numbers_and_sizes_of_batches_that_distributed_sampler_gives(
    *, uneven: Any, drop_last: bool
) -> None:
    for count, world_size, batch_size in itertools.product([1, 3, 11, 15, 16, 50], [1, 2, 3, 8], [1, 4, 7]):
        for rank in range(world_size):
            data = torch.arange(count)
            sampler: Any = torch.utils.data.DistributedSampler(
                data,  # type: ignore[arg-type]
                world_size,
                rank,
                drop_last=uneven == "drop",
            )
            theirs: Any = torch.utils.data.DataLoader(
                data,  # type: ignore[arg-type]
                batch_size,
                sampler=sampler,
                drop_last=drop_last,
            )
            ours = nf.Loader(
                indices(count),
                batch_size,
                shuffle=True,
                drop_last=drop_last,
                rank=rank,
                world_size=world_size,
                uneven=uneven,
            )
            sizes = [len(batch.x) for batch in ours]
            assert sizes == [len(batch) for batch in theirs], (count, world_size, batch_size, rank)
            assert len(ours) == len(sizes)


def test_the_batches_of_all_ranks_joined_are_those_of_one_process() -> None:
    for count in (96, 101):
        alone = nf.Loader(indices(count), 12, shuffle=True, seed=1)
        ranks = [nf.Loader(indices(count), 4, shuffle=True, seed=1, rank=r, world_size=3) for r in range(3)]
        for whole, *parts in zip(alone, *ranks, strict=True):
            joined = np.concatenate([part.x for part in parts])
            assert joined[: len(whole.x)].tolist() == whole.x.tolist()
            assert len(joined) - len(whole.x) < 3


def test_torch_ranks_agree_on_the_order_without_a_seed() -> None:
    taken = []
    for rank in range(2):
        torch.manual_seed(rank)  # as unlike as two processes are
        loader = DataLoader(indices(20), 5, shuffle=True, rank=rank, world_size=2)
        taken += [int(sample) for batch in loader for sample in batch.x]
    assert sorted(taken) == list(range(20))


def test_torch_draws_the_seed_of_a_sampler_from_its_generator() -> None:
    def samples(seed: int) -> list[int]:
        torch.manual_seed(seed)
        (batch,) = DataLoader(indices(100), 100, sampler=samplers.Weighted(np.ones(100)))
        taken: list[int] = batch.x.tolist()
        return taken

    assert samples(0) == samples(0) != samples(1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: samplers.Weighted([1, float("nan")]), nf.MismatchError, "found NaN at index 1"),
        (lambda: samplers.Weighted([1, -1.0]), nf.MismatchError, "found -1 at index 1"),
        (lambda: samplers.Weighted([0, 0]), nf.MismatchError, "one weight above 0, found none"),
        (lambda: samplers.Weighted([1, 0], replacement=False), nf.MismatchError, "found 1; draw fewer"),
        (lambda: samplers.Weighted([1], 0), nf.MismatchError, "num_samples from 1 to 2**62, found 0"),
        (lambda: samplers.Weighted([1], -1), nf.MismatchError, "num_samples from 0 to"),
        (lambda: samplers.Weighted([[1.0]]), nf.MismatchError, "weights with one axis, found shape (1, 1)"),
        (lambda: samplers.Weighted([1], replacement=NOT_A_FLAG), nf.UnsupportedError, "found 2"),
        (lambda: samplers.Weighted(["1"]), nf.UnsupportedError, "elements of <U1"),
        (lambda: samplers.BlockShuffle(0, 1), nf.MismatchError, "block_size of at least 1, found 0"),
        (
            lambda: samplers.BlockShuffle(1, NOT_AN_INTEGER),
            nf.UnsupportedError,
            "window to be an integer, found 2.5",
        ),
        (lambda: samplers.ClassBalanced([]), nf.MismatchError, "at least one label, found none"),
        (lambda: samplers.ClassBalanced([1], 0), nf.MismatchError, "num_samples"),
        (lambda: samplers.Explicit([0, -1]), nf.MismatchError, "indices from 0 on, found -1"),
        (lambda: samplers.Explicit([0.5]), nf.UnsupportedError, "elements of float64"),
    ],
)
def test_a_wrong_sampler_is_an_error_when_it_is_made(make: Any, error: type, message: str) -> None:
    with pytest.raises(error) as raised:
        make()
    assert message in str(raised.value)
    assert str(raised.value).startswith("cannot make a sampler: ")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"sampler": samplers.Weighted(np.ones(9))},
            nf.MismatchError,
            "as the dataset has samples, 10, found 9",
        ),
        ({"sampler": samplers.ClassBalanced([1])}, nf.MismatchError, "as many labels"),
        ({"sampler": samplers.Explicit([3, 10])}, nf.MismatchError, "below 10, found 10 at place 1"),
        ({"sampler": [1, 2]}, nf.UnsupportedError, "from npyfeed.samplers, found list"),
        (
            {"sampler": samplers.Shuffle(), "shuffle": True},
            nf.MismatchError,
            "found both; leave out shuffle beside Shuffle()",
        ),
        ({"rank": 0}, nf.MismatchError, "expected rank and world_size together"),
        ({"world_size": 2}, nf.MismatchError, "found rank=None, world_size=2"),
        ({"rank": 2, "world_size": 2}, nf.MismatchError, "found rank=2, world_size=2"),
        ({"rank": -1, "world_size": 2}, nf.MismatchError, "expected rank from 0"),
        ({"uneven": "truncate"}, nf.MismatchError, "uneven to be 'pad' or 'drop', found 'truncate'"),
    ],
)
def test_what_does_not_fit_is_an_error_when_the_loader_is_made(
    options: dict[str, Any], error: type, message: str
) -> None:
    for make in (nf.Loader, DataLoader):
        with pytest.raises(error) as raised:
            make(indices(10), 2, **options)
        assert message in str(raised.value)


def test_a_loader_shows_its_sampler() -> None:
    loader = nf.Loader(indices(10), sampler=samplers.BlockShuffle(2, 3), rank=1, world_size=2)
    assert "order=BlockShuffle(block_size=2, window=3)" in repr(loader)
    assert "world_size=2" in repr(loader)
    many = repr(samplers.Weighted([0.5] * 1_000_000))
    assert many.startswith("Weighted(weights=[0.5, 0.5, ")
    assert len(many) < 100
