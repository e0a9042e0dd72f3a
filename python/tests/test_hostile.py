"""Hostile files are refused with the exceptions we document, by name, soon, and in little memory."""

import csv
import gzip
import io
import itertools
import os
import socket
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile_probe import (
    CLEAR_REFS,
    MAX_PEAK_BYTES,
    MAX_SECONDS,
    Outcome,
    fresh,
    measured,
    outcomes,
)

import npyfeed as nf

HOSTILE = Path(__file__).parents[2] / "testdata/hostile"
UNSUPPORTED = {"Unsupported", "Encrypted", "Method", "ManyDisks"}
NPY, GIB, TIB = b"\x93NUMPY", 1 << 30, 1 << 40

pytestmark = pytest.mark.skipif(
    not os.access(CLEAR_REFS, os.W_OK), reason="the highest use of memory is counted anew on Linux only"
)


def findings(found: list[Outcome], expected: dict[str, str], named: str = "") -> list[str]:
    """What is wrong with the outcomes: each must be the exception expected, within the bounds."""
    wrong = []
    for outcome in found:
        kind = expected[outcome.path]
        name = named or Path(outcome.path).name
        if kind not in (outcome.error, outcome.documented):
            wrong.append(f"{outcome.path}: expected {kind}, found {outcome.error or 'that it opens'}")
        if outcome.error and name not in outcome.message:
            wrong.append(f"{outcome.path}: expected '{name}' in the message, found {outcome.message}")
        if outcome.seconds >= MAX_SECONDS:
            wrong.append(f"{outcome.path}: took {outcome.seconds * 1000:.1f} ms")
        if outcome.peak_bytes >= MAX_PEAK_BYTES:
            wrong.append(f"{outcome.path}: took {outcome.peak_bytes / 1e6:.1f} MB")
    assert len(found) == len(expected)
    return wrong


def committed() -> dict[str, str]:
    """The files under `testdata/hostile`, each with the exception it must give."""
    with (HOSTILE / "manifest.txt").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    kinds = {True: "UnsupportedError", False: "FormatError"}
    return {str(HOSTILE / row["file"]): kinds[row["error"] in UNSUPPORTED] for row in rows}


def report(found: list[Outcome], way: str) -> None:
    slowest, largest = max(found, key=lambda one: one.seconds), max(found, key=lambda one: one.peak_bytes)
    most = (
        f"{slowest.seconds * 1e3:.1f} ms ({slowest.path}), {largest.peak_bytes / 1e6:.1f} MB ({largest.path})"
    )
    print(f"{len(found)} files by {way}: at most {most}")  # noqa: T201, figures for the record


@pytest.mark.parametrize("way", ["path", "file", "bytes"])
def test_committed_files_are_refused_alike_from_wherever_they_come(way: str) -> None:
    expected = committed()
    found = fresh(outcomes, [Path(path) for path in expected], way)
    assert findings(found, expected, "memory" if way == "bytes" else "") == []
    report(found, way)
    assert len(found) >= 250


# -- files that are made on the spot: no files, and files too large to be committed --------------------------


def header(text: bytes) -> bytes:
    return NPY + b"\x02\0" + struct.pack("<I", len(text)) + text


def names() -> Iterator[bytes]:
    letters = b"abcdefghijklmnopqrstuvwxyz"
    for length in (1, 2, 3, 4):
        for name in itertools.product(letters, repeat=length):
            yield bytes(name)


def worst_header() -> bytes:
    """As many fields as fit into a header of 1 MiB, and then no shape: all of them were made in vain."""
    start = b"{'descr': ["
    count = ((1 << 20) - 100) // len(b"('abcd','|u1'),")
    return header(
        start + b"".join(b"('%s','|u1')," % name for name in itertools.islice(names(), count)) + b"]"
    )


def end_record(count: int, directory_bytes: int, directory_offset: int) -> bytes:
    return b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, directory_bytes, directory_offset, 0)


def many_members() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(5000):
            archive.writestr(f"{number:06}.npy", b"")
    return file.getvalue().replace(b"004999.npy", b"000000.npy")


def hidden_bomb() -> bytes:
    """64 MB of zeros in 64 KB of deflate, said to be 100 bytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflate.compress(bytes(64 << 20)) + deflate.flush()
    facts = struct.pack("<HHIIII", 0, 8, 0, 1, len(data), 100)
    local = b"PK\x03\x04\x14\0" + facts + struct.pack("<HH", 5, 0) + b"x.npy" + data
    entry = b"PK\x01\x02\x14\0\x14\0" + facts + struct.pack("<HHHHHII", 5, 0, 0, 0, 0, 0, 0) + b"x.npy"
    return local + entry + end_record(1, len(entry), len(local))


def hole_of_deflate(file: io.BufferedWriter) -> None:
    """A member of 1 GiB that is a hole, said to be deflated from 1 TiB."""
    extra = struct.pack("<HHQ", 1, 8, TIB)
    facts = struct.pack("<HHIIII", 0, 8, 0, 1, GIB, 0xFFFFFFFF)
    local = b"PK\x03\x04\x2d\0" + facts + struct.pack("<HH", 5, len(extra)) + b"x.npy" + extra
    entry = b"PK\x01\x02\x2d\0\x2d\0" + facts + struct.pack("<HHHHHII", 5, len(extra), 0, 0, 0, 0, 0)
    entry += b"x.npy" + extra
    file.write(local)
    file.seek(len(local) + GIB)
    file.write(entry + end_record(1, len(entry), len(local) + GIB))


CONTENTS = {
    "empty": b"",
    "brackets.npy": header(b"{'descr': " + b"[" * ((1 << 20) - 100)),
    "parentheses.npy": header(b"{'descr': " + b"(" * ((1 << 20) - 100)),
    "backslashes.npy": header(b"{'" + b"\\" * ((1 << 20) - 100)),
    "digits.npy": header(b"{'shape': (" + b"9" * ((1 << 20) - 100)),
    "spaces.npy": header(b" " * ((1 << 20) - 100)),
    "fields.npy": worst_header(),
    "signatures.npz": b"PK\x03\x04" + b"PK\x05\x06" * 500_000,
    "members.npz": many_members(),
    "bomb.npz": hidden_bomb(),
    "packed.npy.gz": gzip.compress(NPY),
}


def write_files(folder: Path) -> dict[str, str]:
    """Regular files, and what they must give."""
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    promise = header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n")
    holes = {
        "zeros.npy": (b"", TIB),
        "promise_of_8_tb.npy": (promise, 4 * TIB),
        "header_of_1_gib.npy": (NPY + b"\x02\0" + struct.pack("<I", GIB - 12) + b"[" * 100_000, GIB),
        "header_of_4_gib.npy": (NPY + b"\x02\0" + b"\xff" * 4 + b"[" * 100_000, 5 * GIB),
    }
    for name, (start, size) in holes.items():
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)
    for name, count in {"directory_hole.npz": 1000, "directory_hole_of_many.npz": 0xFFFE}.items():
        with (folder / name).open("wb") as file:
            file.seek(GIB)
            file.write(end_record(count, 256 << 20, GIB - (256 << 20)))
    made = dict.fromkeys(
        [*CONTENTS, *holes, "directory_hole.npz", "directory_hole_of_many.npz"], "FormatError"
    )
    with (folder / "deflated_hole.npz").open("wb") as file:
        hole_of_deflate(file)
    # Depending on how much memory the system promises, it is refused for its 1 TiB or for what it holds.
    refused = "FormatError" if can_promise(TIB) else "OSError"
    return {str(folder / name): kind for name, kind in {**made, "deflated_hole.npz": refused}.items()}


def can_promise(size_bytes: int) -> bool:
    """Whether the system gives so much memory to whoever does not touch it."""
    try:
        np.empty(size_bytes, "u1")
    except MemoryError:
        return False
    return True


def make_others(folder: Path) -> dict[str, str]:
    """What is no regular file, and what it must give."""
    os.mkfifo(folder / "fifo.npy")
    (folder / "folder.npy").mkdir()
    (folder / "loop.npy").symlink_to(folder / "loop.npy")
    (folder / "dangling.npy").symlink_to(folder / "nothing")
    (folder / "fifo_link.npy").symlink_to(folder / "fifo.npy")
    (folder / "file").write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(Path(os.path.relpath(folder / "socket.npy"))))  # a socket's path must be short
    missing = ["dangling.npy", "missing.npy", "nowhere/missing.npy"]
    kinds = {str(folder / name): "FileNotFoundError" for name in missing}
    others = ["fifo.npy", "fifo_link.npy", "loop.npy", "socket.npy", "n" * 300]
    kinds |= {str(folder / name): "OSError" for name in others}
    kinds |= {str(folder / "file/missing.npy"): "NotADirectoryError"}
    kinds |= {str(folder / "folder.npy"): "IsADirectoryError", "/dev": "IsADirectoryError"}
    kinds |= {"/proc/self/mem": "FormatError"}  # says that it is a regular file, of no bytes
    return kinds | dict.fromkeys(["/dev/null", "/dev/zero", "/dev/urandom"], "OSError")


@pytest.mark.parametrize("way", ["path", "file"])
def test_files_that_hold_less_than_they_say_are_refused(tmp_path: Path, way: str) -> None:
    expected = write_files(tmp_path)
    found = fresh(outcomes, [Path(path) for path in expected], way)
    assert findings(found, expected) == []
    report(found, way)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    expected = make_others(tmp_path)
    found = fresh(outcomes, [Path(path) for path in expected], "path")
    assert findings(found, expected) == []
    report(found, "path")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.npy"
    np.save(path, np.zeros(3))
    path.chmod(0)
    assert findings(fresh(outcomes, [path], "path"), {str(path): "PermissionError"}) == []


def test_archives_inside_archives_are_bytes_and_not_followed(tmp_path: Path) -> None:
    inner = io.BytesIO()
    np.savez_compressed(inner, x=np.zeros(4 << 20, "u1"))
    path = tmp_path / "outer.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(100):
            archive.writestr(f"{number}.zip", inner.getvalue())
    (outcome,) = fresh(outcomes, [path], "path")
    assert (outcome.error, outcome.message) == ("", "")
    assert outcome.peak_bytes < MAX_PEAK_BYTES
    assert nf.open(path)["7.zip"] == inner.getvalue()


# -- the measure itself --------------------------------------------------------------------------------------


def peaks_of_known_work() -> list[int]:
    """The peaks of nothing, of 40 MB that are given back, of the same again, and of nothing again."""
    works = [lambda: None, lambda: np.ones(40_000_000, "u1"), lambda: b"x" * 40_000_000, lambda: None]
    return [measured(work)[2] for work in works]


def test_the_measure_sees_memory_that_was_given_back_and_forgets_what_was_before() -> None:
    nothing, array, text, again = fresh(peaks_of_known_work)
    assert max(nothing, again) < 2 << 20
    assert all(40_000_000 - (2 << 20) < peak < 45_000_000 for peak in (array, text))


def busy() -> None:
    end = time.perf_counter() + 2 * MAX_SECONDS
    while time.perf_counter() < end:
        pass


def test_the_measure_sees_time_and_errors() -> None:
    assert measured(busy)[1] >= 2 * MAX_SECONDS
    assert isinstance(measured(lambda: nf.open(b""))[0], nf.FormatError)


def test_what_takes_too_much_is_found(tmp_path: Path) -> None:
    path = tmp_path / "honest.npz"
    np.savez_compressed(path, x=np.zeros(40_000_000, "u1"))
    (outcome,) = fresh(outcomes, [path], "path")
    found = findings([outcome], {str(path): "FormatError"})
    assert f"{path}: expected FormatError, found that it opens" in found
    assert f"{path}: took {outcome.peak_bytes / 1e6:.1f} MB" in found
    assert 40_000_000 - (2 << 20) < outcome.peak_bytes < 45_000_000
    sound = Outcome("a.npy", "FormatError", "FormatError", "cannot open 'a.npy': it is none", 0.001, 4096)
    expected = {"a.npy": "FormatError"}
    assert findings([sound], expected) == []
    assert findings([sound._replace(seconds=0.051)], expected) == ["a.npy: took 51.0 ms"]
    assert len(findings([sound._replace(message="it is none")], expected)) == 1
    assert len(findings([sound._replace(error="PanicException", documented="")], expected)) == 1
