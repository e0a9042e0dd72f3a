"""Elements that are no plain numbers: NumPy arrays all the same, columns by field, or numbers by `dtype=`."""

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf
from npyfeed.torch import DataLoader

POINT = [("x", "<f4"), ("y", ">i2")]
PADDED = np.dtype({"names": ["a", "b"], "formats": ["u1", "<f8"], "offsets": [1, 8], "itemsize": 24})
DTYPES: dict[str, Any] = {
    "text": "<U5",
    "text_big_endian": ">U3",
    "text_of_none": "<U0",
    "bytes": "S3",
    "raw": "V7",
    "dates": "<M8[ns]",
    "dates_big_endian": ">M8[25s]",
    "dates_without_unit": "<M8",
    "spans": "<m8[D]",
    "records": POINT,
    "nested": [("point", POINT), ("name", "U4"), ("when", "<M8[s]")],
    "subarrays": [("grid", "<f4", (2, 3)), ("points", POINT, (2,)), ("flag", "?")],
    "titled": [(("the title", "x"), "<f4"), ("y", "u1")],
    "padded": PADDED,
    "aligned": np.dtype([("a", "u1"), ("b", "<f8"), ("c", "u1")], align=True),
    "named_in_latin1": [("größe", "<i2")],
    "named_in_utf8": [("大小", "<i2")],
}
SHAPES = [(), (0,), (1,), (5,), (3, 4), (2, 3, 1, 2, 3)]
MATRIX = list(itertools.product(DTYPES, SHAPES, "CF"))


def filled(dtype: Any, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """An array of arbitrary sound elements of `dtype`."""
    array = np.zeros(shape, dtype, order=order)  # type: ignore[call-overload]
    fill(array, np.random.default_rng(1))
    return array  # type: ignore[no-any-return]


def fill(array: np.ndarray, random: np.random.Generator) -> None:
    if array.dtype.names:
        for name in array.dtype.names:
            fill(array[name], random)
    elif array.dtype.kind == "V":
        array[...] = np.frombuffer(random.bytes(array.nbytes), array.dtype).reshape(array.shape)
    else:
        numbers = random.integers(0, 100, array.shape)
        array[...] = (
            numbers.astype("<U2").astype(array.dtype)
            if array.dtype.kind in "US"
            else numbers.astype(array.dtype)
        )


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
@pytest.mark.parametrize("save", ["npy", "npz", "npz_compressed"])
@pytest.mark.parametrize(("name", "shape", "order"), MATRIX)
def test_files_equal_numpys_load(
    tmp_path: Path, name: str, shape: tuple[int, ...], order: str, save: str
) -> None:
    array = filled(DTYPES[name], shape, order)
    if save == "npy":
        np.save(tmp_path / "a.npy", array)
        found, expected = nf.open(tmp_path / "a.npy"), np.load(tmp_path / "a.npy")
    else:
        (np.savez if save == "npz" else np.savez_compressed)(tmp_path / "a.npz", a=array)
        found, expected = nf.open(tmp_path / "a.npz")["a"], np.load(tmp_path / "a.npz")["a"]
    assert (found.shape, found.dtype, found.nbytes) == (expected.shape, expected.dtype, expected.nbytes)
    np.testing.assert_array_equal(found.numpy(), expected)
    np.testing.assert_array_equal(found.numpy(copy=True), expected)
    assert found.fortran_order == (array.flags.f_contiguous and not array.flags.c_contiguous)
    nf.save(tmp_path / "again.npy", found)
    np.save(tmp_path / "numpys.npy", expected)
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "numpys.npy").read_bytes()


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(("name", "shape", "order"), MATRIX)
def test_every_version_equals_numpys_load_also_from_memory_and_when_saved_again(
    tmp_path: Path, name: str, shape: tuple[int, ...], order: str, version: tuple[int, int]
) -> None:
    array, file = filled(DTYPES[name], shape, order), io.BytesIO()
    if name == "named_in_utf8" and version < (3, 0):
        with pytest.raises(UnicodeEncodeError):
            np.lib.format.write_array(file, array, version)
        return
    np.lib.format.write_array(file, array, version)
    (tmp_path / "a.npy").write_bytes(file.getvalue())
    expected = np.load(tmp_path / "a.npy")
    sources: list[Any] = [tmp_path / "a.npy", file.getvalue()]
    for source in sources:
        found = nf.open(source)
        assert (found.version, found.shape, found.dtype) == (version, expected.shape, expected.dtype)
        np.testing.assert_array_equal(found.numpy(), expected)
    for compressed in (False, True):
        nf.save_npz(tmp_path / "again.npz", a=found, compressed=compressed)
        with np.load(tmp_path / "again.npz") as again:
            assert again["a"].dtype == expected.dtype
            np.testing.assert_array_equal(again["a"], expected)


@pytest.mark.parametrize(
    ("name", "cure"),
    [("text", "numpy.unique"), ("dates", "dtype='int64'"), ("raw", "dtype="), ("records", "array.field")],
)
def test_what_is_no_number_is_refused_as_tensor_and_column_with_the_cure(
    tmp_path: Path, name: str, cure: str
) -> None:
    np.save(tmp_path / "a.npy", filled(DTYPES[name], (3,)))
    array = nf.open(tmp_path / "a.npy")
    with pytest.raises(nf.UnsupportedError, match=cure):
        array.torch()
    sources: list[Any] = [array, tmp_path / "a.npy"]
    for source in sources:
        with pytest.raises(nf.UnsupportedError, match=f"column 'x'.*a.npy.*{cure}"):
            nf.Dataset(x=source)


def fields_of(dtype: np.dtype, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of all fields, nested ones too."""
    paths = []
    for name in dtype.names or ():
        paths += [(*path, name), *fields_of(dtype[name].base, (*path, name))]
    return paths


@pytest.mark.parametrize("shape", [(3000, 2), (0,), (0, 4), ()])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("name", ["records", "nested", "subarrays", "titled", "padded", "aligned"])
def test_every_field_is_an_array_over_the_same_bytes(
    tmp_path: Path, name: str, order: str, shape: tuple[int, ...]
) -> None:
    np.save(tmp_path / "a.npy", filled(DTYPES[name], shape, order))
    whole = nf.open(tmp_path / "a.npy")
    view = whole.numpy()
    for path in fields_of(view.dtype):
        field, expected = whole, view
        for step in path:
            field, expected = field.field(step), expected[step]
        assert (field.shape, field.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(field.numpy(), expected)
        if field.size:
            assert field.numpy().ctypes.data == expected.ctypes.data
            assert field.numpy().strides == expected.strides
        assert field.path == whole.path
        np.testing.assert_array_equal(field.numpy(copy=True), expected)
    np.testing.assert_array_equal(whole[view.dtype.names[0]].numpy(), view[view.dtype.names[0]])


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_fields_of_no_records_are_empty(tmp_path: Path, save: Any) -> None:
    array = filled(DTYPES["subarrays"], (3, 0))
    path = tmp_path / ("a.npy" if save is np.save else "a.npz")
    save(path, array)
    opened = nf.open(path)
    whole = opened["arr_0"] if isinstance(opened, nf.Archive) else opened
    for field in fields_of(array.dtype):
        found, expected = whole, array
        for step in field:
            found, expected = found.field(step), expected[step]
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(found.numpy(), expected)


def test_a_field_with_more_axes_than_numpy_has_is_refused(tmp_path: Path) -> None:
    array = np.zeros((1,) * 63, [("x", "<f4", (1, 2)), ("y", "u1", (3,))])
    np.save(tmp_path / "a.npy", array)
    whole = nf.open(tmp_path / "a.npy")
    assert whole["y"].shape == array["y"].shape
    with pytest.raises(ValueError, match="dimensions"):
        array["x"]
    with pytest.raises(
        nf.UnsupportedError, match=r"field 'x' of .*a\.npy': expected at most 64 axes.*found 65"
    ):
        whole["x"]


def test_a_field_is_found_by_its_title_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    array = filled(DTYPES["titled"], (4,))
    np.save(tmp_path / "a.npy", array)
    whole = nf.open(tmp_path / "a.npy")
    np.testing.assert_array_equal(whole.field("the title").numpy(), array["x"])
    with pytest.raises(
        nf.MismatchError, match=r"no field 'z' in .*a\.npy', its elements are records of the fields 'x', 'y'"
    ):
        whole.field("z")
    with pytest.raises(nf.MismatchError, match=r"no field 'x'.*float32"):
        whole.field("x").field("x")
    np.save(tmp_path / "padded.npy", filled(PADDED, (4,)))
    with pytest.raises(nf.MismatchError, match=r"no field ''"):
        nf.open(tmp_path / "padded.npy").field("")


def test_fields_are_columns_by_name_and_as_tensors(tmp_path: Path) -> None:
    array = filled(DTYPES["nested"], (40,))
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", r=array)
    dataset = nf.Dataset(
        x=nf.open(tmp_path / "a.npz")["r"]["point"]["x"],
        y=nf.open(tmp_path / "a.npy").field("point").field("y"),
    )
    for batch in DataLoader(dataset, 16, shuffle=True, seed=3):
        assert batch.x.dtype == torch.float32
        assert batch.y.dtype == torch.int16
    np.testing.assert_array_equal(dataset[:].x, array["point"]["x"])
    np.testing.assert_array_equal(dataset[:].y, array["point"]["y"])
    nested = nf.Dataset(x=f"{tmp_path}/a.npy:point:x", y=f"{tmp_path}/a.npz:r:point:y")
    np.testing.assert_array_equal(nested[:].x, array["point"]["x"])
    np.testing.assert_array_equal(nested[:].y, array["point"]["y"])
    when = nf.open(tmp_path / "a.npy").field("when", dtype="int64")
    np.testing.assert_array_equal(nf.Dataset(when=when)[:].when, array["when"].astype("int64"))
    flat = filled(DTYPES["subarrays"], (40,))
    np.save(tmp_path / "flat.npy", flat)
    np.savez(tmp_path / "flat.npz", r=flat)
    named = nf.Dataset(grid=f"{tmp_path}/flat.npy:grid", flag=f"{tmp_path}/flat.npz:r:flag")
    np.testing.assert_array_equal(named[:].grid, flat["grid"])
    np.testing.assert_array_equal(named[:].flag, flat["flag"])
    tensor = nf.open(tmp_path / "flat.npy").field("grid").torch()
    np.testing.assert_array_equal(tensor.numpy(), flat["grid"])


BFLOAT16 = torch.tensor([0.0, -0.0, 1.5, -2.75, 3e38, 1e-40, torch.inf, torch.nan]).to(torch.bfloat16)


@pytest.mark.parametrize("stored", ["V2", "i2", "u2"])
def test_bfloat16_under_another_name(tmp_path: Path, stored: str) -> None:
    bits = BFLOAT16.view(torch.int16).numpy().view(stored)
    np.save(tmp_path / "a.npy", bits)
    for dtype in ["bfloat16", torch.bfloat16]:
        array = nf.open(tmp_path / "a.npy", dtype=dtype)
        assert array.dtype_name == "bfloat16"
        assert array.torch().dtype == torch.bfloat16
        torch.testing.assert_close(array.torch(), BFLOAT16, rtol=0, atol=0, equal_nan=True)
        (batch,) = DataLoader(nf.Dataset(x=array), 8)
        torch.testing.assert_close(batch.x, BFLOAT16, rtol=0, atol=0, equal_nan=True)


def test_dates_are_int64_when_asked(tmp_path: Path) -> None:
    for code in ["<M8[s]", ">M8[ns]", "<m8[D]"]:
        dates = np.array([1, -5, 2**40, "NaT"], code)
        np.save(tmp_path / "a.npy", dates)
        array = nf.open(tmp_path / "a.npy", dtype="int64")
        np.testing.assert_array_equal(array.numpy(), dates.astype("int64"))
        np.testing.assert_array_equal(nf.Dataset(t=array)[:].t, dates.astype("int64"))
        assert array.torch().dtype == torch.int64


def test_raw_bytes_are_the_numbers_they_are_said_to_be(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype="<f8").reshape(3, 4)
    np.savez(tmp_path / "a.npz", x=numbers.view("V8"), other=np.arange(3))
    archive = nf.open(tmp_path / "a.npz", dtype=np.float64)
    np.testing.assert_array_equal(archive["x"].numpy(), numbers)
    with pytest.raises(nf.MismatchError, match=r"read as float64, found int64.*converts nothing"):
        archive["other"]


@pytest.mark.parametrize(
    ("stored", "asked"),
    [("<f4", "float64"), ("<f4", "int32"), ("<i2", "float16"), ("U2", "int64"), ("S2", "bfloat16")],
)
def test_nothing_is_converted_by_the_way(tmp_path: Path, stored: str, asked: str) -> None:
    np.save(tmp_path / "a.npy", filled(stored, (3,)))
    with pytest.raises(nf.MismatchError, match=r"a\.npy.*converts nothing.*ToDtype"):
        nf.open(tmp_path / "a.npy", dtype=asked)
    with pytest.raises(nf.UnsupportedError, match="no_such"):
        nf.open(tmp_path / "a.npy", dtype="no_such")


@pytest.mark.parametrize("dtype", ["<f16", "<c32", "O"])
def test_what_no_other_machine_could_read_is_refused(tmp_path: Path, dtype: str) -> None:
    array = np.zeros(3, dtype)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(nf.UnsupportedError, match="pickle" if dtype == "O" else "save array.astype"):
        nf.open(tmp_path / "a.npy")
