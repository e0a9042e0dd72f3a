"""Pickles carry paths, not data: arrays, archives, datasets, loaders and samplers, in child processes too."""

import copy
import io
import mmap
import multiprocessing
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import npyfeed as nf
import npyfeed.torch
from npyfeed import samplers
from npyfeed import transforms as T

SAMPLES = 60
RECORDS = [("time", "<M8[ns]"), ("point", [("x", "<f4"), ("y", ">i2", (3,))])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (SAMPLES, 9, 11, 3), np.uint8)
    np.save(tmp_path / "image.npy", images)
    np.save(tmp_path / "label.npy", np.arange(SAMPLES))
    np.save(tmp_path / "large.npy", random.random((300, 20)))
    np.save(tmp_path / "bits.npy", np.arange(SAMPLES, dtype="uint16"))
    records = np.zeros(SAMPLES, RECORDS)
    records["time"] = np.arange(SAMPLES)
    records["point"]["y"] = random.integers(0, 99, (SAMPLES, 3))
    np.save(tmp_path / "records.npy", records)
    np.savez(tmp_path / "stored.npz", image=images, records=records)
    np.savez_compressed(tmp_path / "deflated.npz", image=images, records=records)
    return tmp_path


@pytest.fixture
def dataset(folder: Path) -> nf.Dataset:
    columns = nf.Dataset(image=folder / "image.npy", label=str(folder / "label.npy"))
    return columns.map(image=[T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))])


def again(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def epoch_bytes(loader: nf.Loader) -> list[list[bytes]]:
    return [[np.asarray(column).tobytes() for column in batch] for batch in loader]


def opened_with_offset(folder: Path) -> nf.Array:
    with (folder / "two.npy").open("wb") as file:
        np.save(file, np.arange(3))
        np.save(file, np.eye(4))
    with (folder / "two.npy").open("rb") as file:
        nf.open(file)
        array: nf.Array = nf.open(file)
        return array


ARRAYS: dict[str, Callable[[Path], nf.Array]] = {
    "a small file": lambda folder: nf.open(folder / "label.npy"),
    "a mapped file": lambda folder: nf.open(folder / "large.npy"),
    "read only": lambda folder: nf.open(folder / "large.npy", mode="r"),
    "to be written": lambda folder: nf.open(folder / "large.npy", mode="r+"),
    "its bits as bfloat16": lambda folder: nf.open(folder / "bits.npy", dtype="bfloat16"),
    "a longer header allowed": lambda folder: nf.open(folder / "large.npy", max_header_size=4 << 20),
    "behind another": opened_with_offset,
    "a stored member": lambda folder: nf.open(folder / "stored.npz")["image"],
    "a deflated member": lambda folder: nf.open(folder / "deflated.npz")["image"],
    "a member out of many": lambda folder: nf.open(folder / "deflated.npz").load()["image"],
    "a field": lambda folder: nf.open(folder / "records.npy").field("point").field("y"),
    "a field as numbers": lambda folder: nf.open(folder / "records.npy").field("time", dtype="int64"),
    "a field of a member": lambda folder: nf.open(folder / "deflated.npz")["records"]["point"]["x"],
}


@pytest.mark.parametrize("opened", ARRAYS.values(), ids=ARRAYS.keys())
def test_an_array_is_opened_again_as_it_was(folder: Path, opened: Callable[[Path], nf.Array]) -> None:
    array = opened(folder)
    pickled = pickle.dumps(array)
    assert len(pickled) < 1024
    for other in (pickle.loads(pickled), copy.copy(array), copy.deepcopy(array)):
        assert repr(other) == repr(array)
        assert (other.dtype_name, other.path) == (array.dtype_name, array.path)
        assert bytes(other) == bytes(array)
        assert other.numpy().flags.writeable == array.numpy().flags.writeable


def test_a_relative_path_is_made_absolute_when_it_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    made = [
        nf.open("label.npy"),
        nf.open("deflated.npz")["records"].field("point"),
        nf.Dataset(x="deflated.npz:records:point:y", y="image.npy"),
    ]
    pickled = [pickle.dumps(thing) for thing in made]
    monkeypatch.chdir("/")
    array, field, dataset = map(pickle.loads, pickled)
    assert bytes(array) == bytes(made[0])
    assert bytes(field) == bytes(made[1])
    np.testing.assert_array_equal(dataset[3].x, made[2][3].x)


@pytest.mark.parametrize("name", ["stored.npz", "deflated.npz"])
def test_an_archive_is_opened_again_as_it_was(folder: Path, name: str) -> None:
    archive = nf.open(folder / name, mode="r", check_crc=True, memory=0)
    for other in (again(archive), copy.copy(archive), copy.deepcopy(archive)):
        assert list(other) == list(archive)
        assert bytes(other["image"]) == bytes(archive["image"])
        assert not other["image"].numpy().flags.writeable
    damaged = bytearray((folder / name).read_bytes())
    place = damaged.index(b"\x93NUMPY") + 200 if name == "stored.npz" else 2000
    stat = (folder / name).stat()
    pickled = pickle.dumps(archive)
    damaged[place] ^= 1
    (folder / name).write_bytes(damaged)
    os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(nf.FormatError):  # `check_crc` has travelled
        pickle.loads(pickled)["image"]


def test_a_shallow_copy_has_the_same_elements_and_outlives_the_first(folder: Path) -> None:
    array = nf.open(folder / "large.npy")
    shallow, deep = copy.copy(array), copy.deepcopy(array)
    array[0] = 7
    array.close()
    assert (shallow[0] == 7).all()
    assert not (deep[0] == 7).any()
    archive = nf.open(folder / "deflated.npz")
    same = copy.copy(archive)
    archive.close()
    assert "image" in same


@pytest.mark.parametrize("name", ["label.npy", "large.npy", "deflated.npz"])
def test_a_file_that_was_changed_or_removed_since_is_told(folder: Path, name: str) -> None:
    path, is_archive = folder / name, name.endswith("npz")
    column = f"{path}:image" if is_archive else path
    things = [nf.open(path), nf.Dataset(x=column), nf.Loader(nf.Dataset(x=column), 4)]
    pickles = [pickle.dumps(thing) for thing in things]
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    for thing, pickled in zip(things, pickles, strict=True):
        for act in (lambda p=pickled: pickle.loads(p), lambda t=thing: pickle.dumps(t)):
            with pytest.raises(OSError, match=rf"cannot open '{path}' again: .* of another date"):
                act()
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(OSError, match=rf"expected the {stat.st_size} bytes .* found {stat.st_size + 4}"):
        pickle.loads(pickles[0])
    path.unlink()
    for thing, pickled in zip(things, pickles, strict=True):
        for act in (lambda p=pickled: pickle.loads(p), lambda t=thing: pickle.dumps(t)):
            with pytest.raises(FileNotFoundError):
                act()


def test_what_is_written_through_an_array_does_not_make_its_file_another(folder: Path) -> None:
    array = nf.open(folder / "large.npy", mode="r+")
    pickled = pickle.dumps(array)
    array[0] = 7
    array.flush()
    other = pickle.loads(pickled)
    other[1] = 8
    assert (array[:2, 0] == [7, 8]).all()
    os.truncate(folder / "large.npy", 4096)
    with pytest.raises(OSError, match="found 4096 bytes"):
        pickle.loads(pickled)


def test_what_has_no_path_is_refused_with_the_way_out(folder: Path) -> None:
    content = (folder / "label.npy").read_bytes()
    with (
        (folder / "label.npy").open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped,
    ):
        for source in (content, io.BytesIO(content), mapped):
            array = nf.open(source)
            for thing in (array, nf.Dataset(x=array)):
                with pytest.raises(
                    nf.UnsupportedError, match=r"Array of no file: .*save it .*numpy\(copy=True\)"
                ):
                    pickle.dumps(thing)
            assert bytes(copy.copy(array)) == bytes(array)
            array.close()
            del array, thing
    with pytest.raises(nf.UnsupportedError, match="Archive of no file"):
        pickle.dumps(nf.open((folder / "stored.npz").read_bytes()))
    closed = nf.open(folder / "label.npy")
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(closed)


def test_a_dataset_of_two_paths_and_two_transforms_is_small_and_the_same(dataset: nf.Dataset) -> None:
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 4096
    other = pickle.loads(pickled)
    assert repr(other) == repr(dataset)
    for mine, others in zip(dataset[:], other[:], strict=True):
        np.testing.assert_array_equal(mine, others)
    for made in (copy.copy(dataset), copy.deepcopy(dataset)):
        np.testing.assert_array_equal(made[7].image, dataset[7].image)


def test_the_samples_picked_and_later_transforms_travel(dataset: nf.Dataset) -> None:
    first, second = dataset.select(range(0, SAMPLES, 2)).split([0.5, 0.5], seed=3)
    second = second.map(label=T.ToDtype("float64")).select([-1, 0, 0])
    for part in (first, second):
        other = again(part)
        assert other.spec == part.spec
        for mine, others in zip(part[:], other[:], strict=True):
            np.testing.assert_array_equal(mine, others)
    assert again(dataset.select([])).spec == dataset.spec
    assert len(again(dataset.select([]))) == 0


def test_columns_that_are_arrays_travel_by_path_and_ndarrays_by_value(folder: Path) -> None:
    ndarray = np.arange(SAMPLES * 4, dtype=">i4").reshape(SAMPLES, 4)[:, ::2]
    with nf.open(folder / "deflated.npz") as archive, nf.open(folder / "bits.npy", dtype="bfloat16") as bits:
        dataset = nf.Dataset(x=archive["records"]["point"]["y"], y=ndarray, z=bits, w=archive["image"])
    dataset = dataset.map(z=T.ToDtype("float32"))
    other = again(dataset)  # though the archive and the array have been closed
    for mine, others in zip(dataset[::7], other[::7], strict=True):
        np.testing.assert_array_equal(mine, others)
    deep = copy.deepcopy(dataset)
    ndarray[0] = -1
    assert (dataset[0].y == -1).all()
    assert not (deep[0].y == -1).any()


def test_a_loader_goes_on_where_it_was_pickled(dataset: nf.Dataset) -> None:
    for as_dict in (False, True):
        options: dict[str, Any] = {"shuffle": True, "seed": 5, "threads": 2, "rank": 1, "world_size": 2}
        loader = nf.Loader(dataset, 7, epoch=3, as_dict=as_dict, **options)
        epoch = iter(loader)
        next(epoch), next(epoch)
        other = again(loader)
        assert other.state_dict() == loader.state_dict()
        grown = re.compile(r"prefetch=\d+")  # as many as have proved to be needed
        assert grown.sub("", repr(other)) == grown.sub("", repr(loader))
        assert (other.batch_size, other.drop_last) == (7, False)
        rest = list(epoch)
        others = list(other)
        assert len(rest) == len(others) == 3
        for mine, his in zip(rest, others, strict=True):
            assert type(mine) is type(his)
            np.testing.assert_array_equal(
                mine["label"] if as_dict else mine.label, his["label"] if as_dict else his.label
            )
        assert (loader.epoch, other.epoch) == (4, 4)
        assert len(copy.deepcopy(loader)) == len(copy.copy(loader)) == len(loader)


def test_a_torch_loader_goes_on_where_it_was_pickled(dataset: nf.Dataset) -> None:
    torch.manual_seed(1)
    loader = npyfeed.torch.DataLoader(dataset, batch_size=7, shuffle=True, num_workers=2)
    epoch = iter(loader)
    next(epoch)
    other = again(loader)
    assert type(other) is npyfeed.torch.DataLoader
    for mine, his in zip(epoch, other, strict=True):
        assert torch.equal(mine.image, his.image)


SAMPLERS: list[samplers.Sampler] = [
    samplers.Sequential(),
    samplers.Shuffle(),
    samplers.BlockShuffle(4, 3),
    samplers.Weighted(np.arange(SAMPLES), num_samples=30, replacement=False),
    samplers.Weighted([1.0] * SAMPLES),
    samplers.ClassBalanced(np.arange(SAMPLES) % 7),
    samplers.Explicit([5, 5, 1]),
]


def read_all(dataset: nf.Dataset, array: nf.Array, archive: nf.Archive, loaders: list[nf.Loader]) -> Any:
    epochs = [[epoch_bytes(loader), epoch_bytes(loader)] for loader in loaders]
    return [dataset[5].image.tobytes(), bytes(array), bytes(archive["image"]), epochs]


def read_in_child(answers: Any, *things: Any) -> None:
    answers.put(read_all(*things))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_process_gives_the_same_bytes(folder: Path, dataset: nf.Dataset, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    answers: Any = context.Queue()
    loaders = [nf.Loader(dataset, 8, sampler=sampler, seed=2, threads=2) for sampler in SAMPLERS]
    things = (dataset, nf.open(folder / "large.npy"), nf.open(folder / "deflated.npz"), loaders)
    child = context.Process(target=read_in_child, args=(answers, *things))
    child.start()
    assert answers.get(timeout=60) == read_all(*things)
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_a_loader_keeps_its_sampler(dataset: nf.Dataset, sampler: samplers.Sampler) -> None:
    loader = nf.Loader(dataset, 8, sampler=sampler, seed=2)
    other = again(loader)
    assert epoch_bytes(other) == epoch_bytes(loader)
    assert epoch_bytes(copy.deepcopy(other)) == epoch_bytes(loader)


@pytest.mark.slow
def test_torchs_own_loader_takes_a_dataset_to_its_worker_processes(dataset: nf.Dataset) -> None:
    whole = nf.Loader(dataset, 10)
    loader: Any = torch.utils.data.DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_size=10,
        num_workers=2,
        multiprocessing_context="spawn",
    )
    count = 0
    for mine, torchs in zip(whole, loader, strict=True):
        np.testing.assert_array_equal(mine.image, torchs.image.numpy())
        np.testing.assert_array_equal(mine.label, torchs.label.numpy())
        count += 1
    assert count == 6


def test_columns_of_several_files_are_looked_up_again_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        np.save(tmp_path / f"{number}.npy", np.full((4, 3), number, "uint8"))
        (tmp_path / f"class{number % 2}").mkdir(exist_ok=True)
        np.save(tmp_path / f"class{number % 2}" / f"{number}.npy", np.full((4, 3), number, "uint8"))
    monkeypatch.chdir(tmp_path)
    made: list[nf.Dataset] = [
        nf.Dataset(x="[0-9].npy"),
        nf.Dataset(x=["5.npy", "0.npy", "2.npy"]),
        nf.Dataset(x=nf.rows(["1.npy", "4.npy"])),
        nf.Dataset(x=nf.rows("[34].npy")),
        nf.Dataset.from_folder(tmp_path).select([5, 1]),
    ]
    pickles = [pickle.dumps(dataset.map(**{dataset.columns[0]: T.ToDtype("float32")})) for dataset in made]
    monkeypatch.chdir("/")
    for dataset, pickled in zip(made, pickles, strict=True):
        loaded = pickle.loads(pickled)
        assert loaded.spec[loaded.columns[0]].dtype == "float32"
        for found, expected in zip(loaded[:], dataset[:], strict=True):
            np.testing.assert_array_equal(found, expected)
    assert pickle.loads(pickles[4]).classes == ["class0", "class1"]
    (tmp_path / "3.npy").rename(tmp_path / "8.npy")
    with pytest.raises(OSError, match="expected 6 samples of the same names, found 6, or other names"):
        pickle.loads(pickles[0])
