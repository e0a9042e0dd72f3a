"""Crops give MONAI's samples; drawn ones depend on seed, epoch, sample and chain alone."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import monai.transforms as monai
import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import transforms as T

DTYPES = ["bool", "uint8", "int16", ">i2", "int64", "float16", "float32", ">f8", "complex64"]


def samples(shape: tuple[int, ...], dtype: str = "int16", count: int = 4) -> np.ndarray:
    """Every element differs from its neighbours, so that a crop tells where it is from."""
    numbers = np.random.default_rng(len(shape)).integers(0, 30_000, (count, *shape))
    return (numbers % 2 if dtype == "bool" else numbers).astype(dtype)


def ours(array: np.ndarray, *chain: T.Transform) -> np.ndarray:
    (batch,) = nf.Loader(nf.Dataset(x=array).map(x=chain), batch_size=len(array))
    return batch.x  # type: ignore[no-any-return]


def theirs(array: np.ndarray, transform: Any) -> np.ndarray:
    native = array.astype(array.dtype.newbyteorder("="))
    return np.stack([np.asarray(transform(torch.from_numpy(sample))) for sample in native])


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


def boxes(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    start = [int(random.integers(0, length)) for length in shape]
    return start, [
        int(random.integers(first + 1, length + 1)) for first, length in zip(start, shape, strict=True)
    ]


# -- boxes at a given place, and in the middle ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_spatial_crop_is_monais(dtype: str) -> None:
    random = np.random.default_rng(0)
    for spatial in [(19,), (9, 12), (7, 8, 9), (4, 5, 6, 3)]:
        array = samples((2, *spatial), dtype)
        for _ in range(5):
            start, end = boxes(random, spatial)
            expected = theirs(array, monai.SpatialCrop(roi_start=start, roi_end=end))
            assert_same(ours(array, T.SpatialCrop(roi_start=start, roi_end=end)), expected)


def test_spatial_crop_takes_monais_forms() -> None:
    array = samples((3, 10, 11, 12))
    forms: list[dict[str, Any]] = [
        {"roi_center": (5, 5, 6), "roi_size": (4, 5, 6)},
        {"roi_center": np.array([5, 6, 7]), "roi_size": 3},
        {"roi_center": torch.tensor([2, 2, 2]), "roi_size": [4, 4, 4]},
        {"roi_start": (1, 2, 3), "roi_end": 9},
        {"roi_start": 2, "roi_end": (5, 6, 7)},
        {"roi_slices": [slice(1, 5), slice(None), slice(3, None)]},
        {"roi_slices": [slice(None, 5), slice(2, 3, 1), slice(0, 12)]},
    ]
    for form in forms:
        assert_same(ours(array, T.SpatialCrop(**form)), theirs(array, monai.SpatialCrop(**form)))
    by_place = theirs(array, monai.SpatialCrop((5, 5, 6), (4, 5, 6)))
    assert_same(ours(array, T.SpatialCrop((5, 5, 6), (4, 5, 6))), by_place)


def test_center_spatial_crop_is_monais_for_even_and_uneven_sizes() -> None:
    for length, size in itertools.product(range(1, 9), range(1, 9)):
        if size <= length:
            array = samples((2, length, 7))
            expected = theirs(array, monai.CenterSpatialCrop((size, 4)))
            assert_same(ours(array, T.CenterSpatialCrop((size, 4))), expected)


@pytest.mark.parametrize("size", [(4, 5, 6), (4, None, 6), (-1, 5, 0), (10, 11, 12), 4, -1, 0, None])
def test_center_spatial_crop_takes_monais_sizes(size: Any) -> None:
    array = samples((3, 10, 11, 12))
    assert_same(ours(array, T.CenterSpatialCrop(size)), theirs(array, monai.CenterSpatialCrop(size)))


def test_one_length_counts_for_all_axes_but_that_of_the_channels() -> None:
    for shape, chain in [
        ((9,), []),
        ((3, 9, 8, 7), []),
        ((9, 8, 7), [T.AddChannel()]),
        ((9, 8), [T.AddChannel()]),
    ]:
        array = samples(shape)
        by_channel = array if len(shape) == 4 else array[:, None]
        expected = theirs(by_channel, monai.CenterSpatialCrop(5))
        found = ours(array, *chain, T.CenterSpatialCrop(5))
        assert_same(found, expected.reshape(found.shape))
    picture = samples((9, 8, 3), "uint8")
    expected = theirs(picture.transpose(0, 3, 1, 2).astype("float32") / 255, monai.CenterSpatialCrop(5))
    assert_same(ours(picture, T.ToTensor(), T.CenterSpatialCrop(5)), expected)


@pytest.mark.parametrize(("shape", "cure"), [((9, 8), r"\(5, 5\), or \(5,\)"), ((9, 8, 7), r"or \(5, 5\)")])
def test_one_length_is_refused_where_the_first_axis_may_be_space(shape: tuple[int, ...], cure: str) -> None:
    for crop in [T.CenterSpatialCrop(5), T.RandSpatialCrop(5)]:
        with pytest.raises(nf.MismatchError, match=rf"step 1 .* may count channels or not; write .*{cure}"):
            nf.Dataset(x=samples(shape)).map(x=crop)


def test_a_random_crop_without_random_center_is_monais() -> None:
    array = samples((3, 10, 11, 12))
    expected = theirs(array, monai.RandSpatialCrop((4, 5, 7), random_center=False))
    dataset = nf.Dataset(x=array).map(x=T.RandSpatialCrop((4, 5, 7), random_center=False))
    assert_same(dataset[:].x, expected)
    assert dataset.draw(0, 0) == {"x": []}


def test_samples_without_channels_are_cropped_alike() -> None:
    array = samples((10, 11, 12))
    with_channel = theirs(array[:, None], monai.CenterSpatialCrop((4, 5, 6)))
    assert_same(ours(array, T.CenterSpatialCrop((4, 5, 6))), with_channel[:, 0])
    assert_same(ours(array, T.CenterSpatialCrop((4, 5, 6)), T.AddChannel()), with_channel)
    assert_same(ours(array, T.AddChannel(), T.CenterSpatialCrop((4, 5, 6))), with_channel)


def test_added_channels_are_monais() -> None:
    array = samples((5, 6, 7))
    expected = theirs(array, monai.EnsureChannelFirst(channel_dim="no_channel"))
    assert_same(ours(array, T.AddChannel()), expected)


# -- in any place of a chain, from any layout ----------------------------------------------------------------

CHAIN = [
    T.ToTensor(),
    T.ToDtype("float64"),
    T.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)),
    T.ToDtype("float32"),
]


@pytest.mark.parametrize("place", range(5))
def test_a_crop_gives_the_same_at_any_place_of_a_chain(place: int) -> None:
    array = samples((20, 30, 3), "uint8")
    whole = ours(array, *CHAIN)
    before = T.SpatialCrop(roi_start=(3, 4, 0), roi_end=(18, 9, 3))
    behind = T.SpatialCrop(roi_start=(3, 4), roi_end=(18, 9))
    chain = [*CHAIN[:place], behind if place else before, *CHAIN[place:]]
    assert_same(ours(array, *chain), whole[:, :, 3:18, 4:9])


def test_a_crop_of_a_crop_is_that_of_numpy() -> None:
    array = samples((12, 13, 14))
    chain = [
        T.SpatialCrop(roi_start=(1, 2, 3), roi_end=(11, 12, 13)),
        T.CenterSpatialCrop((8, 0)),
        T.SpatialCrop(roi_start=(5,), roi_end=(9,)),
    ]
    assert_same(ours(array, *chain), array[:, 1:11, 2:12, 3:13][:, :, 1:9][..., 5:9])


def test_channels_can_be_chosen_before_normalize() -> None:
    array = samples((9, 8, 4), "uint8")
    rgb = T.SpatialCrop(roi_start=(0, 0, 0), roi_end=(3, 9, 8))
    found = ours(array, T.ToTensor(), rgb, T.Normalize((0.1, 0.2, 0.3), 1))
    assert_same(
        found, ours(np.ascontiguousarray(array[..., :3]), T.ToTensor(), T.Normalize((0.1, 0.2, 0.3), 1))
    )
    with pytest.raises(nf.MismatchError, match="crop before it"):
        nf.Dataset(x=array).map(x=[T.ToTensor(), T.Normalize((0.1, 0.2, 0.3, 0.4), 1), rgb])


@pytest.mark.parametrize("dtype", ["uint8", ">i2", "<f4", ">f8", "complex128"])
def test_boxes_come_out_of_every_layout(dtype: str, tmp_path: Path) -> None:
    array = samples((6, 40, 50), dtype, 3)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(array))
    records = np.zeros(array.shape, [("head", "u1"), ("x", dtype)])
    records["x"] = array
    np.save(tmp_path / "records.npy", records)
    sources: list[Any] = [
        array,
        np.asfortranarray(array),
        np.repeat(array, 2, axis=2)[:, :, ::2],
        array.transpose(0, 3, 2, 1).copy().transpose(0, 3, 2, 1),
        str(tmp_path / "fortran.npy"),
        f"{tmp_path / 'records.npy'}:x",
    ]
    first_axis, inner_axes = (
        T.SpatialCrop(roi_start=(2, 0, 0), roi_end=(5, 40, 50)),
        T.RandSpatialCrop((31, 37)),
    )
    native = array.astype(array.dtype.newbyteorder("="))
    for source in sources:
        dataset = nf.Dataset(x=source)
        assert_same(dataset.map(x=first_axis)[:].x, native[:, 2:5])
        drawn = dataset.map(x=inner_axes)
        assert_same(drawn[:].x, np.stack([cropped(drawn, (0, 0, i), native, (31, 37)) for i in range(3)]))


def test_one_axis_to_four_are_cropped() -> None:
    for shape, size in [
        ((1000,), (17,)),
        ((30, 40), (7, 0)),
        ((8, 9, 10), (8, 3, 4)),
        ((4, 5, 6, 7), (2, 3, 4, 5)),
    ]:
        array = samples(shape, count=6)
        dataset = nf.Dataset(x=array).map(x=[T.RandSpatialCrop(size), T.ToDtype("float32")])
        expected = [cropped(dataset, (0, 0, i), array, size).astype("float32") for i in range(6)]
        assert_same(dataset[:].x, np.stack(expected))


# -- drawn places --------------------------------------------------------------------------------------------


def cropped(
    dataset: nf.Dataset, place: tuple[int, int, int], array: np.ndarray, size: tuple[int, ...]
) -> Any:
    """What NumPy cuts out of a sample at the place that was drawn: of (seed, epoch, index)."""
    seed, epoch, index = place
    (drawn,) = dataset.draw(epoch, index, seed=seed)["x"]
    first = array.ndim - 1 - len(size)
    lengths = [length or array.shape[1 + first + axis] for axis, length in enumerate(size)]
    box = [slice(corner, corner + length) for corner, length in zip(drawn.corner, lengths, strict=True)]
    return array[index][(..., *box)]


def epoch_of(dataset: nf.Dataset, **options: Any) -> dict[int, bytes]:
    """The bytes of each sample of the next epoch, by its index."""
    loader = nf.Loader(dataset, shuffle=True, **options)
    return {int(i): x.tobytes() for batch in loader for i, x in zip(batch.index, batch.x, strict=True)}


SIZE = (5, 6, 7)


def drawing_dataset(count: int = 40) -> tuple[nf.Dataset, np.ndarray]:
    array = samples((2, 11, 12, 13), count=count)
    dataset = nf.Dataset(x=array, index=np.arange(count))
    return dataset.map(x=[T.RandSpatialCrop(SIZE), T.ToDtype("float32")]), array


def test_an_epoch_holds_what_numpy_cuts_out_at_the_places_drawn() -> None:
    dataset, array = drawing_dataset()
    loader = nf.Loader(dataset, batch_size=7, shuffle=True, seed=3)
    places = []
    for epoch in range(3):
        found = {int(i): x.copy() for batch in loader for i, x in zip(batch.index, batch.x, strict=True)}
        for index, x in found.items():
            assert_same(x, cropped(dataset, (3, epoch, index), array, SIZE).astype("float32"))
        places.append([dataset.draw(epoch, index, seed=3)["x"][0].corner for index in range(len(array))])
    assert len(set(itertools.chain(*places))) > 80  # of 120 draws from 343 places


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_prefetch_and_batch_size_leave_every_crop_as_it_is(threads: int) -> None:
    dataset, array = drawing_dataset()
    expected = {i: cropped(dataset, (5, 2, i), array, SIZE).astype("float32").tobytes() for i in range(40)}
    for prefetch, batch_size in itertools.product([1, 8], [1, 7, 40]):
        options = {"threads": threads, "prefetch": prefetch, "batch_size": batch_size, "seed": 5, "epoch": 2}
        assert epoch_of(dataset, **options) == expected


def test_large_crops_are_cut_among_threads_and_stay_as_they_are() -> None:
    array = np.arange(3 * 100**3, dtype=np.int32).reshape(3, 100, 100, 100)
    dataset = nf.Dataset(x=array, index=np.arange(3)).map(
        x=[T.RandSpatialCrop((90, 91, 92)), T.ToDtype("float32")]
    )
    expected = {
        i: cropped(dataset, (1, 0, i), array, (90, 91, 92)).astype("float32").tobytes() for i in range(3)
    }
    for threads in [1, 2, 5]:
        assert epoch_of(dataset, threads=threads, batch_size=2, seed=1) == expected


def test_files_of_a_folder_are_cropped_as_rows_of_an_array_are(tmp_path: Path) -> None:
    _, array = drawing_dataset()
    for index, sample in enumerate(array):
        np.save(tmp_path / f"{index:03d}.npy", sample)
    dataset = nf.Dataset(x=f"{tmp_path}/*.npy", index=np.arange(40)).map(x=T.RandSpatialCrop(SIZE))
    expected = {i: cropped(dataset, (5, 2, i), array, SIZE).tobytes() for i in range(40)}
    for io in ("map", "pread", "auto", "uring", "memory"):
        assert epoch_of(dataset, batch_size=7, seed=5, epoch=2, io=io) == expected


def test_a_dataset_that_was_pickled_crops_alike() -> None:
    array = samples((20, 30), count=5)
    chain = [
        T.SpatialCrop(roi_start=(1, 2), roi_end=(19, 29)),
        T.RandSpatialCrop((16, 20)),
        T.CenterSpatialCrop((15, 15)),
        T.RandomCrop(12),
        T.CenterCrop(9),
        T.ScaleIntensityRange(0, 5, 1, 2, clip=True),
    ]
    dataset = nf.Dataset(x=array).map(x=chain)
    again = pickle.loads(pickle.dumps(dataset))
    assert_same(again[:].x, dataset[:].x)
    assert again.draw(3, 4, seed=5) == dataset.draw(3, 4, seed=5)


def test_two_ranks_crop_as_one() -> None:
    dataset, _ = drawing_dataset()
    whole = epoch_of(dataset, batch_size=4, seed=9)
    ranks = [epoch_of(dataset, batch_size=4, seed=9, rank=rank, world_size=2) for rank in range(2)]
    assert not ranks[0].keys() & ranks[1].keys()
    assert ranks[0] | ranks[1] == whole


def test_an_epoch_that_is_resumed_crops_as_if_it_were_not() -> None:
    dataset, _ = drawing_dataset()
    first = nf.Loader(dataset, batch_size=6, shuffle=True, seed=2, epoch=4)
    batches = iter(first)
    done = {
        int(i): x.tobytes()
        for batch in itertools.islice(batches, 3)
        for i, x in zip(batch.index, batch.x, strict=True)
    }
    second = nf.Loader(dataset, batch_size=5, shuffle=True, seed=2)
    second.load_state_dict(first.state_dict())
    rest = {int(i): x.tobytes() for batch in second for i, x in zip(batch.index, batch.x, strict=True)}
    assert len(done) == 18
    assert len(rest) == 22
    assert done | rest == epoch_of(dataset, batch_size=6, seed=2, epoch=4)


def test_an_image_and_its_mask_are_cropped_alike_whatever_else_is_done_to_each() -> None:
    array = samples((30, 31), "uint8", 10)
    crop = T.RandSpatialCrop((8, 9))
    dataset = nf.Dataset(image=array, mask=array, other=array).map(
        image=[T.ToDtype("float32"), crop], mask=crop, other=[T.AddChannel(), crop]
    )
    batch = dataset[:]
    np.testing.assert_array_equal(batch.image, batch.mask)
    np.testing.assert_array_equal(batch.mask, batch.other[:, 0])
    drawn = dataset.draw(0, 4)
    assert [drawn[name][0].corner for name in ("image", "other")] == [drawn["mask"][0].corner] * 2
    assert [drawn[name][0].step for name in ("image", "mask", "other")] == [2, 1, 2]


def test_the_second_random_transform_of_a_chain_draws_other_numbers() -> None:
    array = samples((30, 31), "uint8", 10)
    twice = nf.Dataset(x=array).map(x=[T.RandSpatialCrop((20, 20)), T.RandSpatialCrop((10, 9))])
    corners = [[draw.corner for draw in twice.draw(0, i)["x"]] for i in range(10)]
    assert any(first != second for first, second in corners)


def test_a_sample_that_comes_twice_is_cropped_at_two_places() -> None:
    array = samples((64, 64), count=2)
    dataset = nf.Dataset(x=array).select([1, 1, 1, 1]).map(x=T.RandSpatialCrop((8, 8)))
    corners = [dataset.draw(0, index)["x"][0].corner for index in range(4)]
    assert len(set(corners)) == 4
    for found, (top, left) in zip(dataset[:].x, corners, strict=True):
        np.testing.assert_array_equal(found, array[1, top : top + 8, left : left + 8])


def corners_of(count: int, epoch: int = 0, seed: int = 0) -> np.ndarray:
    dataset = nf.Dataset(x=np.zeros((count, 8, 12, 16), "uint8")).map(x=T.RandSpatialCrop((4, 4, 4)))
    return np.array([dataset.draw(epoch, index, seed=seed)["x"][0].corner for index in range(count)])


def chi_squared(counts: np.ndarray) -> float:
    return float(((counts - counts.mean()) ** 2 / counts.mean()).sum())


def test_corners_are_uniform() -> None:
    corners = corners_of(11_700)
    for axis, (positions, limit) in enumerate(
        [(5, 18.5), (9, 26.1), (13, 32.9)]
    ):  # 0.1 % of fair draws are beyond
        counts = np.bincount(corners[:, axis], minlength=positions)
        assert len(counts) == positions
        assert chi_squared(counts) < limit


def test_axes_and_epochs_and_seeds_are_independent() -> None:
    corners = corners_of(11_700)
    pairs = [
        (corners[:, 0] * 9 + corners[:, 1], 45),
        (corners[:, 0] * 5 + corners_of(11_700, epoch=1)[:, 0], 25),
        (corners[:, 0] * 5 + corners_of(11_700, seed=1)[:, 0], 25),
        (corners[:-1, 0] * 5 + corners[1:, 0], 25),
    ]
    for joint, cells in pairs:
        degrees = cells - 1
        limit = degrees + 3.1 * np.sqrt(2 * degrees) + 5  # 0.1 % of fair draws are beyond, or fewer
        assert chi_squared(np.bincount(joint, minlength=cells)) < limit


def test_a_draw_names_what_does_not_exist() -> None:
    dataset, _ = drawing_dataset()
    with pytest.raises(IndexError, match="-40 to 39, found 40"):
        dataset.draw(0, 40)
    with pytest.raises(nf.MismatchError, match="epoch from 0"):
        dataset.draw(-1, 0)
    assert dataset.draw(0, -1) == dataset.draw(0, 39)
    assert dataset.draw(0, 0)["index"] == []


# -- what cannot be ------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[T.Transform, str]] = {
    "longer than the sample": (T.CenterSpatialCrop((9, 40)), r"step 2 \(CenterSpatialCrop\): .*40 .*axis 1"),
    "drawn, longer than the sample": (
        T.RandSpatialCrop((31, 9)),
        r"step 2 \(RandSpatialCrop\): .*31 .*axis 0",
    ),
    "more lengths than axes": (T.RandSpatialCrop((2, 2, 2)), "1 to 2 axes"),
    "no lengths": (T.CenterSpatialCrop(()), "1 to 2 axes"),
    "beyond the end": (
        T.SpatialCrop(roi_start=(0, 9), roi_end=(9, 32)),
        r"step 2 \(SpatialCrop\): .*9\.\.32",
    ),
    "nothing left": (T.SpatialCrop(roi_start=(4,), roi_end=(4,)), r"4\.\.4 along axis 1"),
    "a picture taller than the sample": (T.CenterCrop((31, 3)), r"step 2 \(CenterCrop\)"),
    "a random picture wider than the sample": (T.RandomCrop((3, 99)), r"step 2 \(RandomCrop\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_box_that_is_not_in_the_sample_is_refused_when_mapped(name: str) -> None:
    crop, message = REFUSED[name]
    dataset = nf.Dataset(image=samples((30, 31)))
    with pytest.raises(nf.MismatchError, match=message) as caught:
        dataset.map(image=[T.ToDtype("float32"), crop])
    assert "'image'" in str(caught.value)


def test_arguments_that_mean_nothing_here_are_refused_with_the_cure() -> None:
    with pytest.raises(nf.UnsupportedError, match="one size"):
        T.RandSpatialCrop((4, 4), random_size=True)
    with pytest.raises(nf.UnsupportedError, match="one size"):
        T.RandSpatialCrop((4, 4), max_roi_size=(8, 8))
    with pytest.raises(nf.UnsupportedError, match=r"numpy\.pad"):
        T.RandomCrop(4, padding=2)
    with pytest.raises(nf.UnsupportedError, match=r"numpy\.pad"):
        T.RandomCrop(4, pad_if_needed=True)
    with pytest.raises(nf.UnsupportedError, match="without steps"):
        T.SpatialCrop(roi_slices=[slice(0, 8, 2)])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"roi_start": (1, 2)},
        {"roi_center": (1, 2), "roi_size": (4, 4)},
        {"roi_start": (-1, 2), "roi_end": (4, 4)},
        {"roi_start": (1, 2), "roi_end": (4, 4, 4)},
        {"roi_start": (0, 0), "roi_end": (4, 0)},
        {"roi_slices": [slice(-4, None)]},
        {"roi_slices": [slice(0, 0)]},
    ],
)
def test_boxes_that_cannot_be_are_refused_when_made(arguments: dict[str, Any]) -> None:
    with pytest.raises(nf.MismatchError, match="expected"):
        T.SpatialCrop(**arguments)


def test_sizes_that_cannot_be_are_refused_when_made() -> None:
    with pytest.raises(nf.MismatchError, match="-2 in roi_size"):
        T.CenterSpatialCrop((4, -2))
    sizes: list[Any] = [0, (4, 0), (1, 2, 3), ()]
    for size in sizes:
        with pytest.raises(nf.MismatchError, match="height and width"):
            T.CenterCrop(size)
