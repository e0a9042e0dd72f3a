"""Columns of many files, one sample a file or their rows joined: against `numpy.load` and `glob`."""

import glob
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from file_samples import LARGE, folder, samples, save_each
from torchvision.datasets import DatasetFolder

import npyfeed as nf
from npyfeed import transforms as T
from npyfeed.loader import Io
from npyfeed.torch import DataLoader

VALID = Path(__file__).resolve().parents[2] / "testdata/valid"
NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
DTYPES = [order + number for order in "<>" for number in NUMBERS]
MAX_AXES = 64  # of a NumPy array, and of a batch

__all__ = ["folder"]  # a fixture


# -- one sample a file ---------------------------------------------------------------------------------------


def test_a_folder_a_pattern_and_a_list_are_one_sample_a_file(folder: Path) -> None:
    paths = sorted((folder / "x").iterdir())
    expected = samples(30)
    as_strings = [str(path) for path in paths]
    sources: list[Any] = [folder / "x", str(folder / "x") + "/", f"{folder}/x/*.npy", paths, as_strings]
    for source in [*sources, tuple(paths), f"{folder}/**/0*.npy"]:
        dataset = nf.Dataset(x=source, y=folder / "y.npy")
        assert dataset.spec["x"] == nf.ColumnSpec("uint8", (4, 3))
        np.testing.assert_array_equal(dataset[:].x, expected)
        np.testing.assert_array_equal(dataset[7].x, expected[7])
        assert dataset[7].y == 7


def test_a_list_keeps_its_order_and_may_name_a_file_twice(folder: Path) -> None:
    paths = [folder / f"x/{number:05d}.npy" for number in (5, 3, 5)]
    np.testing.assert_array_equal(nf.Dataset(x=paths)[:].x, samples(30)[[5, 3, 5]])


MATRIX = [(dtype, shape) for dtype in DTYPES for shape in [(), (1,), (5,), (3, 4), (2, 1, 3)]]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("dtype", "shape"), [*MATRIX, ("<f8", LARGE), (">f8", LARGE)])
def test_every_number_in_every_order_is_what_numpy_loads(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], order: str
) -> None:
    paths = save_each(tmp_path / "x", samples(3, shape, dtype), order=order)
    expected = np.stack([np.load(path) for path in paths])
    found = nf.Dataset(x=tmp_path / "x")[:].x
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)
    (batch,) = nf.Loader(nf.Dataset(x=tmp_path / "x"), batch_size=3)
    np.testing.assert_array_equal(batch.x, expected)


@pytest.mark.filterwarnings("ignore:Reading .* additional header parsing")
@pytest.mark.parametrize("path", sorted(VALID.glob("*.npy")), ids=lambda path: path.stem)
def test_each_file_of_the_test_data_is_a_sample_or_refused_like_a_column(path: Path) -> None:
    try:
        array = nf.open(path)
        array.torch()
    except nf.UnsupportedError:
        with pytest.raises(nf.UnsupportedError, match=path.name):
            nf.Dataset(x=[path, path])
        return
    if len(array.shape) == MAX_AXES:
        with pytest.raises(nf.UnsupportedError, match="fewer than 64 axes"):
            nf.Dataset(x=[path, path])
        return
    dataset = nf.Dataset(x=[path, path])
    if dataset.spec["x"].dtype in nf._native.NUMPY_LACKS:
        (batch,) = DataLoader(dataset, batch_size=2)
        assert batch.x.shape == (2, *array.shape)
    else:
        np.testing.assert_array_equal(dataset[:].x, np.stack([np.load(path), np.load(path)]))


def test_samples_without_elements_are_batches_without_elements(tmp_path: Path) -> None:
    save_each(tmp_path / "x", np.zeros((4, 0, 3)))
    assert nf.Dataset(x=tmp_path / "x")[:].x.shape == (4, 0, 3)


def test_versions_padding_and_bytes_behind_the_elements_may_differ(tmp_path: Path) -> None:
    expected = samples(4)
    save_each(tmp_path, expected)
    with (tmp_path / "00001.npy").open("wb") as file:
        np.lib.format.write_array(file, expected[1], version=(2, 0))
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3), }" + 300 * b" " + b"\n"
    length = len(header).to_bytes(2, "little")
    (tmp_path / "00002.npy").write_bytes(b"\x93NUMPY\x01\x00" + length + header + expected[2].tobytes())
    with (tmp_path / "00003.npy").open("ab") as file:
        file.write(b"behind")
    np.testing.assert_array_equal(nf.Dataset(x=tmp_path)[:].x, expected)


def test_they_are_mapped_selected_split_and_handed_to_torch(folder: Path) -> None:
    dataset = nf.Dataset(x=folder / "x", y=folder / "y.npy")
    floats = dataset.map(x=T.ToDtype("float32"))
    np.testing.assert_array_equal(floats[[3, 1]].x, samples(30)[[3, 1]].astype("float32"))
    np.testing.assert_array_equal(dataset.select([9, 2])[:].x, samples(30)[[9, 2]])
    left, right = dataset.split([0.5, 0.5], seed=1)
    assert sorted([*left[:].y, *right[:].y]) == list(range(30))
    seen = []
    for x, y in DataLoader(floats, batch_size=4, shuffle=True, num_workers=2):
        torch.testing.assert_close(x, torch.from_numpy(samples(30)[y.numpy()]).float(), rtol=0, atol=0)
        seen += y.tolist()
    assert sorted(seen) == list(range(30))


@pytest.mark.parametrize("io", ["auto", "map", "pread", "uring", "memory"])
@pytest.mark.parametrize("shape", [(4, 3), LARGE], ids=["read", "mapped"])
def test_epochs_are_the_same_whatever_the_threads_the_prefetch_and_the_way(
    tmp_path: Path, shape: tuple[int, ...], io: Io
) -> None:
    expected = samples(12, shape, "float64")
    hour_ago = time.time() - 3600
    for number, path in enumerate(save_each(tmp_path, expected)):
        if number % 3:
            os.utime(path, (hour_ago, hour_ago))  # the others may have been written to while they are read
    dataset = nf.Dataset(x=tmp_path, y=np.arange(12)).map(x=T.ToDtype("float32"))
    epochs = []
    for threads in (1, 2, 5):
        for prefetch in (1, 8):
            loader = nf.Loader(
                dataset, batch_size=5, shuffle=True, seed=3, threads=threads, prefetch=prefetch, io=io
            )
            epochs.append([(batch.x.tobytes(), batch.y.tobytes()) for batch in loader])
    assert all(epoch == epochs[0] for epoch in epochs)
    (batch,) = nf.Loader(dataset, batch_size=12, io=io)
    np.testing.assert_array_equal(batch.x, expected.astype("float32"))


def test_a_large_sample_is_cut_for_several_threads(tmp_path: Path) -> None:
    expected = samples(3, (1200, 1100), "float64")
    save_each(tmp_path, expected, order="F")
    for threads in (1, 4):
        found = [batch.x[0] for batch in nf.Loader(nf.Dataset(x=tmp_path), batch_size=1, threads=threads)]
        np.testing.assert_array_equal(found, expected)


def test_a_small_file_is_read_whole_however_many_threads_share_its_batch(tmp_path: Path) -> None:
    expected = samples(3, (1000, 1000))
    save_each(tmp_path, expected)
    dataset = nf.Dataset(x=tmp_path).map(x=T.ToDtype("float64"))
    for threads in (1, 4):
        found = [batch.x[0] for batch in nf.Loader(dataset, batch_size=1, threads=threads)]
        np.testing.assert_array_equal(found, expected.astype("float64"))


@pytest.mark.parametrize("size", [40, 120], ids=["read", "mapped"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_of_each_file_the_box_of_a_crop_is_taken(tmp_path: Path, size: int, order: str) -> None:
    expected = samples(3, (size, size, size))
    save_each(tmp_path, expected, order=order)
    crop = T.SpatialCrop(roi_start=(3, 5, 7), roi_end=(23, 26, 29))
    found = nf.Dataset(x=tmp_path).map(x=[T.AddChannel(), crop])[:].x[:, 0]
    np.testing.assert_array_equal(found, expected[:, 3:23, 5:26, 7:29])


@pytest.mark.parametrize("shape", [(4, 3), LARGE], ids=["read", "mapped"])
def test_a_forked_child_reads_them_too(tmp_path: Path, shape: tuple[int, ...]) -> None:
    save_each(tmp_path, samples(2, shape, "float64"))
    program = f"""
import os, npyfeed as nf
dataset = nf.Dataset(x={str(tmp_path)!r})
before = dataset[:].x.tobytes()
child = os.fork()
if child == 0:
    os._exit(0 if dataset[:].x.tobytes() == before else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's limit of open files")
def test_too_many_joined_files_name_the_limit(tmp_path: Path) -> None:
    save_each(tmp_path, np.zeros((60, 3000)))
    program = f"""
import resource, npyfeed as nf
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
assert len(nf.Dataset(x={str(tmp_path)!r})[:].x) == 60
try:
    nf.Dataset(x=nf.rows({str(tmp_path)!r}))
except OSError as error:
    assert "ulimit -n" in str(error), error
else:
    raise AssertionError("60 files were open at once")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files where Linux lists them")
@pytest.mark.parametrize(("count", "shape"), [(200, (4, 3)), (140, (1030, 1030))], ids=["read", "mapped"])
def test_files_do_not_stay_open(memory_folder: Path, count: int, shape: tuple[int, ...]) -> None:
    save_each(memory_folder, np.zeros((count, *shape), "uint8"))
    before = open_files()
    loader = nf.Loader(nf.Dataset(x=memory_folder), batch_size=8, shuffle=True, threads=2)
    for _ in range(3):
        assert sum(len(batch.x) for batch in loader) == count
        assert open_files() - before <= (128 if shape[0] > 1000 else 0)
    del loader
    assert open_files() == before


def test_twenty_thousand_files_open_in_a_second(memory_folder: Path) -> None:
    np.save(memory_folder / "00000.npy", np.arange(3))
    for number in range(1, 20_000):
        os.link(memory_folder / "00000.npy", memory_folder / f"{number:05d}.npy")
    begin = time.perf_counter()
    dataset = nf.Dataset(x=memory_folder)
    assert time.perf_counter() - begin < 1.0
    assert len(dataset) == 20_000


def test_a_file_that_was_replaced_is_read_anew(folder: Path) -> None:
    dataset = nf.Dataset(x=folder / "x")
    np.save(folder / "x/new.npy", np.full((4, 3), 7, "uint8"))
    (folder / "x/new.npy").rename(folder / "x/00003.npy")
    assert (dataset[3].x == 7).all()


# -- patterns ------------------------------------------------------------------------------------------------

TREE = ["a.npy", "b.npy", ".hidden.npy", "[1].npy", "é.npy", "B.NPY", "c.txt", "sub/a.npy", "sub/.h/x.npy"]
TREE += ["sub/deep/er/a.npy", ".dot/a.npy", "sub2/b1.npy", "sub2/b2.npy", "x-y/a.npy", "link/a.npy"]
PATTERNS = ["*.npy", "*", "?.npy", "[ab].npy", "[!a].npy", "[a-c]*", "[[]1].npy", ".*.npy", ".*/*", "*/*.npy"]
PATTERNS += ["**/*.npy", "**", "sub/**", "sub*/**/a.npy", "**/deep/**/*.npy", "s**/*", "**/.h/*", "a.npy*"]
PATTERNS += ["*[", "[]a]*", "sub/*/*/*", "./*.npy", "sub/../*.npy", "**/**/a.npy", "*/a.npy", "*/../*.npy"]
PATTERNS += ["sub//*.npy", "[b-a].npy", "[^a].npy", "{a,b}.npy*", "\\*.npy", "[.]hidden.npy", "é*", "?.NPY"]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number, name in enumerate(TREE):
        path = tmp_path / name
        if name.startswith("link/"):
            path.parent.symlink_to(tmp_path / "sub2")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.save(file, number)
    (tmp_path / "folder.npy").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("absolute", [False, True])
def test_patterns_are_pythons(tree: Path, pattern: str, *, absolute: bool) -> None:
    whole = f"{glob.escape(str(tree))}/{pattern}" if absolute else pattern
    found = glob.glob(whole, recursive=True)  # noqa: PTH207, whose rules these are
    matching = {path for path in found if not Path(path).is_dir()}
    expected = [int(np.load(path)) for path in sorted(matching)]
    if not expected:
        with pytest.raises(FileNotFoundError) as caught:
            nf.Dataset(x=whole)
        assert whole in str(caught.value)
        return
    assert nf.Dataset(x=whole)[:].x.tolist() == expected


def test_a_file_comes_before_the_pattern_it_is_called_like(tmp_path: Path) -> None:
    np.save(tmp_path / "x[12].npy", np.arange(5))
    np.save(tmp_path / "x1.npy", np.arange(3))
    assert nf.Dataset(x=tmp_path / "x[12].npy").spec["x"].shape == ()
    assert len(nf.Dataset(x=tmp_path / "x[12].npy")) == 5
    assert nf.Dataset(x=tmp_path / "x[1].npy").spec["x"].shape == (3,)


def test_a_folder_has_its_npy_files_alone_sorted_by_name(tree: Path) -> None:
    names = ["B.NPY", "[1].npy", "a.npy", "b.npy", "é.npy"]
    assert nf.Dataset(x=tree)[:].x.tolist() == [int(np.load(tree / name)) for name in names]


# -- rows of several files -----------------------------------------------------------------------------------


def test_rows_of_several_files_come_one_after_the_other(tmp_path: Path) -> None:
    parts = [samples(count, (3,), "float32") for count in (4, 0, 1, 900)]
    paths = [tmp_path / f"part{number}.npy" for number in range(4)]
    for path, part in zip(paths, parts, strict=True):
        np.save(path, part)
    expected = np.concatenate(parts)
    sources: list[Any] = [paths, tuple(map(str, paths)), str(tmp_path / "part*.npy"), tmp_path]
    for source in sources:
        dataset = nf.Dataset(x=nf.rows(source), y=np.arange(905))
        np.testing.assert_array_equal(dataset[:].x, expected)
        np.testing.assert_array_equal(dataset[[904, 4, 3]].x, expected[[904, 4, 3]])
    loader = nf.Loader(dataset, batch_size=64, shuffle=True, threads=3)
    for batch in loader:
        np.testing.assert_array_equal(batch.x, expected[batch.y])
    np.testing.assert_array_equal(nf.Dataset(x=nf.rows(paths[:1]))[:].x, parts[0])
    np.testing.assert_array_equal(nf.Dataset(x=nf.rows(paths[0]))[:].x, parts[0])


def test_rows_may_be_members_and_fields(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3.0))
    np.save(tmp_path / "r.npy", np.array([(1, 4.0), (2, 5.0)], [("i", "i4"), ("x", "f8")]))
    dataset = nf.Dataset(x=nf.rows([f"{tmp_path}/a.npz:x"]))
    assert dataset[:].x.tolist() == [0, 1, 2]
    assert nf.Dataset(x=nf.rows([f"{tmp_path}/r.npy:x"]))[:].x.tolist() == [4, 5]


UNLIKE: dict[str, tuple[np.ndarray, str]] = {
    "dtype": (np.zeros((5, 3), "f8"), "expected float32 as in .*a.npy', found float64"),
    "shape": (np.zeros((5, 4), "f4"), r"expected shape \[3\] as in .*a.npy', found \[4\]"),
    "byte order": (np.zeros((5, 3), ">f4"), "found big-endian"),
    "memory order": (np.asarray(np.zeros((5, 3), "f4"), order="F"), "lie with strides"),
}


@pytest.mark.parametrize("difference", UNLIKE)
def test_rows_that_are_not_alike_are_refused_by_name(tmp_path: Path, difference: str) -> None:
    other, message = UNLIKE[difference]
    np.save(tmp_path / "a.npy", np.zeros((5, 3), "f4"))
    np.save(tmp_path / "b.npy", other)
    with pytest.raises(nf.MismatchError, match=rf"column 'x': .*b\.npy'.*{message}"):
        nf.Dataset(x=nf.rows([tmp_path / "a.npy", tmp_path / "b.npy"]))


def test_rows_know_what_they_were_made_of(tmp_path: Path) -> None:
    paths = [str(path) for path in save_each(tmp_path, samples(2))]
    rows = nf.rows(paths)
    assert repr(rows) == f"npyfeed.rows({tuple(paths)!r})"
    np.testing.assert_array_equal(
        nf.Dataset(x=pickle.loads(pickle.dumps(rows)))[:].x,
        samples(2).reshape(8, 3),
    )


def test_a_part_that_changes_is_an_error_when_its_rows_are_read_and_only_then(tmp_path: Path) -> None:
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", np.zeros((100, 100)))
    dataset = nf.Dataset(x=nf.rows(str(tmp_path / "*.npy")))
    os.truncate(tmp_path / "b.npy", 5000)
    assert dataset[:100].x.shape == (100, 100)
    with pytest.raises(OSError, match=r"column 'x'.*b\.npy.*cut short"):
        dataset[99:101]


# -- folders of classes --------------------------------------------------------------------------------------

CLASSES = ["cat/1.npy", "cat/10.npy", "cat/2.npy", "ant/b/1.npy", "ant/b.npy", "ant/a-c/1.npy", "ant/a/1.npy"]
CLASSES += [
    "ant/.hid.npy",
    "Zebra/x.NPY",
    "é/x.npy",
    "cat/notes.txt",
    "cat/a/b/c.npy",
    "notes.npy",
    ".dot/1.npy",
]


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for number, name in enumerate(CLASSES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.save(file, np.array([number, 1]))
    (tmp_path / "linked").symlink_to(tmp_path / "cat")
    return tmp_path


def test_folders_of_classes_are_torchvisions(classes: Path) -> None:
    theirs = DatasetFolder(str(classes), np.load, extensions=(".npy",))
    ours = nf.Dataset.from_folder(classes)
    assert (ours.classes, ours.class_to_idx) == (theirs.classes, theirs.class_to_idx)
    assert ours.columns == ("image", "label")
    assert ours.spec["label"] == nf.ColumnSpec("int64", ())
    assert ours[:].label.tolist() == theirs.targets
    np.testing.assert_array_equal(ours[:].image, [image for image, _ in theirs])
    part = ours.map(image=T.ToDtype("float64")).select([0])
    assert part.classes == theirs.classes
    assert nf.Dataset.from_folder(str(classes) + "/")[0].label == 0


def test_folders_of_classes_that_torchvision_refuses_are_refused(classes: Path) -> None:
    (classes / "empty").mkdir()
    for path, match in [(classes, "found none in empty"), (classes / "empty", "a folder for each class")]:
        with pytest.raises(FileNotFoundError):
            DatasetFolder(str(path), np.load, extensions=(".npy",))
        with pytest.raises(FileNotFoundError, match=match):
            nf.Dataset.from_folder(path)


def test_only_folders_of_classes_have_classes(folder: Path) -> None:
    dataset = nf.Dataset(x=folder / "x")
    assert not hasattr(dataset, "classes")
    with pytest.raises(AttributeError, match="from_folder"):
        dataset.class_to_idx  # noqa: B018
