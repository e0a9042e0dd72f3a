"""Every number in every order: equal to what NumPy loads, through every path."""

import csv
import io
import itertools
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.torch import DataLoader

NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
BYTE_ORDERS = "<>"
MEMORY_ORDERS = "CF"
VERSIONS = [(1, 0), (2, 0), (3, 0)]
SHAPES = [(), (0,), (1,), (5,), (3, 4), (7, 1, 3), (2, 0, 3), (2, 3, 1, 2, 3)]
DTYPES = [byte_order + dtype for byte_order in BYTE_ORDERS for dtype in NUMBERS]
MATRIX = list(itertools.product(DTYPES, MEMORY_ORDERS, SHAPES))


def numbers(dtype: str, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """Arbitrary bits that are sound numbers of `dtype`."""
    random = np.random.default_rng(len(shape))
    values = random.integers(0, 100, shape)
    array = (values * (1 + 2j)).astype(dtype) if "c" in dtype else values.astype(dtype)
    return np.asarray(array, order=order)  # type: ignore[call-overload, no-any-return]


def assert_equal(found: nf.Array, expected: np.ndarray) -> None:
    array = np.asarray(found)
    assert (array.dtype, array.shape, found.nbytes) == (expected.dtype, expected.shape, expected.nbytes)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(array, expected)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """The same elements, in the same order in memory."""
    flags = [(array.flags.c_contiguous, array.flags.f_contiguous) for array in (found, expected)]
    assert (found.dtype, found.shape, flags[0]) == (expected.dtype, expected.shape, flags[1])
    np.testing.assert_array_equal(found, expected)


def zipped(content: bytes, method: int) -> bytes:
    """An archive of one member, `a`, as NumPy names it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.npy", content)
    return file.getvalue()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("dtype", "order", "shape"), MATRIX)
def test_npy_files_equal_numpys_load(
    tmp_path: Path, dtype: str, order: str, shape: tuple[int, ...], version: tuple[int, int]
) -> None:
    array = numbers(dtype, shape, order)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version)
    found, expected = nf.open(tmp_path / "a.npy"), np.load(tmp_path / "a.npy")
    assert_equal(found, expected)
    assert found.version == version
    assert found.fortran_order == (array.flags.f_contiguous and not array.flags.c_contiguous)
    content = (tmp_path / "a.npy").read_bytes()
    assert_equal(nf.open(content), expected)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert_equal(nf.open(zipped(content, method))["a"], expected)
    nf.save(tmp_path / "again.npy", found)
    np.save(tmp_path / "numpys.npy", array)
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()
    for compressed in (False, True):
        nf.save_npz(tmp_path / "again.npz", a=found, compressed=compressed)
        with np.load(tmp_path / "again.npz") as again:
            assert_same(again["a"], expected)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_npz_members_equal_numpys_load(tmp_path: Path, dtype: str, save: object) -> None:
    arrays = {
        f"{'big' if byte_order == '>' else 'little'}{order}{number}": numbers(
            byte_order + dtype, shape, order
        )
        for number, (byte_order, order, shape) in enumerate(
            itertools.product(BYTE_ORDERS, MEMORY_ORDERS, SHAPES)
        )
    }
    assert callable(save)
    save(tmp_path / "a.npz", **arrays)
    found, expected = nf.open(tmp_path / "a.npz"), np.load(tmp_path / "a.npz")
    assert list(found) == list(expected)
    for name in expected:
        assert_equal(found[name], expected[name])


@pytest.mark.parametrize(
    ("dtype", "byte_order", "order"), list(itertools.product(NUMBERS, BYTE_ORDERS, MEMORY_ORDERS))
)
def test_samples_are_native_and_packed_whatever_the_file(
    tmp_path: Path, dtype: str, byte_order: str, order: str
) -> None:
    array = numbers(byte_order + dtype, (40, 3, 5, 2), order)
    np.save(tmp_path / "a.npy", array)
    dataset = nf.Dataset(
        path=tmp_path / "a.npy", array=array, opened=nf.open(tmp_path / "a.npy"), row=np.arange(40)
    )
    for batch in nf.Loader(dataset, 16, shuffle=True, threads=2):
        for column in batch[:3]:
            assert column.dtype == array.dtype.newbyteorder("=")
            assert column.flags.c_contiguous
            np.testing.assert_array_equal(column, array[batch.row])


@pytest.mark.parametrize(
    ("dtype", "byte_order", "order"), list(itertools.product(NUMBERS[1:12], BYTE_ORDERS, MEMORY_ORDERS))
)
def test_transforms_give_the_same_bytes_whatever_the_order(dtype: str, byte_order: str, order: str) -> None:
    plain = numbers("=" + dtype, (20, 6, 7, 3))
    array = np.asarray(plain.astype(byte_order + dtype), order=order)  # type: ignore[call-overload]
    chain = [T.ToTensor(), T.ToDtype("float32"), T.Normalize((1, 2, 3), (4, 5, 6))]
    (expected,) = DataLoader(nf.Dataset(x=plain).map(x=chain), 20)
    (found,) = DataLoader(nf.Dataset(x=array).map(x=chain), 20)
    assert found.x.numpy().tobytes() == expected.x.numpy().tobytes()


def test_a_field_of_a_record_is_a_column_without_a_copy() -> None:
    records = np.zeros(30, [("label", "<i8"), ("point", ">f4", (3,)), ("name", "U5")])
    records["label"] = np.arange(30)
    records["point"] = np.arange(90).reshape(30, 3)
    dataset = nf.Dataset(label=records["label"], point=records["point"])
    (batch,) = nf.Loader(dataset, 30)
    np.testing.assert_array_equal(batch.label, records["label"])
    np.testing.assert_array_equal(batch.point, records["point"])
    records["label"][7] = -1
    assert dataset[7].label == -1


def test_slices_with_steps_are_columns_where_they_lie() -> None:
    array = np.arange(4 * 5 * 6, dtype="int16").reshape(4, 5, 6)
    keys: list[Any] = [np.s_[::2], np.s_[:, ::2], np.s_[:, 1:, ::3], np.s_[:, 2], np.s_[1:2]]
    for key in keys:
        np.testing.assert_array_equal(nf.Dataset(x=array[key])[:].x, array[key])
    transposed = array.transpose(2, 0, 1)
    np.testing.assert_array_equal(nf.Dataset(x=transposed)[:].x, transposed)
    repeated = np.broadcast_to(np.arange(3), (4, 3))
    np.testing.assert_array_equal(nf.Dataset(x=repeated)[:].x, repeated)


def test_complex_numbers_are_moved_and_not_computed_with() -> None:
    dataset = nf.Dataset(x=numbers("c8", (4, 3, 3, 2)))
    assert dataset.map(x=T.ToTensor()).spec["x"] == nf.ColumnSpec("complex64", (2, 3, 3))
    with pytest.raises(nf.UnsupportedError, match="imaginary"):
        dataset.map(x=T.ToDtype("float32"))
    with pytest.raises(nf.MismatchError, match="floating-point"):
        dataset.map(x=[T.ToTensor(), T.Normalize(0, 1)])


CORPUS = Path(os.environ.get("NPYFEED_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))


def corpus() -> Iterator[dict[str, str]]:
    with (CORPUS / "MANIFEST.csv").open(newline="") as file:
        yield from csv.DictReader(file)


@pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of files from the wild is not beside the checkout"
)
def test_files_from_the_wild_open_as_numpy_opens_them_or_are_refused() -> None:
    opened = 0
    for row in corpus():
        if row["kind"] != "npy":
            continue
        path = CORPUS / row["file"]
        try:
            found = nf.open(path)
        except nf.UnsupportedError:
            continue
        except (nf.FormatError, OSError):
            assert row["expect"] != "must_match", row["file"]
            continue
        if isinstance(found, nf.Archive):
            continue
        assert_equal(found, np.load(path))
        opened += 1
    assert opened >= 20
    assert zipfile.is_zipfile(next(CORPUS.glob("*.npz")))
