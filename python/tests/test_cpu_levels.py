"""The same bytes on every level of vector instructions: `NPYFEED_CPU` forces each that this CPU has."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# What a child does: an epoch over every dtype and chain, and the digest of all its batches.
EPOCH = """
import hashlib, numpy as np, npyfeed as nf
from npyfeed import transforms as T
bytes_ = np.random.default_rng(0).integers(0, 256, 6 * 33 * 31 * 3 * 8, np.uint8)
digest = hashlib.sha256()
images = (6, 33, 31, 3)
for dtype in "bool u1 i1 <u2 <i2 >i2 <i4 >u4 <i8 <f2 >f2 <f4 >f4 <f8 >f8".split():
    count = int(np.prod(images))
    array = bytes_[: count * np.dtype(dtype).itemsize].view(dtype).reshape(images)
    if array.dtype == bool:
        array = bytes_[:count].reshape(images) > 127
    if array.dtype.kind == "f":
        array = np.linspace(-3, 300, count).astype(dtype).reshape(images)
    chains = [[], [T.ToTensor()]]
    for target in ["float16", "bfloat16", "float32", "float64"]:
        normalise = [T.ToDtype(target), T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.7))]
        # NumPy has no bfloat16.
        chains.append(normalise if target != "bfloat16" else [*normalise, T.ToDtype("float32")])
    if array.dtype != bool:
        chains.append([T.Clip(3, 99), T.ToDtype("uint8")])
        chains.append([T.Clip(3, 99), T.ToDtype("float32"), T.Clip(0, 1), T.ToDtype("uint8", scale=True)])
    for chain in chains:
        loader = nf.Loader(nf.Dataset(x=array).map(x=chain), batch_size=4, shuffle=True, seed=1)
        for batch in loader:
            digest.update(str((batch.x.dtype, batch.x.shape)).encode() + batch.x.tobytes())
print(digest.hexdigest())
"""
# Every way to the bytes, number of threads, prefetch depth, and an epoch that is gone on with at any batch.
EVERY_WAY = """
import hashlib, itertools, sys, numpy as np, npyfeed as nf
from npyfeed import transforms as T
dataset = nf.Dataset(image=sys.argv[1] + "/image.npy", volume=sys.argv[1] + "/volume.npy").map(
    image=[T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.7))],
    volume=[T.RandSpatialCrop((5, 6, 7)), T.ToDtype("float32")],
)
def digest(batches):
    digest = hashlib.sha256()
    for batch in batches:
        digest.update(batch.image.tobytes() + batch.volume.tobytes())
    return digest.hexdigest()
def loader(io, threads, prefetch):
    return nf.Loader(dataset, 8, shuffle=True, seed=5, io=io, threads=threads, prefetch=prefetch)
digests = set()
ways = list(itertools.product(["map", "pread", "uring", "memory"], [1, 2, 5], [1, 8]))
for way in ways:
    digests.add(digest(loader(*way)))
    for stop in range(len(loader(*way)) + 1):
        first = loader(*way)
        taken = list(itertools.islice(first, stop))
        later = loader(*ways[(ways.index(way) + stop) % len(ways)])
        later.load_state_dict(first.state_dict())
        rest = later if stop < len(later) else []
        digests.add(digest(itertools.chain(taken, rest)))
print(*digests)
"""
ERROR = r"cannot choose a kernel for column 'x': NPYFEED_CPU is '(.*)', expected a level .* has \((.*)\)"


def child(level: str | None, code: str = EPOCH, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "NPYFEED_CPU"}
    if level is not None:
        environment["NPYFEED_CPU"] = level
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def error(level: str) -> re.Match[str]:
    result = child(level)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("npyfeed.errors.MismatchError: ") or "MismatchError: " in last
    found = re.search(ERROR, last)
    assert found, last
    return found


@pytest.mark.parametrize("level", ["", "AVX2", "sse9"])
def test_a_level_that_is_none_is_an_error_that_names_those_there_are(level: str) -> None:
    found, available = error(level).groups()
    assert found == level
    assert available.split(", ")[0] == "portable"


def test_every_level_gives_the_bytes_of_the_best() -> None:
    levels = error("none")[2].split(", ")
    results = [child(level) for level in [None, *levels]]
    for result in results:
        assert result.returncode == 0, result.stderr
    digests = {result.stdout for result in results}
    assert len(digests) == 1
    assert re.fullmatch("[0-9a-f]{64}\n", digests.pop())


def test_every_level_way_number_of_threads_and_depth_gives_one_epoch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "image.npy", rng.integers(0, 256, (60, 33, 31, 3), "uint8"))
    np.save(tmp_path / "volume.npy", rng.integers(-1000, 1000, (60, 12, 14, 16), "int16"))
    results = [child(level, EVERY_WAY, str(tmp_path)) for level in error("none")[2].split(", ")]
    for result in results:
        assert result.returncode == 0, result.stderr
    digests = {result.stdout for result in results}
    assert len(digests) == 1
    assert re.fullmatch("[0-9a-f]{64}\n", digests.pop())
