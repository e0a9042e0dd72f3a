"""The same bytes, whichever way they come from the file; and what happens to a file is told on every way."""

import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.loader import Io

IO_PATHS: list[Io] = ["auto", "map", "pread", "uring", "memory"]
SAMPLES = 150


def _files(folder: Path) -> dict[str, "np.ndarray[Any, Any]"]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (SAMPLES, 20, 30, 3), "uint8")
    rows = rng.standard_normal((SAMPLES, 200), "float32")
    volumes = rng.integers(-1000, 1000, (SAMPLES, 12, 14, 16), "int16")
    np.save(folder / "images.npy", images)
    np.save(folder / "rows.npy", rows.astype(">f4"))
    np.save(folder / "volumes.npy", volumes)
    np.save(folder / "fortran.npy", np.asfortranarray(volumes))
    np.savez(folder / "stored.npz", volumes=volumes)
    return {"images": images, "rows": rows, "volumes": volumes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("io")
    _files(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(folder: Path) -> nf.Dataset:
    return nf.Dataset(
        image=folder / "images.npy",
        row=folder / "rows.npy",
        volume=folder / "volumes.npy",
        fortran=folder / "fortran.npy",
        stored=f"{folder / 'stored.npz'}:volumes",
        label=np.arange(SAMPLES),
    ).map(
        image=[T.ToTensor(), T.Normalize((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))],
        volume=[T.RandSpatialCrop((5, 7, 9)), T.ToDtype("float32")],
        fortran=T.SpatialCrop(roi_start=(1, 2, 3), roi_end=(11, 12, 13)),
    )


def digest(batches: Iterator[Any]) -> str:
    digest = hashlib.blake2b()
    for batch in batches:
        for array in batch:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def expected(dataset: nf.Dataset) -> str:
    return digest(iter(nf.Loader(dataset, 16, shuffle=True, seed=3, threads=1, prefetch=1, io="map")))


@pytest.mark.parametrize("io", IO_PATHS)
def test_every_way_gives_what_numpy_reads(folder: Path, io: Io) -> None:
    arrays = {name: np.load(folder / f"{name}.npy") for name in ("images", "rows", "volumes", "fortran")}
    dataset = nf.Dataset(**{name: folder / f"{name}.npy" for name in arrays})
    order = nf.Dataset(place=np.arange(SAMPLES))
    for batch, places in zip(
        nf.Loader(dataset, 16, shuffle=True, seed=3, io=io),
        nf.Loader(order, 16, shuffle=True, seed=3),
        strict=True,
    ):
        for name, array in arrays.items():
            np.testing.assert_array_equal(getattr(batch, name), array[places.place])


@pytest.mark.parametrize("io", IO_PATHS)
@pytest.mark.parametrize(("threads", "prefetch"), [(1, 1), (1, 8), (2, 1), (2, 8), (5, 1), (5, 8)])
def test_an_epoch_is_the_same_bytes_on_every_way(
    dataset: nf.Dataset, expected: str, io: Io, threads: int, prefetch: int
) -> None:
    loader = nf.Loader(dataset, 16, shuffle=True, seed=3, io=io, threads=threads, prefetch=prefetch)
    assert digest(iter(loader)) == expected


@pytest.mark.parametrize("io", IO_PATHS)
def test_an_epoch_goes_on_at_any_batch_on_any_way(dataset: nf.Dataset, expected: str, io: Io) -> None:
    for stop, (before, after) in enumerate(itertools.product(["map", io], [io, "pread", "uring"])):
        first = nf.Loader(dataset, 16, shuffle=True, seed=3, io=before)
        epoch = iter(first)
        taken = [next(epoch) for _ in range(stop)]
        later = nf.Loader(dataset, 16, shuffle=True, seed=99, io=after)
        later.load_state_dict(first.state_dict())
        assert digest(itertools.chain(taken, later)) == expected, (before, after, stop)


@pytest.mark.parametrize("io", IO_PATHS)
def test_large_samples_that_are_cut_come_whole(tmp_path: Path, io: Io) -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (3, 9, 600, 700), "uint8")  # 3.8 MB a sample, in three portions with its floats
    y = rng.integers(0, 256, (3, 1100, 1200, 3), "uint8")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    dataset = nf.Dataset(x=tmp_path / "x.npy", y=tmp_path / "y.npy").map(
        x=T.ToDtype("float32"), y=T.ToTensor()
    )
    for index, batch in enumerate(nf.Loader(dataset, 1, io=io, threads=3)):
        np.testing.assert_array_equal(batch.x[0], x[index].astype("float32"))
        tensor = np.moveaxis(y[index].astype("float32") / np.float32(255), -1, 0)
        np.testing.assert_array_equal(batch.y[0], tensor)


@pytest.mark.parametrize("io", ["pread", "uring", "auto"])
def test_a_file_cut_short_in_mid_epoch_is_an_error_on_every_way(tmp_path: Path, io: Io) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4096, 4096), "uint8"))
    dataset = nf.Dataset(x=path)
    epoch = iter(nf.Loader(dataset, 16, shuffle=True, io=io, prefetch=1))
    next(epoch)
    os.truncate(path, 1 << 20)
    with pytest.raises(OSError, match=r"column 'x': cannot read '.*x.npy': it was cut short while in use"):
        list(epoch)


def test_a_way_is_told_with_its_reason(dataset: nf.Dataset) -> None:
    assert "pread: as asked for" in nf.Loader(dataset, 16, io="pread").explain()
    told = nf.Loader(dataset, 16).explain()
    assert "lie in the page cache" in told
    assert "memory: it lies in memory" in told
    loaded = nf.Loader(dataset, 16, io="memory").explain()
    assert loaded.count("memory: it was read when the loader was built, as asked for") == 6


def test_an_open_array_may_have_been_written_to_and_is_read_where_it_lies(folder: Path) -> None:
    array = nf.open(folder / "volumes.npy")
    array.numpy()[0] = 77
    dataset = nf.Dataset(x=array)
    for io in IO_PATHS:
        batch = next(iter(nf.Loader(dataset, 1, io=io)))
        assert (batch.x == 77).all(), io
    assert "which may have been written to in memory; give its path" in nf.Loader(dataset, 1).explain()


def test_an_unknown_way_is_refused(dataset: nf.Dataset) -> None:
    message = "expected io to be one of 'auto', 'map', 'pread', 'uring', 'memory', found 'mmap'"
    with pytest.raises(nf.MismatchError, match=message):
        nf.Loader(dataset, 16, io="mmap")  # type: ignore[arg-type]


def test_leaving_in_mid_epoch_leaves_no_descriptor_behind(dataset: nf.Dataset) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        next(iter(nf.Loader(dataset, 4, io="uring")))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


@pytest.mark.parametrize("io", IO_PATHS)
def test_rows_that_lie_apart_come_on_every_way(tmp_path: Path, io: Io) -> None:
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (40, 6, 7, 3), "uint8")
    records = np.zeros(40, [("x", "<f4", (5, 4)), ("y", "u1", (3,)), ("z", ">i2")])
    records["x"] = rng.standard_normal((40, 5, 4))
    records["z"] = np.arange(40)
    np.save(tmp_path / "records.npy", records)
    (tmp_path / "each").mkdir()
    for number, image in enumerate(images):
        np.save(tmp_path / "each" / f"{number:02d}.npy", np.asfortranarray(image))
    np.save(tmp_path / "a.npy", images[:25])
    np.savez(tmp_path / "b.npz", x=images[25:])
    dataset = nf.Dataset(
        x=tmp_path / "records.npy:x",
        z=f"{tmp_path}/records.npy:z",
        each=tmp_path / "each",
        joined=nf.rows([tmp_path / "a.npy", f"{tmp_path}/b.npz:x"]),
        transposed=images.transpose(0, 3, 2, 1),
        steps=images[:, :, ::2],
        place=np.arange(40),
    )
    expected = {"x": records["x"], "z": records["z"], "each": images, "joined": images}
    expected |= {"transposed": images.transpose(0, 3, 2, 1), "steps": images[:, :, ::2]}
    for batch in nf.Loader(dataset, 7, shuffle=True, io=io):
        for name, array in expected.items():
            np.testing.assert_array_equal(getattr(batch, name), array[batch.place], name)


@pytest.mark.parametrize("io", ["auto", "pread", "uring"])
def test_rows_spread_over_a_large_file_are_not_read_with_all_between(tmp_path: Path, io: Io) -> None:
    array = np.asfortranarray(np.arange(4_000_000, dtype="float32").reshape(200_000, 20))
    np.save(tmp_path / "x.npy", array)
    loader = nf.Loader(nf.Dataset(x=tmp_path / "x.npy", place=np.arange(200_000)), 1000, shuffle=True, io=io)
    batch = next(iter(loader))
    np.testing.assert_array_equal(batch.x, array[batch.place])
    assert "map: what is taken of a sample lies spread over the file" in loader.explain()


def test_io_uring_is_used_where_the_system_lets_us(dataset: nf.Dataset) -> None:
    loader = nf.Loader(dataset, 16, io="uring")
    list(loader)
    told = [line.strip() for line in loader.explain().splitlines() if "as asked for" in line]
    refused = [line for line in told if line.startswith("pread: as asked for; ")]
    if refused:
        pytest.skip(refused[0])
    assert told
    assert all(line.startswith("uring: as asked for") for line in told), told
