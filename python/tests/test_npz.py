"""`npyfeed.open` of .npz files: what `numpy.load` reads comes out, lazily, and what lies is refused."""

import csv
import gc
import hashlib
import io
import os
import pickle
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import npyfeed as nf

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "float32", "float64"]
SHAPES: list[tuple[int, ...]] = [(), (0,), (1,), (3,), (5, 7), (2, 0, 3), (2, 3, 4, 5, 6)]
# NumPy's stubs take the first of `**arrays` for `allow_pickle`.
SAVERS: dict[str, Any] = {"stored": np.savez, "deflated": np.savez_compressed}
CORPUS = Path(os.environ.get("NPYFEED_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))


def arrays_of(dtype: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {f"of{len(shape)}/{shape}": random.integers(0, 99, shape).astype(dtype) for shape in SHAPES}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("saver", SAVERS)
def test_equal_to_numpys_load(tmp_path: Path, saver: str, dtype: str) -> None:
    path = tmp_path / "arrays.npz"
    SAVERS[saver](path, **arrays_of(dtype))
    archive, expected = nf.open(path), np.load(path)
    assert isinstance(archive, nf.Archive)
    assert list(archive) == list(archive.keys()) == expected.files
    for name, array in archive.items():
        found = np.asarray(array)
        assert (array.shape, array.dtype, found.dtype) == (
            expected[name].shape,
            expected[name].dtype,
            array.dtype,
        )
        np.testing.assert_array_equal(found, expected[name])


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_version_streamed_and_behind_a_prefix(
    tmp_path: Path, method: int, version: tuple[int, int]
) -> None:
    class Pipe(io.RawIOBase):
        """A file that cannot seek, as a pipe; zipfile then writes sizes and CRC behind the data."""

        def __init__(self) -> None:
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, content: Any) -> int:
            self.content += bytes(content)
            return len(content)

    pipe, member = Pipe(), io.BytesIO()
    expected = np.arange(1000, dtype="int32").reshape(10, 100)
    np.lib.format.write_array(member, expected, version)
    with zipfile.ZipFile(pipe, "w", method) as writer:
        with writer.open("x.npy", "w", force_zip64=True) as file:
            file.write(member.getvalue())
        writer.comment = b"a comment"
    for prefix in (b"", b"#!/usr/bin/env python\n"):
        path = tmp_path / "streamed.npz"
        path.write_bytes(prefix + pipe.content)
        array = nf.open(path)["x"]
        assert array.version == version
        np.testing.assert_array_equal(array, expected)


def test_a_mapping_as_numpys(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, x=np.arange(3), y=np.zeros(2))
    with zipfile.ZipFile(path, "a") as writer:
        writer.writestr("readme.txt", "not an array")
        writer.writestr("größe.npy", npy_bytes(np.arange(2)))
    archive, expected = nf.open(path), np.load(path)
    assert issubclass(type(archive), Mapping)
    assert (len(archive), list(archive)) == (4, expected.files)
    for name in ("x", "x.npy", "readme.txt", "größe", "z", "readme.txt.npy", 3):
        assert (name in archive) == (name in expected), name
    assert archive["readme.txt"] == expected["readme.txt"] == b"not an array"
    assert [type(content) for content in archive.values()] == [nf.Array, nf.Array, bytes, nf.Array]
    assert archive.get("z") is None
    assert archive.get("z", 7) == 7
    assert archive.path == archive["x"].path == path
    assert repr(archive) == f"npyfeed.Archive('{path}': x, y, readme.txt, größe)"
    assert repr(archive["y"]) == f"npyfeed.Array('{path}:y', shape=[2], dtype=float64)"
    with pytest.raises(KeyError, match=r"no member 'z' in .*arrays\.npz.* it has x, y"):
        archive["z"]
    with pytest.raises(KeyError):
        archive[3]


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_the_bytes_decide_and_not_the_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", x=np.arange(3))
    (tmp_path / "arrays.npz").rename(tmp_path / "image.npy")
    assert list(nf.open(tmp_path / "image.npy")) == ["x"]
    np.save(tmp_path / "image.npy", np.arange(3))
    (tmp_path / "image.npy").rename(tmp_path / "arrays.npz")
    assert nf.open(tmp_path / "arrays.npz").shape == (3,)


def test_a_stored_member_is_not_copied_and_the_file_never_changes(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, x=np.ones(32 << 20, "uint8"), y=np.arange(5))
    before = path.read_bytes()
    archive = nf.open(path)
    process = psutil.Process()
    held = process.memory_info().rss
    views = [np.asarray(archive["x"]) for _ in range(3)]
    assert process.memory_info().rss - held < 4 << 20  # three copies would be 96 MB
    assert len({view.ctypes.data for view in views}) == 1
    offset = np.asarray(archive["y"]).ctypes.data - views[0].ctypes.data
    assert offset == before.index(np.arange(5).tobytes()) - before.index(bytes([1] * 64))
    views[0][0] = 9
    assert views[1][0] == 9
    assert path.read_bytes() == before


def test_unaligned_members_say_so_and_give_the_right_numbers(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    expected = np.random.default_rng(0).normal(size=(50, 3, 4))
    seen = set()
    for length in range(1, 17):
        name = "n" * length
        SAVERS["stored"](path, **{name: expected})
        found = np.asarray(nf.open(path)[name])
        assert found.flags.aligned == (found.ctypes.data % 8 == 0)
        assert found.flags.writeable
        assert found.flags.c_contiguous
        seen.add(found.flags.aligned)
        np.testing.assert_array_equal(found, expected)
        loader = nf.Loader(nf.Dataset(x=f"{path}:{name}"), batch_size=50)
        np.testing.assert_array_equal(next(iter(loader)).x, expected)
    assert seen == {True, False}


def test_a_deflated_member_is_inflated_once_and_let_go_with_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, x=np.ones((64, 1 << 20), "uint8"), y=np.arange(3))
    archive, process = nf.open(path), psutil.Process()
    before = process.memory_info().rss
    first, second = np.asarray(archive["x"]), np.asarray(archive["x"])
    assert first.ctypes.data == second.ctypes.data
    assert first.ctypes.data % 64 == 0
    assert first.flags.writeable
    assert process.memory_info().rss - before > 60 << 20
    del first
    gc.collect()
    assert second[63, -1] == 1
    del second, archive
    gc.collect()
    assert process.memory_info().rss - before < 4 << 20


def test_threads_inflate_each_member_once(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    expected = {f"x{index}": np.full(1 << 20, index, "float32") for index in range(4)}
    SAVERS["deflated"](path, **expected)
    archive = nf.open(path)
    with ThreadPoolExecutor(8) as pool:
        names = list(expected) * 4
        views = list(pool.map(lambda name: np.asarray(archive[name]), names))
    for name, view in zip(names, views, strict=True):
        np.testing.assert_array_equal(view, expected[name])
    assert len({view.ctypes.data for view in views}) == 4


def test_members_are_columns(tmp_path: Path) -> None:
    path, other = tmp_path / "arrays.npz", tmp_path / "arrays.npz:x"
    images, labels = np.arange(60, dtype="uint8").reshape(5, 3, 4), np.arange(5)
    SAVERS["deflated"](path, x=images, **{"a:b": labels})
    dataset = nf.Dataset(x=f"{path}:x", y=nf.open(path)["a:b"], z=f"{path}:a:b")
    batch = next(iter(nf.Loader(dataset, batch_size=5)))
    np.testing.assert_array_equal(batch.x, images)
    np.testing.assert_array_equal(batch.y, labels)
    np.testing.assert_array_equal(batch.z, labels)
    with other.open("wb") as file:
        np.save(file, np.arange(7))
    assert len(nf.Dataset(x=str(other))) == 7  # a file of the whole name comes first
    with pytest.raises(nf.MismatchError, match=r"column 'x'.*arrays\.npz:name.* x, a:b"):
        nf.Dataset(x=path)
    with pytest.raises(nf.MismatchError, match=r"column 'x'.*no member 'q' in .*arrays\.npz.* x, a:b"):
        nf.Dataset(x=f"{path}:q")
    with pytest.raises(FileNotFoundError, match=r"none\.npz:x"):
        nf.Dataset(x=str(tmp_path / "none.npz:x"))


def test_what_is_opened_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, x=np.ones(4 << 20, "uint8"))
    content = bytearray(path.read_bytes())
    content[1 << 20] ^= 1
    path.write_bytes(content)
    assert np.asarray(nf.open(path)["x"]).sum() in {(4 << 20) - 1, 4 << 20}  # nobody has checked
    with pytest.raises(nf.FormatError, match=r"arrays\.npz.*member 'x\.npy', at byte 0: expected CRC-32"):
        nf.open(path, check_crc=True)["x"]


def test_a_checked_member_may_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, x=np.arange(3))
    archive = nf.open(path, check_crc=True)
    np.asarray(archive["x"])[0] = 7
    assert archive["x"][0] == 7


def zip_of(name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as writer:
        writer.writestr(zipfile.ZipInfo("placeholder.npy"), content, method)
    return file.getvalue().replace(b"placeholder.npy", name.encode().ljust(15, b"_"))


SOUND = zip_of("x", npy_bytes(np.arange(100)), zipfile.ZIP_DEFLATED)

BROKEN = {
    "cut": (SOUND[:-30], nf.FormatError, "truncated download"),
    "signature alone": (b"PK\x03\x04" + bytes(99), nf.FormatError, "end record of a zip archive"),
    "climbing name": (zip_of("../evil.npy", b""), nf.FormatError, "climb out"),
    "bzip2": (zip_of("placeholder.npy", b"1" * 99, zipfile.ZIP_BZIP2), nf.UnsupportedError, "bzip2.*savez"),
    "lzma": (zip_of("placeholder.npy", b"1" * 99, zipfile.ZIP_LZMA), nf.UnsupportedError, "lzma.*savez"),
    "damaged": (SOUND.replace(SOUND[60:64], b"\xff" * 4), nf.FormatError, "member 'x___.*byte 0"),
    "no array": (zip_of("placeholder.npy", b"text"), nf.FormatError, "placeholder': .*magic string"),
    "short array": (
        zip_of("placeholder.npy", npy_bytes(np.arange(9))[:-8]),
        nf.FormatError,
        "needs 72 bytes.*has 64",
    ),
    "objects": (
        zip_of("placeholder.npy", npy_bytes(np.array([{}], object))),
        nf.UnsupportedError,
        "placeholder': .*pickle",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_archive_is_named_with_what_is_wrong(tmp_path: Path, case: str) -> None:
    content, expected, message = BROKEN[case]
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(expected, match=message) as caught:
        list(nf.open(path).values())
    assert "broken.npz" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (expected, str(caught.value))


def corpus_members() -> list[dict[str, str]]:
    manifest = CORPUS / "MANIFEST.csv"
    if not manifest.exists():
        return []
    with manifest.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == "npz-member"]


@pytest.mark.skipif(
    not corpus_members(), reason="no corpus: NPYFEED_CORPUS names no folder with a MANIFEST.csv"
)
def test_real_files_open_equal_or_with_our_errors() -> None:
    opened = 0
    for row in corpus_members():
        archive = nf.open(CORPUS / row["file"], check_crc=True)
        assert row["member"] in archive
        try:
            found = np.asarray(archive[row["member"]])
        except nf.UnsupportedError:
            continue  # elements that are no numbers; other tests hold them to be refused
        assert row["result"] == "ok", row
        assert (str(found.shape), found.dtype.str) == (row["shape"], row["dtype_str"]), row
        little = np.ascontiguousarray(found).astype(found.dtype.newbyteorder("<"))
        assert hashlib.sha256(little.tobytes()).hexdigest() == row["sha256_c_le"], row
        opened += 1
    print(f"{opened} of {len(corpus_members())} members of real .npz files open equal")  # noqa: T201, a figure for the record
    assert opened > 0


@pytest.mark.slow
def test_deflated_members_open_at_twice_the_rate_of_numpy_unless_they_are_noise(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    digits = (random.random((20_000, 28, 28)) < 0.2) * random.integers(1, 255, (20_000, 28, 28))
    # Noise hardly deflates: its bytes are looked up one by one, each after the one before, at 500 MB/s.
    # libdeflate is the fastest at that of libdeflate, zlib-rs, zlib-ng and ISA-L.
    kinds = {
        "digits": (digits.astype("uint8"), 2.0),
        "mask": (np.repeat(random.random((100, 50_000)) < 0.1, 4, axis=1), 2.0),
        "noise": (random.normal(size=4_000_000).astype("float32"), 1.25),
    }
    for name, (array, expected) in kinds.items():
        path = tmp_path / f"{name}.npz"
        np.savez_compressed(path, x=array)
        ours = best_seconds(lambda path=path: np.asarray(nf.open(path)["x"]))
        numpys = best_seconds(lambda path=path: np.load(path)["x"])
        rates = [array.nbytes / 1e6 / seconds for seconds in (ours, numpys)]
        print(f"{name}: {rates[0]:.0f} MB/s, np.load {rates[1]:.0f} MB/s, {rates[0] / rates[1]:.1f}x")  # noqa: T201
        assert ours * expected < numpys


def best_seconds(work: Any) -> float:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
