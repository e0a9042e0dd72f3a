"""`npyfeed.Dataset`: columns that agree, samples by index, splits without overlap."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed import transforms as T


@pytest.fixture
def dataset(tmp_path: Path) -> nf.Dataset:
    np.save(tmp_path / "x.npy", np.arange(60, dtype="float32").reshape(20, 3))
    return nf.Dataset(x=tmp_path / "x.npy", y=np.arange(20))


def test_columns_length_and_spec_are_known_without_reading(dataset: nf.Dataset) -> None:
    assert len(dataset) == 20
    assert dataset.columns == ("x", "y")
    assert dataset.spec == {"x": nf.ColumnSpec("float32", (3,)), "y": nf.ColumnSpec("int64", ())}
    assert repr(dataset) == "<npyfeed.Dataset of 20 samples, x: float32 [3], y: int64 []>"


def test_one_index_gives_a_sample_and_several_give_them_stacked(dataset: nf.Dataset) -> None:
    x = np.arange(60, dtype="float32").reshape(20, 3)
    indices: list[Any] = [0, 7, -1, np.int64(3)]
    for index in indices:
        sample = dataset[index]
        np.testing.assert_array_equal(sample.x, x[index])
        assert sample.y == np.arange(20)[index]
    keys: list[Any] = [
        [4, 2, 4],
        slice(2, 17, 3),
        slice(None, None, -1),
        np.array([5, -5]),
        np.arange(20) % 2 == 0,
    ]
    for key in keys:
        np.testing.assert_array_equal(dataset[key].x, x[key])
    assert dataset[[]].x.shape == (0, 3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_indices_may_be_of_any_integer_dtype(dtype: str) -> None:
    dataset = nf.Dataset(x=np.arange(1797))
    assert dataset[np.array([1, 100], dtype)].x.tolist() == [1, 100]
    if dtype.startswith("i"):
        assert dataset.select(np.array([-1, 3, -128], dtype))[:].x.tolist() == [1796, 3, 1669]


@pytest.mark.parametrize("key", [20, -21, [0, 20], np.array([-21])])
def test_an_index_beyond_the_end_is_an_index_error(dataset: nf.Dataset, key: Any) -> None:
    with pytest.raises(IndexError, match="from -20 to 19"):
        dataset[key]


def test_columns_may_be_paths_arrays_and_ndarrays_of_every_dtype(tmp_path: Path) -> None:
    for dtype in ["bool", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64"]:
        array = np.random.default_rng(0).integers(0, 2, (5, 4)).astype(dtype)
        np.save(tmp_path / "a.npy", array)
        path = tmp_path / "a.npy"
        dataset = nf.Dataset(path=path, text=str(path), opened=nf.open(path), array=array)
        for column in dataset[:]:
            assert column.dtype == array.dtype
            np.testing.assert_array_equal(column, array)


def test_an_ndarray_column_is_read_where_it_lies() -> None:
    array = np.zeros((4, 2))
    dataset = nf.Dataset(x=array)
    array[2] = 5
    assert dataset[2].x.tolist() == [5, 5]
    del array
    assert dataset[2].x.tolist() == [5, 5]


def test_a_selection_of_a_selection(dataset: nf.Dataset) -> None:
    odd = dataset.select(range(1, 20, 2))
    assert odd[:].y.tolist() == list(range(1, 20, 2))
    assert odd.select([-1, 0, 0])[:].y.tolist() == [19, 1, 1]
    assert len(dataset.select([])) == 0
    with pytest.raises(IndexError):
        odd.select([10])


def test_a_selection_is_shuffled_within_itself(dataset: nf.Dataset) -> None:
    labels = np.concatenate([batch.y for batch in nf.Loader(dataset.select(range(5, 15)), 3, shuffle=True)])
    assert sorted(labels.tolist()) == list(range(5, 15))


@pytest.mark.filterwarnings("ignore:Length of split at index 0 is 0:UserWarning")  # torch's own
@pytest.mark.parametrize("fractions", [[0.8, 0.2], [0.5, 0.25, 0.25], [1.0], [0.33, 0.33, 0.34], [0, 1]])
def test_a_split_has_torchs_sizes_and_no_overlap(dataset: nf.Dataset, fractions: list[float]) -> None:
    parts = dataset.split(fractions, seed=1)
    numbers: Any = range(20)
    expected = torch.utils.data.random_split(numbers, fractions)
    assert [len(part) for part in parts] == [len(part) for part in expected]
    labels = np.concatenate([part[:].y for part in parts])
    assert sorted(labels.tolist()) == list(range(20))


def test_a_split_depends_on_its_seed_and_on_nothing_else(dataset: nf.Dataset) -> None:
    def labels(seed: int) -> list[int]:
        return dataset.split([0.5, 0.5], seed=seed)[0][:].y.tolist()  # type: ignore[no-any-return]

    assert labels(1) == labels(1)
    assert labels(1) != labels(2)
    assert labels(1) != sorted(labels(1))


def test_a_seed_that_is_none_is_named(dataset: nf.Dataset) -> None:
    with pytest.raises(nf.MismatchError, match="cannot split the dataset: expected seed from 0"):
        dataset.split([0.5, 0.5], seed=-1)


@pytest.mark.parametrize("fractions", [[0.8, 0.3], [0.5], [-0.5, 1.5], [float("nan"), 1.0], []])
def test_fractions_that_are_no_split_are_refused(dataset: nf.Dataset, fractions: list[float]) -> None:
    with pytest.raises(nf.MismatchError, match="cannot split"):
        dataset.split(fractions)


def test_columns_of_unequal_length_are_named() -> None:
    with pytest.raises(nf.MismatchError, match=r"'x' has 20, 'y' has 19"):
        nf.Dataset(x=np.zeros((20, 3)), y=np.zeros(19))


WRONG_COLUMNS: dict[str, tuple[Any, type[Exception], str]] = {
    "a missing file": ("none.npy", FileNotFoundError, r"column 'x'.*none\.npy.*working directory"),
    "a number": (3, nf.UnsupportedError, "column 'x': expected the path"),
    "a list": ([1, 2], nf.UnsupportedError, "column 'x': expected a list of paths.*asarray"),
    "a scalar array": (np.array(3.0), nf.MismatchError, r"column 'x'.*first axis counts"),
    "objects": (np.array([{}]), nf.UnsupportedError, "column 'x'.*object"),
    "strings": (np.array(["a"]), nf.UnsupportedError, "column 'x'"),
    "a step backwards": (np.arange(3)[::-1], nf.UnsupportedError, "column 'x'.*stride.*ascontiguousarray"),
    "a masked array": (np.ma.masked_array([1, 2], [False, True]), nf.UnsupportedError, r"column 'x'.*filled"),
}


@pytest.mark.parametrize("name", WRONG_COLUMNS)
def test_a_column_that_cannot_be_is_named(name: str) -> None:
    source, expected, message = WRONG_COLUMNS[name]
    with pytest.raises(expected, match=message):
        nf.Dataset(x=source)


def test_shapes_that_only_claim_to_be_large_are_errors(tmp_path: Path) -> None:
    def claiming(shape: str, descr: str) -> Path:
        text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
        path = tmp_path / "claims.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
        return path

    with pytest.raises(OSError, match="hold 576460752303423488 sample indices"):
        nf.Dataset(x=claiming(f"({2**60}, 0)", "|u1")).split([0.5, 0.5])
    clips = nf.Dataset(x=claiming(f"(1, {2**40}, 3, 0, 5)", "<f4"))
    assert clips.map(x=T.Normalize((1, 2, 3), 1))[0].x.size == 0
    with pytest.raises(nf.MismatchError, match="more bytes than"):
        nf.Dataset(x=claiming(f"(0, {2**62})", "|u1")).map(x=T.ToDtype("float64"))


def test_no_columns_and_names_that_cannot_be() -> None:
    with pytest.raises(nf.MismatchError, match="at least one column"):
        nf.Dataset()
    with pytest.raises(nf.MismatchError, match="class"):
        nf.Dataset(**{"class": np.zeros(3)})


def test_an_unknown_column_in_map_is_named_with_those_there_are(dataset: nf.Dataset) -> None:
    with pytest.raises(nf.MismatchError, match="no column 'z', the dataset has x, y"):
        dataset.map(z=T.ToTensor())
