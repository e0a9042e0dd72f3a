"""What `npyfeed.open` opens besides paths: open files, and the bytes of a file in memory."""

import gc
import gzip
import io
import itertools
import mmap
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npyfeed as nf

NUMBERS = ["|?", "i1", "<i2", ">i4", "<u8", "<f2", ">f4", "<f8", "<c8", ">c16", "<U3", "S2", "<M8[s]"]
SHAPES = [(), (0,), (1,), (5,), (2, 3, 1, 2, 3), (20, 7, 31)]
MEMORY: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "part": lambda content: memoryview(b"xx" + content + b"x")[2:-1],
    "BytesIO": io.BytesIO,
}


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(save: Any, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def numbers(dtype: str, shape: tuple[int, ...], order: str) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 90, shape)
    array = values.astype("U2").astype(dtype) if dtype[-2] in "US" else values.astype(dtype)
    return np.asarray(array, order=order)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("source", MEMORY)
@pytest.mark.parametrize(("dtype", "shape", "order"), list(itertools.product(NUMBERS, SHAPES, "CF")))
def test_memory_equals_numpys_load(dtype: str, shape: tuple[int, ...], order: str, source: str) -> None:
    content = saved(numbers(dtype, shape, order))
    found, expected = nf.open(MEMORY[source](content)), np.load(io.BytesIO(content))
    assert (found.dtype, found.shape, found.path, found.version) == (
        expected.dtype,
        expected.shape,
        None,
        (1, 0),
    )
    np.testing.assert_array_equal(found.numpy(), expected)
    for save in [np.savez, np.savez_compressed]:
        archive = nf.open(MEMORY[source](zipped(save, a=expected)))
        np.testing.assert_array_equal(archive["a"].numpy(), expected)
        assert archive.path is None


def test_memory_is_not_copied_and_lives_as_long_as_it_is_needed() -> None:
    content = bytearray(saved(np.arange(1000)))
    view = nf.open(content).numpy()
    assert view.ctypes.data == np.frombuffer(content, "u1").ctypes.data + 128
    with pytest.raises(BufferError):
        content.extend(b"more")
    part = view[10:20]
    del view
    gc.collect()
    np.testing.assert_array_equal(part, np.arange(10, 20))
    del part
    gc.collect()
    content.extend(b"more")


@pytest.mark.parametrize("source", MEMORY)
def test_memory_is_written_only_in_mode_r_plus(source: str) -> None:
    content = saved(np.arange(5))
    lent = MEMORY[source](content)
    array = nf.open(lent)
    assert not array.numpy().flags.writeable
    tensor = array.torch()
    tensor[0] = 9
    assert array[0] == 0
    lent = MEMORY[source](content)
    if source in ("bytes", "memoryview", "part"):
        with pytest.raises(nf.MismatchError, match=r"r\+"):
            nf.open(lent, mode="r+")
    else:
        nf.open(lent, mode="r+").numpy()[0] = 7
        assert np.load(io.BytesIO(bytes(lent) if source == "bytearray" else lent.getvalue()))[0] == 7


def test_arrays_one_after_the_other_in_one_file_and_in_one_buffer(tmp_path: Path) -> None:
    arrays = [
        np.arange(3),
        np.zeros((2, 0)),
        np.asfortranarray(np.eye(200)),
        np.array("text"),
        np.arange(9) * 1j,
    ]
    with (tmp_path / "many").open("wb") as file:
        for array in arrays:
            np.save(file, array)
    with (tmp_path / "many").open("rb") as file:
        in_memory = io.BytesIO(file.read())
        for source in [file, in_memory]:
            source.seek(0)
            found = [nf.open(source) for _ in arrays]
            source.seek(0)
            for array in found:
                np.testing.assert_array_equal(array.numpy(), np.load(source))
            with pytest.raises(nf.FormatError, match=f"found 0.*counted from byte {source.tell()}"):
                nf.open(source)
    np.testing.assert_array_equal(found[2].numpy(), arrays[2])


def open_files(path: Path) -> list[Any]:
    raw: list[Any] = [path.open("rb"), path.open("r+b"), path.open("rb", buffering=0)]
    copy = tempfile.NamedTemporaryFile()  # noqa: SIM115, closed by the caller
    copy.write(path.read_bytes())
    copy.seek(0)
    return [*raw, copy]


@pytest.mark.parametrize("length", [5, 5000])
def test_an_open_file_is_the_file_and_may_be_closed_meanwhile(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(length))
    for file in open_files(path):
        array = nf.open(file)
        assert file.tell() == path.stat().st_size
        assert str(array.path) == file.name
        file.close()
        np.testing.assert_array_equal(array.numpy(), np.arange(length))
    np.savez(tmp_path / "a.npz", x=np.arange(length))
    with (tmp_path / "a.npz").open("rb") as file:
        np.testing.assert_array_equal(nf.open(file)["x"].numpy(), np.arange(length))


def test_a_nameless_file_is_called_by_its_descriptor(tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        np.save(file, np.arange(5000))
        file.seek(0)
        array = nf.open(file)
        np.testing.assert_array_equal(array.numpy(), np.arange(5000))
        assert repr(array).startswith(f"npyfeed.Array('<file descriptor {file.fileno()}>'")


def test_a_map_of_pythons_is_a_buffer(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5000))
    with (tmp_path / "a.npy").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    np.testing.assert_array_equal(nf.open(mapped).numpy(), np.arange(5000))


def test_what_cannot_be_opened_is_refused_with_the_way_out(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(5))
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress((tmp_path / "a.npy").read_bytes()))
    with gzip.open(tmp_path / "a.npy.gz") as packed, (tmp_path / "a.npy").open() as text:
        hidden = io.BufferedReader(gzip.open(tmp_path / "a.npy.gz"))  # noqa: SIM115, closed below
        refused: list[Any] = [packed, hidden, text, 3, None, [b"a"]]
        for source in refused:
            with pytest.raises(nf.UnsupportedError, match=r"expected a path.*'rb'.*pass \.read"):
                nf.open(source)
        hidden.close()
        np.testing.assert_array_equal(nf.open(packed.read()).numpy(), np.arange(5))
    ndarray: Any = np.arange(3)
    with pytest.raises(nf.UnsupportedError, match=r"found numpy\.ndarray; an ndarray is in memory already"):
        nf.open(ndarray)
    with pytest.raises(nf.UnsupportedError, match=r"side by side.*steps"):
        nf.open(memoryview(saved(np.arange(5)))[::2])
    with (tmp_path / "a.npy").open("rb") as closed:
        pass
    with pytest.raises(ValueError, match="closed"):
        nf.open(closed)
    with pytest.raises(nf.FormatError, match=r"cannot open 'memory'.*magic"):
        nf.open(b"")
    with (tmp_path / "a.npy").open("rb") as reading, pytest.raises(PermissionError, match=r"a\.npy"):
        nf.open(reading, mode="r+")
